"""A document as a script: its commands and code in order, what stands in for what cannot be had here, and a shell that runs them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from commands_in_docs import ROOT, Block, blocks

COMMANDS, CODE, DATA = ("", "sh"), ("python",), ("text", "json", "yaml", "toml", "tsv")
OPTIONAL = re.compile(r"\s\[[^\[\]]*\]")
EXPLAINED = re.compile(r"\s{2,}(?!-)\S.*$")


@dataclass(frozen=True)
class Script:
    """How a document is run, as data."""

    workspace: str  # that it begins with: a name of `document_scripts.WORKSPACES`
    before: str = ""  # commands, before all others
    between: Mapping[str, str] = field(default_factory=dict)  # a command, and the one that is run before it
    instead: Mapping[str, str] = field(default_factory=dict)  # whole words of a command, and what stands in for them
    left_out: Mapping[str, str] = field(default_factory=dict)  # a command that cannot run here, and why
    saved: Mapping[str, str] = field(default_factory=dict)  # a file, and how the block begins that is saved in it
    settings: Mapping[str, str] = field(default_factory=dict)  # environment variables
    leaves: tuple[str, ...] = ()  # files that are there in the end


@dataclass(frozen=True)
class Step:
    """Something to run: a command line, or a block of code."""

    where: str
    text: str
    is_code: bool = False


def steps(document: Path) -> list[Step]:
    """Return what a document has to run, in order; a block with a marker above has nothing."""
    return [step for block in blocks(document) if not block.not_run for step in steps_of(block)]


def steps_of(block: Block) -> list[Step]:
    """Return a block's commands, continued lines joined, or its code.

    What follows two spaces explains a command. What stands in brackets may be left out of a command, and is left out here.
    """
    where = f"{block.document}:{block.line}"
    if block.language not in COMMANDS:
        return [Step(where, block.text, is_code=True)] if block.language in CODE else []
    lines: list[str] = []
    for line in block.text.splitlines():
        words = EXPLAINED.sub("", line.strip())
        if line.startswith(" ") and lines:
            lines[-1] += f" {words}"
        elif words:
            lines.append(words)
    return [Step(where, without_options(line)) for line in lines]


def without_options(line: str) -> str:
    """Return a command without what stands in brackets, also in brackets within brackets."""
    shorter = OPTIONAL.sub("", line)
    return line if shorter == line else without_options(shorter)


def script_steps(document: Path, script: Script) -> Iterator[Step]:
    """Yield all that is run of a document and before it, as it stands there."""
    yield from (Step(f"before {document.name}", line) for line in script.before.strip().splitlines())
    for step in steps(document):
        if step.text in script.between:
            yield Step(f"before {step.where}", script.between[step.text])
        if step.text not in script.left_out:
            yield step


def substituted(step: Step, instead: Mapping[str, str]) -> Step:
    """Return a command in which others stand in for whole words, for the longest first."""
    line = step.text
    for words in () if step.is_code else sorted(instead, key=len, reverse=True):
        line = re.sub(rf"(?<!\S){re.escape(words)}(?!\S)", lambda _, words=words: instead[words], line)
    return replace(step, text=line)


def save_blocks(document: Path, saved: Mapping[str, str], here: Path) -> None:
    """Save blocks of a document in the files that its commands name."""
    for name, beginning in saved.items():
        (text,) = (block.text for block in blocks(document) if block.text.startswith(beginning))
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(f"{text}\n")


@dataclass(frozen=True)
class Shell:
    """Runs commands in a folder as a user types them there, in real processes."""

    here: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def run(self, step: Step) -> str:
        """Run a step and return what it printed.

        Raises:
            AssertionError: it failed.
        """
        words = [sys.executable, "-c", step.text] if step.is_code else ["bash", "-e", "-c", step.text]
        asked = {"cwd": self.here, "env": self.environment(), "stdin": subprocess.DEVNULL}
        done = subprocess.run(words, **asked, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{step.where}: {step.text}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def environment(self) -> dict[str, str]:
        """Return an environment without this machine's own settings, and with `probe` and `python` on the path."""
        scripts = self.here.parent / "bin"
        scripts.mkdir(exist_ok=True)
        for name, words in (("probe", "-m probe"), ("python", "")):
            (scripts / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            (scripts / name).chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROBE_", "HF_"))}
        own = {"PATH": f"{scripts}:{kept['PATH']}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "USER": "ada"}
        return kept | own | dict(self.settings)

    def manifests(self) -> list[str]:
        """Return the hashes of the workspace's manifests, as their files' names have them, the newest first."""
        files = sorted(self.here.glob(".probe/manifests/*.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        return [file.stem.rpartition("-")[2] for file in files]
