"""The feature store: once per content, whole or not at all, shared by processes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from proxy_training.engine import Engine
from proxy_training.features import FeatureStore
from sources.canonical import hash_bytes
from sources.images import load_image
from sources.problems import Problem
from sources.sample import ImageRef


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path, engine.base, "w")


def refs(images: Path) -> dict[str, ImageRef]:
    return {hash_bytes(f.read_bytes()): ImageRef(path=f.name, root=str(images)) for f in sorted(images.iterdir())}


def test_features_are_what_the_tower_gives(store: FeatureStore, engine: Engine, images: Path) -> None:
    wanted = refs(images)
    assert store.ensure(wanted) == {}
    key, ref = next(iter(wanted.items()))
    direct = engine.base.encode_images([engine.base.process_image(load_image(ref))])[0]
    torch.testing.assert_close(store.get(key).tokens, direct, rtol=1e-5, atol=1e-6)


def test_second_process_computes_nothing(
    store: FeatureStore, engine: Engine, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = refs(images)
    store.ensure(wanted)
    other = FeatureStore(tmp_path, engine.base, "w")
    monkeypatch.setattr(engine.base, "encode_images", lambda images: pytest.fail("computed again"))
    assert other.ensure(wanted) == {}
    key = next(iter(wanted))
    assert torch.equal(other.get(key).tokens, store.get(key).tokens)


def test_other_weights_are_another_space(store: FeatureStore, engine: Engine, tmp_path: Path) -> None:
    assert FeatureStore(tmp_path, engine.base, "v").folder != store.folder


def test_broken_image_is_named_and_the_others_are_kept(store: FeatureStore, images: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n garbage")
    wanted = refs(images) | {"bad": ImageRef(path="broken.png", root=str(tmp_path))}
    failed = store.ensure(wanted)
    assert {key: error.problem for key, error in failed.items()} == {"bad": Problem.UNDECODABLE_IMAGE}
    for key in refs(images):
        assert len(store.get(key).tokens) == 16
    with pytest.raises(KeyError):
        store.get("bad")


def test_shard_without_index_does_not_exist(store: FeatureStore, engine: Engine, images: Path, tmp_path: Path) -> None:
    store.ensure(refs(images))
    for index in store.folder.glob("*.json"):
        entries = json.loads(index.read_text())
        assert len(entries) == 12
        index.unlink()  # as if the writer had been killed between the two files
    other = FeatureStore(tmp_path, engine.base, "w")
    assert other.ensure(refs(images)) == {}
    assert len(other.get(next(iter(refs(images)))).tokens) == 16


def test_limit_throws_out_what_was_used_longest_ago_and_it_comes_back(engine: Engine, images: Path, tmp_path: Path) -> None:
    wanted = refs(images)
    keys = list(wanted)
    one_shard = 4 * 16 * engine.base.encode_images([engine.base.process_image(load_image(wanted[keys[0]]))])[0].shape[1] * 4
    store = FeatureStore(tmp_path, engine.base, "w", limit=int(2.5 * one_shard))
    parts = [{key: wanted[key] for key in keys[at : at + 4]} for at in (0, 4, 8)]
    store.ensure(parts[0])
    store.ensure(parts[1])
    age(tmp_path)
    FeatureStore(tmp_path, engine.base, "w", limit=int(2.5 * one_shard)).ensure(parts[0])  # used again: now the youngest
    store.ensure(parts[2])
    left = FeatureStore(tmp_path, engine.base, "w")
    left._rescan()
    assert set(left._places) == {*parts[0], *parts[2]}
    assert len(store.get(keys[4]).tokens) == 16, "a shard that is mapped stays readable"
    before = store.get(keys[4]).tokens
    left.ensure(parts[1])
    assert torch.equal(left.get(keys[4]).tokens, before)


def test_limit_never_throws_out_what_the_job_at_hand_needs(engine: Engine, images: Path, tmp_path: Path) -> None:
    wanted = refs(images)
    store = FeatureStore(tmp_path, engine.base, "w", limit=1)
    assert store.ensure(wanted) == {}
    fresh = FeatureStore(tmp_path, engine.base, "w", limit=1)
    fresh.ensure(wanted)
    assert all(len(fresh.get(key).tokens) == 16 for key in wanted)


def age(folder: Path) -> None:
    for number, index in enumerate(sorted(folder.glob("*/*.json"), key=lambda path: path.stat().st_mtime_ns)):
        os.utime(index, ns=(number, number))
