import json

import pytest

from probe.manifest.licences import normalise_licence
from probe.study.novelty import Share, base_of, bases_that_saw, not_new, novelty_notes, seen_by, trained_on
from proxy_training.jobs import ProxySpec
from proxy_training.proxies import proxy_spec
from sources.bases import find_base
from sources.catalogue import catalogue
from sources.spec import SourceSpec


def proxy(name, path="/nowhere", family="idefics3"):
    return ProxySpec(name, str(path), "weights", family)


def source(slug, form="parquet", **fields):
    return SourceSpec(slug, form, "/data", **fields)


SMOLVLM = proxy("HuggingFaceTB/SmolVLM-256M-Instruct")


@pytest.mark.parametrize(
    ("base", "spec", "share", "within"),
    [
        ("SmolVLM", source("docmatix"), Share.ALL, ("docmatix",)),
        ("SmolVLM", source("cauldron-docvqa"), Share.ALL, ("the-cauldron",)),
        ("SmolVLM", source("the-cauldron/docvqa"), Share.ALL, ("the-cauldron",)),
        ("SmolVLM", source("ours", hub_id="HuggingFaceM4/the_cauldron", subset="docvqa"), Share.ALL, ("the-cauldron",)),
        ("SmolVLM", source("llava-onevision"), Share.PARTS, ("the-cauldron",)),
        ("SmolVLM", source("infinity-mm", "webdataset"), Share.PARTS, ("docmatix",)),
        ("LLaVA-1.5", source("llava-instruct-150k", "llava"), Share.ALL, ("llava-665k",)),
        ("LLaVA-1.5", source("llava-665k/ocr_vqa", "llava"), Share.ALL, ("llava-665k",)),
        ("LLaVA-1.5", source("sharegpt4v-mix665k", "llava"), Share.PARTS, ("llava-665k",)),
        ("LLaVA-1.5", source("internvl-chat-sft", "llava"), Share.PARTS, ("llava-665k",)),
        ("LLaVA-1.5", source("sharegpt4v-pt", "llava"), Share.IMAGES, ("llava-pretrain-558k",)),
        ("SmolVLM", source("sharegpt4v", "llava"), None, ()),
        ("SmolVLM", source("mine"), None, ()),
        ("tiny", source("world/colour", "world"), Share.MADE_ALIKE, ()),
        ("tiny", source("docmatix"), None, ()),
    ],
)
def test_what_a_base_has_seen(base, spec, share, within):
    found = next(b for b in [find_base([base]) or find_base([f"{base}-Instruct"]) or find_base([f"{base}-7b"])] if b)
    seen = seen_by(found, spec)
    assert (seen and seen.share, seen.within if seen else ()) == (share, within)


def test_a_source_is_named_to_the_bases_that_saw_it():
    assert {"SmolVLM", "SmolVLM2", "Idefics3", "LLaVA-OneVision (parts)"} <= set(bases_that_saw(source("cauldron-chartqa")))
    assert bases_that_saw(source("mine")) == []


def test_a_proxy_is_known_by_hub_id_preset_cache_folder_and_config(tmp_path):
    snapshot = tmp_path / "models--HuggingFaceTB--SmolVLM-500M-Instruct" / "snapshots" / "abc"
    saved = tmp_path / "ours"
    saved.mkdir(parents=True)
    assert base_of(SMOLVLM).name == "SmolVLM"
    assert base_of(proxy("smolvlm-256m")).name == "SmolVLM"
    assert base_of(proxy("abc", snapshot)).name == "SmolVLM"
    assert base_of(proxy("LLaVA-1.5-7b-hf", family="llava")).name == "LLaVA-1.5"
    assert base_of(proxy("ours", saved)) is None
    (saved / "config.json").write_text(json.dumps({"_name_or_path": "/models/SmolVLM-256M-Instruct"}))
    assert base_of(proxy("ours", saved)).name == "SmolVLM"
    (saved / "config.json").write_text("[not json")
    assert base_of(proxy("ours", saved)) is None
    assert base_of(proxy("ours", saved, "qwen2_5_vl")).name == "Qwen2.5-VL"
    assert base_of(proxy_spec("tiny")).name == "tiny"


def test_sources_are_named_together_with_the_reason_and_its_link():
    specs = [source("cauldron-docvqa"), source("mine"), source("cauldron-ai2d"), source("llava-onevision")]
    notes = novelty_notes(SMOLVLM, specs)
    link = find_base(["smolvlm-256m"]).link
    name = SMOLVLM.name
    assert notes == (
        f"not new to {name}: cauldron-docvqa, cauldron-ai2d; SmolVLM was trained on the-cauldron ({link})",
        f"not new to {name} in part: llava-onevision; SmolVLM was trained on the-cauldron, which shares rows with it ({link})",
    )
    assert list(not_new(SMOLVLM, specs)) == ["cauldron-docvqa", "cauldron-ai2d", "llava-onevision"]


def test_what_is_not_published_is_said_once():
    specs = [source("cauldron-docvqa"), source("docmatix")]
    for family in ("qwen2_vl", "qwen3_vl", "gemma3"):
        (note,) = novelty_notes(proxy("ours", family=family), specs)
        assert "it is not published what" in note
        assert "by its model type" in note
        assert not_new(proxy("ours", family=family), specs) == {}
    (note,) = novelty_notes(proxy("ours"), specs)
    assert note.startswith("it is not known what ours was trained on")
    *seen, last = novelty_notes(proxy("HuggingFaceM4/Idefics3-8B-Llama3"), specs)
    assert len(seen) == 2
    assert "published in part (also: OBELICS)" in last


def test_the_bundled_proxy_has_nothing_to_say_of_real_data():
    tiny = proxy_spec("tiny")
    assert novelty_notes(tiny, [source("docmatix"), source("easy-vqa/colour", "easy-vqa"), source("mine")]) == ()
    (note,) = novelty_notes(tiny, [source("world/colour", "world"), source("world/shape", "world")])
    assert note.startswith("not new to tiny: world/colour, world/shape; tiny was trained on rows that were made alike")


@pytest.mark.parametrize("slug", list(catalogue()))
def test_licences_of_the_catalogue_can_go_into_a_manifest(slug):
    licence = catalogue()[slug].licence
    assert normalise_licence(licence.declared) == licence.declared
    assert normalise_licence(licence.concluded) == licence.concluded


def test_what_a_proxy_was_trained_on_is_told_in_words():
    assert trained_on(SMOLVLM) == "the-cauldron, docmatix"
    assert trained_on(proxy("HuggingFaceM4/Idefics3-8B-Llama3")).startswith("in part published: the-cauldron, docmatix, websight; OBELICS")
    assert trained_on(proxy("x", family="gemma3")) == "not published"
    assert trained_on(proxy("x")) == "not known"
