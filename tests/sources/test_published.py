from __future__ import annotations

from pathlib import Path

import pytest
from making_sources import llava, png

from sources.catalogue import find_catalogue, offline_help, resolve_source
from sources.problems import SourceError
from sources.published import published_spec
from tests.writing_files import write_json, write_parquet

SUBSETS = ("ai2d_merged", "sharegpt4v(coco)")


@pytest.fixture
def finevision(tmp_path: Path) -> Path:
    row = {"images": [{"bytes": png(0), "path": None}], "texts": [{"user": "?", "assistant": "A cat."}]}
    for subset in SUBSETS:
        write_parquet(tmp_path / "FineVision" / subset / "train-00000-of-00001.parquet", [row])
    return tmp_path / "FineVision"


def test_a_subset_is_found_by_name_and_slug_in_the_whole_or_on_its_own(finevision: Path) -> None:
    for path in (finevision, finevision / "sharegpt4v(coco)"):
        spec = published_spec("finevision/sharegpt4v-coco", str(path))
        assert (spec.slug, spec.path, spec.subset) == ("finevision/sharegpt4v-coco", str(finevision / SUBSETS[1]), "sharegpt4v(coco)")
        assert (spec.hub_id, spec.licence) == (find_catalogue("finevision").hub_id, find_catalogue("finevision").licence)
    whole = published_spec("finevision", str(finevision))
    assert (whole.path, whole.subset) == (str(finevision), "")
    elsewhere = write_parquet(finevision.parent / "mine" / "train-0.parquet", [{"texts": []}]).parent
    assert published_spec("finevision/ai2d_merged", str(elsewhere)).path == str(elsewhere)


def test_another_subset_is_never_taken_for_the_one_that_is_meant(finevision: Path) -> None:
    with pytest.raises(SourceError, match="has no subset 'ai2d_merge', it has ai2d_merged;"):
        published_spec("finevision/ai2d_merge", str(finevision))


def test_the_published_file_is_taken_from_a_folder_of_several(tmp_path: Path) -> None:
    file = find_catalogue("sharegpt4v").file
    for name in (file, find_catalogue("sharegpt4v-mix665k").file):
        write_json(tmp_path / name, [llava(None, "?")])
    assert published_spec("sharegpt4v", str(tmp_path)).path == str(tmp_path / file)
    assert published_spec("sharegpt4v", str(tmp_path / file)).path == str(tmp_path / file)
    assert published_spec("my-own", str(tmp_path)).path == str(tmp_path)


def test_without_its_data_the_help_names_the_subset() -> None:
    with pytest.raises(SourceError, match=r"subset chartqa of .* `probe sources add finevision/chartqa --path FOLDER"):
        resolve_source("finevision/chartqa", {})
    assert "sources add finevision/sharegpt4v-coco " in offline_help("finevision", "sharegpt4v(coco)")
    with pytest.raises(SourceError, match="web-celebrity/images, web-landmark/images"):
        resolve_source("sharegpt4v", {})
