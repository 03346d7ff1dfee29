"""`probe run`: train and score probes of sources."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from probe.cli.output import counting, listing_options, print_json, say
from probe.errors import ProbeError, UsageError
from probe.workspace import Workspace
from sources.counted import counted

if TYPE_CHECKING:
    from probe.study.estimate import CostEstimate
    from probe.study.run import Planned, RunRequest
    from proxy_training.jobs import EngineSettings

DESIGNS = ("solo", "add-one", "leave-one-out", "halving", "ladder", "swarm", "phases")


@click.command()
@click.option("--source", "sources", multiple=True, metavar="S", help="A source to probe; repeat for more.")
@click.option("--study", default="main", show_default=True, help="The named question these probes answer.")
@click.option("--group", "groups", multiple=True, metavar="NAME=S1,S2", help="Sources asked about as one; repeat for more.")
@click.option(
    "--by", type=click.Choice(["capability", "format", "subsource"]), default=None, help="Make groups of the sources, or split them."
)
@click.option(
    "--design", type=click.Choice(DESIGNS), default=None, help="How to ask (docs/designs.md).  [default: add-one with --base, else solo]"
)
@click.option("--base", default=None, metavar="M", help="Base mixture: a manifest file, or a=0.5,b=0.5.")
@click.option("--proxy", default=None, metavar="P", help="A name (probe proxies list), a model's folder, or hf:ORG/NAME.  [default: tiny]")
@click.option("--samples", type=click.IntRange(1), default=None, help="Budget of every probe in rows.")
@click.option("--tokens", type=click.IntRange(1), default=None, help="Budget of every probe in tokens.  [default: the proxy's]")
@click.option("--seeds", type=click.IntRange(1, 64), default=None, help="Repeats of every arm.  [default: the study's, 3 for a new one]")
@click.option("--benchmark", "benchmarks", multiple=True, metavar="B", help="A benchmark to score on; repeat for more.")
@click.option(
    "--add-share", type=click.FloatRange(0.01, 0.99), default=None, help="Share of the source in add-one, for a new study.  [default: 0.2]"
)
@click.option("--keep-contaminated", is_flag=True, help="Train also on rows that hold the benchmarks' items, for a new study.")
@click.option("--sequential", is_flag=True, help="With add-one: accept one source after another, in the order given.")
@click.option("--orders", type=click.IntRange(1, 8), default=1, show_default=True, help="With --sequential: so many orders of the sources.")
@click.option("--double", is_flag=True, help="With halving: arms with the share doubled, too.")
@click.option("--sizes", default=None, metavar="N,N", help="Budgets of a ladder or of phases.  [default: a ladder's four doublings]")
@click.option("--phase", "phases", multiple=True, metavar="M", help="A phase such as a=0.5,b=0.5; repeat in their order.")
@click.option(
    "--phases-by", type=click.Choice(["difficulty", "quality", "capability"]), default=None, help="Write the phases (docs/curriculum.md)."
)
@click.option("--phase-share", "phase_shares", default=None, metavar="X,X", help="Each phase's share of the budget.  [default: equal]")
@click.option("--no-restarts", is_flag=True, help="With phases: one learning rate schedule over all of them.")
@click.option("--mixtures", type=click.IntRange(2, 1000), default=12, show_default=True, help="Mixtures of a swarm.")
@click.option("--learning-rate", type=float, default=None, help="Of the recipe, for a new study.")
@click.option("--rank", "lora_rank", type=int, default=None, help="LoRA rank, for a new study.")
@click.option(
    "--scope", type=click.Choice(["lora-language", "lora-all", "full-language"]), default=None, help="What is trained, for a new study."
)
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16"]), default=None, help="Of the frozen base, for a new study.  [default: measured]"
)
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...; found by itself.")
@click.option("--workers", type=click.IntRange(1), default=None, help="Processes.  [default: one a core, or one a GPU]")
@click.option("--slots", type=click.IntRange(1, 64), default=None, help="Probes at once in a process.  [default: measured]")
@click.option(
    "--backend", type=click.Choice(["auto", "stack", "reference"]), default="auto", show_default=True, help="auto: the stack where it can."
)
@click.option("--cache-limit", default=None, metavar="SIZE", help="Disk for image features, such as 20GB.  [default: no limit]")
@click.option("--gpus-per-probe", type=click.IntRange(1, 64), default=1, show_default=True, help="More: shard a proxy too big for one GPU.")
@click.option("--executor", type=click.Choice(["local"]), default="local", show_default=True, help="Where probes run.")
@click.option("--until-decided", is_flag=True, help="Give more seeds to what is open, until nothing is; answers hold at every look.")
@click.option("--most-seeds", type=click.IntRange(4, 64), default=None, help="With --until-decided, for a new study.  [default: 12]")
@click.option(
    "--budget", type=click.FloatRange(0, min_open=True), default=None, metavar="HOURS", help="Stop then; the same command goes on."
)
@click.option("--retry-failed", is_flag=True, help="Run again what failed in this study.")
@click.option("--dry-run", is_flag=True, help="Print the plan and what it will cost; store nothing.")
@listing_options
@click.pass_obj
def command(workspace: Workspace, /, **options: Any) -> None:
    """Train and score probes of sources; finished ones are reused, an interrupted run goes on with the same command."""
    from probe.study.devices import check_device, check_sharding
    from probe.study.run import plan_run, store_plan
    from probe.study.streaming import bring_here

    check_device(options["device"])
    check_sharding(options["device"], options["gpus_per_probe"])
    workspace.check_writable()
    _check_together(options)
    request = _request(options)
    bring_here(workspace, request.slugs(), lambda line: say(line, err=True), counting)
    if options["phases_by"]:
        request = with_phases(workspace, request, options["phases_by"])
    if options["sequential"]:
        from probe.cli.gates import run_sequential

        run_sequential(workspace, request, options)
        return
    if options["until_decided"]:
        from probe.cli.until_decided import plan_first_look

        planned = plan_first_look(workspace, request, options)
    else:
        planned = plan_run(workspace, request, lambda line: say(line, err=True))
    print_plan(planned)
    if options["dry_run"]:
        cost = estimated(workspace, planned, options)
        if options["form"] == "json":
            print_json(plan_json(planned) | {"cost": None if cost is None else cost_json(cost)})
        return
    store_plan(workspace, planned)
    if options["retry_failed"]:
        with workspace.open_store() as store:
            say(f"{store.retry_failed(options['study'])} failed probes wait again.", err=True)
    settings, hours = engine_settings(options), options["budget"]
    deadline = None if hours is None else time.monotonic() + 3600 * hours
    if options["until_decided"]:
        from probe.cli.until_decided import run_rounds

        swarm = options["design"] == "swarm"
        run_rounds(workspace, options["study"], options["workers"], settings, options["form"], deadline, swarm)
        return
    run_and_rank(workspace, options["study"], options["workers"], settings, options["form"], deadline)


def with_phases(workspace: Workspace, request: RunRequest, by: str) -> RunRequest:
    """Return a request whose phases are written by what is known of its sources, which are then in the phases alone."""
    from probe.study.phase_lists import PhasesBy, phase_options, phases_by

    with workspace.look() as store:
        phases = phases_by(workspace, store, PhasesBy(by), request.study, request.sources)
    say(f"Phases by {by}: {phase_options(phases)}", err=True)
    return replace(request, sources=(), phases=phases)


def run_and_rank(
    workspace: Workspace, study: str, workers: int | None, settings: EngineSettings, form: str, deadline: float | None = None
) -> None:
    """Run what waits in a study, until `deadline` (of `time.monotonic`) at most, and print its ranking.

    Raises:
        ProbeError: probes failed, workers keep dying, or (once the ranking is printed) a benchmark could not be scored.
    """
    unscored = run_waiting(workspace, study, workers, settings, deadline)
    print_study(workspace, study, form)
    if unscored:
        raise ProbeError(unscored)


def print_study(workspace: Workspace, study: str, form: str, more: Mapping[str, Any] | None = None) -> None:
    """Print a study's ranking, or what to do next where it has no source to rank; `more` goes into the JSON."""
    from probe.cli.rank import show_ranking

    with workspace.open_store() as store:
        arms = store.arms(study)
    if any(arm.role.value == "source" for arm in arms):
        show_ranking(workspace, study, form, more=more)
        return
    say(f"Done: {counted(len(arms), 'arm')}. Search the mixture with: probe optimize --study {study}", err=form == "json")
    if form == "json":
        print_json({"study": study, "sources": [], "arms": [arm.name for arm in arms], **(more or {})})


