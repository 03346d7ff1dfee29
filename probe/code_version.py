"""Which version of this program runs: recorded with every training and manifest, never hashed."""

from __future__ import annotations

import functools
import platform
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DISTRIBUTION = "vlm-source-probe"
MATTERING = ("numpy", "optuna", "peft", "pillow", "safetensors", "scikit-learn", "scipy", "tokenizers", "torch", "transformers")
SOURCE_TREE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class CodeVersion:
    """The package's version and, where it runs from a git checkout, the commit and whether files differ from it."""

    version: str
    commit: str = ""
    dirty: bool = False

    @property
    def label(self) -> str:
        """Return one word for it: the commit where there is one, else the version."""
        return f"{self.commit}{'+dirty' if self.dirty else ''}" if self.commit else self.version


@functools.cache
def code_version(root: Path = SOURCE_TREE) -> CodeVersion:
    """Return the version of the source tree at `root`; an installed package's folder is no checkout, whatever lies around it."""
    commit = _git(root, "rev-parse", "HEAD") if (root / ".git").exists() else ""
    return CodeVersion(version(DISTRIBUTION), commit, bool(commit and _git(root, "status", "--porcelain", "--untracked-files=no")))


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages here that numbers depend on."""
    found = {"python": platform.python_version()}
    for name in MATTERING:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
