"""Which version of a team's scorer this is, found without running or importing it."""

from __future__ import annotations

import shlex
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from sources.benchmark import InHouseScorer
from sources.canonical import content_hash, hash_bytes
from sources.problems import SourceError

MOST_BYTES = 16 * 1024 * 1024  # of a file that is taken for a part of a command


def scorer_version(scorer: InHouseScorer) -> str:
    """Return the hash of a function's name and source file, or of a command line and the files that it names.

    Raises:
        SourceError: the file is not there.
    """
    if scorer.entry_point:
        name = scorer.entry_point.rpartition(":")[2]
        return content_hash(["python", name, hash_bytes(_read(source_file(scorer)))])
    words = command_words(scorer)
    return content_hash(["command", words, [hash_bytes(_read(file)) for file in _files(words, Path(scorer.folder))]])


def command_words(scorer: InHouseScorer) -> list[str]:
    """Return a command's words as a shell would take them apart.

    Raises:
        SourceError: a quote is not closed, or there is no word.
    """
    try:
        words = shlex.split(scorer.command)
    except ValueError as error:
        raise SourceError(f"The scorer command {scorer.command!r} cannot be read ({error}); mend its quotes") from error
    if not words:
        raise SourceError("The scorer command is empty; give one such as --scorer-command 'python score.py'")
    return words


def source_file(scorer: InHouseScorer) -> Path:
    """Return the file that holds an entry point's function; nothing is imported to find it.

    Raises:
        SourceError: it is not of the form `module:function`, or there is no such module.
    """
    module, colon, function = scorer.entry_point.rpartition(":")
    if not (colon and module and function.isidentifier()):
        raise SourceError(f"The scorer {scorer.entry_point!r} is not of the form package.module:function or file.py:function")
    folder = Path(scorer.folder)
    found = folder / module if module.endswith(".py") else _module_file(module, [scorer.folder, *sys.path])
    if found is None or not found.is_file():
        raise SourceError(f"There is no module {module!r} to take the scorer {function} from; looked in {folder} and where Python looks")
    return found


def _module_file(module: str, places: list[str]) -> Path | None:
    """Walk down a dotted name by folders alone: importing a package to find a module in it would run its code."""
    spec = None
    for part in module.split("."):
        spec = PathFinder.find_spec(part, places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or [])
    return Path(spec.origin) if spec is not None and spec.origin and spec.has_location else None


def _files(words: list[str], folder: Path) -> list[Path]:
    """Return the files that a command names; of a program itself only a script, which an interpreter is not."""
    named = [folder / word for word in words]
    files = [file for file in named if file.is_file() and file.stat().st_size <= MOST_BYTES]
    return [file for file in files if file != named[0] or _read(file)[:2] == b"#!"]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SourceError(f"The scorer's file {file} cannot be read ({error.strerror}); put it back, or add the benchmark again") from error