def run_waiting(workspace: Workspace, study: str, workers: int | None, settings: EngineSettings, deadline: float | None = None) -> str:
    """Run what waits in a study, with progress, until `deadline` at most; Ctrl-C ends with a sentence on how to go on.

    Returns a sentence where probes are trained and only a benchmark could not be scored, else nothing.

    Raises:
        ProbeError: probes failed, or workers keep dying.
    """
    from probe.cli.progress import study_progress
    from probe.study.devices import default_workers
    from probe.study.local import Interrupted
    from probe.study.run import execute

    count = workers or default_workers(settings.device, settings.gpus_per_probe)
    with workspace.open_store() as store:
        before = store.progress(study).done
    try:
        with study_progress(count) as show:
            progress = execute(workspace, study, count, settings, show, deadline)
    except Interrupted:
        say("\nStopped. Every finished probe is kept; the same command goes on where this one stopped.", err=True)
        sys.exit(130)
    except RuntimeError as error:
        raise ProbeError(str(error)) from None
    if progress.done > before:
        _say_how(workspace, study)
    if progress.waiting or progress.running:
        say(
            f"The time is up; {counted(progress.waiting + progress.running, 'probe waits', 'probes wait')}, and the same command goes on.",
            err=True,
        )
    if broken := progress.failed - progress.unscored:
        raise ProbeError(
            f"{counted(broken, 'probe')} failed (last: {progress.last_error}); see `probe status`, run the same command with "
            f"--retry-failed when the cause is mended, and `probe rank --study {study}` to rank what is done."
        )
    return (
        f"{counted(progress.unscored, 'probe is', 'probes are')} trained but not scored everywhere: {progress.last_error}."
        if progress.unscored
        else ""
    )


