"""What a mixture search makes of merged adapters: scores for its surrogate, and how far merging agrees with training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from db.values import StudyRecord
from probe.decide.levels import Combination
from probe.errors import ProbeError
from probe.study.merging import MergedRuns, score_merged, solo_adapters
from probe.study.observations import Observations, Targets, repeat_noise, seed_effect
from probe.workspace import Workspace
from proxy_training.jobs import EngineSettings
from sources.estimate import Estimate

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.merging_agreement import Agreement
    from probe.decide.surrogates import MergedScores

Merge = Callable[["Store", StudyRecord, Observations, Combination, Targets], "Merging | None"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Merging:
    """Scores of merged adapters in the objective's targets, and their agreement with training where enough mixtures were trained."""

    scores: MergedScores
    agreement: Agreement | None
    items: int
    capabilities: tuple[tuple[str, Estimate | None], ...] = ()  # order by capability, as `Agreement.order`

    def sentence(self) -> str:
        """Return what `probe optimize` prints of it."""
        head = f"Merged adapters: {len(self.scores.weights)} mixtures scored without training on {self.items} items"
        if self.agreement is None or self.agreement.order is None:
            return f"{head}; too few mixtures were trained to tell how merging agrees with training."
        order = self.agreement.order
        told = f"{head}; order of the {order.n} trained ones as in training: tau {_figure(order)}"
        if len(self.capabilities) > 1:
            told += f" ({', '.join(f'{name} {_figure(tau)}' for name, tau in self.capabilities if tau)})"
        tilts = [f"{tilt.source} {'more' if tilt.slope.value > 0 else 'less'}" for tilt in self.agreement.tilts if tilt.decided]
        apart = [r for r in self.agreement.residuals if r.difference.low > 0 or r.difference.high < 0]
        told += f"; {len(apart)} of {len(self.agreement.residuals)} differ from what it predicts by more than seeds do"
        return f"{told}; training gains from {', '.join(tilts)} than merging says." if tilts else f"{told}."

    def as_json(self) -> dict[str, Any]:
        """Return all of it for programs and the manifest."""
        told: dict[str, Any] = {"mixtures": len(self.scores.weights), "items": self.items}
        if self.agreement is None:
            return told | {"order": None}
        found = self.agreement
        return told | {
            "order": None if found.order is None else _numbers(found.order),
            "capabilities": {name: None if tau is None else _numbers(tau) for name, tau in self.capabilities},
            "offset": found.offset,
            "slope": found.slope,
            "residuals": [
                {"mixture": r.mixture, "trained": r.trained, "predicted": r.predicted, "difference": _numbers(r.difference)}
                for r in found.residuals
            ],
            "sources": [{"source": tilt.source, "slope": _numbers(tilt.slope), "decided": tilt.decided} for tilt in found.tilts],
        }


def _figure(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _numbers(estimate: Estimate) -> dict[str, float | None]:
    """Return an estimate's numbers; None for what cannot be told, because JSON has no NaN."""
    numbers = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: number if np.isfinite(number) else None for name, number in numbers.items()}


def merger(
    workspace: Workspace,
    settings: EngineSettings,
    wanted: bool | None,
    tell: Callable[[str], None],
    progress: Progress | None = None,
) -> Merge | None:
    """Return how a search merges: with `wanted` None where the adapters of all sources are there, and never with False."""
    if wanted is False:
        return None

    def merge(store: Store, study: StudyRecord, seen: Observations, objective: Combination, fitted: Targets) -> Merging | None:
        if wanted is None and not _all_there(workspace, store, study, seen.sources):
            return None
        try:
            runs = score_merged(workspace, store, study, seen, objective, settings, progress)
        except ProbeError as error:
            if wanted:
                raise
            tell(f"Note: merged adapters are not used: {error}")
            return None
        return merging(runs, seen, fitted)

    return merge


def _all_there(workspace: Workspace, store: Store, study: StudyRecord, sources: Sequence[str]) -> bool:
    try:
        return not solo_adapters(store, study, sources).missing(workspace)
    except ProbeError:
        return False


def merging(runs: MergedRuns, seen: Observations, fitted: Targets) -> Merging:
    """Turn merged runs into the surrogate's scores and compare them with training.

    A repeat's common effect is taken out, as it is from trained scores; what is left between repeats is the noise.
    """
    from probe.decide.merging_agreement import agreement
    from probe.decide.rank_agreement import kendall
    from probe.decide.surrogates import MergedScores
    from probe.decide.surrogates.merged import is_single

    values = runs.values - seed_effect(runs.values)
    scores = MergedScores(runs.weights, np.nanmean(values, axis=1), repeat_noise(values))
    c = np.array(fitted.weights)
    mixed = np.flatnonzero(~is_single(seen.weights))
    own = scores.values[: runs.trained], scores.noise[: runs.trained]
    found = agreement(
        [seen.arms[k] for k in mixed],
        seen.sources,
        seen.weights[mixed],
        (fitted.values @ c)[mixed],
        (own[0] @ c)[mixed],
        # Targets share their seeds: their deviations add up.
        ((np.sqrt(fitted.noise) @ c) ** 2)[mixed],
        ((np.sqrt(own[1]) @ c) ** 2)[mixed],
    )
    pairs = zip(fitted.capabilities, own[0][mixed].T, fitted.values[mixed].T, strict=True)
    return Merging(scores, found, runs.items, tuple((name, kendall(one, other)) for name, one, other in pairs))
