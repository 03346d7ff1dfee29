"""What a shell completes: asked as bash asks, in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from probe.cli.main import cli
from probe.commands import COMMANDS


def completed(line):
    """Return what bash would be offered at the end of a line."""
    asked = {"_PROBE_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    code = "import sys; sys.argv = ['probe']; from probe.cli.main import main; main()"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=os.environ | asked, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return [entry.split(",", 1)[1] for entry in done.stdout.splitlines() if entry]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("probe stu", ["studies"]),
        ("probe sources sp", ["split"]),
        ("probe rank --stu", ["--study"]),
        ("probe rank --study m", ["main"]),
        ("probe studies show ", ["main"]),
        ("probe run --source mi", ["mine"]),
        ("probe sources check mi", ["mine"]),
        ("probe run --source x --benchmark b", ["bench"]),
        ("probe export abc --trainer jso", ["jsonl"]),
        ("probe manifest show ", []),
        ("probe report ma", ["main"]),
        ("probe sources add mi", []),
    ],
)
def test_names_that_the_workspace_knows_are_offered(study, line, offered):
    assert completed(line) == offered


def test_a_workspace_on_the_line_is_the_one_that_is_asked(study, tmp_path):
    (tmp_path / ".probe").rename(tmp_path / "other")
    assert completed("probe rank --study m") == []
    assert completed("probe --workspace other rank --study m") == ["main"]


def test_completing_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert completed("probe rank --study m") == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(probe, shell):
    ended = probe("completion", shell)
    assert ended.code == 0
    assert "_PROBE_COMPLETE" in ended.out


ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1='> '; autoload -U compinit; compinit -u; eval \"\$(probe completion zsh)\"; echo REA''DY"
zpty -r -m shell read '*READY*'
zpty -n -w shell $'probe rank --study ma\t'
zpty -r -m shell read '*main*' && echo COMPLETED
zpty -d shell
"""
BASH = """
eval "$(probe completion bash)"
COMP_WORDS=(probe rank --study ma) COMP_CWORD=3
_probe_completion probe
echo $COMPREPLY
"""


@pytest.mark.parametrize(
    ("shell", "script", "expected"),
    [
        ("fish", "probe completion fish | source; complete -C 'probe rank --study ma'", "main"),
        ("zsh", ZSH, "COMPLETED"),
        ("bash", BASH, "main"),
    ],
)
def test_a_real_shell_completes(study, shell, script, expected):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    place = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run([shell, "-c", script], env=place, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == [expected], done.stderr


def commands(group, path=()):
    context = click.Context(cli)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def test_every_command_and_option_has_help():
    missing = [path for path, command in commands(cli) if not command.help]
    missing += [
        f"{path} {parameter.opts[0]}"
        for path, command in commands(cli)
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden and not parameter.help
    ]
    assert not missing


def test_every_command_of_the_table_exists():
    assert {path.split(" ")[0] for path, _ in commands(cli)} == set(COMMANDS)
