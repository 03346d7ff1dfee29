#!/usr/bin/env python3
"""How near `probe run --dry-run` comes to the wall time and the memory of a process that the same run then takes, from an empty workspace.

Memory is the largest resident size of any process that the run started, against the stated peak of one process.

python benchmarks/dry_run.py [--sources colour,shape,all] [--seeds 3] [--samples 1920] [--repetitions 3] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", default="colour,shape,all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=1920)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    wanted = parser.parse_args()
    asked = [word for name in wanted.sources.split(",") for word in ("--source", f"easy-vqa/{name}")]
    asked += ["--samples", str(wanted.samples), "--seeds", str(wanted.seeds), "--workers", str(wanted.workers), "--json"]
    ratios, memory = [], []
    for _ in range(wanted.repetitions):
        with tempfile.TemporaryDirectory() as workspace:
            command = [sys.executable, "-c", "from probe.cli.main import main; main()", "--workspace", workspace, "run", *asked]
            told = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True).stdout
            cost = json.loads(told)["cost"]
            hours = cost["hours"]
            began = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            spent = (time.perf_counter() - began) / 3600
            ratios.append(hours / spent)
            held = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # of all so far, the dry run's processes too
            memory.append(cost["memory"]["peak"] / held)
            print(f"stated {cost['memory']['peak'] / 1e6:.0f} MB a process, held {held / 1e6:.0f} MB", file=sys.stderr)
            print(f"predicted {3600 * hours:.0f} s, took {3600 * spent:.0f} s", file=sys.stderr)
    print(json.dumps({"predicted_over_realised": _spread(ratios), "memory_stated_over_held": _spread(memory)}))


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


if __name__ == "__main__":
    main()
