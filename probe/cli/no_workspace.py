"""What is said where a workspace or a database file is named, by an option or the environment, that is not there."""

from __future__ import annotations

from collections.abc import Sequence

import click

from probe.errors import ProbeError
from probe.workspace import Workspace

# These read what a workspace holds and can do nothing without; True: they go on, with what is built in, a file or an empty list.
GOES_ON = {
    ("sources", "list"): True,
    ("sources", "show"): True,
    ("sources", "check"): True,
    ("sources", "overlap"): True,
    ("sources", "remove"): False,
    ("benchmarks", "list"): True,
    ("benchmarks", "show"): True,
    ("benchmarks", "check"): True,
    ("benchmarks", "remove"): False,
    ("studies", "list"): True,
    ("studies",): False,
    ("manifest",): True,
    ("outcomes", "list"): True,
    ("outcomes", "remove"): False,
    ("status",): True,
    ("rank",): False,
    ("curve",): False,
    ("optimize",): False,
    ("export",): True,
    ("report",): True,
    ("dashboard",): False,
    ("clean",): True,
}


def tell_missing(words: Sequence[str], workspace: Workspace) -> None:
    """Say on standard error that nothing was ever stored in a workspace, where the command `words` only reads.

    Raises:
        ProbeError: the command can do nothing without.
    """
    goes_on = next((GOES_ON[key] for key in (tuple(words[:2]), tuple(words[:1])) if key in GOES_ON), None)
    if goes_on is None or workspace.exists() or {"-h", "--help"} & {*words}:
        return
    named = f"store at {workspace.file()}" if workspace.db_url else f"workspace at {workspace.root}"
    sentence = f"there is no {named}: nothing was ever stored there; check {'--db' if workspace.db_url else '--workspace'}"
    if not goes_on:
        raise ProbeError(f"{sentence}, or start there with `probe demo` or `probe run --source S`.")
    click.echo(f"{sentence[0].upper()}{sentence[1:]}.", err=True)
