"""How well a study's proxy agrees with the full-scale results that are recorded of it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from db.values import KeptFidelity, StudyRecord
from probe.decide.fidelity import FEWEST, Agreement, agreement, differences
from probe.study.outcome_scores import comparisons, full_scale
from probe.study.proxy_scores import ProxyScores
from probe.study.ranking import known_study
from sources.canonical import content_hash
from sources.estimate import Estimate

if TYPE_CHECKING:
    from db.store import Store

LEVEL = 0.90
METHOD = 1  # raised when the same outcomes give another answer, so that what is kept is computed anew
ESTIMATE = ("value", "stderr", "low", "high", "n")


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The agreement over all and by capability, and the one sentence that is shown wherever a decision is."""

    study: str
    outcomes: int  # mixtures with a full-scale result
    said: str
    overall: Agreement | None = None
    capabilities: tuple[Agreement, ...] = ()


def fidelity(store: Store, study: str) -> Fidelity:
    """Return a study's fidelity: what is kept where nothing has changed since, else computed anew and kept.

    Raises:
        ProbeError: there is no such study.
    """
    record = known_study(store, study)
    digest, kept = _digest(store, record), store.fidelity(study)
    if kept is not None and kept.digest == digest:
        return _read(json.loads(kept.json))
    found = computed_fidelity(store, record)
    store.put_fidelity(KeptFidelity(study, digest, json.dumps(fidelity_json(found), allow_nan=False)))
    return found


def fidelity_lines(found: Fidelity) -> list[str]:
    """Return what is printed: the sentence, then a line for each capability that can be told."""
    told = [one for one in found.capabilities if one.agreement is not None]
    lines = [f"  {one.name}: {_figures(one)}; {_more(one)}" for one in told if len(found.capabilities) > 1]
    return [found.said, *lines]


def kept_sentence(store: Store, study: StudyRecord) -> str:
    """Return the sentence for a page, which computes nothing: what is kept, and whether it is old."""
    kept, count = store.fidelity(study.name), len(store.outcomes(study.name))
    if not count:
        return _said(study.name, 0, None)
    if kept is None or kept.digest != _digest(store, study):
        return f"Agreement with full scale: {count} results are recorded; bring it up to date with: probe rank --study {study.name}"
    return str(json.loads(kept.json)["said"])


def computed_fidelity(store: Store, study: StudyRecord) -> Fidelity:
    """Compare every mixture that has a full-scale result with what the proxy says of it.

    The proxy's side of a pair is the paired difference of both mixtures' trainings on selection items where they share a repeat, else
    what the surrogate that is fitted to the study's trained mixtures predicts.
    """
    full = full_scale(store.outcomes(study.name))
    capabilities = {record.spec.name: record.spec.capability for record in store.study_benchmarks(study.name)}
    compared = comparisons(full, capabilities)
    if not compared:
        return Fidelity(study.name, len(full), _said(study.name, len(full), None))
    proxy = ProxyScores(store, study, LEVEL)
    found = []
    for one in compared:
        if len(one.mixtures) < FEWEST:  # whatever the proxy says of them, they tell nothing
            found.append(Agreement(one.name, len(one.mixtures), 0, 0))
            continue
        found.append(agreement(one.name, proxy.differences(one, full), differences(one.values, one.stderrs, LEVEL), LEVEL))
    overall = next((one for one in found if one.name == "overall"), None)
    rest = tuple(one for one in found if one.name != "overall")
    return Fidelity(study.name, len(full), _said(study.name, len(full), overall), overall, rest)


def nothing_recorded(study: str) -> str:
    """Return the sentence where nobody knows how the proxy agrees with full scale."""
    how = f"probe outcomes add --study {study} --manifest M --score B=0.41"
    return f"Agreement with full scale: no full-scale result is recorded; record one with: {how}"


def _said(study: str, outcomes: int, found: Agreement | None) -> str:
    start = "Agreement with full scale:"
    if not outcomes:
        return nothing_recorded(study)
    results = f"{outcomes} outcome{'s' * (outcomes != 1)}"
    if found is None:
        return f"{start} the {results} have no score in common, so nothing can be compared."
    if found.agreement is None or found.rank is None:
        if found.outcomes < FEWEST:
            return f"{start} too few to tell ({results}, {found.outcomes} of them comparable; {FEWEST} are the fewest)."
        return f"{start} neither side tells any two of the {found.outcomes} mixtures apart ({results})."
    return f"{start} {_figures(found)}; {_more(found)} ({results})."


def _figures(found: Agreement) -> str:
    """Return both figures with their intervals, for an agreement that has them."""
    shown, tau = found.agreement, found.rank
    assert shown is not None
    assert tau is not None
    return (
        f"{shown.value:.0%} [{shown.low:.0%}, {shown.high:.0%}] of the {found.pairs} pairs that either side tells apart are ordered alike, "
        f"Kendall's tau {tau.value:+.2f} [{tau.low:+.2f}, {tau.high:+.2f}] over {found.outcomes} mixtures"
    )


def _more(found: Agreement) -> str:
    """Say what the interval settles: better than chance (.5), and better than .8."""
    if found.more_for_chance is None:
        return "not better than chance"
    if found.more_for_chance:
        return f"not yet better than chance: about {_outcomes(found.more_for_chance)} would settle it, at this agreement"
    if found.more_for_enough is None:
        return "better than chance, and not above 80%"
    if found.more_for_enough:
        return f"better than chance: about {_outcomes(found.more_for_enough)} would show it above 80%, at this agreement"
    return "above 80%"


def _outcomes(more: int) -> str:
    return f"{more} more outcome{'s' * (more != 1)}"


def fidelity_json(found: Fidelity) -> dict[str, Any]:
    """Return a fidelity as the object that all JSON output uses."""
    return {
        "study": found.study,
        "outcomes": found.outcomes,
        "said": found.said,
        "overall": _agreement_json(found.overall) if found.overall else None,
        "capabilities": {one.name: _agreement_json(one) for one in found.capabilities},
    }


def _agreement_json(one: Agreement) -> dict[str, Any]:
    estimates = {"agreement": one.agreement, "rank": one.rank}
    return {
        "outcomes": one.outcomes,
        "pairs": one.pairs,
        "both": one.both,
        **{name: None if e is None else {key: getattr(e, key) for key in ESTIMATE} for name, e in estimates.items()},
        "more_for_chance": one.more_for_chance,
        "more_for_enough": one.more_for_enough,
    }


def _read(plain: dict[str, Any]) -> Fidelity:
    def one(name: str, found: dict[str, Any]) -> Agreement:
        estimates = {key: Estimate(**found[key]) if found[key] else None for key in ("agreement", "rank")}
        return Agreement(name, **(found | estimates))

    overall = one("overall", plain["overall"]) if plain["overall"] else None
    capabilities = tuple(one(name, found) for name, found in plain["capabilities"].items())
    return Fidelity(plain["study"], plain["outcomes"], plain["said"], overall, capabilities)


def _digest(store: Store, study: StudyRecord) -> str:
    """Return what a fidelity is computed from: the study's revision and its outcomes."""
    known = [
        [o.name, [[[p.share, p.mixture.shares] for p in o.curriculum.phases], o.curriculum.budget, o.curriculum.restarts], o.seeds]
        + [[s.level, s.name, s.value, s.stderr if math.isfinite(s.stderr) else None] for s in o.scores]
        for o in store.outcomes(study.name)
    ]
    return content_hash([METHOD, study.revision, known])
