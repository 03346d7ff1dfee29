#!/usr/bin/env python3
"""Does the tool say rightly whether an order of phases helps? Four worlds, truth from 20 seeds, answers from 5 other ones.

    python benchmarks/curriculum.py STATE [--quick] [--json]

Every world is a `phases` study on the bundled proxy: three phases of equal size, staged, reversed, mixed, and mixed with the same
restarts, 60 steps of 16 rows, 25 seeds, scored on the generated world's questions of counting and of relations (300 items each, the
selection half). STATE is a folder; what is trained there is not trained again. About 30 CPU-minutes; `--quick` has 8 seeds of 12
steps, truth from 4, and says nothing of the tool, only that this runs.

Written down before anything was run. Effects are against `mixed-restarts`.

- `planted`: short captions, then questions of colour and shape, then questions of counting and relations. What is asked at the end is
  what the last phase teaches, and each phase begins with the full learning rate, so what came first is partly overwritten. Expected:
  staged above zero, reversed below zero.
- `quality`: questions of counting and relations, three quarters of whose answers are wrong, then a third, then none. Wrong answers at the
  end overwrite what was learned. Expected: staged above zero, reversed below zero, both plainly.
- `judged`: the easy, medium and hard third of `world/all` by the proxy's own loss (`probe sources difficulty`). Most rows of the easy
  third have a loss near zero and so no gradient, in whatever place they stand: order should matter less. The hard third holds most of
  counting and relations. Expected: staged not below zero, reversed not above zero, both possibly too small to see.
- `null`: three random thirds of `world/all`. The phases are alike, so staged, reversed and mixed-restarts are the same training but for
  chance. Expected: nothing; a verdict of `helps` or `hurts` is an error. (The thirds are one partition by chance, so the truth is zero
  up to that.)

The answer: of 200 draws of 5 of the 25 seeds, the verdicts of `probe rank`; the truth of each draw is the same statistic on the other 20.
`agrees`: the same verdict as the truth's. `abstains`: undecided. `beyond_truth`: decided where 20 seeds are not. `contradicts`: another
verdict than a decided truth; in `null`, every `helps` and `hurts`. Draws share their seeds, so these shares are no independent trials and
carry no interval.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
BENCHMARKS = ("world/count", "world/relation")
EXPECTED = {
    "planted": {"phases/staged": ">", "phases/reversed": "<"},
    "quality": {"phases/staged": ">", "phases/reversed": "<"},
    "judged": {"phases/staged": ">=", "phases/reversed": "<="},
    "null": {"phases/staged": "=", "phases/reversed": "="},
}
ROWS, BATCH, TOOL_SEEDS = 3000, 16, 5


def planted_pools(workspace: Any, store: Any) -> list[str]:
    from sources.spec import SourceSpec

    topics = {"easy": ("captions", "short"), "medium": ("skill", "colour,shape"), "hard": ("skill", "count,relation")}
    specs = [SourceSpec(f"planted/{name}", "world", options=tuple(sorted((topic, ("rows", str(ROWS)))))) for name, topic in topics.items()]
    return registered(workspace, store, specs)


def quality_pools(workspace: Any, store: Any) -> list[str]:
    from sources.spec import SourceSpec

    noise = {"wrong": "0.75", "mixed": "0.33", "clean": "0"}
    options = [("rows", str(ROWS)), ("skill", "count,relation")]
    specs = [
        SourceSpec(f"quality/{name}", "world", options=tuple(sorted([*options, ("label_noise", share), ("seed", str(seed))])))
        for seed, (name, share) in enumerate(noise.items(), 1)
    ]
    return registered(workspace, store, specs)


def null_pools(workspace: Any, store: Any) -> list[str]:
    """Register random thirds: pools under an order of chance."""
    from sources.difficulty import keep_order, pool_specs
    from sources.sampling import SourcePool

    spec = all_skills("null")
    keys = np.asarray(SourcePool.open(spec, workspace.indexes).index.keys.column)
    order = keep_order(workspace.indexes, np.random.default_rng(0).permutation(keys))
    return registered(workspace, store, pool_specs(spec, order, 3))


def judged_pools(workspace: Any, store: Any) -> list[str]:
    from probe.study.difficulty import make_pools
    from proxy_training.jobs import EngineSettings
    from proxy_training.proxies import proxy_spec

    registered(workspace, store, [all_skills("judged")])
    found = make_pools(workspace, "judged", proxy_spec("tiny"), settings=EngineSettings("cpu"))
    return [pool.source for pool in found.pools]


def all_skills(slug: str) -> Any:
    from sources.spec import SourceSpec

    return SourceSpec(slug, "world", options=(("rows", str(ROWS)), ("skill", "all")))


def registered(workspace: Any, store: Any, specs: Any) -> list[str]:
    from probe.study.registry import source_record
    from sources.sampling import SourcePool

    for spec in specs:
        store.put_source(source_record(spec, SourcePool.open(spec, workspace.indexes)))
    return [spec.slug for spec in specs]


WORLDS: dict[str, Callable[[Any, Any], list[str]]] = {
    "planted": planted_pools,
    "quality": quality_pools,
    "judged": judged_pools,
    "null": null_pools,
}


def trained(workspace: Any, world: str, pools: list[str], seeds: int, steps: int) -> None:
    """Train what is missing of a world's study."""
    from db.values import Design
    from probe.study.run import RunRequest, execute, plan_run, store_plan
    from proxy_training.jobs import EngineSettings
    from sources.mixture import Mixture, Phase

    phases = tuple(Phase(Mixture.single(slug), 1 / len(pools)) for slug in pools)
    asked = RunRequest((), world, Design.PHASES, samples=steps * BATCH, seeds=seeds, benchmarks=BENCHMARKS, phases=phases, device="cpu")
    store_plan(workspace, plan_run(workspace, asked, lambda line: print(line, file=sys.stderr)))

    def show(state: Any) -> None:
        if state.done != shown[0]:
            shown[0] = state.done
            print(f"{world}: {state.done} done, {state.waiting} wait, {state.cpu_s:.0f} CPU-seconds", file=sys.stderr, flush=True)

    shown = [-1]
    execute(workspace, world, 1, EngineSettings("cpu"), show)


