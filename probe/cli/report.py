"""`probe report`: the decision as one page for people without access."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from probe.cli.output import say
from probe.errors import ProbeError, UsageError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from probe.report import ReportFacts


@click.command()
@click.argument("which", metavar="[STUDY|MANIFEST]", default="main")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write one HTML file that needs nothing else.")
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write the same as Markdown.")
@click.pass_obj
def command(workspace: Workspace, which: str, html: Path | None, markdown: Path | None) -> None:
    """Write the decision as one page: what to train on, how sure, cost, licences, warnings, notes, how to verify.

    Of a study (`main` by default) its newest decision is told, or the ranking where there is none yet. A manifest is a file or the
    beginning of a hash. The page holds no script and nothing from elsewhere; it reads well on a phone and on paper.
    """
    from db.clock import iso_time
    from probe.cli.output import moment_text
    from probe.report import report_html, report_markdown
    from sources.whole_files import write_whole_text

    if html is None and markdown is None:
        raise UsageError("say where to write it: --html FILE, --markdown FILE, or both.")
    facts = facts_here(workspace, which)
    made = f"{moment_text(iso_time(time.time()))} UTC"
    for file, write in ((html, report_html), (markdown, report_markdown)):
        if file is not None:
            write_whole_text(file, write(facts, made))
            say(f"written to {file}")


def facts_here(workspace: Workspace, which: str) -> ReportFacts:
    """Return what a report tells of a study or a manifest.

    Raises:
        ProbeError: there is neither.
    """
    from probe.cli.manifest import load_manifest
    from probe.report import decision_facts, study_facts

    with workspace.look() as store:
        if store.study(which) is not None:
            return study_facts(store, which)
        if Path(which).is_file() or store.manifest(which) is not None:
            return decision_facts(store, load_manifest(workspace, which))
        raise ProbeError(f"there is neither a study nor a manifest {which!r}: see `probe studies list` and `probe manifest list`.")
