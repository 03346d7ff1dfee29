"""`probe benchmarks check --proxy --study`: what is measured of a benchmark, kept, and told by `probe rank`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from db.store import Store
from db.values import Arm, ArmRole, BudgetUnit, Design, PlannedProbe, StudyRecord
from probe.decide.benchmark_quality import ImageNeed
from probe.study.proxy_quality import ProxyQuality
from probe.study.quality_files import keep_quality, kept_quality
from probe.study.registry import benchmark_record
from proxy_training.jobs import METRICS, ItemScores, JobResult, ProxySpec, Recipe
from sources.benchmark import BenchmarkSpec
from sources.estimate import Estimate
from sources.mixture import Curriculum, Mixture

PROXY = ProxySpec("tiny", "somewhere", "weights", "idefics3")
QUALITY = Path(".probe/quality")
ARMS = ("a", "b", "c", "d", "e", "f")


def estimate(value, half=0.05):
    return Estimate(value, half / 1.7, value - half, value + half, 200)


@pytest.fixture
def letters(probe, tsv):
    """The registered benchmark `letters`, whose choices are listed."""
    assert probe("benchmarks", "add", "letters", "--path", tsv, "--choices", "letter").code == 0
    return "letters"


def test_a_benchmark_is_scored_blind_and_rotated_once_and_kept(probe, letters, tmp_path):
    asked = ("benchmarks", "check", letters, "--proxy", "tiny", "--generate", "--max-new-tokens", 4, "--device", "cpu", "--json")
    found = probe(*asked).json()
    quality = found["quality"]["proxy"]
    assert (found["items"], quality["items"], quality["metric"]) == (20, found["selection"], "generated")
    assert quality["lost_without_image"]["value"] == pytest.approx(quality["with_image"]["value"] - quality["without_image"]["value"])
    assert quality["generated"] == quality["with_image"]
    places = quality["letters"]["places"]
    assert sum(place["value"] for place in places.values()) == pytest.approx(1, abs=1e-6)
    assert list(places) == ["A", "B", "C"]
    kept = next((tmp_path / ".probe" / "quality").glob("*.json"))
    changed = json.loads(kept.read_text())
    changed["chance"] = 0.125
    kept.write_text(json.dumps(changed))
    assert probe(*asked).json()["quality"]["proxy"]["chance"] == 0.125  # read, not measured again
    assert "answers that follow the letter" in probe(*asked[:-1]).out


def test_choices_that_are_not_listed_have_no_letter_prior(probe, bench):
    ended = probe("benchmarks", "check", bench, "--proxy", "tiny", "--items", 5, "--device", "cpu")
    assert "letter prior: none to measure" in ended.out
    assert "5 selection items" in ended.out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--generate",), 2, "--generate needs --proxy"),
        (("--study", "none"), 1, "no study 'none'"),
        (("--proxy", "tinny"), 1, "there is no proxy 'tinny'"),
        (("--proxy", "tiny", "--items", "1"), 2, "--items"),
    ],
)
def test_mistakes_end_in_one_sentence(probe, bench, words, code, sentence):
    ended = probe("benchmarks", "check", bench, *words)
    assert (ended.code, sentence in ended.err) == (code, True), ended.err


def finished_study(tsv, spread, noise, right, repeats=3):
    """A study of six arms on `plain`, where all are right on a share of items, and arms and repeats differ as told."""
    rng = np.random.default_rng(0)
    record = replace(benchmark_record(BenchmarkSpec("plain", "recognition", "tsv", str(tsv))), spec=BenchmarkSpec("plain", "recognition"))
    base = Mixture.of(dict.fromkeys(ARMS, 1 / len(ARMS)))
    with Store.open(".probe/probe.db") as store:
        store.put_benchmark(record)
        store.create_study(StudyRecord("main", PROXY, Recipe(), base, False, BudgetUnit.SAMPLES, 16), ["plain"])
        arms = [Arm(name, ArmRole.SOURCE, Design.SOLO, Curriculum.static(Mixture.single(name)), name) for name in ARMS]
        store.add_arms("main", [Arm("untrained", ArmRole.UNTRAINED, None, Curriculum(())), *arms])
        planned = [PlannedProbe(name, repeat, repeat, f"{name}-{repeat}", 16) for name in ARMS for repeat in range(repeats)]
        store.plan_probes("main", [PlannedProbe("untrained", 0, 0, "untrained", 0), *planned])
        order = rng.permutation(record.n_items) < right * record.n_items
        while (claim := store.claim("worker", "main", 3600)) is not None:
            level = (spread * ARMS.index(claim.arm) if claim.arm in ARMS else 0.0) + noise * rng.normal()
            score = 0.2 + level + 0.05 * rng.normal(size=record.n_items)
            values = np.full((len(METRICS), record.n_items), np.nan, np.float32)
            values[:2], values[2] = score, order | (rng.random(record.n_items) < 0.3)
            values[4] = values[2]
            store.finish(claim, JobResult(claim.training_id, (ItemScores("plain", record.fingerprint, values, record.n_items),)))
    return record


def notes(ended, words):
    return [warning for warning in ended.json()["warnings"] if words in warning]


def test_rank_warns_of_arms_that_repeats_drown_and_not_of_others(probe, tsv):
    finished_study(tsv, spread=0.0, noise=0.1, right=0.5)
    ended = probe("rank", "--json")
    quality = ended.json()["benchmark_quality"]["plain"]
    assert notes(ended, "plain is not shown to separate the arms")
    assert quality["study"]["signal_to_noise"]["low"] == 0
    assert (quality["proxy"], quality["study"]["probes"]) == (None, 19)


def test_rank_warns_of_a_benchmark_that_everything_solves(probe, tsv):
    finished_study(tsv, spread=0.1, noise=0.01, right=1.0)
    ended = probe("rank", "--json")
    assert notes(ended, "next to no items that tell arms apart: 0 of")
    assert not notes(ended, "not shown to separate")
    assert ended.json()["benchmark_quality"]["plain"]["study"]["all_right"]["value"] == 1.0


def test_rank_warns_of_what_is_answered_without_the_image(probe, tsv):
    record = finished_study(tsv, spread=0.1, noise=0.01, right=0.3)
    need = ImageNeed(estimate(0.8), estimate(0.7), estimate(0.4), estimate(0.1), estimate(0.75))
    found = ProxyQuality("plain", record.fingerprint, "tiny", "weights", 200, 200, 200, "accuracy", 0.33, need, estimate(0.825), 0.5, None)
    path = keep_quality(QUALITY, found)
    path.write_text("{")
    assert kept_quality(QUALITY, "weights", record.fingerprint) is None  # measured again, never half believed
    keep_quality(QUALITY, found)
    assert kept_quality(QUALITY, "weights", record.fingerprint) == found
    assert kept_quality(QUALITY, "other weights", record.fingerprint) is None
    ended = probe("rank", "--json")
    assert notes(ended, "keeps 0.750 [0.700, 0.800] of its score above chance")
    assert notes(ended, "right for 0.825 [0.775, 0.875] of the items")
    assert ended.json()["benchmark_quality"]["plain"]["proxy"]["explained_without_image"]["value"] == 0.75
    weak = replace(found, need=replace(need, explained=estimate(0.52)), by_question=estimate(0.6))
    keep_quality(QUALITY, weak)
    assert not notes(probe("rank", "--json"), "without the image")
