"""What ran, as frames and lines: probes, their errors, and the command that repeats a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import pandas as pd

from dashboard.frames import shares_text
from dashboard.parts import command
from dashboard.reading import Snapshot
from db.values import Arm, ArmRole, BudgetUnit, Design, ProbeRecord, ProbeState

LOG_BYTES = 16_384
LOG_LINES = 40
DEFAULT_SEEDS = 3
_FIELDS = (
    *("state", "arm", "repeat", "seed", "rows", "tokens", "train_cpu_s", "eval_cpu_s", "attempts"),
    *("started_at", "finished_at", "training_id", "error"),
)
_STORED = attrgetter(*_FIELDS)
STAGED = "phases/staged"  # how the arm of the phases as they were asked for is called


@dataclass(frozen=True, slots=True)
class Asked:
    """What a study was asked beside its arms: each design's seeds, the sources it trains on, for arms of no one source, and the orders."""

    seeds: Mapping[Design, int]
    sources: Mapping[Design, Sequence[str]]
    orders: Sequence[Arm] = ()


def probes_frame(probes: Sequence[ProbeRecord]) -> pd.DataFrame:
    """Return one row a probe."""
    frame = pd.DataFrame(map(_STORED, probes), columns=_FIELDS)
    spent = frame.pop("train_cpu_s") + frame.pop("eval_cpu_s")
    frame.insert(6, "cpu_s", spent.astype(float).round(1))
    frame["state"] = frame["state"].map({known: known.value for known in ProbeState})
    frame = frame.rename(columns={"started_at": "started", "finished_at": "finished", "training_id": "training"})
    frame["training"] = frame["training"].str[:12]
    for moment in ("started", "finished"):
        frame[moment] = frame[moment].str[:19].str.replace("T", " ", regex=False)
    return frame


def long_costs(costs: pd.DataFrame) -> pd.DataFrame:
    """Return the cost of each arm as one row for training and one for scoring."""
    wide = costs.rename(columns={"training": "Training", "scoring": "Scoring"})
    return wide.melt(id_vars=["arm", "probes"], value_vars=["Training", "Scoring"], var_name="part", value_name="cpu_s")


def errors(failed: Sequence[ProbeRecord]) -> list[tuple[str, int, str]]:
    """Return each distinct error of failed probes with an arm it hit and how many, most frequent first."""
    found: dict[str, list[str]] = {}
    for probe in failed:
        found.setdefault(probe.error, []).append(probe.arm)
    return sorted(((arms[0], len(arms), error) for error, arms in found.items()), key=lambda entry: -entry[1])


def repeat_commands(view: Snapshot, asked: Asked, failed: bool) -> list[str]:
    """Return the commands that would run the study again, one a design; finished probes are then reused, and `failed` ones tried again."""
    retry = ["--retry-failed"] if failed else []
    return [command("probe", "run", *words, *retry) for words in _designs(view, asked)] or [
        command("probe", "run", "--source", "SOURCE", "--study", view.study.name)
    ]


def _designs(view: Snapshot, asked: Asked) -> Iterator[list[str]]:
    for design in Design:
        arms = [arm for arm in view.arms if arm.design is design and arm.role is not ArmRole.UNTRAINED]
        if not arms:
            continue
        words = _phases(asked.orders) if design is Design.PHASES else []
        slugs = sorted({arm.source for arm in arms if arm.source}) or asked.sources.get(design, ())
        words = words or [word for slug in slugs for word in ("--source", slug)]
        words += ["--study", view.study.name, "--design", design.value, "--seeds", str(asked.seeds.get(design, DEFAULT_SEEDS))]
        if design is Design.SWARM:
            words += ["--mixtures", str(len(arms))]
        yield words + _budget(view) + (["--base", shares_text(view.study.base.shares)] if view.study.base_given else [])


def _phases(arms: Sequence[Arm]) -> list[str]:
    """Return the options that ask for the same phases, at the same sizes."""
    staged = sorted((arm for arm in arms if arm.name.startswith(STAGED)), key=lambda arm: arm.curriculum.budget)
    if not staged:
        return []
    phases = staged[-1].curriculum.phases
    words = [word for phase in phases for word in ("--phase", shares_text(phase.mixture.shares))]
    if len({phase.share for phase in phases}) > 1:
        words += ["--phase-share", ",".join(f"{phase.share:.4g}" for phase in phases)]
    sizes = list(dict.fromkeys(arm.curriculum.budget for arm in staged))
    return words + (["--sizes", ",".join(map(str, sizes))] if len(sizes) > 1 else [])


def _budget(view: Snapshot) -> list[str]:
    unit = "--samples" if view.study.budget_unit is BudgetUnit.SAMPLES else "--tokens"
    return [unit, str(view.study.budget)]


def log_tail(file: Path) -> str:
    """Return the last lines of a log, read from its end; empty where there is none."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - LOG_BYTES))
            text = log.read(LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-LOG_LINES:])


def span(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
