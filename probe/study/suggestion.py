"""`probe optimize --suggest`: which mixtures of a study to train next, and their place in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.values import Arm, Design, ProbeState, StudyPlan, StudyRecord
from probe.errors import ProbeError
from probe.study import designs
from probe.study.constraints import prior_shares
from probe.study.decontamination import study_draws
from probe.study.mixture_search import Fit, OptimizeRequest, fit_runs
from probe.study.run import plan_probes
from probe.workspace import Workspace
from sources.estimate import Estimate
from sources.mixture import Mixture

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.next_mixtures import Proposal

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Suggested:
    """An arm to train, why, and what it is predicted to gain over the base (the surface's interval, not a run's)."""

    arm: Arm
    improvement: Estimate
    chance: float
    predicted_gain: Estimate


@dataclass(frozen=True, slots=True, eq=False)
class Suggestion:
    """The mixtures to train next; `waiting` are those of the study that are planned and not finished, which count among the number."""

    fit: Fit
    suggested: tuple[Suggested, ...]
    waiting: tuple[str, ...]


def suggest(store: Store, request: OptimizeRequest, n: int) -> Suggestion:
    """Choose `n` mixtures by noisy expected improvement, less those that wait already, which are taken into account.

    Raises:
        ProbeError: too few mixtures were trained to learn from, or no mixture keeps the constraints.
    """
    from probe.decide.next_mixtures import next_mixtures

    fit = fit_runs(store, request)
    waiting = _waiting(store, fit.study, fit.seen.sources)
    left = n - len(waiting)
    if left < 1:
        return Suggestion(fit, (), tuple(arm.name for arm in waiting))
    points = np.array([_shares(arm, fit.seen.sources) for arm in waiting]).reshape(-1, len(fit.seen.sources))
    spread = float(np.std(fit.surface.predict(fit.region.sample(2048, request.seed))[0]))
    try:
        found = next_mixtures(
            fit.surface,
            np.vstack([fit.seen.weights, points]),
            fit.region,
            left,
            prior=prior_shares(request.constraints.prior, fit.setting),
            price=request.constraints.trust * spread,
            level=request.level,
            seed=request.seed,
        )
    except ValueError as error:
        raise ProbeError(f"{error}: loosen a constraint.") from None
    return Suggestion(fit, tuple(_suggested(fit, proposal) for proposal in found), tuple(arm.name for arm in waiting))


def plan_suggestion(workspace: Workspace, store: Store, found: Suggestion, say: Callable[[str], None]) -> None:
    """Add the mixtures to the study as arms of its swarm, one run each."""
    study = found.fit.study
    arms = tuple(one.arm for one in found.suggested)
    probes = plan_probes(study_draws(store, study, workspace.indexes), arms, range(1), say)
    store.put_plan(StudyPlan(study, (), store.study_benchmarks(study.name), arms, tuple(probes)))


def _suggested(fit: Fit, proposal: Proposal) -> Suggested:
    from scipy.special import ndtri

    mixture = Mixture.of(dict(zip(fit.seen.sources, proposal.shares.tolist(), strict=True)))
    mean, deviation = fit.surface.difference(proposal.shares, fit.setting.baseline())
    z = float(ndtri(0.5 + fit.request.level / 2))
    gain = Estimate(mean, deviation, mean - z * deviation, mean + z * deviation, fit.fitted.n_items)
    return Suggested(designs.swarm_arms([mixture])[0], proposal.improvement, proposal.chance, gain)


def _waiting(store: Store, study: StudyRecord, sources: tuple[str, ...]) -> list[Arm]:
    """Return the swarm's arms of these sources that have a probe to be trained."""
    open_states = (ProbeState.WAITING, ProbeState.RUNNING)
    names = {probe.arm for probe in store.probes(study.name) if probe.state in open_states}
    arms = [arm for arm in store.arms(study.name) if arm.name in names and arm.design is Design.SWARM]
    return [arm for arm in arms if len(arm.curriculum.phases) == 1 and set(arm.curriculum.sources()) <= set(sources)]


def _shares(arm: Arm, sources: tuple[str, ...]) -> list[float]:
    weights = arm.curriculum.phases[0].mixture.weights()
    return [weights.get(slug, 0.0) for slug in sources]
