#!/usr/bin/env python3
"""Measure the engine against its rivals, all arms interleaved in each repetition, in CPU-seconds.

    python benchmarks/engine.py [--quick] [--json] [--repetitions 3] [--out engine.jsonl] [--only end_to_end,steps,memory]

End to end, each arm is a process of its own, imports and loading included, on the same probes (8 sources x 3 seeds of easy-VQA,
120 steps of 16 rows, 900 items): A0 a process a probe with PEFT and the transformers Trainer, then generation one item at a time;
A1 the same in one process; A2 PEFT and a plain loop; A3 the strongest simple rival (our reference back end: features once, head on
label tokens alone, choices by likelihood, same precision, threads and items); B the engine; trl SFTTrainer, where it is installed.
A0, A1, A2 and trl run a few of the probes, for their cost a probe does not depend on how many there are; A3 and B run all.
With --out, finished repetitions are kept and the same command goes on.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROBES = 24
EVAL = ("vs_generate", "vs_generate_first_time", "vs_generate_batched", "vs_A3_eval")


def cpu_of(command: Sequence[str]) -> tuple[float, str]:
    """Run a command with one thread; return its CPU seconds, children included, and its output."""
    seconds, _, out = spent_by(command)
    return seconds, out


def spent_by(command: Sequence[str]) -> tuple[float, int, str]:
    """Run a command with one thread; return its CPU seconds, children included, the most memory it held (bytes), and its output."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(HERE.parent)}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{err.read()[-3000:]}")
        return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, out.read()


def arm(name: str, probes: Sequence[int], steps: int, items: int) -> dict[str, Any]:
    """Return an arm's CPU seconds a probe and its results."""
    script = [sys.executable, str(HERE / "engine_arms.py")]
    sizes = ["--steps", str(steps), "--items", str(items)]
    results: list[Any] = []
    groups = [[n] for n in probes] if name == "A0" else [list(probes)]
    spent = 0.0
    for group in groups:
        seconds, out = cpu_of([*script, "A1" if name == "A0" else name, "--probes", ",".join(map(str, group)), *sizes])
        spent += seconds
        results += json.loads(out.strip().splitlines()[-1])
    return {"cpu_s": spent / len(probes), "results": results}


def end_to_end(quick: bool) -> dict[str, Any]:
    """One repetition of all arms."""
    steps, items = (30, 40) if quick else (120, 300)
    few, all_of_them = (range(1), range(4)) if quick else (range(2), range(PROBES))
    arms = {"A0": few, "A1": few, "A2": few, "A3": all_of_them, "B": all_of_them}
    if importlib.util.find_spec("trl"):
        arms["trl"] = few
    with tempfile.TemporaryDirectory() as index:
        os.environ["PROBE_BENCH_INDEX"] = index
        cpu_of([sys.executable, str(HERE / "engine_arms.py"), "index"])
        found = run_arms(arms, steps, items)
    gate(found, len(few))
    return {name: one["cpu_s"] for name, one in found.items()}


def run_arms(arms: dict[str, range], steps: int, items: int) -> dict[str, Any]:
    found = {}
    for name, probes in arms.items():
        print(f"  {name} ...", file=sys.stderr, flush=True)
        found[name] = arm(name, list(probes), steps, items)
    return found


def gate(found: dict[str, Any], few: int) -> None:
    """Stop unless the arms did the same work: losses of A2, A3 and B agree, and so do the accuracies of A3 and B."""
    for n in range(few):
        a2, a3, b = (by_losses(found[name]["results"], found["A2"]["results"][n]["losses"][0]) for name in ("A2", "A3", "B"))
        for rival in (a2, a3):
            worst = max(abs(x / y - 1) for x, y in zip(b["losses"], rival["losses"], strict=True))
            if worst > 1e-3:
                raise SystemExit(f"correctness gate: losses differ by {worst:.1e}")
    for one in found["B"]["results"]:
        other = by_losses(found["A3"]["results"], one["losses"][0])
        if one["failure"] or max(abs(x - y) for x, y in zip(one["accuracy"], other["accuracy"], strict=True)) > 0.02:
            raise SystemExit(f"correctness gate: accuracies {one['accuracy']} and {other['accuracy']}, {one['failure']}")


def by_losses(results: Sequence[Any], first: float) -> Any:
    """Return the result of the probe that begins with a loss: the engine answers in the order of ends."""
    return min(results, key=lambda one: abs(one["losses"][0] - first))


def steps_and_items(quick: bool) -> dict[str, Any]:
    """One repetition inside one process: training steps and scored items a second."""
    _, out = cpu_of([sys.executable, str(HERE / "engine_steps.py"), *(["--quick"] if quick else [])])
    parsed: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return parsed


