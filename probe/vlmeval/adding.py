"""A benchmark of VLMEvalKit as an ordinary benchmark of the workspace."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from probe.vlmeval.known import OPTION, KnownBenchmark, find_known, known_benchmarks
from probe.vlmeval.tables import write_table
from probe.vlmeval.worker import Progress, Worker
from probe.workspace import Workspace
from sources.benchmark import BenchmarkSpec, Item, PromptForm, Scoring
from sources.ordering import seeded_key

if TYPE_CHECKING:
    from probe.study.scoring_choice import ScoringChoice

USERS_FOLDER = "LMUData"  # the environment variable by which VLMEvalKit's users say where their tables are


def kit_rows() -> list[dict[str, object]]:
    """Return the benchmarks of VLMEvalKit that can be used, as rows of a listing."""
    return [
        {
            "name": one.name,
            "capability": one.capability,
            "rule": one.rule,
            "offline": not one.needs_judge,
            "licence": one.licence,
            "homepage": one.homepage,
        }
        for one in known_benchmarks().values()
    ]


def own_table(name: str, like: str, path: str, image_root: str) -> BenchmarkSpec:
    """Return the spec of a table of the user's own that is scored like a benchmark of VLMEvalKit.

    Raises:
        ProbeError: we do not know that benchmark.
    """
    spec = _spec(name, find_known(like), path, image_root)
    return replace(spec, options=(*spec.options, ("own", "true")))


def with_kit_rule(chosen: ScoringChoice, known_as: str) -> ScoringChoice:
    """Return the user's choice of scoring; where there is none, our rule that is VLMEvalKit's for a benchmark, else the likelihood.

    Raises:
        ProbeError: we do not know that benchmark.
    """
    known = find_known(known_as)
    if chosen.rule or chosen.scorer or chosen.scoring:
        return chosen
    return replace(chosen, rule=known.our_rule) if known.our_rule else replace(chosen, scoring=Scoring.LIKELIHOOD)


def published_table(
    process: Worker, workspace: Workspace, name: str, known_as: str, limit: int, progress: Progress | None = None
) -> BenchmarkSpec:
    """Return the spec of a benchmark of VLMEvalKit, its table downloaded, or taken where the user has it.

    Args:
        process: the running worker.
        workspace: where the table is put.
        name: of the benchmark in the workspace.
        known_as: its name in VLMEvalKit.
        limit: at least so many rows of images drawn at random, all rows of an image together; 0: all.
        progress: takes (what, done, of).

    Raises:
        ProbeError: we do not know it, or the table is not to be had.
        SourceError: no row of it is usable.
    """
    known = find_known(known_as)
    folder = workspace.root / "vlmeval" / "LMUData"
    folder.mkdir(parents=True, exist_ok=True)
    found = process.ask("fetch", folder, {"name": known.name, "others": [str(place) for place in _users_folders()]}, progress)
    spec = _spec(name, known, found["table"], "")
    return _limited(workspace, spec, limit) if limit else spec


def _users_folders() -> list[Path]:
    named = os.environ.get(USERS_FOLDER, "")
    return [*([Path(named).expanduser().absolute()] if named else []), Path.home() / "LMUData"]


def _spec(name: str, known: KnownBenchmark, path: str, image_root: str) -> BenchmarkSpec:
    return BenchmarkSpec(name, known.capability, "tsv", path, image_root, PromptForm.LETTER, ((OPTION, known.name),))


def _limited(workspace: Workspace, spec: BenchmarkSpec, limit: int) -> BenchmarkSpec:
    from sources.benchmark_data import read_benchmark

    target = workspace.root / "vlmeval" / f"{spec.name.replace('/', '-')}-{limit}.tsv"
    write_table(target, spec, _drawn(read_benchmark(spec).items, limit))
    return replace(spec, path=str(target.absolute()))


def _drawn(items: Sequence[Item], limit: int) -> list[Item]:
    """Return at least `limit` items, in order: all of an image or none, images in a seeded order."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.image_group(), []).append(item)
    chosen: set[str] = set()
    for group in sorted(groups, key=lambda key: (seeded_key(0, "vlmeval", key), key)):
        if len(chosen) >= limit:
            break
        chosen |= {item.id for item in groups[group]}
    return [item for item in items if item.id in chosen]
