"""Parts of what a store holds, as pages read them: some arms' scores, one level's effects and pairs, counts and costs without rows."""

from dataclasses import replace

import pytest
from store_values import a_benchmark, a_probe, a_result, a_study, an_arm, fill, finish_all

from db.values import Arm, ArmRole, Design, EffectRow, PairRow, ProbeState, Ranking
from sources.estimate import Estimate
from sources.mixture import Curriculum, Mixture, Phase

OVERALL = ("overall", "overall")


def around(value):
    return Estimate(value, 0.1, value - 0.2, value + 0.2, 6)


def a_ranking():
    effects = [
        EffectRow(arm, ArmRole.SOURCE, level, name, around(0.1), 0.5, 1)
        for level, name in (OVERALL, ("benchmark", "colour"))
        for arm in "ab"
    ]
    pairs = [
        PairRow(*OVERALL, "a", "b", around(0.5), True),
        PairRow(*OVERALL, "a", "c", around(-0.5), True),
        PairRow(*OVERALL, "b", "c", around(-0.1), False),
        PairRow("benchmark", "colour", "a", "b", around(-0.5), True),
    ]
    return Ranking("main", 3, "tiny", "untrained", "right_probability", 0.9, 0.01, 0.02, False, tuple(effects), tuple(pairs))


@pytest.fixture
def ranked(store):
    fill(store)
    store.put_ranking(a_ranking())
    return store


def test_a_ranking_is_read_in_part(ranked):
    whole = a_ranking()
    assert ranked.ranking("main", ["overall"], pairs=False) == replace(whole, effects=whole.effects[:2], pairs=())
    assert ranked.effects("main") == whole.effects
    assert ranked.effects("main", ["benchmark"], ["b"]) == (whole.effects[3],)
    assert ranked.pairs("main", OVERALL) == whole.pairs[:3]
    assert ranked.pairs("main", OVERALL, ["b", "c"]) == (whole.pairs[2],)
    assert ranked.pairs("other", OVERALL) == ()


def test_decided_pairs_are_counted_by_who_wins(ranked):
    assert ranked.decided_counts("main", OVERALL) == {"a": (1, 1), "b": (1, 0), "c": (0, 1)}
    assert ranked.decided_counts("main", ("benchmark", "colour")) == {"a": (1, 0), "b": (0, 1)}
    assert ranked.decided_counts("main", ("capability", "none")) == {}


def test_scores_of_some_arms_are_those_of_all(store):
    fill(store)
    finish_all(store)
    every, one = store.scores("main", "colour"), store.scores("main", "colour", names=["b"])
    assert [arm.name for arm in one.arms] == ["b"]
    assert one.repeats == every.repeats
    assert one.values.tolist()[0] == every.values[:, 1:].tolist()[0]


def test_arms_of_some_roles(store):
    fill(store)
    store.add_arms("main", [an_arm("untrained", ArmRole.UNTRAINED)])
    assert [arm.name for arm in store.arms("main", [ArmRole.UNTRAINED])] == ["untrained"]


def test_labels_are_the_arms_without_their_curricula_and_sources_those_of_the_curricula(store):
    store.put_benchmark(a_benchmark("colour"))
    store.create_study(a_study(), ["colour"])
    swarm = Arm("swarm-1", ArmRole.MIXTURE, Design.SWARM, Curriculum((Phase(Mixture.of({"c": 1, "a": 3})),)))
    store.add_arms("main", [an_arm("z"), an_arm("untrained", ArmRole.UNTRAINED), swarm])
    whole = store.arms("main")
    assert [(arm.name, arm.role, arm.design, arm.source) for arm in store.arm_labels("main")] == [
        (arm.name, arm.role, arm.design, arm.source) for arm in whole
    ]
    assert store.arms("main", names=["swarm-1"]) == (swarm,)
    assert store.design_sources("main") == {Design.SOLO: ("a", "b", "z"), Design.SWARM: ("a", "c")}


def test_costs_of_arms_are_those_of_their_done_probes(store):
    fill(store)
    assert store.arm_costs("main") == ()
    finish_all(store)
    done = [probe for probe in store.probes("main") if probe.arm == "a"]
    cost = store.arm_costs("main")[0]
    assert (cost.arm, cost.probes) == ("a", len(done))
    assert cost.cpu_s == pytest.approx(sum(probe.train_cpu_s + probe.eval_cpu_s for probe in done))
    assert cost.rows == pytest.approx(sum(probe.rows for probe in done) / len(done))


def test_probes_of_one_state_are_those_of_all_in_that_state(store):
    fill(store)
    claim = store.claim("worker", "main", 60)
    assert store.finish(claim, a_result(claim))
    claim = store.claim("worker", "main", 60)
    assert store.fail(claim, "out of memory")
    every, progress = store.probes("main"), store.progress("main")
    for state in ProbeState:
        of_it = tuple(probe for probe in every if probe.state is state)
        assert store.probes("main", state) == of_it
        assert progress.probes(state) == len(of_it)
    assert progress.probes() == len(every) == 4
    assert store.probes("main", most=3) == every[:3]
    assert [probe.error for probe in store.probes("main", ProbeState.FAILED, most=1)] == ["out of memory"]


def test_an_unscored_probe_counts_as_failed_among_those_of_a_state(store):
    fill(store)
    finish_all(store)
    store.put_benchmark(a_benchmark("shape"))
    store.add_study_benchmark("main", "shape")
    claim = store.claim("worker", "main", 60)
    assert store.fail(claim, "no such file")
    (failed,) = store.probes("main", ProbeState.FAILED)
    assert (failed.training_id, failed.error) == (claim.training_id, "no such file")
    assert len(store.probes("main", ProbeState.WAITING)) == 3
    assert store.probes("main", ProbeState.DONE) == ()


def test_seeds_are_those_of_each_design_without_the_confirmation(store):
    store.put_benchmark(a_benchmark("colour"))
    store.create_study(a_study(), ["colour"])
    assert store.seeds("main") == {}
    confirmed = replace(an_arm("b", ArmRole.CONFIRM), design=None)
    mixture = Arm("swarm-1", ArmRole.MIXTURE, Design.SWARM, Curriculum((Phase(Mixture.of({"c": 1, "a": 3})),)))
    store.add_arms("main", [an_arm("a"), confirmed, mixture])
    store.plan_probes("main", [a_probe("a", repeat) for repeat in range(3)] + [a_probe("swarm-1"), a_probe("b", 1000)])
    assert store.seeds("main") == {Design.SOLO: 3, Design.SWARM: 1}
