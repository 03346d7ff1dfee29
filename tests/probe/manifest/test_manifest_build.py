import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest

from db.values import ArmRole, BenchmarkRecord, BudgetUnit, EffectRow, SourceRecord, StudyRecord, Verdict
from probe.manifest import (
    BudgetEntry,
    ConfirmedGain,
    Decision,
    DrawEntry,
    EvidenceEntry,
    OptimiserEntry,
    Provenance,
    ReaderEntry,
    benchmark_entry,
    build_manifest,
    manifest_lines,
    mixture_markdown,
    phase_counts,
    read_manifest,
    write_manifest,
)
from probe.manifest.build import source_entry
from probe.manifest.show import origin_text
from proxy_training.jobs import ProxySpec, Recipe
from sources.benchmark import BenchmarkSpec
from sources.estimate import Estimate
from sources.images import IMAGE_POLICY
from sources.mixture import Curriculum, Mixture, Phase
from sources.spec import Licence, SourceSpec, Stream

CURRICULUM = Curriculum((Phase(Mixture.of({"a": 0.7, "b": 0.3}), 0.25), Phase(Mixture.of({"a": 0.1, "b": 0.9}), 0.75)))
GAIN = Estimate(np.float32(0.25), np.float64(0.01), 0, 0.5, np.int64(900))


def build(tmp_path, curriculum=CURRICULUM, clean_of=(), **changes):
    counts = phase_counts(CURRICULUM, BudgetUnit.SAMPLES, 1000)
    decision = Decision(
        curriculum=curriculum,
        counts=counts,
        budget=BudgetEntry("samples", 1000),
        weights={"a": GAIN, "b": GAIN},
        baselines={"uniform": {"a": 0.5, "b": 0.5}},
        predicted={"uniform": GAIN},
        confirmed=changes.pop("confirmed", {"uniform": ConfirmedGain(GAIN, True)}),
        optimiser=OptimiserEntry("gp", {"cap": np.float64(4.0), "trials": 10}, 0, 24, "digest"),
        evidence=EvidenceEntry(("t1", "t2")),
    )
    proxy = ProxySpec("tiny", str(tmp_path / "tiny"), "f" * 32, "idefics3", illustration_only=True)
    benchmark = BenchmarkRecord(
        BenchmarkSpec("bench", "ocr", path=str(tmp_path)), "fp", 3, np.zeros(3, np.int32), np.array([0, 0, 1], np.int8)
    )
    records = changes.pop("sources", None) or [
        SourceRecord(SourceSpec(slug, "llava", str(tmp_path), licence=Licence("MIT")), slug * 32, 200, (("no_answer", 2),))
        for slug in "bca"
    ]
    return build_manifest(
        decision,
        study=StudyRecord("main", proxy, Recipe(), Mixture.single("a"), False, BudgetUnit.SAMPLES, 100, clean_of=clean_of),
        metric="right_probability",
        objective_metric="right_probability",
        illustration_only=changes.pop("illustration_only", True),
        sources=records,
        benchmarks=[benchmark_entry(benchmark, 1.0)],
        capabilities={"ocr": 1.0},
        image_policy=IMAGE_POLICY,
        provenance=Provenance("0.1.0"),
        effects=[
            EffectRow("a", ArmRole.SOURCE, "overall", "", GAIN, 0.5, 2, source="a"),
            EffectRow("+a", ArmRole.SOURCE, "overall", "", GAIN, 0.5, 1, Verdict.HELPS, "add-one", source="a"),
            EffectRow("-a", ArmRole.SOURCE, "overall", "", GAIN, 0.5, None, Verdict.HURTS, "leave-one-out", source="a"),
            EffectRow("a@50", ArmRole.SOURCE, "overall", "", GAIN, 0.5, source="a"),
        ],
        **changes,
    )


def test_a_manifest_of_the_stores_values_reads_back_and_holds_no_path(tmp_path):
    doc = build(tmp_path)
    path = write_manifest(doc, tmp_path / "out")
    again = read_manifest(path)
    assert again.hash == doc.hash
    assert str(tmp_path) not in path.read_text()
    assert [entry.slug for entry in again.sources] == ["a", "b", "c"]
    assert again.source("a").rows == 175 + 75
    assert again.source("a").repeat == pytest.approx(1.25)
    assert (again.source("a").verdict, again.source("a").tier) == ("helps", 1)  # the add-one arm's, not of another design
    assert again.source("c").rows == 0
    assert again.objective.benchmarks[0].selection_items == 2
    assert again.licences.expression == "MIT"
    assert again.warnings[0].startswith("illustration, not evidence")


