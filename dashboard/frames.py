"""What a ranking says, as frames: the shaping between the store's values and the charts. Nothing is estimated here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

import pandas as pd

from dashboard.reading import Snapshot, effects, pairs, places
from db.values import ArmCost, ArmRole, EffectRow
from probe.cli import output
from probe.decide.levels import OVERALL
from probe.decide.ranking import best_first
from probe.decide.wording import verdict_means
from sources.estimate import Estimate

WORDS = {  # in the order in which they are offered: a verdict on the mixture first, then which source is best
    "add-one": "added to the base mixture",
    "solo": "each source alone",
    "leave-one-out": "left out of the base mixture",
    "halving": "its share halved",
    "ladder": "at several sizes",
    "phases": "orders of phases",
    "swarm": "mixtures",
}


def interval_text(estimate: Estimate) -> str:
    """Return `+0.041 [+0.020, +0.062]`."""
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def known_text(number: float) -> str:
    """Return a number that a ranking may not know, such as a noise floor after one repeat."""
    return output.number(number)


def metric_text(metric: str) -> str:
    """Return a metric in words."""
    return metric.replace("_", " ")


def by_metric(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each metric in the frame's order: a scale or an axis never holds two units."""
    if frame.empty:
        return []
    return [(metric_text(str(metric)), rows.reset_index(drop=True)) for metric, rows in frame.groupby("metric", sort=False)]


def source_link(study: str, source: str, shown: str = "") -> str:
    """Return the address of a source's page, relative to any page; behind the `#` stands what a table shows of it."""
    return "./source?" + urlencode({"study": study, "source": source}) + "#" + quote(shown or source, safe="")


def rank_text(place: tuple[int, int] | None) -> str:
    """Return the places that a source may have: `2-5`, or `1` where it is told apart from all others."""
    return "" if place is None else "-".join(str(end) for end in dict.fromkeys(place))


def designs(view: Snapshot) -> list[str]:
    """Return the designs that the ranking answers, the one that gives verdicts first."""
    ranked = {row.arm for row in view.ranking.effects} if view.ranking else set()
    found = {arm.design.value for arm in view.arms if arm.design and arm.role is ArmRole.SOURCE and arm.name in ranked}
    return [name for name in WORDS if name in found]


def designs_of(view: Snapshot, source: str) -> list[str]:
    """Return the designs in which a source has one arm, of which its effects can be told."""
    return [design for design in designs(view) if source in _sources_of(view, design).values()]


def capabilities(view: Snapshot) -> list[str]:
    """Return the capabilities that the ranking covers, in its order."""
    return list(dict.fromkeys(row.name for row in view.ranking.effects if row.level == "capability")) if view.ranking else []


def effects_frame(view: Snapshot, design: str, capability: str = "") -> pd.DataFrame:
    """Return one row a source, best first: tier, effect with its interval, verdict."""
    if view.ranking is None:
        return pd.DataFrame(columns=["tier", "source", "effect"])
    level = ("capability", capability) if capability else (OVERALL, OVERALL)
    sources = _sources_of(view, design)
    rows = [row for row in best_first(view.ranking, *level) if row.arm in sources]
    may_be = places(view, level)
    return pd.DataFrame(
        [{"tier": row.tier, "rank": rank_text(may_be.get(row.arm)), "source": sources[row.arm]} | _effect(row) for row in rows]
    )


def source_effects_frame(view: Snapshot, source: str, design: str) -> pd.DataFrame:
    """Return one source's effects at every level, overall first, then capabilities and benchmarks."""
    own = [arm for arm, name in _sources_of(view, design).items() if name == source]
    order = [OVERALL, "capability", "benchmark"]
    rows = sorted(effects(view, tuple(order), own), key=lambda row: order.index(row.level))
    return pd.DataFrame(
        [{"level": row.level, "name": row.name, "tier": row.tier, "shown": _shown_level(row)} | _effect(row) for row in rows]
    )


