"""The real VLMEvalKit in its own environment, where there is one: `.venv-eval` of the project, or PROBE_EVAL_PYTHON."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MISSING = "VLMEvalKit is not here: `make eval` builds .venv-eval, or PROBE_EVAL_PYTHON names an interpreter that has ms-vlmeval"


def interpreter() -> Path | None:
    """Return the interpreter that has VLMEvalKit."""
    named = os.environ.get("PROBE_EVAL_PYTHON")
    found = Path(named) if named else HERE.parents[1] / ".venv-eval" / "bin" / "python"
    has = found.is_file() and subprocess.run([found, "-c", "import importlib.util as u; assert u.find_spec('vlmeval')"], check=False)
    return found if has and has.returncode == 0 else None


class VlmEvalKit:
    """A running child that scores what it is given; importing the package takes seconds, so there is one for all tests."""

    def __init__(self, python: Path) -> None:
        command = [str(python), str(HERE / "vlmevalkit_judge.py")]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, cwd=HERE
        )

    def __call__(self, kind: str, rows: list[dict[str, Any]], *, evaluate: bool = False) -> dict[str, Any]:
        """Score rows of one kind."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"kind": kind, "rows": rows, "evaluate": evaluate}) + "\n")
        self._process.stdin.flush()
        told = self._process.stdout.readline()
        assert told, f"VLMEvalKit ended on {kind}: {rows}"
        return json.loads(told)  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the child."""
        self._process.communicate()
