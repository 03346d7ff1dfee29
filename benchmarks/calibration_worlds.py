"""Simulated cells: studies of one noise shape, number of seeds and number of sources, put through the tool's own `compare`."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "probe" / "decide"), str(ROOT / "benchmarks")]
from calibration_figures import Share  # noqa: E402
from decide_worlds import World, study  # noqa: E402

from db.values import Design, Verdict  # noqa: E402
from probe.decide.comparison import Comparison, LevelResult, compare  # noqa: E402
from probe.decide.effects import contrasts, effects, family_prior  # noqa: E402
from probe.decide.levels import LevelPanel  # noqa: E402
from probe.decide.panel import Panel, benchmark_panel  # noqa: E402
from probe.decide.ranking import rank_study  # noqa: E402
from probe.decide.tiers import ranks  # noqa: E402

SHAPES = {
    "plain": World(),
    "unequal": World(unequal=0.4),
    "far unequal": World(unequal=0.8),  # as eight arms of the real pool are
    "heavy": World(heavy=True),
    "shared": World(shared_seed=0.2),
    "quiet": World(seed=0.02),
    "clustered": World(clusters=30, cluster_size=6, arm_by_cluster=0.25),
}
SEEDS, SOURCES = (3, 5, 8), (4, 12, 40)
LEVEL, ALPHA = 0.90, 0.05
PILOTS = 100
# True effects in units of the cell's median minimum detectable effect; repeated over the sources, the rest are nil.
PATTERN = (2.0, -1.0, 0.0, 0.0, -2.0, 0.5, 0.0, 0.0, 0.0, 0.0, 1.0, -0.5)
WRONG = {1: Verdict.HURTS, -1: Verdict.HELPS}
# Two benchmarks in each of two capabilities; in units of what is typically detectable overall, the effects of a source's benchmarks.
CAPABILITIES = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}
TREE_PATTERN = ((2.0, 2.0, -2.0, -2.0), (0.0, 0.0, 0.0, 0.0), (2.0, 2.0, 2.0, 2.0), (3.0, 0.0, 0.0, 0.0))


@dataclass(frozen=True, slots=True)
class Cell:
    """What is varied. `kind` is `compare` (one benchmark) or `levels` (four benchmarks in two capabilities, `rank_study`)."""

    kind: str
    shape: str
    seeds: int
    sources: int
    real: bool

    def name(self) -> str:
        return f"{self.kind} {self.shape} {self.seeds} seeds {self.sources} sources {'real' if self.real else 'null'}"

    def rng(self, part: int = 0) -> np.random.Generator:
        return np.random.default_rng([zlib.crc32(self.name().encode()), part])


@dataclass(slots=True)
class Tally:
    """One cell's studies: for each figure the studies' own shares, and how many answers each rests on."""

    shares: dict[str, list[float]] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    widths: list[float] = field(default_factory=list)

    def add(self, name: str, answers: Any) -> None:
        values = np.atleast_1d(np.asarray(answers, dtype=np.float64))
        if values.size:
            self.shares.setdefault(name, []).append(float(values.mean()))
            self.answers[name] = values.size

    def record(self, cell: Cell, studies: int) -> dict[str, Any]:
        shares = {name: asdict(Share.of(values, self.answers[name])) for name, values in self.shares.items()}
        return {
            "cell": asdict(cell),
            "name": cell.name(),
            "studies": studies,
            "shares": shares,
            "widths": np.round(self.widths, 4).tolist(),
        }


def cells() -> list[Cell]:
    """Return all cells, the quickest first, so that a run that is stopped has told the most."""
    grid = [Cell("compare", *row, real) for row in ((s, r, n) for n in SOURCES for r in SEEDS for s in SHAPES) for real in (False, True)]
    levels = [
        Cell("levels", s, r, n, real) for n in (4, 12) for r in (3, 5) for s in ("plain", "unequal", "heavy") for real in (False, True)
    ]
    few = [cell for cell in grid if cell.sources < max(SOURCES)]
    return [*few, *levels, *grid[len(few) :]]


def run_cell(cell: Cell, studies: int) -> dict[str, Any]:
    """Simulate one cell and return its record."""
    tally = Tally()
    for _ in _studies(cell, studies, tally):
        pass
    return tally.record(cell, studies)


def _studies(cell: Cell, studies: int, tally: Tally) -> Iterator[None]:
    rng, world = cell.rng(), SHAPES[cell.shape]
    truth = np.zeros(cell.sources + 1)
    if cell.real:
        truth[1:] = np.resize(PATTERN, cell.sources) * _detectable(cell)
    for _ in range(studies):
        if cell.kind == "levels":
            _levels(cell, world, rng, truth, tally)
        else:
            _compared(cell, world, rng, truth, tally)
        yield


def _detectable(cell: Cell) -> float:
    """Return the median of what the tool itself calls the smallest detectable effect, from studies that are used for nothing else."""
    rng, world = cell.rng(1), SHAPES[cell.shape]
    found = [_compare(benchmark_panel(world.scores(rng, cell.sources + 1, cell.seeds), world.groups())) for _ in range(PILOTS)]
    return float(np.median([one.minimum_detectable_effect for one in found]))


def _compare(panel: Panel, untrained: int | None = None) -> LevelResult:
    trained = panel.means.shape[0] - (untrained is not None)
    level = LevelPanel("overall", "overall", "right_probability", panel, np.zeros(panel.means.shape[0]))
    return compare([Comparison(level, Design.ADD_ONE, 0, tuple(range(1, trained)))], level=LEVEL, alpha=ALPHA, margin=None)[0]


def _compared(cell: Cell, world: World, rng: np.random.Generator, truth: np.ndarray, tally: Tally) -> None:
    own = world.deviations(rng, cell.sources + 1)
    scores = world.scores(rng, cell.sources + 1, cell.seeds, truth, own)
    last = cell.sources + 1
    panel = benchmark_panel(np.concatenate([scores, world.untrained(rng, cell.seeds)]), world.groups(), one_run=[last])
    found = _compare(panel, last)
    oracle = ndtri(0.5 + LEVEL / 2) * np.sqrt(world.pair_variance(own[1:], own[0], cell.seeds))
    judge(tally, found, truth, oracle)
    arms = range(1, last)
    solo = effects(contrasts(panel, [(arm, last) for arm in arms]), family_prior(panel, list(arms), last))
    tally.add("coverage_untrained", np.abs(solo.value - truth[1:]) <= solo.half_width(LEVEL))


def judge(tally: Tally, found: LevelResult, truth: np.ndarray, oracle: np.ndarray | None, unit: float | None = None) -> None:
    """Hold one study's answers against the truth, `truth[arm]` (relative to the base it is `truth - truth[base]`)."""
    arms = list(found.arms)
    true = truth[arms] - truth[found.reference]
    low, high = (np.array([getattr(one, end) for one in found.effects]) for end in ("low", "high"))
    tally.add("coverage", (low <= true) & (true <= high))
    a, b = np.array(found.pairs).T
    between = truth[a] - truth[b]
    bounds = [np.array([getattr(one, end) for one in found.differences]) for end in ("low", "high")]
    tally.add("coverage_pairs", (bounds[0] <= between) & (between <= bounds[1]))
    signs = np.array([{Verdict.HELPS: 1, Verdict.HURTS: -1}.get(verdict, 0) for verdict in found.verdicts])
    tally.add("false_verdict", bool(((signs != 0) & (signs != np.sign(true))).any()))
    neutral = np.array([verdict is Verdict.NEUTRAL for verdict in found.verdicts])
    tally.add("neutral_of_nil", neutral[true == 0])
    decided, equal = np.array(found.decided), between == 0
    tier = dict(zip(arms, found.tiers, strict=True))
    apart = np.array([tier[one] != tier[other] for one, other in found.pairs])
    if equal.any():
        tally.add("false_pair", bool((decided & equal).any()))
        tally.add("split_ties", bool((apart & equal).any()))
        tally.add("split_tie_pairs", apart[equal])
    tally.add("split_undecided", bool((apart & ~decided).any()))
    tally.add("decided_pair_in_two_tiers", apart[decided])
    better = [
        pair if one.value > 0 else pair[::-1] for pair, one, sure in zip(found.pairs, found.differences, decided, strict=True) if sure
    ]
    places = ranks([str(arm) for arm in arms], [(str(one), str(other)) for one, other in better])
    tally.add("wrong_rank", any(truth[one] <= truth[other] for one, other in better))
    tally.add("places_left", [(last - first + 1) / len(arms) for first, last in places.values()])
    if oracle is not None:
        tally.widths.append(float(np.median((high - low) / 2 / oracle)))
        twice = np.abs(np.resize(PATTERN, len(arms))) == 2.0
        if (true != 0).any():
            tally.add("power", signs[twice] == np.sign(true[twice]))


