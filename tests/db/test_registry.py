"""Sources, benchmarks and studies: what goes in comes out, and what is in use stays."""

import dataclasses

import numpy as np
import pytest
from store_values import a_benchmark, a_probe, a_source, a_study, an_arm, fill, finish_all

from db.errors import StoreError
from db.values import ArmRole, BenchmarkRecord, StudyPlan
from sources.mixture import Mixture


def same_benchmark(a: BenchmarkRecord, b: BenchmarkRecord) -> bool:
    arrays = {"groups", "splits", "added_at"}
    plain = all(getattr(a, f.name) == getattr(b, f.name) for f in dataclasses.fields(a) if f.name not in arrays)
    return plain and np.array_equal(a.groups, b.groups) and np.array_equal(a.splits, b.splits) and a.groups.dtype == b.groups.dtype


def test_a_source_comes_back_equal_and_keeps_its_first_date(store, clock):
    store.put_source(a_source())
    clock.now += 1000
    changed = dataclasses.replace(a_source(), usable=5, excluded=())
    store.put_source(changed)
    assert store.source("a") == dataclasses.replace(changed, added_at="1970-01-12T13:46:40Z")
    assert store.source("b") is None
    assert [record.spec.slug for record in store.sources()] == ["a"]


def test_a_benchmark_comes_back_equal(store):
    store.put_benchmark(a_benchmark())
    assert same_benchmark(store.benchmark("colour"), a_benchmark())
    assert len(store.benchmarks()) == 1


def test_a_benchmark_must_have_a_split_for_every_item(store):
    with pytest.raises(StoreError, match="one group and one split an item"):
        store.put_benchmark(dataclasses.replace(a_benchmark(), n_items=7))


def test_a_source_in_use_cannot_be_removed(store):
    for slug in ("a", "b", "c"):
        store.put_source(a_source(slug))
    fill(store, arms=("a",))
    with pytest.raises(StoreError, match="used by study 'main'"):
        store.remove_source("a")
    with pytest.raises(StoreError, match="used by study 'main'"):
        store.remove_source("b")  # only in the base mixture
    store.remove_source("c")
    with pytest.raises(StoreError, match="no source 'c' in this store"):
        store.remove_source("c")
    store.remove_study("main")
    store.remove_source("a")


def test_a_benchmark_in_use_can_neither_be_removed_nor_get_other_items(store):
    fill(store)
    with pytest.raises(StoreError, match="used by study 'main'"):
        store.remove_benchmark("colour")
    with pytest.raises(StoreError, match="frozen"):
        store.put_benchmark(a_benchmark(fingerprint="other items"))
    moved = a_benchmark()
    store.put_benchmark(dataclasses.replace(moved, spec=dataclasses.replace(moved.spec, path="elsewhere")))
    assert store.benchmark("colour").spec.path == "elsewhere"
    store.remove_study("main")
    store.put_benchmark(a_benchmark(fingerprint="other items"))
    store.remove_benchmark("colour")
    assert store.benchmarks() == ()


def test_a_study_comes_back_equal(store):
    store.put_benchmark(a_benchmark())
    store.create_study(a_study(), ["colour"])
    found = store.study("main")
    assert dataclasses.replace(found, created_at="") == a_study()
    assert found.created_at == "1970-01-12T13:46:40Z"
    assert [record.spec.name for record in store.study_benchmarks("main")] == ["colour"]


def test_an_unknown_benchmark_is_named_with_what_is_near(store):
    store.put_benchmark(a_benchmark())
    with pytest.raises(StoreError, match="did you mean 'colour'"):
        store.create_study(a_study(), ["color"])
    assert store.studies() == ()


def test_a_study_without_probes_may_change(store):
    store.put_benchmark(a_benchmark())
    store.create_study(a_study(), ["colour"])
    store.add_arms("main", [an_arm()])
    store.create_study(a_study(budget=7), [])
    assert store.study("main").budget == 7
    assert store.arms("main") == ()  # they belonged to the other question
    assert store.study_benchmarks("main") == ()


def test_a_study_with_probes_is_frozen(store):
    fill(store)
    store.create_study(a_study(), ["colour"])
    with pytest.raises(StoreError, match="study 'main' is frozen: it has probes with another budget"):
        store.create_study(a_study(budget=7), ["colour"])
    store.put_benchmark(a_benchmark("shape"))
    with pytest.raises(StoreError, match="benchmark 'shape' is not one of its own"):
        store.create_study(a_study(), ["colour", "shape"])