def _say_how(workspace: Workspace, study: str) -> None:
    from probe.study.engine_use import engine_use

    with workspace.open_store() as store:
        use = engine_use(store.probes(study), store.training_costs(study))
    if use is not None:
        say(f"Engine: {use.sentence()}", err=True)


def engine_settings(options: dict[str, Any]) -> EngineSettings:
    """Return how this machine runs the probes, from a command's options."""
    from proxy_training.jobs import Backend, EngineSettings

    limit = options["cache_limit"]
    size = None if limit is None else parse_size(limit)
    return EngineSettings(options["device"], Backend(options["backend"]), options["slots"], size, options["gpus_per_probe"])


def parse_size(text: str) -> int:
    """Return the bytes of a size such as 500MB or 20GB.

    Raises:
        UsageError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise UsageError(f"{text!r} is no size: give it as 500MB or 20GB.")
    return int(float(found[1]) * 1000 ** " KMGT".index(found[2].upper() or " "))


def _check_together(options: dict[str, Any]) -> None:
    """Refuse options that say nothing of the design asked for.

    Raises:
        UsageError: there is one.
    """
    design = options["design"] or ("add-one" if options["base"] or options["sequential"] else "solo")
    for given, option, fitting in (
        (options["double"], "--double", ("halving",)),
        (options["sizes"], "--sizes", ("ladder", "phases")),
        (options["phases"], "--phase", ("phases",)),
        (options["phases_by"], "--phases-by", ("phases",)),
        (options["no_restarts"], "--no-restarts", ("phases",)),
        (options["until_decided"], "--until-decided", ("solo", "add-one", "leave-one-out", "halving", "swarm", "phases")),
    ):
        if given and design not in fitting:
            raise UsageError(f"{option} goes with --design {' or '.join(fitting)}, not with {design}.")
    if options["phases_by"] and (options["phases"] or options["phase_shares"]):
        raise UsageError("give --phases-by, or --phase and --phase-share, not both.")
    if options["until_decided"] and options["sequential"]:
        raise UsageError("give --until-decided or --sequential, not both.")
    if options["budget"] and options["sequential"]:
        raise UsageError("--budget does not go with --sequential: interrupt it when the time is up, the same command goes on.")
    if options["most_seeds"] and not options["until_decided"]:
        raise UsageError("--most-seeds goes with --until-decided.")
    if options["orders"] > 1 and not options["sequential"]:
        raise UsageError("--orders goes with --sequential.")


def _request(options: dict[str, Any]) -> RunRequest:
    from db.values import Design
    from probe.study.base import parse_base
    from probe.study.request import GroupBy, RunRequest
    from probe.study.written import parse_groups, parse_phases, parse_sizes
    from proxy_training.jobs import Precision, Scope

    changes: dict[str, Any] = {
        "learning_rate": options["learning_rate"],
        "rank": options["lora_rank"],
        "scope": Scope(options["scope"]) if options["scope"] else None,
        "precision": Precision(options["precision"]) if options["precision"] else None,
    }
    return RunRequest(
        sources=options["sources"],
        study=options["study"],
        design=Design(options["design"]) if options["design"] else None,
        base=parse_base(options["base"]) if options["base"] else None,
        proxy=options["proxy"],
        samples=options["samples"],
        tokens=options["tokens"],
        seeds=options["seeds"],
        benchmarks=options["benchmarks"],
        add_share=options["add_share"],
        mixtures=options["mixtures"],
        device=options["device"],
        keep_contaminated=options["keep_contaminated"],
        by=GroupBy(options["by"]) if options["by"] else None,
        groups=parse_groups(options["groups"]),
        sizes=parse_sizes(options["sizes"]),
        phases=parse_phases(options["phases"], options["phase_shares"]),
        restarts=not options["no_restarts"],
        doubled=options["double"],
        recipe_changes=tuple((name, value) for name, value in changes.items() if value is not None),
    )


def estimated(workspace: Workspace, planned: Planned, options: dict[str, Any]) -> CostEstimate | None:
    """Measure what the plan's new probes will cost on this device, and print it; None where there is nothing to train or score."""
    from probe.study.devices import default_workers
    from probe.study.estimate import estimate

    if not planned.new:
        return None
    workers = options["workers"] or default_workers(options["device"], options["gpus_per_probe"])
    click.echo(f"Measuring some steps on {workers} process{'es' if workers > 1 else ''} ...", err=True)
    cost = estimate(workspace, planned.plan, workers, engine_settings(options))
    each = 3600 * cost.process_hours / max(1, cost.probes)
    probes = f"{counted(cost.probes, 'probe')} of {each:.1f} s each"
    say(f"About {cost.hours:.2g} hours: {probes}, {workers} at a time. Slots: {cost.calibration.choice}.", err=True)
    say(f"{cost.fit.sentence()} A measured process held {cost.calibration.peak_bytes / 1e9:.1f} GB.", err=True)
    if warning := cost.fit.warning():
        say(warning, err=True)
    return cost