def memory() -> dict[str, Any]:
    """Return the engine's most memory (MB): by slots with as many probes, and by probes in one slot."""

    def held(probes: int, slots: int) -> int:
        sizes = ["--probes", ",".join(map(str, range(probes))), "--steps", "10", "--items", "20", "--slots", str(slots)]
        return spent_by([sys.executable, str(HERE / "engine_arms.py"), "B", *sizes])[1] // 1_000_000

    with tempfile.TemporaryDirectory() as index:
        os.environ["PROBE_BENCH_INDEX"] = index
        cpu_of([sys.executable, str(HERE / "engine_arms.py"), "index"])
        return {"mb_by_slots": {k: held(16, k) for k in (1, 2, 4, 8, 16)}, "mb_by_probes": {n: held(n, 1) for n in (1, 8, 24, 48)}}


def ratios(repetitions: Sequence[dict[str, Any]], of: Callable[[dict[str, Any]], float | None]) -> dict[str, float] | None:
    values = [value for one in repetitions if (value := of(one)) is not None]
    if not values:
        return None
    return {"median": round(statistics.median(values), 2), "low": round(min(values), 2), "high": round(max(values), 2)}


def summary(repetitions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    def cpu(name: str) -> Callable[[dict[str, Any]], float | None]:
        return lambda one: one["end_to_end"][name] / one["end_to_end"]["B"] if name in one.get("end_to_end", {}) else None

    def step(path: str) -> Callable[[dict[str, Any]], float | None]:
        return lambda one: one["steps"].get(path) if "steps" in one else None

    names = {"vs_A0": "A0", "vs_A1": "A1", "vs_A2": "A2", "vs_A3": "A3", "vs_trl": "trl"}
    found: dict[str, Any] = {
        "end_to_end": {key: ratios(repetitions, cpu(name)) for key, name in names.items()},
        "train": {key: ratios(repetitions, step(key)) for key in ("vs_A2", "vs_A3", "vs_A3_overhead_bound", "vs_A3_worst_cell")},
        "eval": {
            key: ratios(repetitions, step(key)) for key in ("vs_generate", "vs_generate_first_time", "vs_generate_batched", "vs_A3_eval")
        },
        "cpu_s_per_probe": {
            name: ratios(repetitions, lambda one, name=name: one.get("end_to_end", {}).get(name)) for name in (*names.values(), "B")
        },
        "marginal": ratios(repetitions, step("probe_cpu_s")),
        "memory": [one["memory"] for one in repetitions if "memory" in one],
        "sweep": [one["steps"]["sweep"] for one in repetitions if "steps" in one],
        "repetitions": len(repetitions),
        "machine": machine(),
    }
    for part in ("end_to_end", "train", "eval"):
        found[part] = {key.removesuffix("_eval"): value for key, value in found[part].items() if value is not None}
    return found


def machine() -> dict[str, Any]:
    """Return what decides the figures: processor, instruction sets, load, and a measured matmul ceiling."""
    import torch

    torch.set_num_threads(1)

    def gflops(kind: torch.dtype) -> int:
        a, b = torch.randn(512, 128).to(kind), torch.randn(128, 384).to(kind)
        torch.mm(a, b)
        began = time.process_time()
        for _ in range(200):
            torch.mm(a, b)
        return round(200 * 2 * 512 * 128 * 384 / (time.process_time() - began) / 1e9)

    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "isa": capability,
        "load": os.getloadavg()[0],
        "matmul_gflops": {"fp32": gflops(torch.float32), "bf16": gflops(torch.bfloat16)},
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller, about two minutes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repetitions", type=int, default=None)
    parser.add_argument("--out", type=Path, default=None, help="JSON lines of finished repetitions; the same command goes on")
    parser.add_argument("--only", default="end_to_end,steps,memory")
    wanted = parser.parse_args()
    wished = wanted.repetitions or (1 if wanted.quick else 3)
    done = [json.loads(line) for line in wanted.out.read_text().splitlines()] if wanted.out and wanted.out.exists() else []
    while len(done) < wished:
        print(f"repetition {len(done) + 1} of {wished}", file=sys.stderr)
        one: dict[str, Any] = {}
        if "end_to_end" in wanted.only:
            one["end_to_end"] = end_to_end(wanted.quick)
        if "steps" in wanted.only:
            one["steps"] = steps_and_items(wanted.quick)
        if "memory" in wanted.only and not done and not wanted.quick:  # once: it does not vary
            one["memory"] = memory()
        done.append(one)
        if wanted.out:
            with open(wanted.out, "a") as handle:
                handle.write(json.dumps(one) + "\n")
    found = summary(done)
    if wanted.json:
        print(json.dumps(found, indent=1))
        return
    for part in ("end_to_end", "train", "eval", "cpu_s_per_probe"):
        for key, value in found[part].items():
            if value:
                print(f"{part}.{key:22} {value['median']:>8} [{value['low']}, {value['high']}]")
    for one in found["memory"]:
        print(json.dumps(one))
    print(json.dumps(found["machine"]))


if __name__ == "__main__":
    main()
