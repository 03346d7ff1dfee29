"""Merged adapters of a study through the command line: scored once, kept, trained again when gone, and told of in the decision."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probe.decide.levels import combination
from probe.errors import ProbeError
from probe.study.merged_files import MergedMeans
from probe.study.merged_search import merging
from probe.study.merging import score_merged, solo_adapters
from probe.study.observations import observations, targets
from probe.workspace import Workspace
from proxy_training.jobs import EngineSettings

Probe = Callable[..., subprocess.CompletedProcess[str]]


def kept(workspace: Workspace) -> dict[str, tuple[int, list[Any]]]:
    """Return each file of means: its time and its mixtures."""
    return {p.name: (p.stat().st_mtime_ns, json.loads(p.read_text())["mixtures"]) for p in workspace.merged.iterdir()}


def decided(probe: Probe, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(probe("optimize", "--no-confirm", "--trials", "20", "--json", *options).stdout)
    return found


def test_a_study_is_merged_kept_and_told(with_data: Probe, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    asked = ("--source", "good", "--source", "bad", "--samples", "96", "--benchmark", "blocks")
    with_data("run", *asked, "--design", "solo", "--seeds", "2")
    with_data("run", *asked, "--design", "swarm", "--mixtures", "8", "--seeds", "2")
    first = decided(with_data)
    merged = first["merged"]
    assert merged["mixtures"] > 90
    assert len(merged["residuals"]) >= 4
    assert all(r["trained"] - r["predicted"] == pytest.approx(r["difference"]["value"]) for r in merged["residuals"])
    assert "merged-adapters" in first["surrogate"]["families"]
    before = kept(workspace)
    assert len(before) == 2, "one file a repeat"
    check_scores(workspace)
    assert {name: kept(workspace)[name] for name in before} == before, "nothing was scored again"

    name, (_, rows) = next(iter(before.items()))
    (workspace.merged / name).write_text(json.dumps({"mixtures": rows[:20]}))  # as an interrupted call leaves it
    for folder in workspace.adapters.iterdir():
        shutil.rmtree(folder)
    assert decided(with_data)["merged"] is None, "adapters that are gone are not trained again unasked"
    redone = decided(with_data, "--merged", "--seed", "1")  # another search, so another manifest
    assert redone["merged"]["order"] == merged["order"]
    again = dict(map(_pair, kept(workspace)[name][1]))
    assert again == pytest.approx(dict(map(_pair, rows)), abs=1e-4)


def _pair(row: list[Any]) -> tuple[tuple[float, ...], float]:
    return tuple(row[0]), row[1]


def check_scores(workspace: Workspace) -> None:
    """Of a single source the merged scores are the trained ones, on selection items alone; a source that was not trained is named."""
    with workspace.open_store() as store:
        study = store.study("main")
        assert study is not None
        seen = observations(store, study)
        objective = combination(seen.parts, range(len(seen.arms)))
        runs = score_merged(workspace, store, study, seen, objective, EngineSettings("cpu"))
        assert runs.items == seen.parts[0].panel.n, "all selection items, because they are few"
        assert solo_adapters(store, study, seen.sources).repeats == (0, 1)
        alone = np.flatnonzero(seen.weights.max(axis=1) > 0.999)
        assert len(alone) >= 2
        for k in alone:
            trained = seen.parts[0].panel.means[k]
            known = np.isfinite(trained)
            np.testing.assert_allclose(runs.values[k, : len(trained), 0][known], trained[known], atol=1e-4)
        told = merging(runs, seen, targets(seen, objective))
        assert told.scores.values.shape == (len(runs.weights), 1)
        assert np.isfinite(told.scores.values).all()
        with pytest.raises(ProbeError, match=r"third is not: probe run --study main --design solo --source third\."):
            solo_adapters(store, study, ("good", "third"))
        dora = replace(study, recipe=replace(study.recipe, dora=True))
        with pytest.raises(ProbeError, match="--no-merged"):
            solo_adapters(store, dora, seen.sources)


def test_means_that_cannot_be_read_are_nothing(tmp_path: Path) -> None:
    means = MergedMeans.read(tmp_path, ["a", "b"], "items")
    means[[0.25, 0.75]] = 0.5
    means.write()
    again = MergedMeans.read(tmp_path, ["a", "b"], "items")
    assert [0.25, 0.75] in again
    assert again[np.array([0.25, 0.75])] == 0.5
    assert [0.25, 0.75] not in MergedMeans.read(tmp_path, ["b", "a"], "items")
    assert [0.25, 0.75] not in MergedMeans.read(tmp_path, ["a", "b"], "other")
    for broken in ("{", '{"mixtures": [[[1.0], 0.5]]}', '{"mixtures": 3}', '{"mixtures": [[[0.5, 0.5], NaN]]}'):
        means.file.write_text(broken)
        assert [0.25, 0.75] not in MergedMeans.read(tmp_path, ["a", "b"], "items")
