"""The confirmation list: every baseline that a chosen mixture is trained against, and why one is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.values import Arm, ArmRole, Design, StudyRecord, Verdict
from probe.decide.baselines import capped, default_cap
from probe.errors import ProbeError, UsageError
from sources.mixture import Mixture

if TYPE_CHECKING:
    from db.store import Store

BASE, UNIFORM, UNHURT, PROPORTIONAL, CAPPED, SINGLE = "base", "uniform", "uniform_without_hurts", "proportional", "capped", "best_single"
NAMES = (BASE, UNIFORM, UNHURT, PROPORTIONAL, CAPPED, SINGLE)
JUDGED = (Design.ADD_ONE, Design.LEAVE_ONE_OUT)


@dataclass(frozen=True, slots=True)
class Against:
    """What the user says of the list: baselines left out, own mixtures by name, and the cap of `capped` in rows (0: the median)."""

    leave_out: tuple[str, ...] = ()
    own: tuple[tuple[str, Mixture], ...] = ()
    cap: int = 0


@dataclass(frozen=True, slots=True)
class Baselines:
    """Shares by baseline, and what a reader must know: how `capped` was made, which baseline is missing and why."""

    shares: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...] = ()


def confirmation_list(
    asked: Against,
    standing: Mapping[str, Mapping[str, float]],
    rows: Mapping[str, float],
    held: Mapping[str, float],
    verdicts: Mapping[str, Verdict],
    study: str,
) -> Baselines:
    """Return the whole list; `standing` holds base, uniform, proportional and best single as shares over the searched sources.

    `rows` are each source's usable rows and `held` the same in the budget's unit; `verdicts` are those of `source_verdicts`.

    Raises:
        UsageError: a name is unknown or taken, or an own baseline names a source that the search does not know.
    """
    _check(asked, tuple(rows))
    shares = {name: dict(standing[name]) for name in (BASE, UNIFORM)}
    notes = []
    hurting = sorted(slug for slug in rows if verdicts.get(slug) is Verdict.HURTS)
    if reason := _no_unhurt(rows, verdicts, hurting, study):
        notes.append(f"the baseline {UNHURT!r} is left out: {reason}")
    else:
        rest = [slug for slug in rows if slug not in hurting]
        shares[UNHURT] = {slug: 1 / len(rest) if slug in rest else 0.0 for slug in rows}
        notes.append(f"the baseline {UNHURT!r} is uniform without {', '.join(hurting)}")
    shares[PROPORTIONAL] = dict(standing[PROPORTIONAL])
    cap = asked.cap or default_cap(rows)
    shares[CAPPED] = capped(rows, held, cap)
    if CAPPED not in asked.leave_out:
        notes.append(f"the baseline {CAPPED!r} is proportional to usable rows with at most {cap:,.0f} of each source")
    shares[SINGLE] = dict(standing[SINGLE])
    shares |= {name: {slug: mixture.weights().get(slug, 0.0) for slug in rows} for name, mixture in asked.own}
    kept = {name: of for name, of in shares.items() if name not in asked.leave_out}
    if not kept:
        raise UsageError("every baseline is left out, so there is nothing to confirm against: leave fewer out, or give --no-confirm.")
    return Baselines(kept, tuple(note for note in notes if UNHURT not in asked.leave_out or f"{UNHURT!r}" not in note))


def source_verdicts(store: Store, study: StudyRecord) -> dict[str, Verdict]:
    """Return the verdict on each source that add-one or leave-one-out judged; `hurts` by either counts. Empty where neither was run.

    A verdict on a group is one on each of its sources that has none of its own.
    """
    from probe.study.ranking import computed_ranking

    arms = {arm.name: arm for arm in store.arms(study.name)}
    if not any(arm.role is ArmRole.SOURCE and arm.design in JUDGED for arm in arms.values()):
        return {}
    ranking = store.ranking(study.name)
    if ranking is None or ranking.revision != study.revision:
        try:
            ranking = computed_ranking(store, study.name)
        except ProbeError:  # not finished: the search says what it needs itself
            return {}
    base = (arms[BASE].curriculum.phases[0].mixture if BASE in arms else study.base).weights()
    judged = [
        (judged_sources(arms[row.arm], base, study.add_share), row.verdict)
        for row in ranking.effects
        if row.level == "overall" and row.verdict is not None and row.verdict_from in JUDGED and row.arm in arms
    ]
    alone = _worst((slug, verdict) for slugs, verdict in judged if len(slugs) == 1 for slug in slugs)
    return _worst((slug, verdict) for slugs, verdict in judged for slug in slugs) | alone


def judged_sources(arm: Arm, base: Mapping[str, float], share: float) -> set[str]:
    """Return the sources that an add-one arm adds `share` of, or a leave-one-out arm leaves out: one, or those of a group."""
    weights = arm.curriculum.phases[0].mixture.weights()
    if arm.role is not ArmRole.SOURCE:  # a gate behind others: what joined last is judged
        return {arm.source}
    if arm.design is Design.LEAVE_ONE_OUT:
        split = {slug for slug in base if any(other.startswith(f"{slug}/") for other in weights)}  # into parts, one of which is out
        return {slug for slug in base if slug not in weights and slug not in split} or {arm.source}
    return {slug for slug, weight in weights.items() if weight > (1 - share) * base.get(slug, 0.0) + 1e-9}


def _worst(verdicts: Iterable[tuple[str, Verdict]]) -> dict[str, Verdict]:
    """Return a verdict a source; `hurts` counts before any other."""
    found: dict[str, Verdict] = {}
    for slug, verdict in verdicts:
        if found.get(slug) is not Verdict.HURTS:
            found[slug] = verdict
    return found


def _no_unhurt(rows: Mapping[str, float], verdicts: Mapping[str, Verdict], hurting: Sequence[str], study: str) -> str:
    """Return why there is no uniform without harmful sources; nothing where there is one."""
    if not any(slug in verdicts for slug in rows):
        return f"no source has a verdict yet (probe run --study {study} --design add-one --source S ... gives them)"
    if not hurting:
        return "no source is found to hurt"
    return "every source is found to hurt" if len(hurting) == len(rows) else ""


def _check(asked: Against, sources: Sequence[str]) -> None:
    unknown = [name for name in asked.leave_out if name not in NAMES]
    if unknown:
        raise UsageError(f"there is no baseline {unknown[0]!r} to leave out; there are {', '.join(NAMES)}.")
    names = [name for name, _ in asked.own]
    for name, mixture in asked.own:
        if name in NAMES or names.count(name) > 1:
            raise UsageError(f"the baseline name {name!r} is taken: give another one.")
        strange = [slug for slug in mixture.weights() if slug not in sources]
        if strange:
            raise UsageError(f"baseline {name} names {', '.join(strange)}, which the search does not mix; it mixes {', '.join(sources)}.")
