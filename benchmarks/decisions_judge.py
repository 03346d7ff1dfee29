"""What the proxy decided against what full scale shows. The proxy reads selection items, the truth is on confirmation items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import decisions_study as ask
import numpy as np
from calibration_figures import exact
from decisions_full_scale import FULL, PROXY
from decisions_orders import draws, fidelity, surrogate
from decisions_runs import UNTRAINED, Lab
from decisions_search import CANDIDATE, Found, search
from decisions_study import score
from decisions_world import GOOD

from db.values import Design, Ranking, Verdict
from probe.decide.confirm import confirm
from probe.decide.effects import contrasts, effects, family_prior
from probe.decide.levels import CAPABILITY, OVERALL
from sources.benchmark import Split
from sources.estimate import Estimate
from sources.mixture import Mixture

Floats = np.ndarray[Any, np.dtype[np.float64]]
Figure = dict[str, Any]
RESAMPLES = 2000
TAIL = 0.05  # of the 90 % intervals
SHARE, SAMPLES = 0.95, 0.08  # what is asked
_FOUND: dict[int, Found] = {}


def proxy_ranking(lab: Lab) -> Ranking:
    asked = {Design.SOLO: ask.seeds(lab.sizes.seeds), Design.ADD_ONE: ask.seeds(lab.sizes.verdict_seeds)}
    return ask.ranking(lab, PROXY, Split.SELECTION, asked)


def true_ranking(lab: Lab, *, main: bool) -> Ranking:
    own = ask.seeds(lab.sizes.seeds)
    asked = {Design.SOLO: own, Design.ADD_ONE: own} if main else {Design.SOLO: ask.seeds(lab.sizes.more_seeds)}
    return ask.ranking(lab, FULL, Split.CONFIRMATION, asked)


def found_of(lab: Lab) -> Found:
    """Return the search's result, worked out once: the same runs always give the same."""
    if lab.world.seed not in _FOUND:
        _FOUND[lab.world.seed] = search(lab, proxy_ranking(lab))
    return _FOUND[lab.world.seed]


def best_random(lab: Lab) -> list[Mixture]:
    mixtures = ask.random_mixtures(lab)
    scores = [score(lab, FULL, mixture, [0], Split.CONFIRMATION)[0] for mixture in mixtures]
    return [mixtures[k] for k in np.argsort(scores)[::-1][: lab.sizes.top]]


def judged(main: Lab, others: list[Lab]) -> dict[str, Any]:
    """Return every figure whose runs are there, with its interval, its goal and whether it is met; the rest are named in `waiting`."""
    labs = [main, *others]
    asked: dict[str, Callable[[], Figure]] = {
        "solo_pairs": lambda: pairs(labs, Design.SOLO),
        "add_one_pairs": lambda: pairs([main], Design.ADD_ONE),
        "add_one_verdicts": lambda: verdicts(main),
        "harmful": lambda: harmful(labs),
        "redundancy": lambda: redundancy(main),
        "surrogate": lambda: surrogate(main),
        "surrogate_draws": lambda: draws(main),
        "search_samples": lambda: search_samples(main),
        "fidelity": lambda: fidelity(main),
        "regret": lambda: regret(main),
    }
    asked |= {f"chosen_{lab.world.seed}": (lambda lab=lab: chosen(lab)) for lab in labs}
    found: dict[str, Any] = {"waiting": []}
    for name, work in asked.items():
        try:
            found[name] = work()
        except FileNotFoundError:
            found["waiting"].append(name)
    found["spent"] = {f"world {lab.world.seed}, {scale}": lab.spent(scale) for lab in labs for scale in (PROXY, FULL)}
    found["cpu_hours"] = sum(part["cpu_s"] for part in found["spent"].values()) / 3600
    return found


@dataclass(frozen=True, slots=True)
class Answer:
    """A pair of sources that full scale separates: by world, and whether the proxy was right (None: it did not decide)."""

    one: tuple[int, str]
    other: tuple[int, str]
    right: bool | None


def pairs(labs: Sequence[Lab], design: Design) -> Figure:
    """Judge the pairs of sources that full scale separates (Holm at .05), overall; beside it, within each capability."""
    found = {level: [answer for lab in labs for answer in _answers(lab, design, level, lab is labs[0])] for level in (OVERALL, CAPABILITY)}
    figure = share_right(found[OVERALL])
    return figure | {"goal": SHARE, "met": figure["value"] >= SHARE, "by_capability": share_right(found[CAPABILITY])}


def _answers(lab: Lab, design: Design, level: str, main: bool) -> list[Answer]:
    added = design is Design.ADD_ONE
    said = {(row.name, row.a, row.b): row for row in proxy_ranking(lab).pairs}
    world, answers = lab.world.seed, []
    for row in true_ranking(lab, main=main).pairs:
        if row.level == level and row.decided and row.a.startswith("+") == added:
            own = said[row.name, row.a, row.b]
            right = (own.difference.value > 0) == (row.difference.value > 0) if own.decided else None
            answers.append(Answer((world, row.a), (world, row.b), right))
    return answers


