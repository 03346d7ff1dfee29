#!/usr/bin/env python3
"""How many merged mixtures a minute are scored, at what share of a trained mixture's cost, and how they agree with trained ones.

Sources of easy-VQA on the bundled proxy: each alone, and a swarm; then weighted sums of the single-source adapters, scored in this process
from an empty cache. CPU seconds of one process throughout, so the figures are a core's. A workspace that is given is gone on with.

OMP_NUM_THREADS=1 python benchmarks/merging.py [--workspace DIR] [--mixtures 20] [--samples 1920] [--seeds 3] [--scored 60] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from probe.decide.levels import combination
from probe.study.merged_search import merging
from probe.study.merging import score_merged
from probe.study.observations import observations, targets
from probe.workspace import Workspace
from proxy_training.jobs import EngineSettings

SOURCES = ("colour", "shape", "presence", "half-wrong", "shuffled")
BENCHMARKS = ("colour", "shape", "presence")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=None)
    parser.add_argument("--mixtures", type=int, default=20)
    parser.add_argument("--samples", type=int, default=1920)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scored", type=int, default=60, help="merged mixtures beside the trained ones")
    parser.add_argument("--workers", type=int, default=2)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(wanted.workspace or Path(folder) / "ws")
        train(workspace, wanted)
        print(json.dumps(measure(workspace, wanted.scored), indent=1))


def train(workspace: Workspace, wanted: argparse.Namespace) -> None:
    """Train what is not trained yet."""
    command = [sys.executable, "-c", "from probe.cli.main import main; main()", "--workspace", str(workspace.root), "run"]
    command += [word for name in SOURCES for word in ("--source", f"easy-vqa/{name}")]
    command += [word for name in BENCHMARKS for word in ("--benchmark", f"easy-vqa/{name}")]
    command += ["--samples", str(wanted.samples), "--workers", str(wanted.workers)]
    subprocess.run([*command, "--design", "solo", "--seeds", str(wanted.seeds)], check=True, stdout=sys.stderr)
    subprocess.run([*command, "--design", "swarm", "--seeds", "2", "--mixtures", str(wanted.mixtures)], check=True, stdout=sys.stderr)


def measure(workspace: Workspace, scored: int) -> dict[str, Any]:
    """Score merged mixtures twice, the second time from an empty cache with everything loaded by the first; compare with training."""
    with workspace.open_store() as store:
        study = store.study("main")
        assert study is not None
        seen = observations(store, study)
        objective = combination(seen.parts, range(len(seen.arms)))
        runs, seconds = None, []
        for filling in (scored, 1):
            shutil.rmtree(workspace.merged, ignore_errors=True)
            began = time.process_time()
            found = score_merged(workspace, store, study, seen, objective, EngineSettings("cpu"), filling=filling)
            seconds.append((time.process_time() - began, int(np.isfinite(found.values[..., 0]).sum())))
            runs = runs or found
        # Two calls of unequal length: the difference is without what loading takes.
        each = (seconds[0][0] - seconds[1][0]) / (seconds[0][1] - seconds[1][1])
        trained = [probe.train_cpu_s + probe.eval_cpu_s for probe in store.probes("main") if probe.rows]
        told = merging(runs, seen, targets(seen, objective)).as_json()
    return {
        "mixtures_a_minute_and_core": 60 / each,
        "cpu_s_a_mixture": each,
        "items_a_mixture": runs.items,
        "cpu_s_a_trained_mixture": float(np.median(trained)),
        "trained_over_merged": float(np.median(trained)) / each,
        "agreement": {name: told.get(name) for name in ("order", "capabilities", "sources")},
        "trained_mixtures": len(told.get("residuals", ())),
    }


if __name__ == "__main__":
    main()