def heat_frame(view: Snapshot, design: str, first: int = 0, most: int | None = None) -> pd.DataFrame:
    """Return one row a source and benchmark, of `most` sources in the order of their tiers; `inside` says that the interval holds zero."""
    order = effects_frame(view, design)
    if order.empty:
        return pd.DataFrame()
    shown = order.iloc[first : None if most is None else first + most]
    line = {arm: place for place, arm in enumerate(shown["arm"])}
    kinds = {record.spec.name: record.spec.capability for record in view.benchmarks}
    sources = _sources_of(view, design)
    cells = [
        {"source": sources[row.arm], "benchmark": row.name, "capability": kinds.get(row.name, "")}
        | _effect(row)
        | {"inside": not row.effect.apart_from_zero(), "place": line[row.arm]}
        for row in effects(view, ("benchmark",), line)
    ]
    frame = pd.DataFrame(cells)
    return frame.sort_values(["place", "source", "capability", "benchmark"], ignore_index=True) if cells else frame


def pairs_frame(view: Snapshot, design: str, capability: str = "") -> pd.DataFrame:
    """Return the differences between sources at one level, decided ones first."""
    level = ("capability", capability) if capability else (OVERALL, OVERALL)
    sources = _sources_of(view, design)
    found = sorted(pairs(view, level, sources), key=lambda pair: (not pair.decided, -abs(pair.difference.value)))
    return pd.DataFrame(
        [
            {"a": sources[p.a], "b": sources[p.b], "difference": interval_text(p.difference), "told apart": "yes" if p.decided else "no"}
            | _numbers(p.difference)
            for p in found
        ]
    )


def cost_frame(view: Snapshot, costs: Sequence[ArmCost]) -> pd.DataFrame:
    """Return one row an arm: what its trained probes cost together, and one of them on average."""
    names = {arm.name: arm.source or arm.name for arm in view.arms}
    rows = [
        (cost.arm, cost.probes, cost.train_cpu_s, cost.eval_cpu_s, cost.rows, cost.tokens, cost.cpu_s / cost.probes, names.get(cost.arm))
        for cost in costs
    ]
    columns = ("arm", "probes", "training", "scoring", "rows", "tokens", "cpu_s_per_probe", "source")
    return pd.DataFrame(rows, columns=columns).round(2)


def ranking_table(ranked: pd.DataFrame, costs: Sequence[ArmCost], view: Snapshot) -> pd.DataFrame:
    """Return what the Sources page lists: effects, what a probe of each cost, and a link to each source."""
    known = {cost.arm: cost for cost in costs}
    per_probe = {arm: cost.cpu_s / cost.probes for arm, cost in known.items()}
    slugs = {arm.name: arm.source for arm in view.arms}
    table = ranked.assign(
        open=[source_link(view.study.name, slugs[arm] or shown, shown) for arm, shown in zip(ranked["arm"], ranked["source"], strict=True)],
        rows=ranked["arm"].map({arm: cost.rows for arm, cost in known.items()}),
        cost=ranked["arm"].map(per_probe),
    )
    places = ["tier", "rank"] if ranked["tier"].notna().any() else []
    return table[[*places, "open", "effect", "verdict" if ranked["verdict"].any() else "rows", "cost"]]


def _sources_of(view: Snapshot, design: str) -> Mapping[str, str]:
    """Return the source of each arm of a design, by the arm's name; where a source has several arms, these go by their own names."""
    arms = [arm for arm in view.arms if arm.role is ArmRole.SOURCE and arm.design is not None and arm.design.value == design]
    counts = Counter(arm.source for arm in arms)
    return {arm.name: arm.source if counts[arm.source] == 1 else arm.name for arm in arms}


def _effect(row: EffectRow) -> dict[str, object]:
    return {"effect": interval_text(row.effect), "verdict": verdict_text(row), **_numbers(row.effect), "metric": row.metric, "arm": row.arm}


def _numbers(estimate: Estimate) -> dict[str, object]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "stderr": estimate.stderr, "n": estimate.n}


def verdict_text(row: EffectRow) -> str:
    """Return a verdict as people read it, with how many seeds more would decide it; empty where a design gives none."""
    if row.verdict is None:
        return ""
    if row.verdict_from != "add-one" and (meaning := verdict_means(row)):
        return f"{row.verdict.value}: {meaning}"
    return f"{row.verdict.value} (+{row.seeds_to_decide} seeds)" if row.seeds_to_decide else row.verdict.value


def _shown_level(row: EffectRow) -> str:
    return "all capabilities" if row.level == OVERALL else f"{row.level} {row.name}"


def shares_text(shares: Sequence[tuple[str, float]]) -> str:
    """Return a mixture as `--base` takes it."""
    return ",".join(f"{slug}={share:.4g}" for slug, share in shares)