def test_a_frozen_study_follows_its_proxy_to_another_folder(store):
    fill(store)
    moved = dataclasses.replace(a_study().proxy, path="elsewhere")
    store.create_study(a_study(proxy=moved), ["colour"])
    assert store.study("main").proxy == moved


def test_arms_come_back_in_order_and_cannot_change(store):
    store.create_study(a_study(), [])
    arms = [an_arm("untrained", ArmRole.UNTRAINED), an_arm("b"), an_arm("a")]
    assert store.add_arms("main", arms) == 3
    assert store.add_arms("main", arms[::-1]) == 0
    assert store.arms("main") == tuple(arms)
    with pytest.raises(StoreError, match="another curriculum"):
        store.add_arms("main", [an_arm("a", mixture=Mixture.single("b"))])


def test_adding_arms_or_benchmarks_raises_the_revision(store):
    store.put_benchmark(a_benchmark())
    store.create_study(a_study(), [])
    revisions = [store.study("main").revision]
    store.add_arms("main", [an_arm()])
    revisions.append(store.study("main").revision)
    store.add_study_benchmark("main", "colour")
    revisions.append(store.study("main").revision)
    store.add_study_benchmark("main", "colour")
    store.add_arms("main", [an_arm()])
    assert revisions == [0, 1, 2] == [*revisions[:2], store.study("main").revision]


def test_a_probe_cannot_change_its_rows(store):
    fill(store)
    with pytest.raises(StoreError, match="arm 'a', repeat 1 was planned with other rows"):
        store.plan_probes("main", [a_probe("a", 1, "other training")])
    with pytest.raises(StoreError, match="no arm 'c'"):
        store.plan_probes("main", [a_probe("c")])


def test_a_plan_is_stored_wholly_or_not_at_all(store):
    arms = (an_arm("a"), an_arm("b"))
    plan = StudyPlan(a_study(), (a_source("a"), a_source("b")), (a_benchmark(),), arms, (a_probe("a"), a_probe("b")))
    assert store.check_plan(plan) == 2
    assert store.studies() == store.sources() == store.benchmarks() == ()
    assert store.put_plan(plan) == 2
    assert [claim.missing for claim in finish_all(store)] == [("colour",), ("colour",)]
    assert store.put_plan(plan) == store.check_plan(plan) == 0
    more = dataclasses.replace(plan, sources=(a_source("c"),), benchmarks=(a_benchmark(), a_benchmark("shape")), probes=(a_probe("a", 1),))
    assert store.check_plan(more) == 1
    for wrong in (
        dataclasses.replace(more, probes=(a_probe("a", 0, "other"),)),
        dataclasses.replace(more, arms=(an_arm("a", mixture=Mixture.single("b")),)),
    ):
        for refuse in (store.check_plan, store.put_plan):
            with pytest.raises(StoreError, match="another --study"):
                refuse(wrong)
        assert [record.spec.name for record in store.benchmarks()] == ["colour"]
        assert store.source("c") is None
    assert store.put_plan(more) == 1
    assert [record.spec.name for record in store.study_benchmarks("main")] == ["colour", "shape"]


def test_a_source_is_in_use_while_a_part_of_it_is(store):
    for slug in ("a", "a/b", "ab", "c_d"):
        store.put_source(a_source(slug))
    store.create_study(a_study(base=Mixture.of({"a/b": 1, "cxd/e": 1})), [])
    store.add_arms("main", [an_arm("ab", mixture=Mixture.single("x"))])
    assert [store.studies_using(slug) for slug in ("a/b", "c_d", "a/b/c")] == [["main"], [], []]
    with pytest.raises(StoreError, match="used by study 'main'"):
        store.remove_source("a")
    store.remove_source("ab")


def test_removing_a_study_keeps_what_another_study_uses(store):
    fill(store, "main", arms=("a", "b"), repeats=1)
    fill(store, "other", arms=("b",), repeats=1)
    finish_all(store, "main")
    store.remove_study("main")
    assert store.study("main") is None
    assert store.adapters_needed() == {"t-b-0"}
    assert store.training_losses("t-a-0").size == 0
    assert store.training_losses("t-b-0").tolist() == [2.0, 1.0]
    assert store.progress("other").done == 1
    assert store.claim("me", "other", 60) is None


@pytest.mark.parametrize("call", ["study_benchmarks", "arms", "probes", "progress", "remove_study", "retry_failed", "notes", "mean_scores"])
def test_an_unknown_study_is_a_sentence(store, call):
    with pytest.raises(StoreError, match="no study 'nix' in this store"):
        getattr(store, call)("nix")
