"""`probe demo`: the whole main job on the bundled proxy and real data."""

from __future__ import annotations

import time
from pathlib import Path

import click

from probe.cli.output import say
from probe.errors import ProbeError
from probe.workspace import Workspace
from proxy_training.jobs import ANY_ENGINE

SOURCES = ("all", "colour", "shape", "presence", "half-a", "half-b", "half-wrong", "shuffled")
BENCHMARKS = ("colour", "shape", "presence")
SAMPLES = 120 * 16
FULL_SCALE_SAMPLES = 20_000


@click.command()
@click.option("--seeds", type=click.IntRange(2, 16), default=4, show_default=True, help="Repeats of every source.")
@click.option("--mixtures", type=click.IntRange(6, 64), default=12, show_default=True, help="Mixtures of the swarm.")
@click.option("--workers", type=click.IntRange(1), default=None, help="Processes.  [default: one a core]")
@click.pass_context
def command(ctx: click.Context, seeds: int, mixtures: int, workers: int | None) -> None:
    """Rank eight sources of easy-VQA (real data), search their mixture, confirm it, export it: a few minutes on two cores."""
    given = ctx.parent is not None and ctx.parent.get_parameter_source("workspace") is not click.core.ParameterSource.DEFAULT
    workspace = ctx.obj if given else Workspace(Path("probe-demo"), ctx.obj.db_url)
    ctx.find_root().obj = ctx.obj = workspace  # so that what is printed leads there
    workspace.check_writable()
    began = time.monotonic()
    rank_sources(workspace, seeds, workers)
    path = find_mixture(workspace, mixtures, workers)
    click.echo(f"\nDone in {(time.monotonic() - began) / 60:.1f} minutes. Go on with:")
    say("  probe dashboard")
    say(f"  probe manifest show {path}")
    say(f"  probe export {path} --trainer llamafactory --out demo-export")


def rank_sources(workspace: Workspace, seeds: int, workers: int | None) -> None:
    """Probe every source alone and print the ranking."""
    from probe.cli.run import run_and_rank
    from probe.study.registry import easy_vqa_installed
    from probe.study.run import RunRequest, plan_run, store_plan

    if not easy_vqa_installed():
        raise ProbeError("the demo's real data is not installed: pip install 'vlm-source-probe[demo]' (the package easy-vqa, MIT).")
    click.echo(f"1. Which sources help? {len(SOURCES)} sources x {seeds} seeds, {SAMPLES:,} samples each.", err=True)
    request = RunRequest(
        sources=tuple(f"easy-vqa/{name}" for name in SOURCES),
        samples=SAMPLES,
        seeds=seeds,
        benchmarks=tuple(f"easy-vqa/{name}" for name in BENCHMARKS),
    )
    store_plan(workspace, plan_run(workspace, request, _say))
    run_and_rank(workspace, "main", workers, ANY_ENGINE, "table")


def find_mixture(workspace: Workspace, mixtures: int, workers: int | None) -> Path:
    """Train a swarm of mixtures, search, confirm and write the manifest."""
    from db.values import BudgetUnit, Design
    from probe.cli.optimize import optimize, print_decision
    from probe.cli.run import run_waiting
    from probe.study.mixture_search import OptimizeRequest
    from probe.study.run import RunRequest, plan_run, store_plan

    click.echo(f"\n2. Which mixture? {mixtures} mixtures, then a search, then a confirmation with fresh seeds.", err=True)
    sources = tuple(f"easy-vqa/{name}" for name in SOURCES)
    request = RunRequest(sources=sources, samples=SAMPLES, seeds=2, design=Design.SWARM, mixtures=mixtures)
    store_plan(workspace, plan_run(workspace, request, _say))
    if unscored := run_waiting(workspace, "main", workers, ANY_ENGINE):
        raise ProbeError(unscored)
    doc, path, _ = optimize(workspace, OptimizeRequest(unit=BudgetUnit.SAMPLES, budget=FULL_SCALE_SAMPLES), workers, ANY_ENGINE, False)
    print_decision(doc, path)
    return path


def _say(line: str) -> None:
    say(line, err=True)
