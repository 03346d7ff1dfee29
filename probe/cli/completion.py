"""`probe completion`: what a shell needs to complete commands, options, and the names that the workspace knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from probe.workspace import Workspace

if TYPE_CHECKING:
    from db.store import Store

VARIABLE = "_PROBE_COMPLETE"
FILES = {"bash": "~/.bashrc", "zsh": "~/.zshrc", "fish": "~/.config/fish/completions/probe.fish"}
OPTIONS = {
    "--study": "studies",
    "--source": "sources",
    "--benchmark": "benchmarks",
    "--outside": "benchmarks",
    "--proxy": "proxies",
    "--trainer": "trainers",
    "--manifest": "manifests",
    "--base": "manifests",
}
ARGUMENTS = {"manifest": "manifests", "a": "manifests", "b": "manifests", "which": "decisions", "slug": "sources", "slugs": "sources"}
NAMES_OF = {"studies": "studies", "benchmarks": "benchmarks", "proxies": "proxies"}  # what the argument `name` is, by group
NEW = ("add", "build")  # commands whose argument is a name that is not there yet


@click.command()
@click.argument("shell", type=click.Choice(list(FILES)))
def command(shell: str) -> None:
    """Print what makes a shell complete commands, options and names.

    \b
    bash:  eval "$(probe completion bash)"          in ~/.bashrc
    zsh:   eval "$(probe completion zsh)"           in ~/.zshrc
    fish:  probe completion fish > ~/.config/fish/completions/probe.fish
    """
    from probe.cli.main import cli

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(cli, {}, "probe", VARIABLE).source())


class Known(click.types.StringParamType):
    """A text that is completed to names of a kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the known names that begin so; none where the store cannot be read."""
        options = ctx.find_root().params
        try:
            names = known_names(self.kind, options["workspace"], options.get("db_url") or "")
            return [CompletionItem(name) for name in names if name.startswith(incomplete)]
        except Exception:  # a shell shows nothing of an error, and completing is no place to mend one
            return []


def complete_names(group: str, found: click.Command) -> click.Command:
    """Let a command's options and arguments that name something be completed; of a group, those of its commands."""
    if isinstance(found, click.Group):
        for name in found.commands:
            if name not in NEW:
                complete_names(group, found.commands[name])
        return found
    for parameter in found.params:
        kind = _kind(group, parameter)
        if kind and isinstance(parameter.type, click.types.StringParamType):
            parameter.type = Known(kind)
    return found


def known_names(kind: str, root: str | Path, db_url: str) -> Iterable[str]:
    """Return the names of a kind that a workspace knows, and those that are built in."""
    if kind == "trainers":
        from probe.export import exporter_names

        return exporter_names()
    if kind == "proxies":
        from proxy_training.presets import presets

        return ["tiny", *presets()]
    place = Workspace(Path(root), db_url)
    if not place.exists():
        return []
    with place.open_store(read_only=True) as store:
        return _STORED[kind](store)


def _kind(group: str, parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return NAMES_OF.get(group, "") if parameter.name == "name" else ARGUMENTS.get(parameter.name or "", "")
    return next((OPTIONS[spelling] for spelling in parameter.opts if spelling in OPTIONS), "")


def _sources(store: Store) -> list[str]:
    return [record.spec.slug for record in store.sources()]


def _studies(store: Store) -> list[str]:
    return [record.name for record in store.studies()]


def _manifests(store: Store) -> list[str]:
    return [record.hash[:12] for record in store.manifests()]


_STORED: dict[str, Callable[[Store], list[str]]] = {
    "sources": _sources,
    "studies": _studies,
    "manifests": _manifests,
    "decisions": lambda store: [*_studies(store), *_manifests(store)],
    "benchmarks": lambda store: [record.spec.name for record in store.benchmarks()],
}
