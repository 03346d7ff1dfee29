"""Folders that appear whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from probe.export.report import ExportError


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Give a temporary folder beside `out` that becomes `out` at the end, or vanishes when the body raises.

    Raises:
        ExportError: `out` exists and is not an empty folder.
    """
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} exists and is not an empty folder: give --out a new one")
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = out.parent / f".{out.name}.partial-{uuid.uuid4().hex[:8]}"
    staging.mkdir()
    try:
        yield staging
        if out.exists():
            out.rmdir()  # empty: a rename onto it is not portable
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
