"""The command line: it only assembles; one file a command, imported when it is called."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from pathlib import Path

import click

from probe.commands import COMMANDS
from probe.workspace import DEFAULT_ROOT, Workspace

# What a folder says that cannot be made or filled; missing ones too, as in /proc.
_PLACE_ERRORS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.ENOTDIR, errno.EEXIST}

WORDS = "probe.words"  # of a call: the command, its own command, its options


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the job."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"probe.cli.{cmd_name}").command
        if "_PROBE_COMPLETE" in os.environ:  # a shell asks what could stand here
            from probe.cli.completion import complete_names

            return complete_names(cmd_name, command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, with a suggestion for a misspelt one."""
        import difflib

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"there is no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else "; see probe --help"))
        ctx.meta[WORDS] = tuple(args)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; errors that the user can mend are one sentence and a non-zero exit code."""
        from probe.cli.output import say
        from probe.errors import UsageError

        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except OSError as error:
            sentence = _cannot_be_written(error, ctx.obj)
            if not sentence:
                raise
            say(f"Error: {sentence}", err=True)
        except Exception as error:
            if not isinstance(error, _mendable()):
                raise
            say(f"Error: {error}", err=True)
            sys.exit(2 if isinstance(error, UsageError) else 1)
        sys.exit(1)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "PROBE"})
@click.option(
    "--workspace", default=DEFAULT_ROOT, type=click.Path(path_type=Path, file_okay=False), show_default=True, help="Where studies are kept."
)
@click.option("--db", "db_url", default="", envvar="PROBE_DB_URL", help="Database URL; by default probe.db in the workspace.")
@click.version_option(package_name="vlm-source-probe")
@click.pass_context
def cli(ctx: click.Context, workspace: Path, db_url: str) -> None:
    """Choose what to fine-tune a vision-language model on: by experiment, with intervals."""
    ctx.obj = Workspace(workspace, db_url)
    if (db_url or workspace.absolute() != Path(DEFAULT_ROOT).absolute()) and not ctx.obj.exists():
        from probe.cli.no_workspace import tell_missing

        tell_missing(ctx.meta.get(WORDS, ()), ctx.obj)


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        cli.main(standalone_mode=False, prog_name="probe")
    except click.exceptions.Abort:
        click.echo("Interrupted. Nothing is left half done; the same command begins again.", err=True)
        sys.exit(130)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _mendable() -> tuple[type[Exception], ...]:
    """Return the errors whose message is for the user; called once something failed, because importing them takes a while."""
    from db.errors import StoreError
    from probe.errors import ProbeError
    from proxy_training.families.registry import ProxyError
    from sources.problems import SourceError

    return ProbeError, StoreError, ProxyError, SourceError


def _cannot_be_written(error: OSError, workspace: Workspace) -> str:
    """Return the sentence for a place that cannot be written; nothing for another error."""
    if error.filename is None or error.errno not in _PLACE_ERRORS:
        return ""
    path, root = Path(os.fsdecode(error.filename)).absolute(), workspace.root.absolute()
    option = "--workspace" if path.is_relative_to(root) or root.is_relative_to(path) else "--out"
    return f"{error.filename} cannot be written ({error.strerror}); choose another place with {option}"
