"""`probe eval --scorer vlmeval`: VLMEvalKit's scores of one model beside those of our own scorer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.cli.eval import evaluate, intervals, numbers, row_of
from probe.cli.output import counting, estimate_json, print_json, print_listing, say
from probe.workspace import Workspace

if TYPE_CHECKING:
    from probe.study.model_scores import ModelScore
    from probe.vlmeval.scores import Asked, KitScores
    from probe.vlmeval.worker import Worker
    from proxy_training.jobs import EvalSet


def show_kit_scores(
    workspace: Workspace,
    form: str,
    *,
    our_prompts: bool,
    proxy: str,
    adapter: Path | None,
    benchmarks: tuple[str, ...],
    split: str,
    level: float,
    device: str | None,
    max_new_tokens: int,
    gpus_per_probe: int,
    generate: bool,
) -> None:
    """Score by our own scorer, then by VLMEvalKit, and print both.

    Raises:
        ProbeError, ProxyError, SourceError: the model or a benchmark cannot be used, or VLMEvalKit's process ended.
    """
    sets = eval_sets(workspace, benchmarks, split)
    _refuse_early(sets)
    asked = _asked(workspace, proxy, adapter, device, gpus_per_probe, max_new_tokens, our_prompts)
    own: dict[str, ModelScore] = {}
    for generating in (True, False):
        names = tuple(one.spec.name for one in sets if _has_our_rule(one) is generating)
        if names:
            how = (workspace, proxy, adapter, names, split, level, device)
            found = evaluate(*how, generate=generating, max_new_tokens=max_new_tokens, gpus_per_probe=gpus_per_probe)
            own |= {score.benchmark: score for score in found}
    rows = [
        _row(with_kit(own[eval_set.spec.name], eval_set, kit, level), eval_set, kit, form)
        for eval_set, kit in zip(sets, _kit_scores(workspace, sets, asked), strict=True)
    ]
    if form == "json":
        print_json(rows)
        return
    print_listing(rows, form, empty="No benchmark was scored.")
    if form == "table":
        say("vlmeval_*: asked and scored by VLMEvalKit; agree: items that our rule scores the same on the same answers.")


def eval_sets(workspace: Workspace, benchmarks: tuple[str, ...], split: str) -> list[EvalSet]:
    """Return the items of each benchmark, of one half where it is named.

    Raises:
        ProbeError, SourceError: a benchmark cannot be used, or was not added with VLMEvalKit's rules.
    """
    from db.values import SPLIT_CODES
    from probe.study.items import read_eval_set, split_items
    from probe.study.registry import default_benchmarks, find_benchmark
    from probe.vlmeval.known import kit_name
    from sources.benchmark import Split

    with workspace.open_store() as store:
        specs = [find_benchmark(store, name) for name in benchmarks or default_benchmarks(store, [])]
    for spec in specs:
        kit_name(spec)
    sets = [read_eval_set(spec) for spec in specs]
    if split == "all":
        return sets
    code = SPLIT_CODES[Split(split)]
    return [replace(one, items=tuple(np.array(one.items, object)[split_items(one.items)[1] == code])) for one in sets]


def _has_our_rule(eval_set: EvalSet) -> bool:
    from probe.vlmeval.known import find_known, kit_name

    return bool(find_known(kit_name(eval_set.spec)).our_rule)


def _refuse_early(sets: list[EvalSet]) -> None:
    """Look for the environment and the judge before the model is scored."""
    from probe.vlmeval.environment import need_eval_python
    from probe.vlmeval.judge import judge_for
    from probe.vlmeval.known import find_known, kit_name

    need_eval_python()
    for name in (kit_name(one.spec) for one in sets):
        if find_known(name).needs_judge:
            judge_for(name)


def _asked(workspace: Workspace, proxy: str, adapter: Path | None, device: str | None, gpus: int, most: int, our_prompts: bool) -> Asked:
    from probe.study.model_scores import recipe_of
    from probe.vlmeval.scores import Asked
    from proxy_training.jobs import EngineSettings
    from proxy_training.proxies import proxy_spec

    recipe = proxy_spec(proxy).recipe
    scope = (recipe_of(adapter, recipe) if adapter else recipe).scope
    local = str(Path(proxy).expanduser().absolute()) if Path(proxy).expanduser().is_dir() else proxy
    return Asked(local, adapter, scope, workspace.features, EngineSettings(device, gpus_per_probe=gpus), most, our_prompts)


def _kit_scores(workspace: Workspace, sets: list[EvalSet], asked: Asked) -> list[KitScores]:
    from probe.vlmeval.scores import kit_scores
    from probe.vlmeval.worker import worker

    def one(process: Worker, eval_set: EvalSet) -> KitScores:
        with counting(f"VLMEvalKit on {eval_set.spec.name}") as show:
            return kit_scores(process, workspace.root / "vlmeval", eval_set, asked, lambda _, done, of: show(done, of))

    with worker(workspace.logs / "vlmeval-eval.log") as process:
        return [one(process, eval_set) for eval_set in sets]


def with_kit(score: ModelScore, eval_set: EvalSet, found: KitScores, level: float) -> ModelScore:
    """Return our own score with VLMEvalKit's accuracy and parse rate behind it, intervals clustered by image."""
    from probe.decide.means import mean_with_interval
    from probe.study.items import split_items

    groups, _ = split_items(eval_set.items)
    values = {"vlmeval_accuracy": found.scores, "vlmeval_parsed": found.parsed}
    own = tuple(pair for pair in score.estimates if pair[1] is not None)
    return replace(score, estimates=(*own, *((name, mean_with_interval(each, groups, level)) for name, each in values.items())))


def _row(score: ModelScore, eval_set: EvalSet, found: KitScores, form: str) -> dict[str, Any]:
    same, both = found.agreement()
    if form != "json":
        cells = numbers(score) if form == "csv" else intervals(score)
        return {**row_of(score), **cells, "headline": f"{found.headline} {found.headline_score:.3f}", "agree": f"{same}/{both}"}
    estimates = {name: estimate_json(estimate) for name, estimate in score.estimates}
    items = [
        {"id": item.id, "prediction": text, "score": value, "parsed": bool(parsed), "our_rule": ours}
        for item, text, value, parsed, ours in zip(
            eval_set.items, found.predictions, found.scores.tolist(), found.parsed.tolist(), found.ours.tolist(), strict=True
        )
    ]
    headline = {"name": found.headline, "value": found.headline_score}
    kit = {"name": found.name, "headline": headline, "entries": list(found.entries), "agree": same, "compared": both, "items": items}
    return {**row_of(score), **estimates, "vlmeval": kit}
