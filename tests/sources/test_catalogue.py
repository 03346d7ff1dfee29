from __future__ import annotations

import pytest
from license_expression import get_spdx_licensing

from sources.catalogue import catalogue, find_catalogue, offline_help, resolve_source
from sources.formats import reader_names
from sources.problems import SourceError
from sources.spec import SourceSpec

REQUIRED = {"sharegpt4v", "llava-665k", "llava-instruct-150k", "allava-caption", "allava-instruct", "llava-onevision", "the-cauldron"}
REQUIRED |= {"finevision", "docmatix", "m4-instruct", "cambrian-7m"}


def test_the_well_known_are_there() -> None:
    assert set(catalogue()) >= REQUIRED
    assert len(catalogue()) >= 14


@pytest.mark.parametrize("slug", list(catalogue()))
def test_entry_is_well_formed(slug: str) -> None:
    entry = find_catalogue(slug)
    assert entry.format in reader_names()
    assert entry.hub_id.count("/") == 1
    assert entry.homepage.startswith("https://")
    assert entry.capabilities
    assert entry.licence.terms
    for expression in (entry.licence.declared, entry.licence.concluded):
        if expression != "NOASSERTION" and not expression.startswith("LicenseRef-"):
            assert get_spdx_licensing().validate(expression).errors == []
    assert entry.spec("x").path == "x"


@pytest.mark.parametrize("slug", list(catalogue()))
def test_help_is_one_sentence_with_the_command(slug: str) -> None:
    text = offline_help(slug)
    assert "\n" not in text
    assert f"`probe sources add {slug} --path " in text
    assert ("--images DIR" in text) == bool(find_catalogue(slug).images)
    assert all(folder in text for folder in find_catalogue(slug).images)


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
