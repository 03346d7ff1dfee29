"""The bundled proxy `tiny`: an Idefics3-class model small enough to ship, and the recipe that makes it.

This module imports no torch; `proxy_training.bundled.recipe` does.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["TINY_FOLDER"]

TINY_FOLDER = Path(__file__).parent / "tiny"  # an ordinary `from_pretrained` folder