def test_what_was_read_and_what_an_effect_rests_on(tmp_path):
    doc = build(tmp_path, effect_seeds={"+a": 5, "a": 3})
    assert (doc.source("a").available, doc.source("a").contaminated) == (202, None)  # nobody looked for a benchmark's items
    assert (doc.source("a").effect_seeds, doc.source("b").effect_seeds) == (5, None)  # of the arm whose effect it is
    held = (("contaminated", 7), ("no_answer", 2))
    records = [SourceRecord(SourceSpec(slug, "llava"), slug * 32, 200, held if slug == "a" else ()) for slug in "abc"]
    clean = build(tmp_path, clean_of=("bench",), sources=records)
    assert [entry.contaminated for entry in clean.sources] == [7, 0, 0]


def test_an_order_with_restarts_says_so_of_every_phase_but_the_first(tmp_path):
    assert not any(phase.restarts for phase in build(tmp_path).phases)
    doc = read_manifest(write_manifest(build(tmp_path, curriculum=replace(CURRICULUM, restarts=True)), tmp_path / "out"))
    assert [phase.restarts for phase in doc.phases] == [False, True]
    assert doc.hash != build(tmp_path).hash
    assert "the learning rate starts again" in "\n".join(manifest_lines(doc))


def test_data_the_bundled_proxy_was_made_for_is_no_illustration(tmp_path):
    doc = build(tmp_path, illustration_only=False)
    assert not doc.proxy.illustration_only
    assert not any("illustration" in warning for warning in doc.warnings)


def test_an_unconfirmed_manifest_says_so(tmp_path):
    assert build(tmp_path, confirmed=None).warnings[-1].startswith("not confirmed")


def test_the_hash_does_not_depend_on_where_data_and_proxy_lie(tmp_path):
    assert build(tmp_path / "x").hash == build(tmp_path / "y").hash


def test_counts_in_samples_sum_exactly_and_in_tokens_follow_tokens_per_row():
    odd = phase_counts(CURRICULUM, BudgetUnit.SAMPLES, 997)
    assert sum(sum(phase.values()) for phase in odd) == 997
    tokens = phase_counts(CURRICULUM, BudgetUnit.TOKENS, 100_000, {"a": 10.0, "b": 100.0})
    assert tokens == ({"a": 1750, "b": 75}, {"a": 750, "b": 675})
    with pytest.raises(ValueError, match="tokens per row of b"):
        phase_counts(CURRICULUM, BudgetUnit.TOKENS, 100, {"a": 1.0})


def test_an_unreadable_estimate_is_not_hidden(tmp_path):
    doc = dataclasses.replace(build(tmp_path), weights={"a": dataclasses.replace(GAIN, n=1.5)})
    with pytest.raises(ValueError, match=r"weights\.a\.n should be int"):
        _ = doc.hash


def test_how_a_streamed_source_was_drawn_and_what_a_part_is_of_are_kept_and_told(tmp_path):
    place = tmp_path / "pools" / "0"
    stream = Stream("https://data.example.org/x", "*.parquet", "validation", 500, 7, version="v", fixed=True)
    streamed = SourceSpec("a", "parquet", str(place), hub_id="org/fine", subset="ai2d", revision="9" * 40, stream=stream)
    part = SourceSpec("c", "llava").part("ocr(vqa)")
    records = [SourceRecord(spec, "f" * 32, 200, ()) for spec in (streamed, SourceSpec("b", "llava"), part)]
    doc = build(tmp_path, sources=records)
    path = write_manifest(doc, tmp_path / "out")
    again = read_manifest(path)
    assert again.hash == doc.hash
    assert again.source("a").drawn == DrawEntry("validation", 500, 7, "*.parquet")
    assert (again.source("c/ocr-vqa").part_of, again.source("c/ocr-vqa").part) == ("c", "ocr-vqa")
    plain = {entry["slug"]: set(entry) for entry in json.loads(path.read_text())["sources"]}
    assert plain["a"] - plain["b"] == {"drawn"}
    assert plain["c/ocr-vqa"] - plain["b"] == {"part_of", "part"}
    assert plain["b"] - plain["c/ocr-vqa"] == {"available"}
    for text in (path.read_text(), "\n".join(manifest_lines(doc)), mixture_markdown(doc)):
        assert "data.example.org" not in text
        assert str(tmp_path) not in text
    told = [" ".join(line.split()) for line in manifest_lines(doc)]
    assert f"a org/fine ai2d {'9' * 40}; at most 500 rows of split validation, files *.parquet, seed 7" in told
    assert "c/ocr-vqa part ocr-vqa of c" in told
    other = replace(streamed, stream=replace(stream, seed=8))
    assert build(tmp_path, sources=[SourceRecord(other, "f" * 32, 200, ()), *records[1:]]).hash != doc.hash


def test_a_part_that_was_added_under_another_name_says_only_which_part_it_is(tmp_path):
    record = SourceRecord(SourceSpec("mine", "llava", options=(("subsource", "coco"),)), "f" * 32, 200, ())
    entry = source_entry(record, ReaderEntry("llava", 1), {})
    assert (entry.part_of, entry.part, origin_text(entry)) == ("", "coco", "part coco")
