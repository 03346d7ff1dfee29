#!/usr/bin/env python3
"""Measure whether the statistics keep their promises: on simulated studies of known truth, and on real probes.

    python benchmarks/calibration.py [--quick] [--json] [--out cells.jsonl] [--studies 2000] [--kept] [--only TEXT] [--real POOL]

Simulated: seven noise shapes x 3, 5, 8 seeds x 4, 12, 40 sources x nil and real effects, at least 2,000 studies a cell (--quick: a few
hundred in all, on a few cells), each put through the tool's own `compare`; and cells of four benchmarks through `rank_study`. Cells
are deterministic. With --out each finished cell is kept, and the same command goes on; --kept reports on the
finished ones and runs none; --only takes the cells whose name holds TEXT.
Real: POOL is a folder of `calibration_pool.py`; see `calibration_real.py`.

Figures have `value`, `low`, `high` (95 %): `coverage` of the 90 % intervals, `false_positive_rate` (any false verdict in a study),
`power` (verdict right at twice the minimum detectable effect), `width_ratio` (median width over that of an oracle which makes the same
estimate and knows its variance: z instead of t), `split_ties` (any two truly equal sources in different tiers).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from calibration_figures import Share, figure, median_figure
from calibration_worlds import Cell, cells, run_cell

QUICK_STUDIES = 40
QUICK = [Cell("compare", shape, 3, 4, real) for shape in ("plain", "unequal", "heavy") for real in (False, True)]
QUICK += [Cell("compare", "plain", 5, 12, True), Cell("levels", "plain", 3, 4, True)]
Record = dict[str, Any]
# Figure: the share it is read from and the cells that answer it.
SHARES = {"coverage": "coverage", "false_positive_rate": "false_verdict", "power": "power", "split_ties": "split_ties"}


def simulate(wanted: Sequence[Cell], studies: int, out: Path | None) -> list[Record]:
    """Run the cells that `out` does not hold yet with so many studies."""
    kept = finished(out, studies)
    records, began, made = [], time.monotonic(), 0
    for number, cell in enumerate(wanted, 1):
        if cell.name() not in kept:
            kept[cell.name()] = record = run_cell(cell, studies)
            made += 1
            if out:
                with out.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
        records.append(kept[cell.name()])
        if made:
            print(f"{number} of {len(wanted)}: {cell.name()}, {(time.monotonic() - began) / made:.0f} s a cell", file=sys.stderr)
    return records


def finished(out: Path | None, studies: int) -> dict[str, Record]:
    """Return the kept cells of at least so many studies, by name."""
    return {record["name"]: record for record in _lines(out) if record["studies"] >= studies}


def _lines(path: Path | None) -> list[Record]:
    """Read what is kept; a last line that was cut off is left out."""
    if path is None or not path.exists():
        return []
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            print(f"{path}: an unfinished line is left out", file=sys.stderr)
    return found


def share(records: Sequence[Record], name: str) -> dict[str, float]:
    return figure([Share(**record["shares"][name]) for record in records if name in record["shares"]])


def met(name: str, found: dict[str, float]) -> bool:
    """Say whether a figure meets its goal."""
    value, low, high = found["value"], found["low"], found["high"]
    if name.startswith("coverage"):
        return low <= 0.90 <= high or 0.88 <= value <= 0.93
    if name.startswith(("false", "split_ties")):
        return high <= 0.06
    return value >= 0.80 if name == "power" else value <= 1.25


def figures(records: Sequence[Record]) -> dict[str, dict[str, float]]:
    compared = [record for record in records if record["cell"]["kind"] == "compare"]
    found = {name: share(compared, key) for name, key in SHARES.items()}
    found["width_ratio"] = median_figure([width for record in compared for width in record["widths"]])
    return {name: values for name, values in found.items() if values["studies"]}


def more_figures(records: Sequence[Record]) -> dict[str, dict[str, float]]:
    names = sorted({name for record in records for name in record["shares"]} - set(SHARES.values()))
    found = {name: share(records, name) for name in names}
    return {name: values for name, values in found.items() if values["studies"]}


def worst(records: Sequence[Record], name: str) -> dict[str, Any]:
    """Return the cell that is furthest on the wrong side of a goal, and which cells miss it."""
    by_cell = {record["name"]: figures([record])[name] for record in records if name in figures([record])}
    bad = {"coverage": lambda f: abs(f["value"] - 0.905), "power": lambda f: -f["value"]}.get(name, lambda f: f["value"])
    cell = max(by_cell, key=lambda one: bad(by_cell[one]))
    missed = [one for one, values in by_cell.items() if not met(name, values)]
    return {"cell": cell, **by_cell[cell], "cells": len(by_cell), "missed": missed}


def report(records: Sequence[Record]) -> dict[str, Any]:
    """Return the pooled figures, the worst cell of each, and what is told beside them."""
    found = figures(records)
    compared = [record for record in records if record["cell"]["kind"] == "compare"]
    goals = {name: values | {"met": met(name, values), "worst": worst(compared, name)} for name, values in found.items()}
    by = {axis: sorted({record["cell"][axis] for record in compared}) for axis in ("shape", "seeds", "sources", "real")}
    groups = {
        f"{axis} {value}": figures([r for r in compared if r["cell"][axis] == value]) for axis, values in by.items() for value in values
    }
    return {
        **goals,
        "beside": more_figures(records),
        "groups": groups,
        "cells": len(records),
        "studies": sum(r["studies"] for r in records),
    }


def table(found: dict[str, Any], title: str) -> None:
    print(title)
    for name in (*SHARES, "width_ratio"):
        if name in found:
            values = found[name]
            said = "met" if values["met"] else "MISSED"
            print(f"  {name:20} {values['value']:.3f} [{values['low']:.3f}, {values['high']:.3f}] {said}", end="")
            if "worst" in values:
                low = values["worst"]
                print(f"; worst {low['value']:.3f} ({low['cell']}), {len(low['missed'])} of {low['cells']} cells miss it", end="")
            print()
    for name, values in found.get("beside", {}).items():
        print(f"    {name:26} {values['value']:.3f} [{values['low']:.3f}, {values['high']:.3f}]")
    for name, values in found.get("groups", {}).items():
        print(f"    {name:14}", " ".join(f"{figure} {one['value']:.3f}" for figure, one in values.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--studies", type=int)
    parser.add_argument("--kept", action="store_true", help="report on the cells that --out holds, run none")
    parser.add_argument("--only", default="")
    parser.add_argument("--real", type=Path, help="a pool of calibration_pool.py")
    wanted = parser.parse_args()
    asked, studies = QUICK if wanted.quick else cells(), wanted.studies or (QUICK_STUDIES if wanted.quick else 2000)
    if wanted.kept:
        kept = finished(wanted.out, studies)
        asked = [cell for cell in asked if cell.name() in kept]
    asked = [cell for cell in asked if wanted.only in cell.name()]
    if not asked:
        parser.error(f"no cell that is asked for has a name that holds {wanted.only!r}")
    found = {"simulated": report(simulate(asked, studies, wanted.out))}
    if wanted.real:
        from calibration_real import real_figures

        found["real"] = real_figures(wanted.real, quick=wanted.quick)
        for name, values in found["real"].items():
            if "value" in values:
                values["met"] = met(name, values)
    if wanted.json:
        print(json.dumps(found, indent=1))
    else:
        for title, part in found.items():
            table(part, title)


if __name__ == "__main__":
    main()
