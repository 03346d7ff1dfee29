"""Golden files: what an exporter writes of one small fixed mixture, all its texts in one file a trainer.

PROBE_WRITE_GOLDEN=1 pytest tests/conformance/test_golden.py       # after a change that is meant; then read the difference
"""

import os
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
OURS = {"README.md", "MIXTURE.md", "manifest.json", "croissant.json"}  # the same for every trainer, and tested elsewhere


def as_text(out: Path, report) -> str:
    """Return the commands, the names of all files, and the text of those that are text."""
    parts = ["$ commands", *report.commands]
    for path in sorted(path for path in out.rglob("*") if path.is_file() and path.relative_to(out).as_posix() not in OURS):
        parts.append(f"== {path.relative_to(out).as_posix()}")
        if "images" not in path.relative_to(out).parts:
            data = path.read_bytes()
            parts.append("(binary)" if b"\0" in data else data.decode())  # a tar, a parquet file: other versions may write other bytes
    return "\n".join(parts) + "\n"


def assert_golden(trainer: str, text: str) -> None:
    path = GOLDEN / f"{trainer}.txt"
    if os.environ.get("PROBE_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
