"""`rank_study`: everything that `probe rank` says, from arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from db.values import ArmRole, Design, EffectRow, PairRow, Ranking
from probe.decide.asked import Question, questions, takes_away
from probe.decide.comparison import Comparison, LevelResult, compare
from probe.decide.levels import OVERALL, BenchmarkPanel, LevelPanel, level_panels
from probe.decide.study_scores import StudyArm, StudyScores
from probe.decide.study_warnings import study_warnings

RANKED = (ArmRole.UNTRAINED, ArmRole.BASE, ArmRole.SOURCE)


def rank_study(
    inputs: StudyScores, *, level: float = 0.90, alpha: float = 0.05, margin: float | None = None, looks: Sequence[int] = ()
) -> Ranking:
    """Rank a study's sources at the levels overall, capability and benchmark.

    Each design has its own reference (`asked.ANSWERS`): `solo` and `ladder` arms are compared with the untrained proxy (no verdicts),
    `add-one`, `leave-one-out` and `halving` arms with the base mixture, orders of `phases` with the mixture of the same schedule and
    size. Arms of one design are compared among themselves too; `solo` and `add-one` have tiers. An effect is always arm - reference,
    a verdict always on the arm's source: one whose removal lowers the score `helps`.

    Intervals are marginal at `level`; each design is a family: verdicts are corrected at `alpha` over all levels of detail together,
    `decided` and tiers (Holm at `alpha`) over all pairs at the same level of detail. `margin` is that of `neutral`, by default the
    deviation of one repeat's paired difference. Where several designs were run, noise floor and minimum detectable effect are those of
    the first with verdicts. With `looks` (of a study that is decided as its seeds come) all of it holds at every look.

    Raises:
        ValueError: nothing can be compared yet: no benchmark scored, or no arm together with its reference.
    """
    places = [k for k, arm in enumerate(inputs.arms) if arm.role in RANKED]
    arms = [inputs.arms[k] for k in places]
    one_run = [k for k, arm in enumerate(arms) if arm.role is ArmRole.UNTRAINED]
    asked = questions(arms)
    parts, left_out = _scored_parts(inputs, places, one_run, asked)
    if not parts:
        raise ValueError(f"study {inputs.study!r} has no scores yet: finish a probe first")
    trained = [k for k in range(len(arms)) if k not in one_run]
    panels = level_panels(parts, trained)
    families = [[question for question in asked if question.design is design] for design in dict.fromkeys(q.design for q in asked)]
    results = [found for family in families for found in _answer(family, arms, panels, level, alpha, margin, looks)]
    overall = [result for result in results if result.level == OVERALL and result.arms]
    if not overall:
        raise ValueError(f"study {inputs.study!r} has no arm scored together with its reference yet")
    main = next((result for result in overall if result.verdicts), overall[0])
    return Ranking(
        study=inputs.study,
        revision=inputs.revision,
        proxy=inputs.proxy,
        reference=_reference([(arms[result.reference].name, result.design) for result in overall]),
        metric=panels[0].metric,
        level=level,
        noise_floor=main.noise_floor(),
        minimum_detectable_effect=main.minimum_detectable_effect,
        illustration_only=inputs.illustration_only,
        effects=tuple(row for result in results for row in _effect_rows(inputs, places, result)),
        pairs=tuple(row for result in results for row in _pair_rows(inputs, places, result)),
        warnings=study_warnings(inputs, places, overall, parts, left_out),
    )


def _scored_parts(
    inputs: StudyScores, places: list[int], one_run: list[int], asked: Sequence[Question]
) -> tuple[list[BenchmarkPanel], dict[str, str]]:
    """Return the panels of the benchmarks that every question's reference is scored on, and why the others are left out.

    A reference that is scored on no benchmark at all rules none out: its question is not answered.
    """
    parts, left_out = [], {}
    for benchmark in inputs.benchmarks:
        if not benchmark.scored():
            left_out[benchmark.name] = "no probe is scored on it"
            continue
        try:
            parts.append(benchmark.panel(places, one_run))
        except ValueError as error:
            left_out[benchmark.name] = str(error)
    scored = {part.name: set(np.flatnonzero(np.isfinite(part.panel.means).any(axis=1)).tolist()) for part in parts}
    references = {question.reference for question in asked} & set().union(*scored.values())
    for part in parts:
        if missing := sorted(references - scored[part.name]):
            names = ", ".join(inputs.arms[places[k]].name for k in missing)
            left_out[part.name] = f"the reference {names} is not scored on it"
    return [part for part in parts if part.name not in left_out], left_out


def _answer(
    family: Sequence[Question],
    arms: Sequence[StudyArm],
    panels: tuple[LevelPanel, ...],
    level: float,
    alpha: float,
    margin: float | None,
    looks: Sequence[int],
) -> list[LevelResult]:
    less = frozenset(k for k, arm in enumerate(arms) if takes_away(arm))
    compared = [Comparison(panel, question.design, question.reference, question.arms, less) for panel in panels for question in family]
    return compare(compared, level=level, alpha=alpha, margin=margin, looks=looks)


def _reference(named: list[tuple[str, Design]]) -> str:
    by_design: dict[Design, list[str]] = {}
    for name, design in named:
        by_design.setdefault(design, []).append(name)
    told = {design: " and ".join(dict.fromkeys(names)) for design, names in by_design.items()}
    return next(iter(told.values())) if len(told) == 1 else ", ".join(f"{names} ({design.value})" for design, names in told.items())


def _effect_rows(inputs: StudyScores, places: list[int], result: LevelResult) -> list[EffectRow]:
    rows = []
    for k, arm in enumerate(result.arms):
        known = inputs.arms[places[arm]]
        rows.append(
            EffectRow(
                arm=known.name,
                role=known.role,
                level=result.level,
                name=result.name,
                effect=result.effects[k],
                accuracy=float(result.accuracy[arm]),
                tier=result.tiers[k],
                verdict=result.verdicts[k] if result.verdicts else None,
                verdict_from=result.design.value if result.verdicts else "",
                seeds_to_decide=result.seeds_to_decide[k] if result.verdicts else None,
                source=known.source,
                metric=result.metric,
            )
        )
    return rows


def _pair_rows(inputs: StudyScores, places: list[int], result: LevelResult) -> list[PairRow]:
    arms = [inputs.arms[place] for place in places]
    return [
        PairRow(result.level, result.name, arms[a].name, arms[b].name, difference, decided, arms[a].source, arms[b].source, same)
        for (a, b), difference, decided, same in zip(result.pairs, result.differences, result.decided, result.same, strict=True)
    ]


def best_first(ranking: Ranking, level: str = OVERALL, name: str = OVERALL) -> tuple[EffectRow, ...]:
    """Return a level's rows by tier and then by effect, as they are listed."""
    rows = [row for row in ranking.effects if (row.level, row.name) == (level, name)]
    return tuple(sorted(rows, key=lambda row: (row.tier if row.tier is not None else np.inf, -row.effect.value, row.arm)))


def places(rows: Sequence[EffectRow], counts: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Return the places that each arm of a level may have among those of its design, where the design has tiers.

    `counts` says how many arms are decidedly better and decidedly worse than an arm; the places are those of `tiers.ranks`.
    """
    tiered = [row for row in rows if row.tier is not None]
    sizes = Counter(row.verdict_from for row in tiered)
    known = {row.arm: (row.verdict_from, *counts.get(row.arm, (0, 0))) for row in tiered}
    return {arm: (1 + better, sizes[design] - worse) for arm, (design, better, worse) in known.items()}