def answers(workspace: Any, world: str, draws: int) -> dict[str, Any]:
    """Return what the tool says of each order from few seeds, held to what the others say."""
    from db.values import Split
    from probe.decide.ranking import RANKED
    from probe.study.ranking import known_study, study_scores

    with workspace.open_store() as store:
        inputs = study_scores(store, known_study(store, world), RANKED, Split.SELECTION)
        cpu = store.progress(world).cpu_s
    seeds = inputs.benchmarks[0].values.shape[2]
    few = min(TOOL_SEEDS, seeds // 2)
    rng = np.random.default_rng(0)
    counts = {order: Counter[str]() for order in EXPECTED[world]}
    for _ in range(draws):
        shuffled = rng.permutation(seeds)
        said, true = verdicts(inputs, shuffled[:few]), verdicts(inputs, shuffled[few:])
        for order, counted in counts.items():
            counted[outcome(world, said[order].verdict.value, true[order].verdict.value)] += 1
    whole = verdicts(inputs, np.arange(seeds))
    return {
        "seeds": seeds,
        "tool_seeds": few,
        "cpu_s": round(cpu, 1),
        "orders": {order: told(world, order, whole[order], counts[order], draws) for order in counts},
        "mixed": {"effect": estimate(whole["phases/mixed"].effect), "verdict": whole["phases/mixed"].verdict.value},
    }


def verdicts(inputs: Any, repeats: Any) -> dict[str, Any]:
    """Return the overall effects of the orders on some repeats."""
    from probe.decide.ranking import rank_study

    kept = [k for k, arm in enumerate(inputs.arms) if arm.name.startswith("phases/")]
    cut = tuple(replace(one, values=one.values[:, kept][:, :, repeats]) for one in inputs.benchmarks)
    ranking = rank_study(replace(inputs, arms=tuple(inputs.arms[k] for k in kept), benchmarks=cut))
    return {row.arm: row for row in ranking.effects if row.level == "overall" and row.verdict}


def outcome(world: str, said: str, true: str) -> str:
    decided = ("helps", "hurts")
    if said == "undecided":
        return "abstains"
    if world == "null":
        return "contradicts" if said in decided else "agrees"
    if said == true:
        return "agrees"
    if true == "undecided":
        return "beyond_truth"
    return "contradicts"


def told(world: str, order: str, row: Any, counted: Counter[str], draws: int) -> dict[str, Any]:
    sign = {"helps": ">", "hurts": "<", "neutral": "=", "undecided": "?"}[row.verdict.value]
    expected = EXPECTED[world][order]
    return {
        "expected": expected,
        "effect_of_all_seeds": estimate(row.effect),
        "verdict_of_all_seeds": row.verdict.value,
        "as_expected": None if sign == "?" else sign in expected,
        **{name: counted[name] / draws for name in ("agrees", "abstains", "beyond_truth", "contradicts")},
    }


def estimate(found: Any) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    from probe.workspace import Workspace

    seeds, steps = (8, 12) if wanted.quick else (25, 60)
    workspace = Workspace(wanted.state / ("quick" if wanted.quick else "full"))
    found = {}
    for world in wanted.worlds.split(","):
        with workspace.open_store() as store:
            pools = WORLDS[world](workspace, store)
        trained(workspace, world, pools, seeds, steps)
        found[world] = answers(workspace, world, wanted.draws)
    if wanted.json:
        print(json.dumps({"quick": wanted.quick, "worlds": found}, indent=2))
        return
    for world, of in found.items():
        for order, row in of["orders"].items():
            effect = row["effect_of_all_seeds"]
            shares = ", ".join(f"{name} {row[name]:.0%}" for name in ("agrees", "abstains", "beyond_truth", "contradicts"))
            between = f"{effect['value']:+.4f} [{effect['low']:+.4f}, {effect['high']:+.4f}] {row['verdict_of_all_seeds']}"
            print(f"{world:8} {order:16} expected {row['expected']:2} found {between}; from {of['tool_seeds']} seeds: {shares}")


if __name__ == "__main__":
    main()
