"""Error control from source to capability to benchmark: significance levels that are passed down a tree when a question is answered."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
FIRST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Question:
    """One hypothesis: an `arm` on the `benchmarks` that a level's score is made of."""

    arm: Hashable
    benchmarks: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How a level of significance is shared out: `weights[node]` sum to at most 1, `passed[node, node]` rows too.

    `node[question]` is a question's place; questions that are one and the same have one.
    """

    node: NDArray[np.int64]
    weights: Floats
    passed: Floats


def plan(questions: Sequence[Question]) -> Plan:
    """Share the level out over the arms' trees, widest score first.

    Half of an arm's part is for its widest score, the rest is shared evenly by the layers below, so that an effect on one capability can
    be found where the overall effect is nil. What a decided question frees goes evenly to the scores directly below it; from the
    widest, half of it, the other half to the other arms' widest; from a benchmark, all of it to the arms' widest. Where there is one
    layer that is Holm's procedure.
    """
    places = {question: k for k, question in enumerate(dict.fromkeys(questions))}
    arms = list(dict.fromkeys(question.arm for question in places))
    weights, passed = np.zeros(len(places)), np.zeros((len(places), len(places)))
    own: dict[Hashable, list[Question]] = {arm: [] for arm in arms}
    for question in places:
        own[question.arm].append(question)
    layers_of = {arm: _layers(questions) for arm, questions in own.items()}
    tops = {arm: [places[top] for top in layers[0]] for arm, layers in layers_of.items()}
    for arm, layers in layers_of.items():
        elsewhere = [top for other in arms if other != arm for top in tops[other]] or tops[arm]
        for depth, layer in enumerate(layers):
            share = 1.0 if len(layers) == 1 else FIRST_SHARE if depth == 0 else (1 - FIRST_SHARE) / (len(layers) - 1)
            for question in layer:
                here = places[question]
                weights[here] = share / len(layer) / len(arms)
                below = [places[other] for other in _below(question, layers[depth + 1 :])]
                up = 1.0 if not below else FIRST_SHARE if depth == 0 and len(arms) > 1 else 0.0
                passed[here, below] = (1 - up) / max(1, len(below))
                passed[here, elsewhere] += up / len(elsewhere)
                passed[here, here] = 0.0
    return Plan(np.array([places[question] for question in questions], dtype=np.int64), weights, passed)


def one_layer(count: int) -> Plan:
    """Return the plan of so many questions of one kind: Holm's procedure."""
    return plan([Question(number, frozenset()) for number in range(count)])


def _layers(questions: Sequence[Question]) -> list[list[Question]]:
    """Sort one arm's questions by how many others contain them."""
    depth = {question: sum(question.benchmarks < other.benchmarks for other in questions) for question in questions}
    return [[question for question in questions if depth[question] == value] for value in sorted(set(depth.values()))]


def _below(question: Question, layers: Sequence[Sequence[Question]]) -> list[Question]:
    """Return the widest questions inside one."""
    inside = [other for layer in layers for other in layer if other.benchmarks < question.benchmarks]
    return [one for one in inside if not any(one.benchmarks < other.benchmarks for other in inside)]


def decide(p_values: ArrayLike, shared: Plan, alpha: float) -> tuple[NDArray[np.bool_], Floats]:
    """Return which questions are decided, and the level that each has in the end (of one that is not decided: still has).

    The graphical procedure of Bretz, Maurer, Brannath and Posch (2009, Statistics in Medicine 28, 586-604, algorithm 1): the probability
    of any false decision on any level of detail is at most `alpha`, under any dependence. A level that nothing is left for is the least.
    """
    asked = np.asarray(p_values, dtype=np.float64)
    p = np.zeros(len(shared.weights))
    np.maximum.at(p, shared.node, asked)
    levels, passed = shared.weights * alpha, shared.passed.copy()
    still = np.ones(len(p), dtype=bool)
    while (ready := np.flatnonzero(still & (p <= levels) & (levels > 0))).size:
        here = int(ready[0])
        still[here] = False
        rest = np.flatnonzero(still)
        levels[rest] += levels[here] * passed[here, rest]
        back, forth = passed[rest, here], passed[here, rest]
        through = passed[np.ix_(rest, rest)] + np.outer(back, forth)
        left = 1 - back * forth
        new = np.divide(through, left[:, None], out=np.zeros_like(through), where=left[:, None] > 1e-12)
        np.fill_diagonal(new, 0.0)
        passed[np.ix_(rest, rest)] = new
    return ~still[shared.node], levels[shared.node]
