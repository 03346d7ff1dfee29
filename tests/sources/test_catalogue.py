from __future__ import annotations

import pytest
from license_expression import get_spdx_licensing

from sources.catalogue import CAPABILITIES, catalogue, entry_of, find_catalogue, offline_help, resolve_source
from sources.formats import reader_names
from sources.problems import SourceError
from sources.spec import SourceSpec

REQUIRED = {"sharegpt4v", "llava-665k", "llava-instruct-150k", "allava-caption", "allava-instruct", "llava-onevision", "the-cauldron"}
REQUIRED |= {"finevision", "docmatix", "m4-instruct", "cambrian-7m"}
ABOUT = {"licence", "rows", "files", "contents"}


def test_the_well_known_are_there() -> None:
    assert set(catalogue()) >= REQUIRED
    assert len(catalogue()) >= 40


@pytest.mark.parametrize("slug", list(catalogue()))
def test_entry_is_well_formed(slug: str) -> None:
    entry = find_catalogue(slug)
    assert entry.format in reader_names() or (not entry.format and entry.note)
    assert entry.hub_id.count("/") == (1 if entry.hub_id else 0)
    assert entry.homepage.startswith("https://")
    assert entry.capabilities
    assert set(entry.capabilities) <= set(CAPABILITIES)
    assert entry.licence.terms
    assert entry.spec("x").path == "x"
    for folder in entry.images:
        assert folder == "." or all(part not in ("", ".", "..") for part in folder.split("/"))


@pytest.mark.parametrize("slug", list(catalogue()))
def test_licences_are_spdx_or_named_terms(slug: str) -> None:
    spdx, licence = get_spdx_licensing(), find_catalogue(slug).licence
    for expression in (licence.declared, licence.concluded):
        unknown = spdx.unknown_license_keys(spdx.parse(expression))
        assert all(key == "NOASSERTION" or key.startswith("LicenseRef-") for key in unknown), expression


@pytest.mark.parametrize("slug", list(catalogue()))
def test_what_is_said_has_a_link(slug: str) -> None:
    entry = find_catalogue(slug)
    about = {fact.about for fact in entry.facts}
    assert about <= ABOUT
    assert all(fact.link.startswith("https://") for fact in entry.facts)
    assert "licence" in about or entry.licence.declared == "NOASSERTION"
    assert "rows" in about or not entry.rows


def test_no_two_entries_are_the_same_data() -> None:
    places = [(entry.hub_id, entry.subset, entry.file) for entry in catalogue().values() if entry.hub_id and (entry.file or entry.subset)]
    assert len(places) == len(set(places))


@pytest.mark.parametrize("slug", list(catalogue()))
def test_help_is_one_sentence_with_the_command(slug: str) -> None:
    text, entry = offline_help(slug), find_catalogue(slug)
    assert "\n" not in text
    assert f"`probe sources add {slug} --path " in text
    assert ("--images DIR" in text) == bool(entry.images or not entry.format)
    assert all(folder in text for folder in entry.images)


def test_names_resolve() -> None:
    mine = SourceSpec("mine", "llava", "x.json")
    assert resolve_source("mine", {"mine": mine}) == mine
    assert resolve_source("mine/ocr_vqa", {"mine": mine}) == mine.part("ocr_vqa")
    assert resolve_source("easy-vqa/all", {}).format == "easy-vqa"
    for slug in ("sharegpt4v", "finevision/chartqa"):
        with pytest.raises(SourceError, match="probe sources add"):
            resolve_source(slug, {})
    with pytest.raises(SourceError, match="did you mean 'sharegpt4v'"):
        resolve_source("sharegpt4", {})
    with pytest.raises(SourceError, match="did you mean"):
        find_catalogue("llava-655k")


@pytest.mark.parametrize(
    ("spec", "slug"),
    [
        (SourceSpec("docmatix", "parquet", "/data"), "docmatix"),
        (SourceSpec("llava-665k/ocr_vqa", "llava"), "llava-665k"),
        (SourceSpec("the-cauldron/docvqa", "parquet"), "cauldron-docvqa"),
        (SourceSpec("the-cauldron/spot_the_diff", "parquet"), "the-cauldron"),
        (SourceSpec("ours", "parquet", hub_id="HuggingFaceM4/the_cauldron", subset="docvqa"), "cauldron-docvqa"),
        (SourceSpec("ours", "parquet", hub_id="HuggingFaceM4/FineVision", subset="of a later day"), "finevision"),
        (SourceSpec("ours", "llava", "/data/llava_v1_5_mix665k.json", hub_id="liuhaotian/LLaVA-Instruct-150K"), "llava-665k"),
    ],
)
def test_a_source_is_known_again_under_another_name(spec: SourceSpec, slug: str) -> None:
    found = entry_of(spec)
    assert found is not None
    assert found.slug == slug


@pytest.mark.parametrize(
    "spec",
    [SourceSpec("mine", "llava", "/data/docmatix"), SourceSpec("ours", "llava", "/data/x.json", hub_id="liuhaotian/LLaVA-Instruct-150K")],
)
def test_another_source_is_not_taken_for_one(spec: SourceSpec) -> None:
    assert entry_of(spec) is None
