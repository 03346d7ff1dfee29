"""The commands that documents name: in indented and fenced blocks, and in code inside a line."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
NOT_RUN = re.compile(r"<!-- not run: .+ -->")
FENCE = re.compile(r"^```(\w*)\s*$")
INLINE = re.compile(r"(?<!`)`(probe [^`]+)`")
COMMENT = re.compile(r"\s{2,}(#|\S).*$")  # what stands after two spaces or more explains the command


@dataclass(frozen=True)
class Block:
    """A block of a document: its language (empty where indented), its lines, whether a marker above says that it is not run."""

    document: str
    line: int
    language: str
    text: str
    not_run: bool


def documents():
    """Return README and every document below docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(document):
    """Return a document's blocks in order."""
    found, lines, number = [], document.read_text().splitlines(), 0
    above = ""
    while number < len(lines):
        fence = FENCE.match(lines[number])
        indented = lines[number].startswith("    ") and (number == 0 or not lines[number - 1].strip())
        if not (fence or indented):
            above = lines[number] if lines[number].strip() else above
            number += 1
            continue
        start, body = number, []
        if fence:
            number += 1
            while lines[number].strip() != "```":
                body.append(lines[number])
                number += 1
            number += 1
        else:
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number].strip()):
                body.append(lines[number][4:])
                number += 1
        language = fence.group(1) if fence else ""
        found.append(Block(document.name, start + 1, language, "\n".join(body).rstrip(), bool(NOT_RUN.search(above))))
        above = ""
    return found


def block_commands(text):
    """Return the `probe` commands of a block, continued lines joined, what explains them left out."""
    commands = []
    for line in text.splitlines():
        if line.startswith("probe "):
            commands.append(line)
        elif commands and line.startswith(" ") and line.strip().startswith(("-", "[")):
            commands[-1] += " " + line.strip()
    return [COMMENT.sub("", command) for command in commands]


def inline_commands(document):
    """Return the `probe` commands in code inside lines."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    text = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    return [" ".join(found.split()) for found in INLINE.findall(text.replace("\n", " "))]


def resolve(words):
    """Return a command's click object, its path, what is given before it and after it.

    Raises:
        LookupError: no such command.
    """
    from probe.cli.main import cli

    context = click.Context(cli, info_name="probe")
    command, path, before, rest = cli, [], [], list(words)
    while isinstance(command, click.Group):
        while rest and rest[0].startswith("-") and not path:
            takes = 2 if rest[0] in ("--workspace", "--db") else 1
            before, rest = before + rest[:takes], rest[takes:]
        if not rest:
            return command, path, before, rest
        name = rest.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise LookupError(name)
        command, path = found, [*path, name]
    return command, path, before, rest


def options_of(command):
    """Return every spelling of a command's options."""
    return {spelling for parameter in command.params for spelling in (*parameter.opts, *parameter.secondary_opts)} | {"--help", "-h"}


def words_of(command):
    """Return a command's words, synopsis marks taken off."""
    bare = re.sub(r"[\[\](){}]|\.\.\.|\u2026", " ", command.removeprefix("probe "))
    try:
        return shlex.split(bare, comments=True)
    except ValueError:
        return bare.split()
