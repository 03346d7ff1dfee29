"""Merged adapters of a study through the command line: scored once, kept, trained again when gone, and told of in the decision."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probe.decide.levels import combination
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


def test_a_study_is_merged_kept_and_told(with_data: Probe, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    both = ("--source", "good", "--source", "bad")
    with_data("run", *both, "--design", "swarm", "--mixtures", "7", "--samples", "96", "--seeds", "2", "--benchmark", "blocks")
    alone = with_data("optimize", "--no-confirm", "--trials", "20", "--merged", ok=False)
    assert alone.returncode == 1
    assert "probe run --study main --design solo --source" in alone.stderr
    plain = json.loads(with_data("optimize", "--no-confirm", "--trials", "20", "--json").stdout)
    assert plain["merged"] is None, "without single sources nothing is merged"

    with_data("run", *both, "--design", "solo", "--seeds", "2", "--benchmark", "blocks")
    first = json.loads(with_data("optimize", "--no-confirm", "--trials", "20", "--json").stdout)
    merged = first["merged"]
    assert merged["mixtures"] > 90
    assert merged["order"] is None or -1 <= merged["order"]["low"] <= merged["order"]["value"] <= merged["order"]["high"] <= 1
    assert {r["mixture"] for r in merged["residuals"]} <= {f"swarm-{r['mixture'][6:]}" for r in merged["residuals"]}
    assert "merged-adapters" in first["surrogate"]["families"]
    before = kept(workspace)
    assert len(before) == 2, "one file a repeat"

    again = json.loads(with_data("optimize", "--no-confirm", "--trials", "20", "--json").stdout)
    assert again["merged"] == merged
    assert again["weights"] == first["weights"]
    assert kept(workspace) == before, "nothing was scored again"

    name, (_, rows) = next(iter(before.items()))
    (workspace.merged / name).write_text(json.dumps({"mixtures": rows[:20]}))  # as an interrupted call leaves it
    for folder in workspace.adapters.iterdir():
        shutil.rmtree(folder)
    skipped = json.loads(with_data("optimize", "--no-confirm", "--trials", "20", "--json").stdout)
    assert skipped["merged"] is None, "adapters that are gone are not trained again unasked"
    redone = json.loads(with_data("optimize", "--no-confirm", "--trials", "20", "--json", "--merged").stdout)
    assert redone["merged"] == merged
    assert sorted(kept(workspace)[name][1]) == pytest.approx(sorted(rows))
    not_asked = json.loads(with_data("optimize", "--no-confirm", "--trials", "20", "--json", "--no-merged").stdout)
    assert not_asked["merged"] is None
    check_singles(workspace)


def check_singles(workspace: Workspace) -> None:
    """Of a single source the merged scores are the trained ones, on selection items alone."""
    with workspace.open_store() as store:
        study = store.study("main")
        assert study is not None
        seen = observations(store, study)
        objective = combination(seen.parts, range(len(seen.arms)))
        runs = score_merged(workspace, store, study, seen, objective, EngineSettings("cpu"), filling=2)
        assert runs.items == seen.parts[0].panel.n, "all selection items, because they are few"
        assert solo_adapters(store, study, seen.sources).repeats == (0, 1)
        alone = np.flatnonzero(seen.weights.max(axis=1) > 0.999)
        assert len(alone) >= 2
        for k in alone:
            trained = seen.parts[0].panel.means[k]
            known = np.isfinite(trained)
            np.testing.assert_allclose(runs.values[k, : len(trained), 0][known], trained[known], atol=1e-4)
        fitted = targets(seen, objective)
        told = merging(runs, seen, fitted)
        assert told.scores.values.shape == (len(runs.weights), 1)
        assert np.isfinite(told.scores.values).all()


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
