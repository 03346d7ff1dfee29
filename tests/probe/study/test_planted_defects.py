"""The planted defects recovered end to end: sources of the generated world, the bundled proxy, the real command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

Probe = Callable[..., "subprocess.CompletedProcess[str]"]
DEFECTS = {"clean": (), "noisy": ("label_noise=0.7",), "mismatched": ("mismatched=0.8",), "duplicated": ("duplicated=0.5",)}
BENCHMARKS = ("world/colour", "world/shape")


@pytest.mark.slow
def test_planted_defects_are_recovered(probe: Probe) -> None:
    for name, defect in DEFECTS.items():
        options = [word for option in ("skill=colour,shape", "rows=1500", *defect) for word in ("--option", option)]
        probe("sources", "add", name, "--format", "world", *options)
    run = [word for name in DEFECTS for word in ("--source", name)] + [word for name in BENCHMARKS for word in ("--benchmark", name)]
    out = probe("run", *run, "--samples", "960", "--seeds", "3", "--workers", "1", "--json").stdout
    ranking = json.loads(out)
    rows = {row["source"]: row for row in ranking["sources"]}
    pairs = {frozenset((pair["a"], pair["b"])): pair for pair in ranking["pairs"]}
    for damaged in ("noisy", "mismatched"):
        pair = pairs[frozenset(("clean", damaged))]
        sign = 1 if pair["a"] == "clean" else -1
        assert min(sign * pair["difference"]["low"], sign * pair["difference"]["high"]) > 0, pair
        assert rows["clean"]["tier"] < rows[damaged]["tier"]
    # Copies of good rows cost little at this budget: they are found by looking at the data.
    assert rows["duplicated"]["tier"] <= min(rows["noisy"]["tier"], rows["mismatched"]["tier"])
    copies = {name: json.loads(probe("sources", "check", name, "--json").stdout)["duplicate_rows"] for name in ("clean", "duplicated")}
    assert copies["duplicated"] > 600
    assert copies["clean"] < 20
