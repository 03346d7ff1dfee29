"""The surrogate benchmark on CSV files of known surfaces, run as users run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from probe.decide.simplex import sobol_mixtures

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "surrogate.py"


def write(path: Path, names: list[str], rows: np.ndarray, index: bool) -> Path:
    lines = [",".join((["index"] if index else []) + names)]
    lines += [",".join(([str(k)] if index else []) + [repr(float(x)) for x in row]) for k, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def losses(weights: np.ndarray, seed: int) -> np.ndarray:
    own = np.column_stack([3 - np.sqrt(weights[:, 0]) - 0.5 * weights[:, 2], 4 - 2 * np.sqrt(weights[:, 1])])
    return own + 0.02 * np.random.default_rng(seed).standard_normal(own.shape)


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, words)], capture_output=True, text=True, check=False)


def test_a_test_pair_is_ordered_and_finished_draws_are_kept(tmp_path: Path) -> None:
    points, others = sobol_mixtures(60, 3, 0), sobol_mixtures(24, 3, 7)
    names, targets = ["train_a_x", "train_b", "train_c"], ["metric/a_x_val_loss", "b_loss"]
    words = [
        *("--weights", write(tmp_path / "w.csv", names, 7 * points, True)),
        *("--targets", write(tmp_path / "t.csv", targets, losses(points, 0), True)),
        *("--test-weights", write(tmp_path / "w2.csv", names[::-1], others[:, ::-1], False)),
        *("--test-targets", write(tmp_path / "t2.csv", targets, losses(others, 1), False)),
        *("--runs", "6,9", "--draws", 2, "--json", "--out", tmp_path / "draws.jsonl"),
    ]
    first = run(*words)
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    assert set(found["overall"]) == {"6", "9"}
    row = found["overall"]["9"]
    assert row["spearman"]["value"] > 0.6
    assert row["gains"]["own-weight"]["value"] < 0.5
    assert row["gain_low"] <= min(gain["low"] for gain in row["gains"].values())
    assert row["partial"] is not None
    assert row["regret"]["value"] < 0.5
    assert 0.7 < row["coverage"]["value"] <= 1
    assert set(found["per_target"]) == set(targets)
    lines = (tmp_path / "draws.jsonl").read_text().splitlines()
    assert len(lines) == 4
    (tmp_path / "draws.jsonl").write_text("\n".join(lines[:3]) + "\n" + lines[3][:50])  # killed while it wrote the last one
    again = run(*words)
    assert again.stderr.count("draw") == 1
    assert json.loads(again.stdout)["overall"] == found["overall"]


def test_without_a_test_pair_the_runs_are_split_in_five(tmp_path: Path) -> None:
    points = sobol_mixtures(40, 3, 0)
    weights = write(tmp_path / "w.csv", ["p", "q", "r"], points, False)
    found = run(
        "--weights",
        weights,
        "--targets",
        write(tmp_path / "t.csv", ["x", "y"], losses(points, 0), True),
        "--draws",
        1,
        "--runs",
        9,
        "--json",
    )
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert set(told["overall"]) == {"9"}
    assert told["overall"]["9"]["spearman"]["value"] > 0.6
    assert told["overall"]["9"]["partial"] is None  # no target is named like a source
    assert "own-weight" not in told["overall"]["9"]["gains"]


@pytest.mark.parametrize(("text", "said"), [("a,b\n1,2\n", "rows"), ("a,b\n1,x\n", "no number"), ("a,b\n1,nan\n2,3\n", "missing")])
def test_bad_files_are_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "w.csv").write_text(text)
    (tmp_path / "t.csv").write_text("t\n1\n2\n")
    found = run("--weights", tmp_path / "w.csv", "--targets", tmp_path / "t.csv")
    assert found.returncode == 1
    assert said in found.stderr
    assert "Traceback" not in found.stderr
