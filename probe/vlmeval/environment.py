"""Where the environment of VLMEvalKit is, and whether it works. It holds another torchvision than the base can bear."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from probe.errors import ProbeError

VARIABLE = "PROBE_EVAL_PYTHON"
BUILD = "build it with `make eval` in the project's folder, or name its interpreter in PROBE_EVAL_PYTHON"
CHECK_S = 180.0


def eval_python() -> Path | None:
    """Return the interpreter of VLMEvalKit's environment: the one that is named, else `.venv-eval` beside the project; None if absent."""
    named = os.environ.get(VARIABLE, "")
    path = Path(named).expanduser() if named else Path(__file__).parents[2] / ".venv-eval" / "bin" / "python"
    return path.absolute() if os.access(path, os.X_OK) and path.is_file() else None


def need_eval_python() -> Path:
    """Return the interpreter.

    Raises:
        ProbeError: there is none.
    """
    found = eval_python()
    if found is None:
        raise ProbeError(f"VLMEvalKit's environment is not here: {BUILD}.")
    return found


def check_environment(python: Path) -> tuple[bool, str]:
    """Say whether VLMEvalKit can be imported there, and which versions it has or what went wrong; takes some seconds."""
    command = [str(python), "-m", "proxy_training.vlmeval_worker", "--check"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"cannot be run ({type(error).__name__})"
    if asked.returncode:
        return False, (asked.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
    return True, asked.stdout.strip().splitlines()[0]