def cost_json(cost: CostEstimate) -> dict[str, Any]:
    """Return an estimate as the object that `--dry-run --json` prints."""
    return {
        "probes": cost.probes,
        "hours": cost.hours,
        "process_hours": cost.process_hours,
        "seconds": {
            "start": cost.calibration.start_s,
            "image": cost.calibration.image_s,
            "token": cost.calibration.token_s,
            "item": cost.calibration.item_s,
        },
        "slots": cost.calibration.choice,
        "memory": {
            "where": cost.fit.where,
            "weights": cost.fit.need.weights,
            "adapters": cost.fit.need.adapters,
            "activations": cost.fit.need.activations,
            "peak": cost.fit.peak,
            "processes": cost.fit.processes,
            "free": cost.fit.free,
            "measured": cost.calibration.peak_bytes,
            "warning": cost.fit.warning(),
        },
        "features_on_disk": cost.fit.features,
    }


def plan_json(planned: Planned) -> dict[str, Any]:
    """Return a plan as the object that `--dry-run --json` prints."""
    study = planned.plan.study
    return {
        "study": study.name,
        "proxy": study.proxy.name,
        "budget": study.budget,
        "budget_unit": study.budget_unit.value,
        "benchmarks": [record.spec.name for record in planned.plan.benchmarks],
        "arms": [arm.name for arm in planned.plan.arms],
        "study_arms": planned.study_arms,
        "study_probes": planned.study_probes,
        "new": planned.new,
        "done": planned.done,
        "probes": [
            {"arm": p.arm, "repeat": p.repeat, "seed": p.seed, "rows": p.rows, "tokens": p.tokens, "training": p.training_id}
            for p in planned.plan.probes
        ],
    }


def print_plan(planned: Planned) -> None:
    """Print what a plan holds, and how much of it is new."""
    study, probes = planned.plan.study, planned.plan.probes
    rows = sorted(probe.rows for probe in probes if probe.rows)
    tokens = sorted(probe.tokens for probe in probes if probe.rows)
    say(
        f"Study {study.name}: {counted(planned.study_arms, 'arm')}, "
        f"{counted(planned.study_probes, 'probe')} ({planned.new} new, {planned.done} done), "
        f"budget {study.budget:,} {study.budget_unit.value} each"
        + (f" = {rows[0]:,}-{rows[-1]:,} rows, {tokens[0]:,}-{tokens[-1]:,} tokens." if rows else "."),
        err=True,
    )
    if planned.new_benchmarks:
        nothing = "" if planned.new else ", training nothing"
        say(f"Scoring {planned.saved} saved adapters on {', '.join(planned.new_benchmarks)}{nothing}.", err=True)
