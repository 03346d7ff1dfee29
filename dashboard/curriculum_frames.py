"""What a study says of orders of phases, as frames: what each trains on when, what it gains over the same rows mixed, and its growth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dashboard.frames import interval_text
from dashboard.reading import Snapshot, pairs, whole_arms
from db.values import Arm, ArmRole, Design, EffectRow, Verdict
from probe.decide.arm_names import size_mark
from probe.decide.asked import order_reference
from probe.decide.order_slopes import OrderSlope
from probe.manifest import Manifest
from sources.estimate import Estimate

WORDS = {
    "phases/staged": "staged",
    "phases/reversed": "reversed",
    "phases/mixed": "mixed, one schedule",
    "phases/mixed-restarts": "mixed, same restarts",
    "phases/staged-one-schedule": "staged, one schedule",
    "phases/reversed-one-schedule": "reversed, one schedule",
}
MOST_SOURCES = 7  # that have a colour of their own
REST = "all others"


def order_arms(view: Snapshot) -> list[Arm]:
    """Return a study's orders of phases, tested or waiting."""
    return list(whole_arms(view, (arm.name for arm in view.arms if arm.design is Design.PHASES and arm.role is ArmRole.SOURCE)))


def order_text(name: str) -> str:
    """Return an order in words, without its size."""
    plain = name.removesuffix(size_mark(name))
    return WORDS.get(plain, plain)


def decided_phases(doc: Manifest) -> list[tuple[float, Mapping[str, float]]]:
    """Return the phases of a decision: the share of the budget and the weights of each."""
    return [(phase.share, phase.weights) for phase in doc.phases]


def largest_arms(arms: Sequence[Arm]) -> list[Arm]:
    """Return one arm for each order that is not the same mixture throughout, that of the largest size."""
    found: dict[str, Arm] = {}
    for arm in arms:
        known = found.get(order_text(arm.name))
        changes = len({phase.mixture for phase in arm.curriculum.phases}) > 1
        if changes and (known is None or known.curriculum.budget <= arm.curriculum.budget):
            found[order_text(arm.name)] = arm
    return list(found.values())


def phases_of(arm: Arm) -> list[tuple[float, Mapping[str, float]]]:
    """Return an arm's phases: the share of the budget and the weights of each."""
    total = sum(phase.share for phase in arm.curriculum.phases)
    return [(phase.share / total, phase.mixture.weights()) for phase in arm.curriculum.phases]


def phases_frame(curricula: Mapping[str, Sequence[tuple[float, Mapping[str, float]]]]) -> pd.DataFrame:
    """Return one row a curriculum, phase and source: from where to where of the training it reaches, and which part of the rows it has."""
    totals: dict[str, float] = {}
    for phases in curricula.values():
        for share, weights in phases:
            for slug, weight in weights.items():
                totals[slug] = totals.get(slug, 0.0) + share * weight
    largest = sorted(totals, key=lambda slug: (-totals[slug], slug))
    named = largest if len(largest) <= MOST_SOURCES + 1 else largest[:MOST_SOURCES]
    rows = []
    for order, phases in curricula.items():
        start = 0.0
        for number, (share, weights) in enumerate(phases, start=1):
            parts = [(slug, weights[slug]) for slug in named if weights.get(slug)]
            rest = sum(weight for slug, weight in weights.items() if slug not in named)
            floor = 0.0
            for slug, weight in [*parts, *([(REST, rest)] if rest > 1e-9 else [])]:
                place = {"start": start, "end": start + share, "bottom": floor, "top": floor + weight}
                rows.append({"order": order, "phase": number, "source": slug, "share": weight} | place)
                floor += weight
            start += share
    return pd.DataFrame(rows)


def evidence_frame(view: Snapshot, level: tuple[str, str] = ("overall", "overall")) -> pd.DataFrame:
    """Return one row an order and size: its gain over the same rows mixed with the same restarts, its verdict, and the size."""
    arms = {arm.name: arm for arm in order_arms(view)}
    rows = [row for row in view.ranking.effects if row.arm in arms and (row.level, row.name) == level] if view.ranking else []
    return pd.DataFrame(
        [
            {
                "shown": _shown(row.arm, view),
                "order": order_text(row.arm),
                "against": order_text(order_reference(row.arm)),
                "size": arms[row.arm].curriculum.budget or view.study.budget,
                "effect": interval_text(row.effect),
                "verdict": _verdict(row),
                **_numbers(row.effect),
                "metric": row.metric,
                "tier": None,
            }
            for row in sorted(rows, key=lambda row: (order_text(row.arm), arms[row.arm].curriculum.budget))
        ]
    )


def reversed_frame(view: Snapshot) -> pd.DataFrame:
    """Return one row a size: staged minus reversed, and whether they are told apart."""
    arms = {arm.name: arm for arm in order_arms(view)}
    rows = []
    for pair in pairs(view, ("overall", "overall"), arms):
        sign = 1 if "staged" in pair.a else -1
        names = (pair.a, pair.b) if sign > 0 else (pair.b, pair.a)
        if "staged" not in names[0] or "reversed" not in names[1]:
            continue
        d = pair.difference
        difference = d if sign > 0 else Estimate(-d.value, d.stderr, -d.high, -d.low, d.n)
        what = f"{order_text(names[0])} minus {order_text(names[1])}"
        size = arms[pair.a].curriculum.budget or view.study.budget
        told = {"difference": interval_text(difference), "told apart": "yes" if pair.decided else "no"}
        rows.append({"what": what, "size": size} | told | _numbers(difference))
    return pd.DataFrame(rows).sort_values(["what", "size"], ignore_index=True) if rows else pd.DataFrame()


def slopes_frame(slopes: Sequence[OrderSlope]) -> pd.DataFrame:
    """Return one row an order that was trained at several sizes: what each doubling of the size adds to its gain."""
    return pd.DataFrame(
        [
            {
                "order": order_text(one.order),
                "against": order_text(one.reference),
                "sizes": f"{one.sizes[0]:,} to {one.sizes[-1]:,}",
                "effect": interval_text(one.slope),
                "told from nil": "yes" if one.decided else "no",
                **_numbers(one.slope),
                "tier": None,
            }
            for one in slopes
        ]
    )


def confirmed_order(doc: Manifest) -> tuple[str, list[tuple[str, str]]]:
    """Return why a decision has phases or not, and each confirmed gain over a static mixture; empty where no order was tested."""
    found: Any = doc.optimiser.parameters.get("curriculum")
    if not isinstance(found, Mapping):
        return "", []
    gains = (found.get("confirmed_gain") or {}).items()
    return str(found["why"]), [(f"Gain over {name}", f"{g['value']:+.3f} [{g['low']:+.3f}, {g['high']:+.3f}]") for name, g in gains]


def _shown(name: str, view: Snapshot) -> str:
    size = size_mark(name).removeprefix("@")
    return f"{order_text(name)}, {int(size):,} {view.study.budget_unit.value}" if size.isdigit() else order_text(name)


def _verdict(row: EffectRow) -> str:
    more = f" (+{row.seeds_to_decide} seeds)" if row.verdict is Verdict.UNDECIDED and row.seeds_to_decide else ""
    return f"{row.verdict.value}{more}" if row.verdict else ""


def _numbers(estimate: Estimate) -> dict[str, object]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "stderr": estimate.stderr, "n": estimate.n}
