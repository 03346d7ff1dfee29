"""Gates: sources accepted one after another, each tested against the base mixture that the accepted ones have grown."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from db.values import Verdict
from probe.decide.effects import contrasts, effects, family_prior
from probe.decide.panel import Panel
from probe.decide.verdicts import deviation_of_pairs, judge
from sources.estimate import Estimate
from sources.mixture import Mixture

ALPHA = 0.05  # of one order's gates together


@dataclass(frozen=True, slots=True)
class Gate:
    """One decision: `unit`, at place `number` (from 1) of an `order`, against the base mixture as it was `before`.

    `level` is the significance level that the verdict was given at; `after` is the base mixture that the next gate begins with, and
    `repeats` how many seeds it rests on.
    """

    order: tuple[str, ...]
    number: int
    unit: str
    arm: str
    reference: str
    effect: Estimate
    verdict: Verdict
    level: float
    repeats: int
    before: Mixture
    after: Mixture

    @property
    def accepted(self) -> bool:
        """Say whether the unit joined the base mixture."""
        return self.verdict is Verdict.HELPS

    def sentence(self) -> str:
        """Return it in words."""
        effect = f"{self.effect.value:+.3f} [{self.effect.low:+.3f}, {self.effect.high:+.3f}]"
        base = " ".join(f"{slug}={share:.3g}" for slug, share in self.after.shares)
        said = "joins the base mixture" if self.accepted else "stays out of the base mixture"
        return (
            f"Gate {self.number} of the order {', '.join(self.order)}: {self.unit} against {self.reference} {effect}, "
            f"{self.verdict.value} at level {self.level:.3g} with {self.repeats} seeds: {said}, now {base}."
        )


def gate_levels(accepted: Sequence[bool], gates: int, alpha: float = ALPHA) -> float:
    """Return the level of the gate that follows decided ones, of so many `gates` in all.

    The fallback procedure (Wiens 2003, Pharmaceutical Statistics 2, 211-215; Wiens & Dmitrienko 2005, J. Biopharm. Stat. 15, 929-942)
    with equal parts: a gate has `alpha / gates`, and behind an accepted one also what that one had. For hypotheses in an order fixed
    before, any false acceptance has a probability of at most `alpha`, whatever their dependence; a fixed sequence at full level would
    have to stop at the first source that is not accepted. Here which base a gate tests against hangs on the gates before it: until the
    first false acceptance each part of `alpha` is spent once, and a reference accepted by luck scores too high, which makes the next
    acceptance harder.
    """
    level = alpha / gates
    for passed in accepted:
        level = alpha / gates + (level if passed else 0.0)
    return level


def judge_gate(
    panel: Panel, arm: int, reference: int, trained: Sequence[int], *, level: float, interval: float
) -> tuple[Estimate, Verdict]:
    """Return a gate's effect with its marginal interval, and the verdict at `level`; places are those of the panel.

    Variances are moderated over all `trained` arms. `neutral` is equivalence within the deviation of one repeat's paired difference.

    Raises:
        ValueError: the two have no repeat in common.
    """
    done = np.isfinite(panel.means)
    scored = [k for k in trained if done[k].any()]
    versus = contrasts(panel, [(arm, reference)])
    found = effects(versus, family_prior(panel, scored))
    others = [(k, reference) for k in scored if k != reference and (done[k] & done[reference]).any()]
    margin = deviation_of_pairs(contrasts(panel, others))
    return found.estimates(interval)[0], judge(found, margin, alpha=level).verdicts[0]


def gate_orders(units: Sequence[str], count: int, seed: int = 0) -> list[tuple[str, ...]]:
    """Return up to `count` different orders: the one given, its reverse, then random ones."""
    orders = list(dict.fromkeys((tuple(units), tuple(reversed(units)))))[:count]
    most = int(np.prod(np.arange(1, len(units) + 1), dtype=np.float64)) if len(units) < 10 else count
    shuffler = random.Random(seed)
    while len(orders) < min(count, most):
        drawn = list(units)
        shuffler.shuffle(drawn)
        if tuple(drawn) not in orders:
            orders.append(tuple(drawn))
    return orders


def disputed(accepted: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return what some orders accepted and others did not, sorted."""
    sets = [set(names) for names in accepted]
    return tuple(sorted(set().union(*sets) - set(sets[0]).intersection(*sets))) if sets else ()
