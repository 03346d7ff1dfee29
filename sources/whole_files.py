"""Files that are complete when they exist."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path


def write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside the one that is meant, and rename it; where that fails, nothing is left and nothing replaced."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        write(temporary)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole_text(file: Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all."""
    write_whole(file, lambda path: path.write_text(text, encoding="utf-8"))
