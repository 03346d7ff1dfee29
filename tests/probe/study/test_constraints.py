"""What a mixture must keep, from the user's words to a region."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from probe.cli.optimize_options import constraints_of, parse_weights, question
from probe.decide.simplex import divergence, sobol_mixtures
from probe.decide.surrogates import GaussianProcess
from probe.errors import ProbeError, UsageError
from probe.manifest.licence_rule import LicenceRule
from probe.study.constraints import Constraints, Setting, licence_notes, region_of
from sources.mixture import Mixture
from sources.spec import Licence

SOURCES = ("a", "b", "c")


def setting(**changes: Any) -> Setting:
    runs = sobol_mixtures(32, 3, 0)
    ocr = GaussianProcess().fit(runs, runs[:, 0], np.full(32, 1e-6))  # rises by 1 with the share of a
    given: dict[str, Any] = {
        "sources": SOURCES,
        "usable": {"a": 100.0, "b": 1000.0, "c": 1000.0},
        "budget": 1000,
        "base": [0.2, 0.4, 0.4],
        "licences": {"a": Licence("MIT"), "b": Licence("CC-BY-NC-4.0"), "c": Licence()},
        "surrogates": {"ocr": ocr},
    }
    return Setting(**given | changes)


def test_every_constraint_reaches_the_region() -> None:
    asked = Constraints(
        epoch_cap=3,
        least=(("a", 0.1),),
        greatest=(("b", 0.7),),
        most_sources=2,
        prior="uniform",
        max_kl=0.9,
        floors=(("ocr", 0.05),),
        floor_probability=0.5,
    )
    region = region_of(asked, setting())
    points = region.sample(400, 0)
    points = points[region.shortfall(points) == 0]
    assert len(points)
    assert (points[:, 0] <= 0.3 + 1e-9).all()  # 3 times 100 of 1,000 rows
    assert (points[:, 0] >= 0.23).all()  # a floor of .05 above the base's .2
    assert (points[:, 1] <= 0.7 + 1e-9).all()
    assert ((points > 1e-6).sum(axis=1) <= 2).all()
    assert (divergence(points, np.full(3, 1 / 3)) <= 0.9 + 1e-6).all()


@pytest.mark.parametrize(
    ("asked", "named", "unnamed"),
    [
        (Constraints(most_sources=1, max_kl=0.1, prior="uniform"), ("--most-sources 1", "--max-kl 0.1"), "--epoch-cap"),
        (Constraints(floors=(("ocr", 0.3),), epoch_cap=4), ("--floor ocr=0.3", "--epoch-cap 4"), "--least"),
        (Constraints(floors=(("ocr", 5.0),), most_sources=2), ("--floor ocr=5",), "--most-sources"),
        (Constraints(least=(("b", 0.2),), licences=LicenceRule.of(["MIT"])), ("the licence rule",), "--floor"),
        (Constraints(licences=LicenceRule.of(["MIT"]), epoch_cap=2), ("the licence rule", "--epoch-cap 2", "budget is 200"), "--max-kl"),
        (Constraints(epoch_cap=0.1), ("--epoch-cap 0.1", "largest possible budget is 210"), "the licence rule"),
        (Constraints(greatest=(("a", 0.0), ("b", 0.1), ("c", 0.1))), ("--greatest", "less than 1"), "--epoch-cap"),
    ],
)
def test_what_cannot_be_is_said_with_the_constraints_that_contradict(asked: Constraints, named: tuple[str, ...], unnamed: str) -> None:
    with pytest.raises(ProbeError) as told:
        region_of(asked, setting())
    assert all(name in str(told.value) for name in named), told.value
    assert unnamed not in str(told.value)


def test_a_rule_that_leaves_no_source_says_which_licences_there_are() -> None:
    with pytest.raises(ProbeError, match=r"leaves out every source: a \(MIT\), b \(CC-BY-NC-4.0\), c \(NOASSERTION\)"):
        region_of(Constraints(licences=LicenceRule.of(["Apache-2.0"])), setting())


def test_licences_are_told() -> None:
    told = licence_notes(LicenceRule.of((), no_noncommercial=True), setting())
    assert told[0] == "left out by licence: b (CC-BY-NC-4.0)"
    assert "licence of c" in told[1]
    (listed,) = licence_notes(LicenceRule.of(["MIT"]), setting())
    assert listed == "left out by licence: b (CC-BY-NC-4.0), c (NOASSERTION)"
    assert licence_notes(LicenceRule(), setting()) == ()


def test_a_prior_is_a_name_or_a_mixture_of_these_sources() -> None:
    assert region_of(Constraints(prior="proportional"), setting()).prior == pytest.approx((1 / 21, 10 / 21, 10 / 21))
    assert region_of(Constraints(prior=Mixture.of({"a": 1, "x": 1})), setting()).prior == (1.0, 0.0, 0.0)
    assert region_of(Constraints(), setting(base=[0.0, 0.0, 0.0])).prior == pytest.approx((1 / 21, 10 / 21, 10 / 21))
    with pytest.raises(UsageError, match="none of the sources"):
        region_of(Constraints(prior=Mixture.single("x")), setting())


def options(**changes: Any) -> dict[str, Any]:
    given = {"epoch_cap": 4.0, "least": "", "greatest": "", "most_sources": None, "licence_allow": "", "no_noncommercial": False}
    given |= {"floor": "", "floor_probability": 0.9, "prior": "base", "trust": 0.05, "max_kl": None}
    return given | {"suggest": None, "train": False, "front": ""} | changes


def test_options_become_constraints() -> None:
    assert constraints_of(options()) == Constraints()
    asked = constraints_of(options(licence_allow="mit, CC-BY-4.0", floor="ocr=-0.01", prior="a=0.5,b=0.5", max_kl=0.3))
    assert asked.licences.allow == ("MIT", "CC-BY-4.0")
    assert asked.floors == (("ocr", -0.01),)
    assert asked.prior == Mixture.of({"a": 0.5, "b": 0.5})
    assert asked.plain()["prior"] == {"mixture": {"a": 0.5, "b": 0.5}, "trust": 0.05, "max_kl": 0.3}


@pytest.mark.parametrize(
    "wrong", [{"prior": "nowhere"}, {"floor": "ocr"}, {"floor": "a=1,a=2"}, {"least": "a=nan"}, {"licence_allow": "Nope"}]
)
def test_options_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ProbeError):
        constraints_of(options(**wrong))


def test_questions_do_not_mix() -> None:
    assert [question(options(**asked)) for asked in ({}, {"suggest": 2, "train": True}, {"front": "x,y"})] == ["", "suggest", "front"]
    for wrong in ({"suggest": 2, "front": "x,y"}, {"train": True}):
        with pytest.raises(UsageError):
            question(options(**wrong))
    assert parse_weights("--least", "a=1, b=0.5") == (("a", 1.0), ("b", 0.5))
