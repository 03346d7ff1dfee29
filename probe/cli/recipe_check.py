"""`probe proxies check`: is a study's answer one of its sources, or of its learning rate and budget?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from probe.cli.output import estimate_json, interval, print_json, print_table, say
from probe.errors import ProbeError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from db.store import Store
    from probe.study.recipe_check import RecipeCheck, RecipePlan


@click.command("check")
@click.option("--study", default="main", show_default=True, help="The study whose recipe is checked.")
@click.option("--source", "sources", multiple=True, metavar="S", help="Check with these alone.  [default: all that the study trained]")
@click.option("--seeds", type=click.IntRange(2, 64), default=2, show_default=True, help="Repeats of every training.")
@click.option("--workers", type=click.IntRange(1), default=None, help="Processes.  [default: one a core, or one a GPU]")
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...; found by itself.")
@click.option("--dry-run", is_flag=True, help="Print what it costs; store nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def check(
    workspace: Workspace,
    study: str,
    sources: tuple[str, ...],
    seeds: int,
    workers: int | None,
    device: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train a study's sources at half, once and twice its learning rate and budget, and say whether the answer changes.

    The grid lies in studies of its own, STUDY-rate-x0.5, STUDY-rate-x1 and STUDY-rate-x2; trainings that are there are used again. The
    answer is kept as a note on the study, and told beside its ranking and its decisions.
    """
    from probe.cli.run import run_waiting
    from probe.study.devices import check_device
    from probe.study.recipe_check import judged, keep_check, plan_check, store_check
    from proxy_training.jobs import EngineSettings

    check_device(device)
    workspace.check_writable()
    with workspace.open_store() as store:
        plan = plan_check(workspace, store, study, sources, seeds, lambda line: say(line, err=True))
        say(cost_sentence(plan), err=True)
        if dry_run:
            if as_json:
                print_json({"study": study, "new": plan.new, "hours": plan.hours, "studies": [one.study.name for one in plan.plans]})
            return
        store_check(store, plan)
    for one in plan.plans:
        if unscored := run_waiting(workspace, one.study.name, workers, EngineSettings(device)):
            raise ProbeError(unscored)
    with workspace.open_store() as store:
        found = judged(store, plan)
        keep_check(store, found)
    print_json(check_json(found)) if as_json else _print(found)


def cost_sentence(plan: RecipePlan) -> str:
    """Say what the grid trains and about how long that takes one process."""
    trainings = sum(len(one.probes) for one in plan.plans)
    hours = f", about {plan.hours:.2g} hours of one process" if plan.new and math.isfinite(plan.hours) else ""
    return f"{len(plan.sources)} sources at 3 learning rates and 3 budgets: {trainings} trainings, {plan.new} of them new{hours}."


def check_json(found: RecipeCheck) -> dict[str, Any]:
    """Return the checked grid as an object."""
    return {
        "study": found.study,
        "metric": found.metric,
        "learning_rate": found.learning_rate,
        "sources": list(found.sources),
        "order_changes": any(one.reversed for one in found.cells),
        "dominated": any(one.better for one in found.cells),
        "cells": [
            {
                "rate": one.cell.rate,
                "budget": one.cell.budget,
                "agreement": estimate_json(one.order.agreement),
                "rank": estimate_json(one.order.rank),
                "pairs": one.order.pairs,
                "reversed": [list(pair) for pair in one.reversed],
                "gain": estimate_json(one.gain),
                "better": one.better,
            }
            for one in found.cells
        ],
        "said": list(found.said),
    }


def kept_line(store: Store, study: str) -> str:
    """Return what the newest check of a study's recipe said; empty where there is none."""
    from probe.study.recipe_check import kept_check

    kept = kept_check(store, study)
    if kept is None:
        return ""
    found, made = kept
    return f"Recipe, checked with {len(found.sources)} sources on {made[:10]}: {' '.join(found.said)}"


def kept_json(store: Store, study: str) -> dict[str, Any] | None:
    """Return the same as an object; null where there is none."""
    from probe.study.recipe_check import kept_check

    kept = kept_check(store, study)
    return None if kept is None else check_json(kept[0]) | {"checked_at": kept[1]}


def _print(found: RecipeCheck) -> None:
    rows = [
        [
            f"x{one.cell.rate:g}",
            f"x{one.cell.budget:g}",
            interval(one.gain),
            interval(one.order.agreement, 2, signed=False),
            str(len(one.reversed)),
        ]
        for one in found.cells
    ]
    print_table(["rate", "budget", f"{found.metric} beside the study's", "order agreement", "turned round"], rows)
    for line in found.said:
        say(line)
