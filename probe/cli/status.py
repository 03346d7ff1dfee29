"""`probe status`: what is waiting, running, done, failed, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from probe.cli.output import listing_options, plain, print_listing, say
from probe.workspace import Workspace

if TYPE_CHECKING:
    from db.store import Store

COLUMNS = ("study", "waiting", "running", "done", "unscored", "failed", "cpu_minutes", "cpu_minutes_left", "who")


@click.command()
@click.option("--study", default=None, help="Only this one.")
@listing_options
@click.pass_obj
def command(workspace: Workspace, study: str | None, form: str) -> None:
    """Show per study what is waiting, running, done and failed, what it cost, and how to go on."""
    rows = status_rows(workspace, study)
    print_listing(rows, form, empty="Nothing has been asked yet: probe run --source S.", columns=COLUMNS if form == "table" else None)
    if form == "table":
        for line in _hints(rows):
            say(line)


def status_rows(workspace: Workspace, study: str | None) -> list[dict[str, Any]]:
    """Return where every study stands, or one.

    Raises:
        StoreError: there is no study of that name.
    """
    if not workspace.exists() and study is None:
        return []
    with workspace.look() as store:
        return [_row(store, name) for name in ([study] if study else [record.name for record in store.studies()])]


def _row(store: Store, name: str) -> dict[str, Any]:
    from probe.cli.studies import running_owners
    from probe.study.engine_use import engine_use

    progress = store.progress(name)
    owners = running_owners(store, name)
    at_work = sum(owners.values())
    return {
        "study": name,
        "waiting": progress.waiting + progress.running - at_work,  # what a dead process held waits for the next run
        "running": at_work,
        "done": progress.done,
        "unscored": progress.unscored,
        "failed": progress.failed - progress.unscored,
        "cpu_minutes": progress.cpu_s / 60,
        "wall_minutes": progress.wall_s / 60,
        "cpu_minutes_left": progress.mean_probe_cpu_s * (progress.waiting + progress.running) / 60,
        "who": ", ".join(f"{owner} ({n})" for owner, n in owners.items()),
        "last_error": progress.last_error,
        "engine": use.sentence() if (use := engine_use(store.probes(name), store.training_costs(name))) else "",
        "sources": sum(arm.role.value == "source" for arm in store.arms(name)),
    }


def _hints(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        name = row["study"]
        if row["last_error"]:
            yield f"{name}: last error: {plain(row['last_error'].splitlines()[0])}"
        if row["failed"] or row["unscored"]:
            yield f"{name}: try what failed again: probe run --study {name} --retry-failed"
        if row["waiting"] and not row["running"]:
            yield f"{name}: go on: probe run --study {name}"
        elif row["done"] and not row["waiting"] and not row["running"] and not row["failed"]:
            yield f"{name}: done; see: probe {'rank' if row['sources'] else 'optimize'} --study {name}"