def _levels(cell: Cell, world: World, rng: np.random.Generator, truth: np.ndarray, tally: Tally) -> None:
    """Ask a whole ranking; false verdicts at each level of detail and at any."""
    arms, names = cell.sources + 1, ["base", *(f"source{k}" for k in range(cell.sources))]
    unit = float(truth.max()) / 2 if cell.real else 0.0
    effects_of = np.zeros((arms, len(CAPABILITIES)))
    effects_of[1:] = np.resize(TREE_PATTERN, (cell.sources, len(CAPABILITIES))) * unit
    own = world.deviations(rng, arms)
    scores = {name: world.scores(rng, arms, cell.seeds, effects_of[:, k], own) for k, name in enumerate(CAPABILITIES)}
    ranking = rank_study(study(scores, names, world.groups(), design=Design.ADD_ONE, capabilities=CAPABILITIES), level=LEVEL, alpha=ALPHA)
    true = {("overall", "overall"): effects_of.mean(axis=1)}
    true |= {("capability", c): effects_of[:, [k for k, own in enumerate(CAPABILITIES.values()) if own == c]].mean(axis=1) for c in "ab"}
    true |= {("benchmark", name): effects_of[:, k] for k, name in enumerate(CAPABILITIES)}
    false: dict[str, bool] = dict.fromkeys(("overall", "capability", "benchmark"), False)
    right: dict[str, list[bool]] = {level: [] for level in false}
    covered = []
    for row in ranking.effects:
        wanted = float(true[row.level, row.name][names.index(row.arm)])
        sign = {Verdict.HELPS: 1, Verdict.HURTS: -1}.get(row.verdict, 0) if row.verdict else 0
        false[row.level] |= sign != 0 and sign != np.sign(np.round(wanted, 12))
        covered.append(row.effect.low <= wanted <= row.effect.high)
        if abs(wanted) > 1e-9:
            right[row.level].append(sign == np.sign(wanted))
    tally.add("coverage_levels", covered)
    for level, wrong in false.items():
        tally.add(f"false_verdict_{level}", wrong)
        tally.add(f"found_{level}", right[level])
    tally.add("false_verdict_any_level", any(false.values()))
