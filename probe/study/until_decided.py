"""`probe run --until-decided`: the next seeds go where a decision is still open, and the answers hold at every look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.values import Arm, ArmRole, PlannedProbe, ProbeState, StudyPlan, StudyRecord
from probe.decide.asked import Question, questions
from probe.decide.open_questions import OpenQuestion, open_questions
from probe.decide.sequential import looks
from probe.decide.study_scores import StudyArm
from probe.errors import ProbeError
from probe.study.decontamination import study_draws
from probe.study.planned_probes import SEED_STRIDE, Say, plan_probes
from probe.study.ranking import known_study, rank
from probe.study.request import RunRequest
from probe.study.run import Planned, plan_run, store_plan
from probe.workspace import Workspace
from sources.counted import counted

if TYPE_CHECKING:
    from db.store import Store

FIRST_LOOK, MOST_SEEDS = 3, 12
SHOWN = 3
SUGGESTED, MOST_MIXTURES = 4, 64
Run = Callable[[], bool]  # runs what waits; False once the time is up


@dataclass(frozen=True, slots=True)
class Round:
    """One look: what was open, and how many more probes were asked for because of it."""

    seeds: tuple[int, ...]  # of the arms, fewest and most
    open: tuple[str, ...]
    probes: int


@dataclass(frozen=True, slots=True)
class Decided:
    """How a run until decided ended: `why` is `nothing open`, `most seeds`, `most mixtures` or `budget`."""

    why: str
    rounds: tuple[Round, ...]
    still_open: tuple[str, ...]
    looks: tuple[int, ...]
    probes: int  # trained in the study, confirmation apart
    equal: int  # what as many seeds for every arm as the most seen would have taken

    def sentence(self) -> str:
        """Say it in words."""
        still = counted(len(self.still_open), "question is", "questions are")
        ended = {
            "nothing open": "Everything is decided",
            "most mixtures": f"{MOST_MIXTURES} mixtures are trained and more may improve ({'; '.join(self.still_open)})",
            "most seeds": f"{still} still open, which {max(self.looks, default=0)} seeds would hardly decide",
            "budget": f"The time is up with {counted(len(self.still_open), 'question')} open; the same command goes on",
        }[self.why]
        equal = f" (as many seeds for every arm: {self.equal})" if self.looks else ""
        return f"{ended}: {self.probes} probes{equal}."


def first_plan(workspace: Workspace, request: RunRequest, most_seeds: int | None, say: Say) -> Planned:
    """Plan the seeds of the first look; a study that is decided once so far is decided over looks from now on.

    Raises:
        ProbeError, SourceError, StoreError: something cannot be used; the message holds the cure.
    """
    with workspace.look() as store:
        known = store.study(request.study)
        seen = _most_repeats(store, request.study) if known else 0
    if known and known.looks:
        at = known.looks
        asked = {"--seeds": (request.seeds, at[0]), "--most-seeds": (most_seeds, at[-1])}
        if other := next((name for name, (wanted, has) in asked.items() if wanted not in (None, has)), None):
            raise ProbeError(
                f"study {request.study!r} is decided at {', '.join(map(str, at))} seeds, fixed when it began: "
                f"leave {other} out, or use another --study."
            )
    else:
        first = max(FIRST_LOOK, request.seeds or 0, seen)
        at = looks(first, max(most_seeds or MOST_SEEDS, first + 1))
    planned = plan_run(workspace, replace(request, seeds=at[0]), say)
    return replace(planned, plan=replace(planned.plan, study=replace(planned.plan.study, looks=at)))


def run_until_decided(workspace: Workspace, study: str, run: Run, say: Say) -> Decided:
    """Run what waits, look, and give more seeds to the arms of open questions, until nothing is open or `run` says that time is up.

    Raises:
        ProbeError: probes failed.
    """
    rounds: list[Round] = []
    while True:
        in_time = run()
        with workspace.open_store() as store:
            record = known_study(store, study)
            ranking = rank(store, study, workspace.quality)
            asked = open_questions(ranking)
            wanted = next_seeds(store, record, asked) if in_time else {}
            if not wanted:
                why = "budget" if not in_time else "nothing open" if not asked else "most seeds"
                return _decided(store, record, why, rounds, asked)
            planned = plan_more(workspace, store, record, wanted, say)
            counts = sorted(_repeats(store, study, _compared(store, study)).values())
        rounds.append(Round((counts[0], counts[-1]), tuple(question.what for question in asked), planned.new))
        told = f"Look {len(rounds)}: {_listed(rounds[-1].open)}; {counted(planned.new, 'more probe')}."
        say(told)
        store_plan(workspace, replace(planned, notes=(told,)))


def _listed(asked: Sequence[str]) -> str:
    return f"{len(asked)} open ({'; '.join(asked[:SHOWN])}{'; ...' if asked[SHOWN:] else ''})"


def run_until_flat(workspace: Workspace, study: str, run: Run, say: Say) -> Decided:
    """Train the swarm's mixtures, then those that are expected to improve most, until none would by more than could be measured.

    What is claimed of the mixture found is left to its confirmation with fresh seeds, so no level is spent here.

    Raises:
        ProbeError: probes failed, or too few mixtures were trained to learn from.
    """
    from probe.study.mixture_search import OptimizeRequest, measurable
    from probe.study.suggestion import plan_suggestion, suggest

    rounds: list[Round] = []
    while True:
        in_time = run()
        with workspace.open_store() as store:
            if not in_time:
                return _flat_enough(store, study, "budget", rounds, "the swarm is not finished")
            found = suggest(store, OptimizeRequest(study=study), SUGGESTED)
            best, least = max((one.improvement.value for one in found.suggested), default=0.0), measurable(found.fit)
            told = f"best expected improvement {best:.2g}, measurable from {least:.2g}"
            if best < least:
                return _flat_enough(store, study, "nothing open", rounds)
            if len(found.fit.seen.arms) >= MOST_MIXTURES:
                return _flat_enough(store, study, "most mixtures", rounds, told)
            rounds.append(Round((1, 1), (told,), len(found.suggested)))
            note = f"Look {len(rounds)}: {told}; {counted(len(found.suggested), 'more mixture')}."
            say(note)
            plan_suggestion(workspace, store, found, say)
            store.add_note(study, note, "probe")


def _flat_enough(store: Store, study: str, why: str, rounds: Sequence[Round], *still_open: str) -> Decided:
    swarm = {arm.name for arm in store.arms(study) if arm.role is ArmRole.MIXTURE}
    done = sum(probe.arm in swarm and probe.state is ProbeState.DONE for probe in store.probes(study))
    return Decided(why, tuple(rounds), still_open, (), done, done)


def next_seeds(store: Store, study: StudyRecord, asked: Sequence[OpenQuestion]) -> dict[str, int]:
    """Return how many repeats each arm of an open question, and its reference, gets next.

    Arms at the last look get none, nor do questions that the seeds that are left would hardly decide.
    """
    arms = store.arms(study.name)
    have = _repeats(store, study.name, arms)
    known = [StudyArm.of(arm) for arm in arms]
    wanted: dict[str, int] = {}
    for question in asked:
        members = _with_reference(question.arms, known)
        trained = [name for name in members if name in have]
        fewest = min(have[name] for name in trained)
        following = next((look for look in study.looks if look > fewest), None)
        if following is None or not question.worth(study.looks[-1] - fewest):
            continue
        for name in trained:
            if have[name] < following:
                wanted[name] = max(wanted.get(name, 0), following)
    return wanted


def plan_more(workspace: Workspace, store: Store, study: StudyRecord, seeds: Mapping[str, int], say: Say) -> Planned:
    """Plan more repeats of arms that the study has."""
    arms = [arm for arm in store.arms(study.name) if arm.name in seeds]
    draws = study_draws(store, study, workspace.indexes)
    probes: list[PlannedProbe] = plan_probes(draws, arms, range(max(seeds.values())), say, seeds)
    plan = StudyPlan(study, (), store.study_benchmarks(study.name), tuple(arms), tuple(probes))
    held = store.probes(study.name)
    new = store.check_plan(plan)
    return Planned(plan, new, study_arms=len(store.arms(study.name)), study_probes=len(held) + new, done=len(held))


def _with_reference(names: Sequence[str], known: Sequence[StudyArm]) -> list[str]:
    """Return arms together with what they are compared with; neighbours of one tier need one another alone."""
    if len(names) > 1:
        return list(names)
    asked: list[Question] = questions(known)
    references = [known[one.reference].name for one in asked for arm in one.arms if known[arm].name in names]
    return list(dict.fromkeys([*names, *references]))


def _repeats(store: Store, study: str, arms: Sequence[Arm]) -> dict[str, int]:
    """Return how many repeats each trained arm has, those at work too; confirmation and the untrained proxy apart."""
    counts = dict.fromkeys((arm.name for arm in arms if arm.curriculum.phases and arm.role is not ArmRole.CONFIRM), 0)
    for probe in store.probes(study):
        if probe.arm in counts and probe.repeat < SEED_STRIDE:
            counts[probe.arm] += 1
    return {name: count for name, count in counts.items() if count}


def _most_repeats(store: Store, study: str) -> int:
    return max(_repeats(store, study, _compared(store, study)).values(), default=0)


def _compared(store: Store, study: str) -> list[Arm]:
    return [arm for arm in store.arms(study) if arm.role in (ArmRole.BASE, ArmRole.SOURCE)]


def _decided(store: Store, study: StudyRecord, why: str, rounds: Sequence[Round], asked: Sequence[OpenQuestion]) -> Decided:
    compared = _compared(store, study.name)
    counts, names = _repeats(store, study.name, compared), {arm.name for arm in compared}
    probes = sum(probe.arm in names and probe.repeat < SEED_STRIDE and probe.state is ProbeState.DONE for probe in store.probes(study.name))
    equal = len(counts) * max(counts.values(), default=0)
    return Decided(why, tuple(rounds), tuple(question.what for question in asked), study.looks, probes, equal)


def decided_json(found: Decided) -> dict[str, object]:
    """Return how it ended as the object that `probe run --until-decided --json` adds to the ranking's."""
    rounds = [{"seeds": list(one.seeds), "open": list(one.open), "new_probes": one.probes} for one in found.rounds]
    return {
        "ended": found.why,
        "looks": list(found.looks),
        "rounds": rounds,
        "still_open": list(found.still_open),
        "probes": found.probes,
        "probes_at_equal_seeds": found.equal,
    }
