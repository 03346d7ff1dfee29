"""The same figures on real probes: studies drawn from a pool of `calibration_pool.py`, the truth taken from all of it.

`nil` studies: one arm's probes dealt out as if they were several sources, so that every true difference is zero. `real` studies: all
arms against `all`, with some of the seeds and a quarter of the images; truth is the mean over the pool's seeds and images. As that is a
finite population which holds the study itself, an interval is narrowed before it is held against it by the share of seeds and of
images that the study took (Cochran 1977, Sampling Techniques, 2.6). No probe stands twice in a study.

`power` is asked with every arm as the reference in turn, on half of the images (on a quarter, items alone keep every effect of these arms
below twice the smallest detectable one), of those arms whose true effect is at least twice the typical smallest detectable effect of such
studies. `power_planted`, beside it, is asked in the nil studies, where one dealt-out source has so large an effect added to its scores.

Uncertainty is over probes: each figure is computed again from studies within random halves of the pool's seeds, all arms' probes of a
seed together (delete-half jackknife: Shao and Wu 1989, Ann. Statist. 17, 1176-1197; a bootstrap would put one probe twice into a study
and so change its variance). The variance becomes an exact interval at the effective number of answers, as in `calibration_figures`; where
it is nil, the number is that of disjoint studies.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from calibration_figures import exact
from calibration_pool import ARMS, UNTRAINED, path_of
from calibration_worlds import ALPHA, LEVEL, Tally, judge
from scipy.special import ndtri

from db.values import Design, Verdict
from probe.decide.comparison import Comparison, LevelResult, compare
from probe.decide.effects import contrasts, effects, family_prior, half_width
from probe.decide.levels import LevelPanel
from probe.decide.panel import Panel, benchmark_panel, combine

SEEDS = (3, 5, 8)
HALVES, ROUNDS = 60, 12
IMAGES, POWER_IMAGES = 0.25, 0.5
PILOTS = 12
LEAST_REPEATS = 16
FIGURES = ("coverage", "false_positive_rate", "power", "width_ratio", "split_ties")
MOST_SOURCES = 4
# The same source drawn twice without a common row: the true difference is nil.
EQUAL = (("all", "all-again"), ("world", "world-again"))
SIGNS = {Verdict.HELPS: 1, Verdict.HURTS: -1}
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """`scores[benchmark]` is [arm, repeat, item] of right-choice probabilities, `groups[benchmark]` image clusters."""

    arms: tuple[str, ...]
    scores: dict[str, Floats]
    groups: dict[str, np.ndarray[Any, Any]]

    @property
    def repeats(self) -> int:
        return int(next(iter(self.scores.values())).shape[1])

    def panel(self, scores: dict[str, Floats], images: np.ndarray[Any, Any] | None = None) -> Panel:
        """Return the equal-weight mean of the benchmarks, on some images."""
        panels = []
        for name, values in scores.items():
            keep = slice(None) if images is None else np.isin(self.groups[name], images)
            panels.append(benchmark_panel(values[:, :, keep], self.groups[name][keep]))
        return combine(panels, [1 / len(panels)] * len(panels))


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """Typical smallest detectable effects: against the first arm, `real[reference]` on half the images, `nil[arm]` of dealt-out probes."""

    base: float
    real: Floats
    nil: Floats


def read_pool(folder: Path) -> Pool:
    """Read the repeats that every arm has.

    Raises:
        SystemExit: the pool holds too few.
    """
    begun = json.loads((folder / "pool.json").read_text())
    repeats = [r for r in range(begun["repeats"]) if all(path_of(folder, arm, r).exists() for arm in ARMS)]
    if len(repeats) < LEAST_REPEATS:
        raise SystemExit(f"{folder} holds {len(repeats)} complete seeds, {LEAST_REPEATS} are needed; go on with calibration_pool.py")
    with np.load(folder / "items.npz") as items:
        groups = {name: items[name] for name in items.files}
    found: dict[str, list[list[Floats]]] = {name: [] for name in groups}
    for arm in ARMS:
        files = [np.load(path_of(folder, arm, repeat)) for repeat in repeats]
        for name in groups:
            found[name].append([file[name][0] for file in files])
    return Pool(tuple(ARMS), {name: np.array(values, dtype=np.float64) for name, values in found.items()}, groups)


def real_figures(folder: Path, *, quick: bool = False) -> dict[str, Any]:
    """Return the figures with their intervals, and how much of the pool there is."""
    pool, rng = read_pool(folder), np.random.default_rng(20)
    rounds, halves = (2, 12) if quick else (ROUNDS, HALVES)
    within = pool.repeats // 2
    reach = {seeds: _reach(pool, seeds, within, rng) for seeds in SEEDS}
    whole = _measure(pool, np.arange(pool.repeats), rounds, within, reach, rng)
    parts = [_measure(pool, rng.permutation(pool.repeats)[:within], max(1, rounds // 3), within, reach, rng) for _ in range(halves)]
    probes = pool.repeats * len(ARMS) + path_of(folder, UNTRAINED, 0).exists()
    found: dict[str, Any] = {"pool": {"probes": probes, "seeds": pool.repeats}, "beside": {}}
    for name, value in whole.items():
        again = np.array([part[name] for part in parts if name in part])
        # Of halves, (N - d) / d = 1 times the mean square; what few rounds alone add to it makes the interval wider, not narrower.
        variance = float(np.mean((again - value) ** 2)) if len(again) else float("nan")
        place = found if name in FIGURES else found["beside"]
        place[name] = {"value": value, **_bounds(name, value, variance, pool.repeats)}
    return found


def _bounds(name: str, value: float, variance: float, repeats: int) -> dict[str, float]:
    if name == "width_ratio":
        return {"low": value - 1.96 * variance**0.5, "high": value + 1.96 * variance**0.5}
    nil = len(ARMS) * max(1, repeats // (SEEDS[0] * (MOST_SOURCES + 1)))
    disjoint = nil if name in ("false_positive_rate", "split_ties", "coverage_nil", "power_planted") else repeats // SEEDS[0]
    effective = value * (1 - value) / variance if variance > 0 and 0 < value < 1 else disjoint
    low, high = exact(value * effective, effective)
    return {"low": low, "high": high}


def _measure(
    pool: Pool, repeats: np.ndarray[Any, Any], rounds: int, within: int, reach: dict[int, Reach], rng: np.random.Generator
) -> dict[str, float]:
    """Run disjoint studies of each number of seeds, several times over, from these repeats of the pool."""
    tally = Tally()
    truth = _truth(pool)
    for _ in range(rounds):
        for seeds in SEEDS:
            order = rng.permutation(repeats)
            for start in range(0, len(order) - seeds + 1, seeds):
                _real_study(pool, order[start : start + seeds], truth, reach[seeds].base, tally, rng)
                _power_study(pool, order[start : start + seeds], truth, reach[seeds].real, tally, rng)
            for arm in range(len(pool.arms)):
                _nil_study(pool, arm, rng.permutation(repeats), seeds, within, reach[seeds].nil[arm], tally)
    names = {
        "coverage": "coverage_real",
        "coverage_nil": "coverage",
        "false_positive_rate": "false_verdict",
        "false_verdict_of_equal": "false_of_equal",
        "power": "real_power",
        "power_planted": "planted_power",
        "split_ties": "split_ties",
        "wrong_sign": "wrong_sign",
        "neutral_of_nil": "neutral_of_nil",
    }
    found = {name: float(np.mean(tally.shares[key])) for name, key in names.items() if key in tally.shares}
    return found | {"width_ratio": float(np.median(tally.widths))}


def _truth(pool: Pool) -> Floats:
    return np.asarray(pool.panel(pool.scores).means.mean(axis=1))


def _images(pool: Pool, rng: np.random.Generator, part: float = IMAGES) -> np.ndarray[Any, Any]:
    every = np.unique(np.concatenate(list(pool.groups.values())))
    return rng.permutation(every)[: round(part * len(every))]


def _compare(panel: Panel, reference: int = 0) -> LevelResult:
    level = LevelPanel("overall", "overall", "right_probability", panel, np.zeros(len(panel.means)))
    arms = tuple(arm for arm in range(len(panel.means)) if arm != reference)
    return compare([Comparison(level, Design.ADD_ONE, reference, arms)], level=LEVEL, alpha=ALPHA, margin=None)[0]


def _panel(pool: Pool, repeats: np.ndarray[Any, Any], images: np.ndarray[Any, Any]) -> Panel:
    return pool.panel({name: values[:, repeats] for name, values in pool.scores.items()}, images)


def _reach(pool: Pool, seeds: int, within: int, rng: np.random.Generator) -> Reach:
    """Return the medians of what pilot studies of so many seeds call their smallest detectable effect."""
    places = range(len(pool.arms))
    base, real, nil = [], [], []
    for _ in range(PILOTS):
        repeats = rng.permutation(pool.repeats)
        base.append(_compare(_panel(pool, repeats[:seeds], _images(pool, rng))).minimum_detectable_effect)
        half = _panel(pool, repeats[:seeds], _images(pool, rng, POWER_IMAGES))
        real.append([_compare(half, reference).minimum_detectable_effect for reference in places])
        dealt = [_dealt(pool, arm, repeats, seeds, within) for arm in places]
        nil.append([_compare(panel).minimum_detectable_effect if panel else np.nan for panel in dealt])
    return Reach(float(np.median(base)), np.median(real, axis=0), np.median(nil, axis=0))


def _dealt(pool: Pool, arm: int, order: np.ndarray[Any, Any], seeds: int, within: int, added: float = 0.0) -> Panel | None:
    """Deal one arm's probes out to a base and as many sources as half the pool's seeds allow; `added` is the first source's effect."""
    arms = min(MOST_SOURCES + 1, within // seeds)
    if arms < 2:
        return None
    dealt = order[: arms * seeds].reshape(arms, seeds)
    effect = np.where(np.arange(arms) == 1, added, 0.0)[:, None, None]
    return pool.panel({name: values[arm][dealt] + effect for name, values in pool.scores.items()})


def _nil_study(pool: Pool, arm: int, order: np.ndarray[Any, Any], seeds: int, within: int, reach: float, tally: Tally) -> None:
    panel, planted = (_dealt(pool, arm, order, seeds, within, added) for added in (0.0, 2 * reach))
    if panel is None or planted is None:
        return
    tally.add("planted_power", _compare(planted).verdicts[0] is Verdict.HELPS)
    found = _compare(panel)
    if len(found.arms) == 1:  # no pair of sources to be split
        tally.add("false_verdict", found.verdicts[0] in SIGNS)
        tally.add("coverage", found.effects[0].low <= 0 <= found.effects[0].high)
        return
    judge(tally, found, np.zeros(len(panel.means)), None)


def _power_study(pool: Pool, repeats: np.ndarray[Any, Any], truth: Floats, reach: Floats, tally: Tally, rng: np.random.Generator) -> None:
    """Say of the effects that are large enough whether their verdict is right, whichever arm is the reference."""
    large = np.abs(truth - truth[:, None]) >= 2 * reach[:, None]
    if not large.any():
        return
    panel, right = _panel(pool, repeats, _images(pool, rng, POWER_IMAGES)), []
    for reference in np.flatnonzero(large.any(axis=1)).tolist():
        found = _compare(panel, reference)
        for arm, verdict in zip(found.arms, found.verdicts, strict=True):
            if large[reference, arm]:
                right.append(SIGNS.get(verdict, 0) == np.sign(truth[arm] - truth[reference]))
    tally.add("real_power", right)


def _real_study(pool: Pool, repeats: np.ndarray[Any, Any], truth: Floats, reach: float, tally: Tally, rng: np.random.Generator) -> None:
    images = _images(pool, rng)
    panel = _panel(pool, repeats, images)
    arms = range(1, len(pool.arms))
    pairs = [(arm, 0) for arm in arms]
    found, made = effects(contrasts(panel, pairs), family_prior(panel, range(len(pool.arms)))), _compare(panel)
    true = truth[1:] - truth[0]
    share = 1 - len(repeats) / pool.repeats, 1 - IMAGES
    narrowed = half_width(
        0.5 + LEVEL / 2, found.seed_variance / found.repeats * share[0], found.seed_df, found.item_variance * share[1], found.item_df
    )
    tally.add("coverage_real", np.abs(found.value - true) <= narrowed)
    tally.widths.append(float(np.median(found.half_width(LEVEL) / _oracle(pool, pairs, len(repeats)))))
    signs = np.array([SIGNS.get(verdict, 0) for verdict in made.verdicts])
    sure = np.abs(true) >= reach / 2  # beyond doubt of the pool's own noise
    tally.add("wrong_sign", bool(((signs != 0) & (signs != np.sign(true)) & sure).any()))
    place = {name: k for k, name in enumerate(pool.arms)}
    against_base = signs[place[EQUAL[0][1]] - 1] != 0
    pair = tuple(place[name] for name in EQUAL[1])
    tally.add("false_of_equal", [against_base, made.decided[made.pairs.index(pair)]])


_ORACLES: dict[int, Callable[[int], Floats]] = {}


def _oracle(pool: Pool, pairs: list[tuple[int, int]], seeds: int) -> Floats:
    """Return the half widths of one who knows the variances: those of the whole pool, each pair's own, at the study's size."""
    if id(pool) not in _ORACLES:
        known = contrasts(pool.panel(pool.scores), pairs)
        items = np.maximum(known.between - known.within, 0.0) / IMAGES
        more = known.within * known.repeats * (1 / IMAGES - 1)  # what fewer images add to the seed-by-item interaction of one repeat
        _ORACLES[id(pool)] = lambda r: ndtri(0.5 + LEVEL / 2) * np.sqrt((known.seed_variance + more) / r + items)
    return _ORACLES[id(pool)](seeds)
