"""The commit that is recorded: that of the checkout the program runs from, and of nothing around it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from probe.code_version import code_version


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def test_a_checkout_has_a_commit_and_an_installed_package_a_version(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "file").write_text("a")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    clean = code_version(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean.commit)
    assert (clean.dirty, clean.label) == (False, clean.commit)
    code_version.cache_clear()
    (tmp_path / "file").write_text("b")
    assert code_version(tmp_path).label == f"{clean.commit}+dirty"
    inside = tmp_path / "lib" / "site-packages"  # a virtual environment in somebody's repository
    inside.mkdir(parents=True)
    assert code_version(inside).commit == ""
    assert code_version(inside).label == code_version(inside).version != ""
