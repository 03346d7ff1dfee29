"""`probe eval`: score one model or adapter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from probe.cli.output import counting, estimate_json, interval, listing_options, print_json, print_listing, say
from probe.workspace import Workspace

if TYPE_CHECKING:
    from probe.study.model_scores import ModelScore


@click.command()
@click.option("--proxy", required=True, metavar="P", help="A name (probe proxies list), a model's folder, or hf:ORG/NAME.")
@click.option("--adapter", type=click.Path(path_type=Path), default=None, help="A PEFT adapter folder.  [default: the proxy as it is]")
@click.option("--benchmark", "benchmarks", multiple=True, metavar="B", help="Repeat for more.  [default: all registered ones]")
@click.option("--split", type=click.Choice(["all", "selection", "confirmation"]), default="all", show_default=True, help="Which items.")
@click.option("--level", default=0.90, show_default=True, type=click.FloatRange(0.5, 0.999), help="Level of the intervals.")
@click.option("--generate", is_flag=True, help="Generate answers too, and count those that are right: slower, what a user sees.")
@click.option("--max-new-tokens", type=click.IntRange(1, 4096), default=16, show_default=True, help="Of a generated answer.")
@click.option(
    "--scorer",
    type=click.Choice(["probe", "vlmeval"]),
    default="probe",
    show_default=True,
    help="vlmeval: VLMEvalKit asks the model and scores it too, by its rules (docs/vlmevalkit.md).",
)
@click.option(
    "--prompts",
    type=click.Choice(["vlmeval", "probe"]),
    default="vlmeval",
    show_default=True,
    help="How VLMEvalKit asks: by its benchmark's prompts, or by those of our own scorer.",
)
@click.option("--gpus-per-probe", type=click.IntRange(1, 64), default=1, show_default=True, help="More: shard a proxy too big for one GPU.")
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...; found by itself.")
@listing_options
@click.pass_obj
def command(workspace: Workspace, /, form: str, scorer: str, prompts: str, **options: Any) -> None:
    """Score one model or adapter: mean right-choice probability and accuracy a benchmark, with intervals clustered by image."""
    if scorer == "vlmeval":
        from probe.cli.eval_vlmeval import show_kit_scores

        show_kit_scores(workspace, form, our_prompts=prompts == "probe", **options)
        return
    scores = evaluate(workspace, **options)
    if form == "json":
        print_json([row_of(score) | {name: estimate_json(e) for name, e in score.estimates} for score in scores])
        return
    cells = numbers if form == "csv" else intervals
    print_listing([row_of(score) | cells(score) for score in scores], form, empty="No benchmark was scored.")


def evaluate(
    workspace: Workspace,
    proxy: str,
    adapter: Path | None,
    benchmarks: tuple[str, ...],
    split: str,
    level: float,
    device: str | None,
    *,
    generate: bool = False,
    max_new_tokens: int = 16,
    gpus_per_probe: int = 1,
) -> list[ModelScore]:
    """Read the benchmarks and score the model.

    Raises:
        ProbeError, ProxyError, SourceError: the model or a benchmark cannot be used.
    """
    from probe.study.devices import check_device, check_sharding
    from probe.study.items import read_eval_set
    from probe.study.model_scores import score_model
    from probe.study.registry import default_benchmarks, find_benchmark
    from proxy_training.jobs import EngineSettings
    from proxy_training.proxies import proxy_spec, proxy_warning
    from sources.benchmark import Split

    check_device(device)
    check_sharding(device, gpus_per_probe)
    spec = proxy_spec(proxy)
    if warning := proxy_warning(spec):
        say(warning, err=True)
    with workspace.open_store() as store:
        eval_sets = [read_eval_set(find_benchmark(store, name)) for name in benchmarks or default_benchmarks(store, [])]
    chosen = None if split == "all" else Split(split)
    with counting("scoring") as show:
        return score_model(
            spec,
            adapter,
            eval_sets,
            workspace.features,
            split=chosen,
            level=level,
            settings=EngineSettings(device, gpus_per_probe=gpus_per_probe),
            generate=max_new_tokens if generate else 0,
            progress=lambda _, done, of: show(done, of),
        )


def intervals(score: ModelScore) -> dict[str, Any]:
    """Return a score's estimates for people."""
    return {name: interval(estimate, signed=False) for name, estimate in score.estimates}


def numbers(score: ModelScore) -> dict[str, Any]:
    """Return a score's estimates as numbers, a cell each."""
    parts = {name: estimate_json(estimate) or {} for name, estimate in score.estimates}
    return {f"{name}_{part}": parts[name].get(part) for name in parts for part in ("value", "stderr", "low", "high")}


def row_of(score: ModelScore) -> dict[str, Any]:
    """Return what a row of a listing says beside the estimates."""
    return {"benchmark": score.benchmark, "capability": score.capability, "items": score.items, "unscored": score.unscored}