def share_right(answers: Sequence[Answer]) -> Figure:
    """Return the share of right ones among those decided, with a 90 % interval over sources.

    A percentile bootstrap over sources, a pair counted as often as both of its ends were drawn. Where all are right or all wrong it would
    have no width: then the exact bound of as many independent pairs as the sources make (Clopper & Pearson 1934).
    """
    decided = [answer for answer in answers if answer.right is not None]
    right = np.array([bool(answer.right) for answer in decided], dtype=np.bool_)
    counts = {"separated": len(answers), "right": int(right.sum()), "wrong": int((~right).sum()), "abstained": len(answers) - len(decided)}
    if not decided:
        return {"value": float("nan"), "low": 0.0, "high": 1.0, **counts}
    ends = sorted({end for answer in decided for end in (answer.one, answer.other)})
    first, second = (np.array([ends.index(getattr(answer, side)) for answer in decided]) for side in ("one", "other"))
    drawn = np.random.default_rng(0).multinomial(len(ends), np.full(len(ends), 1 / len(ends)), RESAMPLES)
    weight = drawn[:, first] * drawn[:, second]
    some = weight.sum(axis=1) > 0
    shares = (weight[some] @ right) / weight[some].sum(axis=1)
    low, high = np.quantile(shares, [TAIL, 1 - TAIL]).tolist()
    if right.all() or not right.any():
        bound = TAIL ** (1 / max(1, len(ends) // 2))
        low, high = (bound, 1.0) if right.all() else (0.0, 1 - bound)
    wrong = [f"{a.one[0]}: {a.one[1]} / {a.other[1]}" for a in decided if not a.right]
    return {"value": float(right.mean()), "low": low, "high": high, **counts, "which_wrong": wrong}


def verdicts(lab: Lab) -> Figure:
    """Hold the proxy's add-one verdicts against those of full scale."""
    said, true = (_verdicts(ranking) for ranking in (proxy_ranking(lab), true_ranking(lab, main=True)))
    clear = [name for name, verdict in true.items() if verdict in (Verdict.HELPS, Verdict.HURTS)]
    decided = [name for name in clear if said[name] is not Verdict.UNDECIDED]
    right = sum(said[name] is true[name] for name in decided)
    low, high = exact(right, len(decided)) if decided else (0.0, 1.0)
    table = {name: [said[name].value, true[name].value] for name in true}
    counts = {"separated": len(clear), "right": right, "wrong": len(decided) - right, "abstained": len(clear) - len(decided)}
    value = right / len(decided) if decided else float("nan")
    return {"value": value, "low": low, "high": high, **counts, "goal": SHARE, "met": value >= SHARE, "proxy_and_full_scale": table}


def _verdicts(ranking: Ranking) -> dict[str, Verdict]:
    return {row.source: row.verdict for row in ranking.effects if row.level == OVERALL and row.verdict is not None}


def harmful(labs: Sequence[Lab]) -> Figure:
    """Count the worlds whose harmful source is called `hurts`, and name the good sources so called."""
    said = {lab.world.seed: _verdicts(proxy_ranking(lab)) for lab in labs}
    good = {part.name for part in labs[0].world.parts if part.role in GOOD}
    hits = sum(verdicts["harmful"] is Verdict.HURTS for verdicts in said.values())
    low, high = exact(hits, len(labs))
    accused = [f"{seed}: {name}" for seed, own in said.items() for name in sorted(good) if own[name] is Verdict.HURTS]
    shares = {"value": hits / len(labs), "low": low, "high": high, "worlds": len(labs)}
    return shares | {"good_called_hurts": accused, "good": len(good) * len(labs), "met": hits == len(labs) and not accused}


def redundancy(lab: Lab) -> Figure:
    """Compare a twin (of a source that the others hold) with a single source of its kind, and the second half of a pair with it.

    Each entry is a difference in score: `solo` alone, `add_one` added to the base, `leave_one_out` the mixture without the first minus
    without the second. Redundancy is seen where either of the latter is against the twin and solo is not.
    """
    found: Figure = {}
    for name in ("twin-b", "half-b"):
        for scale, split in ((PROXY, Split.SELECTION), (FULL, Split.CONFIRMATION)):
            asked = {
                "solo": (ask.solo(lab.world)[name], ask.solo(lab.world)["clean-b"]),
                "add_one": (ask.added(lab.world)[f"+{name}"], ask.added(lab.world)["+clean-b"]),
                "leave_one_out": (ask.left_out()[f"-{name}"], ask.left_out()["-clean-b"]),
                "removed": (ask.left_out()[f"-{name}"], ask.left_out()["all"]),
            }
            found[f"{name}, {scale}"] = {key: _plain(one) for key, one in _differences(lab, scale, split, asked).items()}
    twin = found[f"twin-b, {PROXY}"]
    seen = twin["add_one"]["high"] < 0 or twin["leave_one_out"]["low"] > 0
    return found | {"seen": seen, "solo_misses_it": twin["solo"]["high"] >= 0, "met": seen and twin["solo"]["high"] >= 0}


def _differences(lab: Lab, scale: str, split: Split, asked: dict[str, tuple[Mixture, Mixture]]) -> dict[str, Estimate]:
    mixtures = list(dict.fromkeys(mixture for pair in asked.values() for mixture in pair))
    arrays = lab.arrays(scale, [(mixture, ask.seeds(lab.sizes.seeds)) for mixture in mixtures], split)
    every = list(range(len(mixtures)))
    parts = [array.panel(every, []) for array in arrays]
    panel = ask.plain_mean(parts).panel(parts)
    ends = [(mixtures.index(one), mixtures.index(other)) for one, other in asked.values()]
    return dict(zip(asked, effects(contrasts(panel, ends), family_prior(panel, every)).estimates(ask.LEVEL), strict=True))


def _plain(one: Estimate) -> dict[str, float]:
    return {"value": one.value, "low": one.low, "high": one.high}


def chosen(lab: Lab) -> Figure:
    """Compare the chosen mixture with its baselines at full scale, fresh seeds, by the tool's own confirmation."""
    found = found_of(lab)
    mixture = found.arms[CANDIDATE]
    others = {name: arm for name, arm in found.arms.items() if arm != mixture}
    fresh = ask.seeds(lab.sizes.seeds, ask.FRESH)
    arrays = lab.arrays(FULL, [(arm, fresh) for arm in (mixture, *others.values())], Split.CONFIRMATION)
    confirmed = confirm([CANDIDATE, *others], arrays, CANDIDATE, found.objective, level=ask.LEVEL)
    gains = {name: _plain(gain) | {"held": confirmed.holds[name]} for name, gain in confirmed.gains.items()}
    weights = {name: _plain(weight) for name, weight in found.optimum.weights.items() if weight.value > 0}
    spearman = found.choice.spearman
    return {
        "met": all(confirmed.holds.values()),
        "score": float(score(lab, FULL, mixture, fresh, Split.CONFIRMATION).mean()),
        "untrained": float(score(lab, FULL, UNTRAINED, [0], Split.CONFIRMATION).mean()),
        "gains": gains,
        "weights": weights,
        "surrogate": {"name": found.choice.name, "runs": found.choice.runs, "spearman": _plain(spearman) if spearman else None},
    }


def regret(lab: Lab) -> Figure:
    """Return how far the chosen mixture is below the best of the random ones trained again, in deviations of a seed at full scale."""
    found = found_of(lab)
    fresh, again = ask.seeds(lab.sizes.seeds, ask.FRESH), ask.seeds(lab.sizes.seeds, ask.TOP)
    own = score(lab, FULL, found.arms[CANDIDATE], fresh, Split.CONFIRMATION)
    top = np.array([score(lab, FULL, mixture, again, Split.CONFIRMATION) for mixture in best_random(lab)])
    runs = np.vstack([own[None], top])
    deviation = float(np.sqrt(((runs - runs.mean(axis=1, keepdims=True)) ** 2).sum() / (runs.size - len(runs))))
    value = float((top.mean(axis=1).max() - own.mean()) / deviation)
    reach = float(1.645 * np.sqrt(2 / len(own)))  # both means are of as many runs; the best of several is no fair draw, so this is a guide
    return {
        "value": value,
        "low": value - reach,
        "high": value + reach,
        "against_mean_of_top": float((top.mean() - own.mean()) / deviation),
        "seed_deviation": deviation,
        "goal": 1.0,
        "met": value <= 1.0,
    }


def search_samples(lab: Lab) -> Figure:
    """Return what the search cost, of the samples of the random mixtures at full scale."""
    probes = len(set(ask.search_runs(lab)))
    missing = lab.missing(PROXY, ask.search_runs(lab))
    if missing:
        raise FileNotFoundError(missing[0].name())
    value = ask.budget_share(lab.sizes, probes)
    return {"value": value, "low": value, "high": value, "probes": probes, "goal": SAMPLES, "met": value <= SAMPLES}


def table(found: dict[str, Any]) -> None:
    """Print the figures for people."""
    for name, figure in found.items():
        if not isinstance(figure, dict) or name == "spent":
            continue
        said = {True: "met", False: "MISSED", None: ""}[figure.get("met")]
        value = f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]" if "low" in figure else ""
        print(f"{name:20} {value} {said}")
        for key, one in figure.items():
            if key not in ("value", "low", "high", "met"):
                print(f"    {key}: {one}")
    print(f"CPU-hours of training and scoring: {found['cpu_hours']:.2f}; waiting for runs: {', '.join(found['waiting']) or 'nothing'}")
