"""The mixture search of `decisions.py` by the tool's own code, and what the chosen mixture must beat."""

from __future__ import annotations

from dataclasses import dataclass

import decisions_study as ask
from decisions_merged import Asked, merged_scores, with_filling
from decisions_runs import Lab

from db.values import Ranking, Verdict
from probe.decide.baselines import capped, default_cap
from probe.decide.levels import OVERALL, Combination
from probe.decide.search import Optimum, SearchSettings, search_mixture
from probe.decide.surrogates import Choice
from probe.study.designs.mixtures import uniform
from probe.study.observations import Targets
from sources.mixture import Mixture

CANDIDATE = "optimum"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A finished search on the proxy: the mixture, its baselines, what was fitted, and the objective's units."""

    optimum: Optimum
    objective: Combination
    fitted: Targets
    choice: Choice
    arms: dict[str, Mixture]


def read_by_search(lab: Lab) -> Asked:
    """Return the trained mixtures that the search reads, with their seeds."""
    arms: Asked = [(mixture, ask.seeds(lab.sizes.seeds)) for mixture in ask.solo(lab.world).values()]
    known = {mixture for mixture, _ in arms}
    return [*arms, *((m, ask.seeds(1)) for m in dict.fromkeys(ask.swarm(lab)) if m not in known)]


def merged_for_search(lab: Lab) -> Asked:
    return with_filling(lab, [mixture for mixture, _ in read_by_search(lab)])


def search(lab: Lab, ranked: Ranking) -> Found:
    """Search the mixture on everything that `search_runs` trained, and name its baselines."""
    arms = read_by_search(lab)
    seen = ask.observed(lab, arms)
    objective = ask.objective_of(seen)
    merged = merged_scores(lab, merged_for_search(lab), objective)
    found, surface, choice = ask.fitted(seen, merged)
    optimum = search_mixture(
        surface,
        seen.sources,
        ask.weights_of([ask.base()], seen.sources)[0],
        ask.bounds(lab),
        usable=lab.usable(),
        observed=seen.weights,
        settings=SearchSettings(level=ask.LEVEL),
        n=found.n_items,
    )
    return Found(optimum, objective, found, choice, confirmed_arms(lab, optimum, ranked))


def confirmed_arms(lab: Lab, optimum: Optimum, ranked: Ranking) -> dict[str, Mixture]:
    """Return the chosen mixture and the baselines of the confirmation list; what the search does not name itself is added here."""
    usable = dict(zip(lab.world.sources, lab.usable(), strict=True))
    hurting = {row.source for row in ranked.effects if row.level == OVERALL and row.verdict is Verdict.HURTS}
    more = {
        "uniform_without_hurts": uniform([name for name in usable if name not in hurting]),
        "capped": Mixture.of(capped(usable, usable, default_cap(usable))),
    }
    known = {name: Mixture.of({s: w for s, w in weights.items() if w > 1e-6}) for name, weights in optimum.baselines.items()}
    return {CANDIDATE: Mixture.of(optimum.shares())} | more | known
