"""Folders that are complete when they exist."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path


def publish_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Write into a temporary folder and rename it, so that a folder that exists is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        write(temporary)
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
