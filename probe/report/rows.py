"""What stands in a report's tables, line by line, as text and numbers; nothing is estimated here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.values import ArmRole, EffectRow
from probe.decide.levels import OVERALL
from probe.decide.ranking import best_first
from probe.decide.wording import verdict_means
from probe.manifest import Manifest, SourceEntry
from probe.manifest.equal_baselines import JOINT, by_mixture
from sources.estimate import Estimate

if TYPE_CHECKING:
    from db.values import Ranking
    from probe.report.facts import ReportFacts

QUESTIONS = {
    "solo": "each source alone, against the untrained proxy",
    "add-one": "added to the base mixture, against the base mixture",
    "leave-one-out": "left out of the base mixture, against the base mixture",
    "halving": "a group's share halved, against the base mixture",
    "ladder": "at several sizes, against the untrained proxy",
    "phases": "orders of phases, against the same rows mixed",
}


@dataclass(frozen=True, slots=True)
class ShareRow:
    """A source's share of the budget, beside its share of the current mixture; `interval` is None where it was not found."""

    source: str
    share: float
    interval: Estimate | None
    current: float | None
    rows: int
    epochs: float
    licence: str
    flagged: bool


@dataclass(frozen=True, slots=True)
class GainRow:
    """What the mixture gains over a baseline; `held` is None of a prediction."""

    against: str
    gain: Estimate
    held: bool | None


@dataclass(frozen=True, slots=True)
class EffectLine:
    """A source's effect, its tier and verdict in words."""

    source: str
    effect: Estimate
    tier: int | None
    verdict: str


@dataclass(frozen=True, slots=True)
class EffectTable:
    """The sources of one question, best first, and their effects on each benchmark in one metric a map."""

    question: str
    lines: tuple[EffectLine, ...]
    maps: tuple[HeatTable, ...] = ()

    @property
    def has_verdicts(self) -> bool:
        """Say whether any source has a verdict."""
        return any(line.verdict for line in self.lines)


@dataclass(frozen=True, slots=True)
class HeatTable:
    """Effects in one metric: a row a source, a column a benchmark, None where it was not scored."""

    metric: str
    benchmarks: tuple[str, ...]
    cells: Mapping[str, tuple[Estimate | None, ...]]

    @property
    def reach(self) -> float:
        """The largest effect, whatever its sign; never zero."""
        return max(1e-9, *(abs(cell.value) for row in self.cells.values() for cell in row if cell and math.isfinite(cell.value)))


def share_rows(doc: Manifest) -> list[ShareRow]:
    """Return the mixture's sources, the largest share first."""
    base = doc.baselines.get("base")
    shares = doc.shares()
    flagged = {flag.source for flag in doc.licences.flagged}
    rows = [
        ShareRow(
            entry.slug,
            shares.get(entry.slug, 0.0),
            doc.weights.get(entry.slug),
            None if base is None else base.get(entry.slug, 0.0),
            entry.rows,
            entry.repeat,
            _licence(entry),
            entry.slug in flagged,
        )
        for entry in doc.sources
    ]
    return sorted(rows, key=lambda row: (-row.share, row.source))


def gain_rows(doc: Manifest) -> list[GainRow]:
    """Return the gains over each baseline: confirmed ones where it was confirmed, else predicted ones."""
    if doc.confirmed:
        return [GainRow(name, gain.gain, gain.held) for name, gain in by_mixture(doc, doc.confirmed).items()]
    return [GainRow(name, gain, None) for name, gain in by_mixture(doc, doc.predicted).items()]


def effect_tables(facts: ReportFacts) -> list[EffectTable]:
    """Return what the ranking says, a table a design; without a ranking, what the decision says of its sources."""
    if facts.ranking is None:
        lines = [_of_entry(entry) for entry in facts.decision.sources if entry.effect] if facts.decision else []
        lines.sort(key=lambda line: (line.tier if line.tier is not None else math.inf, -line.effect.value))
        return [EffectTable("as it was when this was decided", tuple(lines))] if lines else []
    designs = sorted({arm.design.value for arm in facts.arms if arm.design and arm.role is ArmRole.SOURCE})
    tables = [_of_design(facts, facts.ranking, design) for design in designs]
    return [table for table in tables if table.lines]


def _of_design(facts: ReportFacts, ranking: Ranking, design: str) -> EffectTable:
    arms = [arm for arm in facts.arms if arm.role is ArmRole.SOURCE and arm.design is not None and arm.design.value == design]
    probed = Counter(arm.source for arm in arms)
    names = {arm.name: arm.source if probed[arm.source] == 1 else arm.name for arm in arms}
    rows = [row for row in best_first(ranking, OVERALL, OVERALL) if row.arm in names]
    lines = tuple(EffectLine(names[row.arm], row.effect, row.tier, _verdict(row)) for row in rows)
    return EffectTable(QUESTIONS.get(design, design), lines, _heat_tables(ranking, {row.arm: names[row.arm] for row in rows}))


def _heat_tables(ranking: Ranking, names: Mapping[str, str]) -> tuple[HeatTable, ...]:
    found = {(row.arm, row.name): row for row in ranking.effects if row.level == "benchmark" and row.arm in names}
    metrics = dict.fromkeys(row.metric for row in found.values())
    tables = []
    for metric in metrics:
        benchmarks = tuple(sorted({row.name for row in found.values() if row.metric == metric}))
        cells = {
            source: tuple(found[arm, name].effect if (arm, name) in found else None for name in benchmarks) for arm, source in names.items()
        }
        tables.append(HeatTable(metric.replace("_", " "), benchmarks, cells))
    return tuple(tables)


def _of_entry(entry: SourceEntry) -> EffectLine:
    assert entry.effect is not None
    return EffectLine(entry.slug, entry.effect, entry.tier, entry.verdict or "")


def _verdict(row: EffectRow) -> str:
    if row.verdict is None:
        return ""
    if meaning := verdict_means(row):
        return f"{row.verdict.value}: {meaning}"
    return f"{row.verdict.value}; {row.seeds_to_decide} more seeds would tell" if row.seeds_to_decide else row.verdict.value


def _licence(entry: SourceEntry) -> str:
    return entry.licence.concluded if entry.licence.concluded != "NOASSERTION" else entry.licence.declared


def main_gain(doc: Manifest) -> GainRow | None:
    """Return the gain of the headline: over the current mixture where it is known, else over the first of the usual baselines."""
    rows = {name: row for row in gain_rows(doc) for name in row.against.split(JOINT)}
    return next((rows[name] for name in ("base", "proportional", "uniform", *rows) if name in rows), None)
