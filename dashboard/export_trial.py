"""An export tried out: the command `probe export` run into a temporary folder, bounded in time and size, and what came of it.

It runs as a process of its own, so that it can be stopped, and offline, so that looking at a page fetches nothing.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.cli.dashboard import environment
from probe.cli.output import bytes_text
from probe.workspace import Workspace

MOST_BYTES = 1_000_000_000  # of the temporary folder
MOST_SECONDS = 300.0
WHOLE_BYTES = 50_000_000  # an export up to this goes through the browser whole
SMALL_BYTES = 1_000_000  # of a larger one, files up to this
SHOWN_BYTES = 100_000
LOOK_EVERY_S = 0.2
OUTSIDE = ("images",)  # folders that are listed as one line
_ONE_AT_A_TIME = threading.Lock()


class TrialRefusedError(Exception):
    """Nothing would be written, or it cannot be tried here; the message is a sentence with the cure."""


@dataclass(frozen=True, slots=True)
class TrialFile:
    """A file that would be written, or a folder of many; `text` is what a small file of text says, `inside` whether it is in the zip."""

    name: str
    size: int
    inside: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of an export: the report as `probe export --json` prints it, its files, and a zip of those that are not too large."""

    report: dict[str, Any]
    files: tuple[TrialFile, ...]
    archive: bytes

    @property
    def whole(self) -> bool:
        """Say whether the zip holds all of it."""
        return all(file.inside for file in self.files)


def try_export(place: Workspace, manifest: str, trainer: str, mode: str) -> Trial:
    """Export a manifest for a trainer into a folder that is removed again.

    Raises:
        TrialRefusedError: the export refuses, is too large or too slow to be tried here, or another one is being tried.
    """
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise TrialRefusedError("Another export is being tried on this dashboard: try again when it is done, in a few minutes at most.")
    try:
        with tempfile.TemporaryDirectory(prefix="probe-export-") as folder:
            out = Path(folder) / "export"
            words = ["export", manifest, "--trainer", trainer, "--mode", mode, "--out", str(out), "--json"]
            return _read(_run(place, words, Path(folder)), out)
    finally:
        _ONE_AT_A_TIME.release()


def _run(place: Workspace, words: list[str], folder: Path) -> dict[str, Any]:
    told, said = folder / "report.json", folder / "said.txt"
    with told.open("w") as stdout, said.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "probe", *words],
            env=environment(place) | {"HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        try:
            _wait(process, folder)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise TrialRefusedError(_sentence(said.read_text(encoding="utf-8", errors="replace")))
    report: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    return report


def _wait(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise TrialRefusedError(f"It takes longer than {MOST_SECONDS / 60:.0f} minutes: run the command on the machine instead.")
        if _size(folder) > MOST_BYTES:
            raise TrialRefusedError(f"It is larger than {bytes_text(MOST_BYTES)}: run the command on the machine instead.")
        time.sleep(LOOK_EVERY_S)


def _sentence(said: str) -> str:
    """Return what a failed command said last for people, without its mark."""
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return (errors or lines or ["the export failed and said nothing"])[-1]


def _read(report: dict[str, Any], out: Path) -> Trial:
    found = sorted(path.relative_to(out) for path in _files(out))
    whole = _size(out) <= WHOLE_BYTES
    inside = {name for name in found if whole or (name.parts[0] not in OUTSIDE and (out / name).stat().st_size <= SMALL_BYTES)}
    listed = [
        TrialFile(name.as_posix(), (out / name).stat().st_size, name in inside, _text(out / name))
        for name in found
        if name.parts[0] not in OUTSIDE
    ]
    for folder in OUTSIDE:
        many = [name for name in found if name.parts[0] == folder]
        if many:
            listed.append(TrialFile(f"{folder}/ ({len(many):,} files)", sum((out / name).stat().st_size for name in many), whole))
    return Trial(report, tuple(listed), _zipped(out, [name for name in found if name in inside]))


def _text(path: Path) -> str:
    if path.stat().st_size > SHOWN_BYTES:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def _zipped(out: Path, names: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            packed = zipfile.ZIP_STORED if name.parts[0] in OUTSIDE else zipfile.ZIP_DEFLATED
            archive.write(out / name, name.as_posix(), compress_type=packed)
    return buffer.getvalue()


def _files(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        yield from (Path(where) / name for name in names)


def _size(folder: Path) -> int:
    total = 0
    for path in _files(folder):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:  # renamed while we look
            continue
    return total
