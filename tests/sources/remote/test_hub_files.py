"""What cannot be read in parts: JSON and tars are fetched whole, arrow and packed JSON are walked."""

from pathlib import Path

import pytest
from making_repos import arrow, finevision, llava, packed_json, tars

from sources.problems import SourceError
from sources.remote.pool import fetch_source
from sources.sampling import SourcePool
from sources.spec import SourceSpec, Stream


def test_json_comes_whole_through_the_hubs_cache_and_its_images_from_a_folder(hub, machine):
    repo = llava(hub.root)
    images = str(hub.root / "images")
    first, by_name = machine.fetch_all(
        {"hub": "org/sharegpt", "images": images}, {"hub": "org/sharegpt", "images": images, "stream": {"file": "cap.json"}}
    )
    assert (first["format"], first["usable"]) == ("llava", 30)
    assert first["subsources"] == {"coco": 30}
    assert by_name["content"] == first["content"]
    assert hub.sent(".json") == (repo / "cap.json").stat().st_size  # once for both
    held = next(Path(first["path"]).iterdir())
    assert held.resolve().is_relative_to(machine.home / "hf")  # a link: not twice on the disk


def test_tars_are_picked_by_seed_until_there_are_rows_enough(hub, machine, tmp_path):
    tars(hub.root, shards=8, rows=12)
    first, other, every = machine.fetch_all(
        {"hub": "org/tars"}, {"hub": "org/tars", "stream": {"seed": 1}}, {"hub": "org/tars", "stream": {"rows": 0}}
    )
    assert (first["format"], first["usable"]) == ("webdataset", 48)
    assert every["usable"] == 96
    assert len(hub.data(".tar")) == 8  # each once, whatever asked for it
    taken = {name.name for name in Path(first["path"]).iterdir()}
    assert len(taken) == 4
    assert taken != {f"{i:05d}.tar" for i in range(4)}
    assert taken != {name.name for name in Path(other["path"]).iterdir()}
    assert folder_content(hub.root / "org" / "tars", tmp_path) == first["content"]


def test_arrow_and_packed_json_are_sampled_from_all_of_their_shards(hub, machine, tmp_path):
    arrow(hub.root)
    packed_json(hub.root)
    asked = ({"hub": "org/arrow"}, {"hub": "org/packed"})
    found, packed = machine.fetch_all(*asked)
    assert found["usable"] == 40
    assert sorted(found["subsources"].items()) == [("shard-0", 14), ("shard-1", 13), ("shard-2", 13)]
    assert (packed["format"], packed["usable"]) == ("parquet", 40)
    same = [folder_content(hub.root / "org" / name, tmp_path) for name in ("arrow", "packed")]
    assert same == [found["content"], packed["content"]]


def folder_content(repo, tmp_path):
    """Return the hash of what is drawn of a folder that is laid out as on the hub: the same as from the hub."""
    spec = SourceSpec("mine", "", stream=Stream(str(repo), rows=40))
    return SourcePool.open(fetch_source(spec, tmp_path / "from-folder", print)).content


def test_a_local_copy_without_its_card_is_pointed_at_the_folder_of_the_subset(tmp_path):
    repo = finevision(tmp_path, "iam(cauldron)", shards=1, rows=20)
    (repo / "README.md").unlink()
    asked = SourceSpec("s", "", subset="iam(cauldron)", stream=Stream(str(repo)))
    with pytest.raises(SourceError, match=r"README.md, which names subsets, .* give its folder with --path .*/iam\(cauldron\)"):
        fetch_source(asked, tmp_path / "pools", print)
