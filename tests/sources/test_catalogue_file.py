from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from sources.bases import Disclosure, bases, find_base
from sources.catalogue import catalogue, find_catalogue
from sources.catalogue_file import catalogue_files
from sources.overlaps import OverlapKind, overlaps_of, with_parts
from sources.problems import SourceError

OWN = """
[our-charts]
title = "Charts of our reports"
format = "llava"
images = ["charts"]
declared = "MIT"
capabilities = ["charts"]

[docmatix]
title = "Docmatix, our copy"
format = "parquet"
capabilities = ["documents"]

[[overlap]]
a = "our-charts"
b = "cauldron-chartqa"
kind = "rows"
words = "some"

[[base]]
name = "Our 3B"
ids = ["us/ours-3b"]
trained_on = ["our-charts"]
"""


def test_overlaps_join_two_entries_once_and_say_where_that_is_said() -> None:
    pairs = [(overlap.a, overlap.b) for overlap in catalogue_files().overlaps]
    assert {slug for pair in pairs for slug in pair} <= set(catalogue())
    assert all(a != b for a, b in pairs)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    assert all(overlap.link.startswith("https://") and overlap.words for overlap in catalogue_files().overlaps)


def test_overlaps_are_seen_from_both_sides() -> None:
    for overlap in catalogue_files().overlaps:
        assert overlap in overlaps_of(overlap.a)
        assert overlap in overlaps_of(overlap.b)
        assert overlap.b in overlap.seen_from(overlap.a)
        assert overlap.a in overlap.seen_from(overlap.b)
    whole = next(overlap for overlap in overlaps_of("cauldron-docvqa") if overlap.kind is OverlapKind.CONTAINS)
    assert whole.seen_from("cauldron-docvqa") == "is part of the-cauldron"
    assert whole.seen_from("the-cauldron") == "contains cauldron-docvqa"


def test_nothing_contains_what_contains_it() -> None:
    for a, b in combinations(catalogue(), 2):
        assert not (a in with_parts([b]) and b in with_parts([a]))


def test_parts_are_found_through_what_is_between() -> None:
    found = with_parts(["internvl-chat-sft"])
    assert found == dict.fromkeys(("internvl-chat-sft", "sharegpt4v", "sharegpt4v-mix665k"), "internvl-chat-sft")
    assert with_parts(["the-cauldron"])["cauldron-docvqa"] == "the-cauldron"


def test_every_subset_of_the_cauldron_is_part_of_it() -> None:
    subsets = {slug for slug, entry in catalogue().items() if entry.hub_id.endswith("/the_cauldron") and entry.subset != "*"}
    assert set(with_parts(["the-cauldron"])) == subsets | {"the-cauldron"}


@pytest.mark.parametrize("base", bases(), ids=lambda base: base.name)
def test_base_is_well_formed(base) -> None:
    assert set(base.trained_on) <= set(catalogue())
    assert base.link.startswith("https://") or base.presets == ("tiny",)
    assert base.disclosed is not Disclosure.NONE or not base.trained_on
    assert all(name.count("/") == 1 for name in base.ids)
    assert find_base([(base.ids or base.presets)[0]]) == base


def test_no_name_means_two_bases() -> None:
    names = [name for base in bases() for name in (*base.ids, *base.presets)]
    assert len(names) == len({name.casefold() for name in names})
    types = [kind for base in bases() for kind in base.model_types]
    assert len(types) == len(set(types))


def test_a_name_counts_before_a_model_type() -> None:
    assert find_base(["smolvlm-256m-instruct"], "smolvlm").name == "SmolVLM"
    assert find_base(["somebody/finetune"], "smolvlm").name == "SmolVLM2"
    assert find_base(["somebody/finetune"], "idefics3") is None
    assert find_base(["", "finetune"]) is None


@pytest.fixture
def own(tmp_path: Path, monkeypatch):
    """Name a file of one's own by its text."""

    def write(text: str) -> Path:
        path = tmp_path / "own.toml"
        path.write_text(text)
        monkeypatch.setenv("PROBE_CATALOGUE", str(path))
        return path

    return write


def test_own_entries_overlaps_and_bases_join_ours(own) -> None:
    ours = len(catalogue())
    own(OWN)
    assert len(catalogue()) == ours + 1
    assert find_catalogue("our-charts").licence.declared == "MIT"
    assert find_catalogue("docmatix").title == "Docmatix, our copy"
    assert [overlap.other("our-charts") for overlap in overlaps_of("our-charts")] == ["cauldron-chartqa"]
    assert find_base(["ours-3b"]).trained_on == ("our-charts",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[a", "cannot be read"),
        ("[a]\ncapabilities = ['charts']\nlicense = 'MIT'", "in a: there is no field 'license'"),
        ("[a]\ncapabilities = ['sharts']", "in a: capability 'sharts' is none of recognition,"),
        ("[a]\ncapabilities = []\nrows = 'many'", "in a: rows = 'many' is not of type int"),
        ("[a]\ncapabilities = []\nimages = 'train2017'", "in a: images = 'train2017' is not of type"),
        ("[a]\nfacts = [{ about = 'rows' }]", "in a: "),
        ("a = 1", "in a: "),
        ("[[overlap]]\na = 'docmatix'\nb = 'llava-665k'", "in overlap 1: 'kind' is missing"),
        ("[[overlap]]\na = 'docmatix'\nb = 'llava-665k'\nkind = 'both'", "in overlap 1: 'both' is not a valid"),
        ("[[overlap]]\na = 'docmatix'\nb = 'nothing'\nkind = 'rows'", "names 'nothing', which is no entry"),
        ("[[base]]\nids = ['us/ours']", "in base 1: "),
        ("[[base]]\nname = 'x'\ntrained_on = ['nothing']", "names 'nothing', which is no entry"),
        ("[overlap]\na = 'docmatix'", "in overlap 1: "),
    ],
)
def test_mistakes_in_an_own_file_end_in_one_sentence(own, text: str, sentence: str) -> None:
    path = own(text)
    with pytest.raises(SourceError) as caught:
        catalogue()
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_own_file_is_said(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROBE_CATALOGUE", str(tmp_path / "none.toml"))
    with pytest.raises(SourceError, match="cannot be read"):
        catalogue()
