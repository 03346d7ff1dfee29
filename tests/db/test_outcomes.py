"""Full-scale results: what goes in comes out, all or none, and outlives its study."""

import dataclasses

import pytest
from store_values import a_benchmark, a_study

from db.errors import StoreError
from db.values import KeptFidelity, Outcome, OutcomeScore
from sources.mixture import Curriculum, Mixture

SCORES = (OutcomeScore("benchmark", "colour", 0.41, 0.01), OutcomeScore("capability", "ocr", 0.6))


def an_outcome(name="first", study="main", **changes):
    values = {"curriculum": Curriculum.static(Mixture.of({"a": 1, "b": 2})), "scores": SCORES, "seeds": 2, "note": "8B, one epoch"}
    return Outcome(study, name, **(values | changes))


@pytest.fixture
def studies(store):
    store.put_benchmark(a_benchmark())
    for name in ("main", "other"):
        store.create_study(a_study(name), ["colour"])
    return store


def test_an_outcome_comes_back_equal(studies, clock):
    studies.add_outcomes([an_outcome()])
    clock.now += 10
    studies.add_outcomes([an_outcome("second", manifest="abc"), an_outcome(study="other")])
    assert [one.name for one in studies.outcomes("main")] == ["first", "second"]
    assert len(studies.outcomes()) == 3
    found = studies.outcomes("main")[0]
    assert found.created_at == "1970-01-12T13:46:40Z"
    assert repr(dataclasses.replace(found, created_at="")) == repr(an_outcome())  # NaN equals no NaN


def test_a_taken_name_is_refused_and_nothing_is_added(studies):
    studies.add_outcomes([an_outcome()])
    with pytest.raises(StoreError, match="has an outcome 'first' already"):
        studies.add_outcomes([an_outcome("new"), an_outcome("first")])
    with pytest.raises(StoreError, match="has an outcome 'twice' already"):
        studies.add_outcomes([an_outcome("twice"), an_outcome("twice")])
    assert [one.name for one in studies.outcomes()] == ["first"]


def test_an_unknown_study_is_named_with_what_is_near(studies):
    with pytest.raises(StoreError, match="did you mean 'main'"):
        studies.add_outcomes([an_outcome(study="mian")])


def test_an_outcome_is_removed_with_its_scores(studies):
    studies.add_outcomes([an_outcome(), an_outcome("second")])
    studies.remove_outcome("main", "first")
    assert [one.name for one in studies.outcomes()] == ["second"]
    with pytest.raises(StoreError, match="no outcome 'first'"):
        studies.remove_outcome("main", "first")
    studies.add_outcomes([an_outcome()])  # its scores are gone, so it can come again
    assert len(studies.outcomes("main")[1].scores) == 2


def test_outcomes_outlive_their_study_and_its_fidelity_does_not(studies):
    studies.add_outcomes([an_outcome()])
    studies.put_fidelity(KeptFidelity("main", "d1", "{}"))
    studies.put_fidelity(KeptFidelity("main", "d2", '{"a": 1}'))
    assert studies.fidelity("main") == KeptFidelity("main", "d2", '{"a": 1}')
    studies.remove_study("main")
    assert studies.fidelity("main") is None
    assert [one.name for one in studies.outcomes("main")] == ["first"]
