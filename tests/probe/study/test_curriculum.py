"""An order of phases is chosen where it truly beats the static optimum, and not where nothing is in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from test_optimise import SOURCES, World, truth

from db.store import Store
from db.values import Arm, ArmRole, PlannedProbe, SourceRecord, Verdict
from probe.cli.optimize import optimize_json, print_decision
from probe.errors import ProbeError, UsageError
from probe.manifest.document import Manifest
from probe.manifest.write import manifest_json, parse_manifest
from probe.study import designs
from probe.study.confirmation import confirmation, confirmation_plan, order_confirmation, order_gain
from probe.study.constraints import Constraints
from probe.study.curriculum import CurriculumChoice, study_choice
from probe.study.decision import make_manifest
from probe.study.designs.phases import order_arms
from probe.study.mixture_search import OptimizeRequest, fit_runs, search
from probe.study.phase_lists import PhasesBy, phase_options, phases_by
from probe.study.ranking import illustration_only, rank
from probe.study.registry import builtin_sources
from probe.workspace import Workspace
from proxy_training.jobs import Cost, JobResult
from sources.difficulty import pool_specs
from sources.mixture import Curriculum, Mixture, Phase

PHASES = (Phase(Mixture.single("fine"), 0.36), Phase(Mixture.single("good"), 0.64))  # near the static optimum's shares


class OrderedWorld(World):
    """A made-up world in which what `good` at the end brings, `good` at the beginning costs."""

    def __init__(self, store: Store, gain: float, searched: float | None = None) -> None:
        self.gain, self.gain_of_search = gain, gain if searched is None else searched
        super().__init__(store)

    def finish(self, arms: list[Arm], repeats: range) -> None:
        self.store.add_arms("s", arms)
        self.store.plan_probes("s", [PlannedProbe(a.name, r, r, f"{a.name}-{r}", 1000, 30000) for a in arms for r in repeats])
        by_name = {arm.name: arm for arm in arms}
        while (claim := self.store.claim("me", "s", 60)) is not None:
            arm = by_name[claim.arm]
            (scores,) = self.scores(total(arm.curriculum), claim.seed)
            scores.values[:3] += ordering(arm.curriculum) * (self.gain if arm.role is ArmRole.CONFIRM else self.gain_of_search)
            assert self.store.finish(claim, JobResult(claim.training_id, (scores,), cost=Cost(1.0, 1.0)))


def total(curriculum: Curriculum) -> Mixture | None:
    weights: dict[str, float] = {}
    for phase in curriculum.phases:
        for slug, share in phase.mixture.shares:
            weights[slug] = weights.get(slug, 0.0) + phase.share * share
    return Mixture.of(weights) if weights else None


def ordering(curriculum: Curriculum) -> float:
    """Return 1 where `good` is in the last phase alone, -1 where in the first, else 0."""
    if len(curriculum.phases) < 2:
        return 0.0
    first, last = (curriculum.phases[k].mixture.weights().get("good", 0.0) for k in (0, -1))
    return float(np.sign(last - first))


@dataclass(frozen=True)
class Decided:
    """How `probe optimize` ends: the manifest and the choice among orders."""

    doc: Manifest
    choice: CurriculumChoice


def filled(tmp_path: Path, gain: float, searched: float | None = None, orders: bool = True) -> OrderedWorld:
    world = OrderedWorld(Store.open(tmp_path / "probe.db"), gain, searched)
    points = [dict(zip(SOURCES, w, strict=True)) for w in np.random.default_rng(1).dirichlet(np.ones(3), 14)]
    world.finish([*designs.solo_arms(SOURCES), designs.base_arm(world.study.base)], range(3))
    world.finish(designs.swarm_arms([Mixture.of(p) for p in points]), range(1))
    if orders:
        world.finish(order_arms(world.study, PHASES, 0, restarts=True), range(5))
    return world


def decide(world: OrderedWorld, tmp_path: Path, **asked: object) -> Decided:
    """What `optimize` does, with probes of known score in the place of trainings."""
    store = world.store
    found = search(store, OptimizeRequest(study="s", trials=20, budget=1000, seeds=5, **asked))  # type: ignore[arg-type]
    rank(store, "s")
    choice = study_choice(store, found)
    plan = confirmation_plan(store, found, choice.candidate.curriculum if choice.candidate else None)
    world.finish(list(plan.arms.values()), plan.repeats())
    gain = order_gain(store, found, plan)
    choice = choice.confirmed_by(gain)
    confirmed = order_confirmation(store, found, plan, gain) if gain and choice.chosen else confirmation(store, found, plan)
    return Decided(make_manifest(Workspace(tmp_path / "ws"), store, found, plan, confirmed, choice), choice)


def test_an_order_that_pays_becomes_the_manifests_phases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decided = decide(filled(tmp_path, 0.08), tmp_path)
    doc = decided.doc
    assert decided.choice.chosen is not None
    assert [phase.weights for phase in doc.phases] == [{"fine": 1.0}, {"good": 1.0}]
    assert sum(doc.rows().values()) == 1000
    assert doc.rows() == {"fine": 360, "good": 640}
    assert doc.confirmed is not None
    static = doc.confirmed["static"]
    assert static.held
    true_gain = 0.08 + truth(Mixture.of({"fine": 0.36, "good": 0.64})) - truth(Mixture.of(doc.baselines["static"]))
    assert static.gain.low < true_gain < static.gain.high
    assert {"base", "uniform", "static"} <= set(doc.confirmed)
    assert doc.beats_all()
    again = parse_manifest(manifest_json(doc), "it")
    assert again.hash == doc.hash
    told = optimize_json(again, tmp_path)
    assert told["curriculum"]["chosen"] == "phases/staged"
    assert told["curriculum"]["restarts"] is True
    assert told["counts"] == [{"fine": 360}, {"good": 640}]
    print_decision(doc, tmp_path)
    assert "phases/staged beats the best static mixture" in capsys.readouterr().out


def test_without_an_effect_of_order_the_manifest_has_one_phase_and_says_so(tmp_path: Path) -> None:
    decided = decide(filled(tmp_path, 0.0), tmp_path)
    assert decided.choice.candidate is None
    assert len(decided.doc.phases) == 1
    told = optimize_json(decided.doc, tmp_path)["curriculum"]
    assert told["chosen"] is None
    assert told["why"].startswith("No order is shown to help: phases/staged")
    assert {row["order"] for row in told["orders"]} == {"phases/staged", "phases/reversed"}
    assert all(row["verdict"] in ("neutral", "undecided") for row in told["orders"])


def test_an_order_that_helped_on_selection_alone_is_not_chosen(tmp_path: Path) -> None:
    decided = decide(filled(tmp_path, 0.0, searched=0.08), tmp_path)
    assert decided.choice.candidate is not None
    assert decided.choice.candidate.verdict is Verdict.HELPS
    assert decided.choice.chosen is None
    assert len(decided.doc.phases) == 1
    assert decided.doc.confirmed is not None
    assert "static" not in decided.doc.confirmed
    assert "is not shown to beat the best static mixture" in decided.choice.sentence()


def test_a_reversed_order_that_pays_is_found_too(tmp_path: Path) -> None:
    decided = decide(filled(tmp_path, -0.08), tmp_path)
    assert decided.choice.chosen is not None
    assert [phase.weights for phase in decided.doc.phases] == [{"good": 1.0}, {"fine": 1.0}]


def test_shares_that_break_a_constraint_are_not_chosen(tmp_path: Path) -> None:
    world = filled(tmp_path, 0.08)
    found = fit_runs(world.store, OptimizeRequest(study="s", budget=1000, constraints=Constraints(greatest=(("good", 0.5),))))
    rank(world.store, "s")
    choice = study_choice(world.store, found)
    assert choice.candidate is None
    assert choice.sentence().startswith("No order that helps keeps the constraints")


def test_what_is_asked_of_orders_is_kept(tmp_path: Path) -> None:
    world = filled(tmp_path, 0.08, orders=False)
    fit = fit_runs(world.store, OptimizeRequest(study="s", budget=1000))
    assert study_choice(world.store, fit) == CurriculumChoice()  # nothing to say of orders
    wanted = replace(fit, request=replace(fit.request, curriculum=True))
    with pytest.raises(
        ProbeError, match="no order of phases of these sources was tested: probe run --study s --design phases --phase fine=1"
    ):
        study_choice(world.store, wanted)
    world.finish(order_arms(world.study, PHASES, 0, restarts=True), range(5))
    rank(world.store, "s")
    assert study_choice(world.store, wanted).candidate is not None
    refused = replace(fit, request=replace(fit.request, curriculum=False))
    assert study_choice(world.store, refused) == CurriculumChoice()


def test_phases_by_quality_go_from_the_last_tier_to_the_first(tmp_path: Path) -> None:
    world = filled(tmp_path, 0.0, orders=False)
    world.finish([designs.untrained_arm()], range(1))
    ranking = rank(world.store, "s")
    tiers = {row.source: row.tier for row in ranking.effects if row.level == "overall" and row.tier}
    phases = phases_by(Workspace(tmp_path / "ws"), world.store, PhasesBy.QUALITY, "s", ())
    found = [tiers[slug] for phase in phases for slug in phase.mixture.weights()]
    assert found == sorted(found, reverse=True)
    assert sum(phase.share for phase in phases) == pytest.approx(1)
    assert phases[0].mixture == Mixture.single("noise")
    assert phases[0].share == pytest.approx(400 / 1800)
    assert phase_options(phases).startswith("--phase noise=1 --phase ")
    with pytest.raises(UsageError, match="in no tier"):
        phases_by(Workspace(tmp_path / "ws"), world.store, PhasesBy.QUALITY, "s", ("easy-vqa/all",))


def test_pools_of_a_builtin_source_are_what_the_bundled_proxy_was_made_for(tmp_path: Path) -> None:
    world = OrderedWorld(Store.open(tmp_path / "probe.db"), 0.0)
    builtin = builtin_sources()["world/all"]
    own = replace(builtin, options=(("rows", "50"), ("skill", "all")))
    study = replace(world.study, name="p", proxy=replace(world.study.proxy, illustration_only=True))
    world.store.create_study(study, ["bench"])
    for spec, told in ((builtin, False), (own, True)):
        (pool, _) = pool_specs(spec, "0" * 32, 2)
        world.store.put_source(SourceRecord(pool, f"f{told}", 10))
        if not told:
            world.store.add_arms("p", designs.solo_arms([pool.slug]))
        assert illustration_only(world.store, study) is told
