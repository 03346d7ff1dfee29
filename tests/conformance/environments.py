"""The environments of `make conformance`: a folder of unpacked packages a trainer, seen only by the process that needs it.

python -m tests.conformance.environments            # builds what is missing of environments.toml
python -m tests.conformance.environments trl        # of one
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-conformance"


def wanted() -> dict[str, list[str]]:
    with (Path(__file__).parent / "environments.toml").open("rb") as file:
        return {name: entry["packages"] for name, entry in tomllib.load(file).items()}


def is_built(name: str) -> bool:
    stamp = FOLDER / name / "BUILT"
    return stamp.exists() and stamp.read_text().split() == wanted()[name]


def build(name: str) -> None:
    """Install an environment's packages without dependencies; the stamp is written last."""
    folder = FOLDER / name
    (folder / "BUILT").unlink(missing_ok=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(folder), *wanted()[name]]
    subprocess.run(command, check=True)
    (folder / "BUILT").write_text("\n".join(wanted()[name]) + "\n")


def ask(name: str, script: str, *arguments: object, cwd: Path | None = None):
    """Run a Python script where a trainer's package can be imported, and return the JSON that it prints last.

    Skips the test where the environment is not built.
    """
    if not is_built(name):
        pytest.skip(f"{' '.join(wanted()[name])} is not here: run `make conformance`")
    own = {"PYTHONPATH": os.pathsep.join([str(FOLDER / name), str(ROOT)]), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    own |= {"HF_HOME": str((cwd or FOLDER) / ".cache"), "MODELSCOPE_CACHE": str((cwd or FOLDER) / ".cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], cwd=cwd, env=os.environ | own, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    for chosen in sys.argv[1:] or wanted():
        if not is_built(chosen):
            print(f"building {chosen}: {' '.join(wanted()[chosen])}", flush=True)
            build(chosen)
