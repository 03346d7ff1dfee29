"""`probe studies`: list, show, annotate and remove studies."""

from __future__ import annotations

import getpass
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from probe.cli.output import listing_options, moment_text, plain_lines, print_fields, print_json, print_listing, say
from probe.errors import ProbeError, UsageError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from db.store import Store
    from db.values import StudyRecord

EMPTY = "There is no study yet: probe run --source S."
COLUMNS = ("study", "proxy", "budget", "arms", "benchmarks", "done", "waiting", "failed", "cpu_hours")
NOTES = ("written", "by", "text")


@click.group()
def command() -> None:
    """List, show, annotate and remove studies."""


@command.command("list")
@listing_options
@click.pass_obj
def list_(workspace: Workspace, form: str) -> None:
    """List studies, oldest first."""
    print_listing(study_rows(workspace), form, empty=EMPTY, columns=COLUMNS if form == "table" else None)


@command.command()
@click.argument("name")
@listing_options
@click.pass_obj
def show(workspace: Workspace, name: str, form: str) -> None:
    """Show a study: its proxy, recipe, budget, base mixture, benchmarks, arms and notes."""
    fields = study_fields(workspace, name)
    if form == "json":
        print_json(fields)
        return
    arms, _, _ = fields.pop("arm_list"), fields.pop("notes"), fields.pop("gates")  # a gate's note says it in words
    print_fields({key: _text(value) for key, value in fields.items()}, form)
    if form == "csv":
        return
    say("arms:")
    for arm in arms:
        say(f"  {arm['arm']}  {arm['role']}  {_text(arm['mixture'])}".rstrip())
    for one in note_rows(workspace, name):
        say(f"note of {moment_text(one['written'])} by {one['by'] or 'nobody named'}: {plain_lines(one['text'])}")


@command.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also while somebody is at work on it.")
@click.pass_obj
def remove(workspace: Workspace, name: str, yes: bool, force: bool) -> None:
    """Remove a study with its probes, scores and notes; manifests, and what other studies use, stay."""
    with workspace.open_store() as store:
        progress = store.progress(name)
        if progress.running and not force and running_owners(store, name):
            raise ProbeError(f"somebody is at work on study {name!r}: stop that first, or give --force.")
        if not yes and not sys.stdin.isatty():
            raise UsageError(f"this removes study {name!r} with {progress.done} finished probes: say --yes, there is nobody to ask.")
        if not yes:
            click.confirm(f"Remove study {name} with {progress.done} finished probes?", abort=True)
        store.remove_study(name)
    say(f"Study {name} is removed; `probe clean` frees what its adapters take.")


@command.command()
@click.argument("name")
@click.argument("text")
@click.option("--by", "--author", "author", default=None, help="Who writes it.  [default: your user name]")
@click.pass_obj
def note(workspace: Workspace, name: str, text: str, author: str | None) -> None:
    """Write down who decided what in a study, and why. `probe studies notes` and the pages show it."""
    if not text.strip():
        raise UsageError("a note needs words: probe studies note STUDY 'what was decided, and why'.")
    with workspace.open_store() as store:
        store.add_note(name, text, _user() if author is None else author)
    say(f"Noted in study {name}.")


@command.command()
@click.argument("name")
@listing_options
@click.pass_obj
def notes(workspace: Workspace, name: str, form: str) -> None:
    """List a study's notes, oldest first: when, who, what."""
    rows = note_rows(workspace, name)
    if form == "table":
        rows = [row | {"written": moment_text(row["written"]), "text": plain_lines(row["text"])} for row in rows]
    empty = f"Nothing is noted yet: probe studies note {shlex.quote(name)} 'what was decided, and why'."
    print_listing(rows, form, empty=empty, columns=NOTES)


def note_rows(workspace: Workspace, name: str) -> list[dict[str, str]]:
    """Return a study's notes as rows, of a logged gate its words.

    Raises:
        StoreError: there is no study of that name.
    """
    from probe.study.recorded_notes import shown_text

    with workspace.look() as store:
        return [{"written": one.created_at, "by": one.author, "text": shown_text(one)} for one in store.notes(name)]


def study_rows(workspace: Workspace) -> list[dict[str, Any]]:
    """Return every study as a row."""
    if not workspace.exists():
        return []
    with workspace.open_store() as store:
        return [_row(store, study) for study in store.studies()]


def _row(store: Store, study: StudyRecord) -> dict[str, Any]:
    progress = store.progress(study.name)
    return {
        "study": study.name,
        "proxy": study.proxy.name,
        "budget": f"{study.budget} {study.budget_unit.value}",
        "arms": len(store.arms(study.name)),
        "benchmarks": len(store.study_benchmarks(study.name)),
        "waiting": progress.waiting,
        "running": progress.running,
        "done": progress.done,
        "failed": progress.failed,
        "cpu_hours": progress.cpu_s / 3600,
        "revision": study.revision,
        "created_at": study.created_at,
    }


def study_fields(workspace: Workspace, name: str) -> dict[str, Any]:
    """Return everything about one study.

    Raises:
        StoreError: there is none of that name.
    """
    from db.documents import to_document
    from probe.cli.gates import gate_json
    from probe.decide.gates import Gate
    from probe.study.recorded_notes import GATES, recorded

    with workspace.open_store() as store:
        store.progress(name)  # says which studies there are
        study = store.study(name)
        assert study is not None
        notes = store.notes(name)
        arms = [
            {
                "arm": arm.name,
                "role": arm.role.value,
                "design": arm.design.value if arm.design else None,
                "source": arm.source,
                "mixture": [dict(phase.mixture.weights()) for phase in arm.curriculum.phases],
                "phase_shares": [phase.share for phase in arm.curriculum.phases],
                "budget": (arm.curriculum.budget or study.budget) if arm.curriculum.phases else 0,
                "restarts": arm.curriculum.restarts,
            }
            for arm in store.arms(name)
        ]
        return _row(store, study) | {
            "base": dict(study.base.weights()),
            "base_given": study.base_given,
            "add_share": study.add_share,
            "recipe": to_document(study.recipe),
            "weights": study.proxy.weights_hash,
            "benchmark_list": [record.spec.name for record in store.study_benchmarks(name)],
            "arm_list": arms,
            "gates": [gate_json(gate) for _, gate in recorded(Gate, GATES, notes)],
            "notes": [to_document(note) for note in notes],
        }


def running_owners(store: Store, name: str) -> dict[str, int]:
    """Return who is at work on a study, with how many probes each; those known to be dead are left out."""
    from probe.study.worker import owner_is_dead

    owners: dict[str, int] = {}
    for probe in store.probes(name):
        if probe.state.value == "running" and probe.owner and not owner_is_dead(probe.owner):
            owners[probe.owner] = owners.get(probe.owner, 0) + 1
    return owners


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_text(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return ", ".join(_text(entry) for entry in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user entry
        return ""
