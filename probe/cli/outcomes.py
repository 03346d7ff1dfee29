"""`probe outcomes`: record, list and remove full-scale results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from probe.cli.output import listing_options, print_json, print_listing, say
from probe.errors import ProbeError, UsageError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from db.store import Store
    from db.values import Outcome
    from probe.study.outcomes import Given, Line
    from sources.mixture import Curriculum

COLUMNS = ("study", "name", "mixture", "scores", "seeds", "manifest", "note", "created_at")


@click.group()
def command() -> None:
    """Record, list and remove full-scale results: they tell how well the proxy agrees with full scale."""


@command.command()
@click.option("--study", default="main", show_default=True, help="The study whose proxy they check.")
@click.option("--manifest", default="", metavar="M", help="The manifest that was trained: a file, or the beginning of a hash.")
@click.option("--mixture", default="", metavar="a=.5,b=.5", help="Or the mixture that was trained.")
@click.option("--score", "scores", multiple=True, metavar="B=0.41", help="Score in 0..1 of a benchmark, a capability or overall; repeat.")
@click.option("--stderr", "stderrs", multiple=True, metavar="B=0.01", help="Its standard error, where you know it; repeat.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=1, show_default=True, help="Trainings that the scores are means of.")
@click.option("--name", default="", help="What it is called.  [default: of its manifest or mixture]")
@click.option("--note", default="", help="What to know of it: model, size, epochs.")
@click.option("--from", "file", type=click.Path(path_type=Path), default=None, metavar="F.csv", help="Many results, one score a line.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def add(workspace: Workspace, /, study: str, file: Path | None, as_json: bool, **options: Any) -> None:
    """Record the scores that a full-scale training on a mixture reached.

    A CSV file has the columns name, manifest, mixture, benchmark, score, stderr, seeds, note; all of it is recorded, or nothing.
    """
    from probe.study.fidelity import fidelity, fidelity_json
    from probe.study.outcomes import checked

    single = [name for name in ("manifest", "mixture", "scores", "stderrs", "name", "note") if options[name]]
    if file is not None and single:
        raise UsageError(f"give --from or --{single[0].removesuffix('s')}, not both.")
    workspace.check_writable()
    given = _of_file(workspace, file) if file is not None else [_of_options(workspace, options)]
    with workspace.open_store() as store:
        outcomes = [checked(store, study, one) for one in given]
        store.add_outcomes(outcomes)
        for outcome in outcomes:
            if lost := _not_compared(store, outcome):
                say(f"Note: {lost}", err=True)
        found = fidelity(store, study)
    if as_json:
        print_json({"added": [outcome.name for outcome in outcomes], "fidelity": fidelity_json(found)})
        return
    say(f"Recorded {', '.join(outcome.name for outcome in outcomes)} in study {study}.")
    say(found.said)


@command.command("list")
@click.option("--study", default=None, help="Only this study's.")
@listing_options
@click.pass_obj
def list_(workspace: Workspace, study: str | None, form: str) -> None:
    """List full-scale results, oldest first."""
    outcomes: Sequence[Outcome] = ()
    if workspace.exists():
        with workspace.open_store() as store:
            outcomes = store.outcomes(study)
    if form == "json":
        print_json([outcome_json(outcome) for outcome in outcomes])
        return
    empty = "No full-scale result is recorded: probe outcomes add --manifest M --score B=0.41."
    print_listing([_row(outcome) for outcome in outcomes], form, empty=empty, columns=COLUMNS)


@command.command()
@click.argument("name")
@click.option("--study", default="main", show_default=True, help="The study that it checks.")
@click.pass_obj
def remove(workspace: Workspace, name: str, study: str) -> None:
    """Forget a full-scale result."""
    with workspace.open_store() as store:
        store.remove_outcome(study, name)
    say(f"Outcome {name} of study {study} is removed.")


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """Return a full-scale result as an object."""
    return {
        "study": outcome.study,
        "name": outcome.name,
        "mixture": [dict(phase.mixture.weights()) for phase in outcome.curriculum.phases],
        "scores": [
            {"level": s.level, "name": s.name, "value": s.value, "stderr": s.stderr if math.isfinite(s.stderr) else None}
            for s in outcome.scores
        ],
        "seeds": outcome.seeds,
        "manifest": outcome.manifest or None,
        "note": outcome.note,
        "created_at": outcome.created_at,
    }


def _row(outcome: Outcome) -> dict[str, Any]:
    phases = [",".join(f"{slug}={share:.3g}" for slug, share in phase.mixture.shares) for phase in outcome.curriculum.phases]
    scores = [f"{s.name}={s.value:.4g}" + (f"±{s.stderr:.2g}" if math.isfinite(s.stderr) else "") for s in outcome.scores]
    row = {"study": outcome.study, "name": outcome.name, "mixture": " then ".join(phases), "scores": " ".join(scores)}
    return row | {"seeds": outcome.seeds, "manifest": outcome.manifest[:12], "note": outcome.note, "created_at": outcome.created_at}


def _of_options(workspace: Workspace, options: dict[str, Any]) -> Given:
    from probe.study.outcomes import Given

    curriculum, manifest = _trained(workspace, options["manifest"], options["mixture"], "give --manifest M or --mixture a=.5,b=.5")
    scores, stderrs = (_pairs(f"--{name}", options[f"{name}s"]) for name in ("score", "stderr"))
    return Given(curriculum, scores, stderrs, options["seeds"], options["name"], manifest, options["note"])


def _of_file(workspace: Workspace, file: Path) -> list[Given]:
    from probe.study.outcomes import read_lines, results_of

    given = [_of_lines(workspace, first, lines) for first, lines in results_of(read_lines(file))]
    if not given:
        raise ProbeError(f"{file} holds no result.")
    return given


def _of_lines(workspace: Workspace, first: Line, lines: Sequence[Line]) -> Given:
    from probe.study.outcomes import Given

    cells = first.cells
    at = f"line {first.number}: give a manifest or a mixture"
    curriculum, manifest = _trained(workspace, cells.get("manifest", ""), cells.get("mixture", ""), at)
    stderrs = {line.cells["benchmark"]: line.value("stderr", math.nan) for line in lines if line.cells.get("stderr")}
    seeds = first.value("seeds", 1)
    if seeds != int(seeds):
        raise ProbeError(f"line {first.number}: seeds {seeds:g} is no whole number.")
    scores = {line.cells["benchmark"]: line.value("score", math.nan) for line in lines}
    return Given(curriculum, scores, stderrs, int(seeds), cells.get("name", ""), manifest, cells.get("note", ""))


def _trained(workspace: Workspace, manifest: str, mixture: str, neither: str) -> tuple[Curriculum, str]:
    """Return what was trained, and the hash of its manifest where it has one."""
    from probe.cli.manifest import load_manifest
    from probe.study.base import parse_shares
    from sources.mixture import Curriculum, Mixture, Phase

    if bool(manifest) == bool(mixture):
        raise UsageError(f"{neither}, one of the two.")
    if mixture:
        return Curriculum.static(parse_shares("--mixture", mixture)), ""
    doc = load_manifest(workspace, manifest)
    return Curriculum(tuple(Phase(Mixture.of(phase.weights), phase.share) for phase in doc.phases)), doc.hash


def _pairs(option: str, texts: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        if name in found:
            raise UsageError(f"{option} names {name} twice.")
        try:
            found[name] = float(value)
        except ValueError:
            name = ""
        if not name:
            raise UsageError(f"{option} {text!r} is not of the form BENCHMARK=0.41.")
    return found


def _not_compared(store: Store, outcome: Outcome) -> str:
    """Say that the proxy knows nothing of a mixture whose sources its study never trained; nothing where it does."""
    trained = {slug for arm in store.arms(outcome.study) for slug in arm.curriculum.sources()}
    strange = [slug for slug in outcome.curriculum.sources() if slug not in trained]
    if not strange:
        return ""
    return f"{outcome.name} holds {', '.join(strange)}, which study {outcome.study} never trained: it cannot be compared."
