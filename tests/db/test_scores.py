"""Scores, their means, rankings and what was decided."""

import dataclasses

import numpy as np
import pytest
from store_values import NAN, a_benchmark, a_probe, a_result, a_study, an_arm, fill, finish_all, some_scores

from db.errors import StoreError
from db.schema import ItemScoreRow
from db.values import ArmRole, EffectRow, ManifestRecord, MeanScore, PairRow, Ranking, Verdict
from proxy_training.jobs import METRICS, JobResult
from sources.benchmark import Split
from sources.estimate import Estimate


def test_scores_are_arranged_by_arm_and_repeat_with_nan_where_missing(store):
    fill(store)
    for value in (0.1, 0.2, 0.3):  # a 0, b 0, a 1; b 1 stays undone
        claim = store.claim("me", "main", 60)
        store.finish(claim, a_result(claim, value))
    found = store.scores("main", "colour")
    assert [arm.name for arm in found.arms] == ["a", "b"]
    assert found.repeats == (0, 1)
    assert found.values.shape == (len(METRICS), 2, 2, 6)
    assert found.values[0, :, :, 0] == pytest.approx(np.array([[0.1, 0.3], [0.2, NAN]], np.float32), nan_ok=True)
    assert np.isnan(found.values[3]).all()  # bits per byte do not apply to choices
    assert found.benchmark.groups.tolist() == [0, 0, 1, 1, 2, 2]


def test_scores_of_some_roles_only(store):
    fill(store)
    store.add_arms("main", [an_arm("untrained", ArmRole.UNTRAINED)])
    assert [arm.name for arm in store.scores("main", "colour", roles=[ArmRole.UNTRAINED]).arms] == ["untrained"]
    assert store.scores("main", "colour", roles=[]).values.shape == (len(METRICS), 0, 0, 6)


def test_scores_on_a_benchmark_that_the_study_does_not_read(store):
    fill(store)
    store.put_benchmark(a_benchmark("shape"))
    with pytest.raises(StoreError, match="no benchmark 'shape'"):
        store.scores("main", "shape")


def test_means_are_over_the_scored_items_of_each_split(store):
    fill(store, arms=("a",), repeats=1)
    claim = store.claim("me", "main", 60)
    values = np.full((len(METRICS), 6), NAN, np.float32)
    values[0] = [0.0, 0.5, 1.0, NAN, 0.5, 0.25]  # items 0, 2, 4 are selection
    values[2, 0] = 1.0
    scores = dataclasses.replace(some_scores(), values=values, unscored=(3,))
    assert store.finish(claim, JobResult(claim.training_id, (scores,)))
    assert store.mean_scores("main") == (
        MeanScore("a", 0, "colour", Split.CONFIRMATION, "right_probability", 0.375, 2),
        MeanScore("a", 0, "colour", Split.SELECTION, "accuracy", 1.0, 1),
        MeanScore("a", 0, "colour", Split.SELECTION, "right_probability", 0.5, 3),
    )
    assert [mean.n for mean in store.mean_scores("main", "colour", "right_probability", Split.SELECTION)] == [3]
    np.testing.assert_array_equal(store.scores("main", "colour").values[:, 0, 0], values)


@pytest.mark.parametrize(("change", "sentence"), [({"fingerprint": "gone"}, "changed or removed"), ({"n_items": 5}, "has 6 items")])
def test_scores_of_other_items_are_refused_and_nothing_is_written(store, change, sentence):
    fill(store, arms=("a",), repeats=1)
    claim = store.claim("me", "main", 60)
    good = some_scores()
    with pytest.raises(StoreError, match=sentence):
        store.finish(claim, JobResult(claim.training_id, (good, dataclasses.replace(good, **change))))
    assert store.mean_scores("main") == ()
    assert store.progress("main").running == 1
    assert store.finish(claim, a_result(claim))


