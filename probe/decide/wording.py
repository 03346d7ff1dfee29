"""What a verdict says, in words that name the change: effects are of the arm, verdicts of the source."""

from __future__ import annotations

from db.values import Design, EffectRow, Verdict
from probe.decide.arm_names import DOUBLED, MIXED

_ADDED = {
    Verdict.HELPS: "adding it raises the score",
    Verdict.HURTS: "adding it lowers the score",
    Verdict.NEUTRAL: "adding it changes the score by no more than the margin",
}
_REMOVED = {
    Verdict.HELPS: "removing it lowers the score",
    Verdict.HURTS: "removing it raises the score",
    Verdict.NEUTRAL: "removing it changes the score by no more than the margin: redundant here",
}
_HALVED = {
    Verdict.HELPS: "halving its share lowers the score: not over-supplied",
    Verdict.HURTS: "halving its share raises the score: over-supplied",
    Verdict.NEUTRAL: "halving its share changes the score by no more than the margin",
}
_DOUBLED = {
    Verdict.HELPS: "doubling its share raises the score: under-supplied",
    Verdict.HURTS: "doubling its share lowers the score: not under-supplied",
    Verdict.NEUTRAL: "doubling its share changes the score by no more than the margin",
}
_ORDER = {
    Verdict.HELPS: "this order is better than the same rows mixed under the same schedule",
    Verdict.HURTS: "this order is worse than the same rows mixed under the same schedule",
    Verdict.NEUTRAL: "this order and the same rows mixed differ by no more than the margin",
}
_SCHEDULE = {
    Verdict.HELPS: "one schedule is better than restarts for the same rows mixed",
    Verdict.HURTS: "one schedule is worse than restarts for the same rows mixed",
    Verdict.NEUTRAL: "one schedule and restarts differ by no more than the margin",
}


def verdict_means(row: EffectRow) -> str:
    """Return what a row's verdict says; empty where it has none or is undecided."""
    if row.verdict is None or not row.verdict_from:
        return ""
    return _words(Design(row.verdict_from), row).get(row.verdict, "")


def _words(design: Design, row: EffectRow) -> dict[Verdict, str]:
    if design is Design.LEAVE_ONE_OUT:
        return _REMOVED
    if design is Design.HALVING:
        return _DOUBLED if row.arm.startswith(DOUBLED) else _HALVED
    if design is Design.PHASES:
        return _SCHEDULE if row.source == MIXED else _ORDER
    return _ADDED