def test_a_damaged_blob_is_noticed(store):
    fill(store, arms=("a",), repeats=1)
    finish_all(store)
    with store._write() as connection:
        connection.execute(ItemScoreRow.__table__.update().values(scores=b"PSCR rubbish"))
    with pytest.raises(StoreError, match="damaged"):
        store.scores("main", "colour")


def test_two_benchmarks_of_the_same_items_are_scored_once_and_both_read(store):
    store.put_benchmark(a_benchmark("colour"))
    store.put_benchmark(a_benchmark("twin", fingerprint="items-colour"))
    store.create_study(a_study(), ["colour", "twin"])
    store.add_arms("main", [an_arm("a")])
    store.plan_probes("main", [a_probe("a")])
    assert [claim.missing for claim in finish_all(store)] == [("colour",)]
    assert {mean.benchmark for mean in store.mean_scores("main")} == {"colour", "twin"}
    assert store.scores("main", "twin").values[0, 0, 0, 0] == 0.5


def a_ranking(revision=3, level=0.9):
    sure = Estimate(0.2, 0.01, 0.18, 0.22, 450)
    unsure = Estimate(NAN, NAN, NAN, float("inf"), 0)
    effects = (
        EffectRow("a", ArmRole.SOURCE, "overall", "", sure, 0.8, tier=1, verdict=Verdict.HELPS, verdict_from="add-one"),
        EffectRow("b", ArmRole.SOURCE, "benchmark", "colour", unsure, NAN, seeds_to_decide=4),
    )
    pairs = (PairRow("overall", "", "a", "b", sure, True), PairRow("overall", "", "b", "a", sure, False))
    return Ranking("main", revision, "tiny", "untrained", "right_probability", level, NAN, 0.02, True, effects, pairs, ("few seeds",))


def test_a_ranking_comes_back_equal(store):
    fill(store)
    assert store.ranking("main") is None
    store.put_ranking(a_ranking())
    found = store.ranking("main")
    assert repr(found) == repr(a_ranking())  # repr, because NaN is not equal to itself


def test_the_newest_ranking_is_kept(store):
    fill(store)
    store.put_ranking(a_ranking(3))
    store.put_ranking(a_ranking(5, level=0.8))
    store.put_ranking(a_ranking(4))
    assert (store.ranking("main").revision, store.ranking("main").level) == (5, 0.8)
    store.put_ranking(a_ranking(5, level=0.95))  # asked again with another level
    assert store.ranking("main").level == 0.95
    store.remove_study("main")
    assert store.ranking("main") is None


def test_a_manifest_is_found_by_the_beginning_of_its_hash(store, clock):
    for name in ("abc1", "abd2"):
        store.put_manifest(ManifestRecord(name, "main", f'{{"n":"{name}"}}'))
        clock.now += 1
    assert store.manifest("abc").json == '{"n":"abc1"}'
    assert store.manifest("x") is None
    assert store.manifest("%") is None
    with pytest.raises(StoreError, match="more than one manifest begins with 'ab'"):
        store.manifest("ab")
    assert [record.hash for record in store.manifests()] == ["abd2", "abc1"]
    assert store.manifests("other") == ()


def test_a_manifest_never_changes_and_outlives_its_study(store):
    fill(store)
    store.put_manifest(ManifestRecord("abc", "main", "{}"))
    store.put_manifest(ManifestRecord("abc", "main", "{}"))
    with pytest.raises(StoreError, match="other content"):
        store.put_manifest(ManifestRecord("abc", "main", "{ }"))
    store.remove_study("main")
    assert store.manifest("abc").study == "main"


def test_notes_come_back_in_order(store):
    fill(store)
    store.add_note("main", "chose b", author="me")
    store.add_note("main", "no, a")
    assert [(note.text, note.author, note.created_at) for note in store.notes("main")] == [
        ("chose b", "me", "1970-01-12T13:46:40Z"),
        ("no, a", "", "1970-01-12T13:46:40Z"),
    ]
