"""`rank_study`: everything that `probe rank` says, from arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from db.values import ArmRole, Design, EffectRow, PairRow, Ranking
from probe.decide.comparison import Comparison, LevelResult, compare
from probe.decide.levels import OVERALL, BenchmarkPanel, LevelPanel, level_panels
from probe.decide.study_scores import StudyScores
from probe.decide.study_warnings import study_warnings

RANKED = (ArmRole.UNTRAINED, ArmRole.BASE, ArmRole.SOURCE)


@dataclass(frozen=True, slots=True)
class _Question:
    """A design, its reference and the arms compared, as places in the panels."""

    design: Design
    reference: int
    arms: tuple[int, ...]


def rank_study(inputs: StudyScores, *, level: float = 0.90, alpha: float = 0.05, margin: float | None = None) -> Ranking:
    """Rank a study's sources at the levels overall, capability and benchmark.

    `solo` arms are compared with the untrained proxy and among themselves (tiers, no verdicts), `add-one` arms with the base mixture
    (verdicts) and among themselves. Intervals are marginal at `level`; verdicts are corrected at `alpha` over all levels of detail
    together, `decided` and tiers (Holm at `alpha`) over all pairs at the same level of detail. `margin` is that of `neutral`, by default
    the deviation of one repeat's paired difference. Where both designs were run, noise floor and minimum detectable effect are those
    of `add-one`.

    Raises:
        ValueError: nothing can be compared yet: no benchmark scored, or no arm together with its reference.
    """
    places = [k for k, arm in enumerate(inputs.arms) if arm.role in RANKED]
    arms = [inputs.arms[k] for k in places]
    one_run = [k for k, arm in enumerate(arms) if arm.role is ArmRole.UNTRAINED]
    questions = _questions(inputs, places)
    parts, left_out = _scored_parts(inputs, places, one_run, questions)
    if not parts:
        raise ValueError(f"study {inputs.study!r} has no scores yet: finish a probe first")
    trained = [k for k in range(len(arms)) if k not in one_run]
    panels = level_panels(parts, trained)
    results = [compared for question in questions for compared in _answer(question, panels, level, alpha, margin)]
    overall = [result for result in results if result.level == OVERALL and result.arms]
    if not overall:
        raise ValueError(f"study {inputs.study!r} has no arm scored together with its reference yet")
    main = overall[-1]
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


def _questions(inputs: StudyScores, places: list[int]) -> list[_Question]:
    arms = [inputs.arms[k] for k in places]
    by_role = {arm.role: k for k, arm in enumerate(arms)}
    found = []
    for design, reference in ((Design.SOLO, ArmRole.UNTRAINED), (Design.ADD_ONE, ArmRole.BASE)):
        asked = tuple(k for k, arm in enumerate(arms) if arm.role is ArmRole.SOURCE and arm.design is design)
        if asked and reference in by_role:
            found.append(_Question(design, by_role[reference], asked))
    return found


def _scored_parts(
    inputs: StudyScores, places: list[int], one_run: list[int], questions: list[_Question]
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
    references = {question.reference for question in questions} & set().union(*scored.values())
    for part in parts:
        if missing := sorted(references - scored[part.name]):
            names = ", ".join(inputs.arms[places[k]].name for k in missing)
            left_out[part.name] = f"the reference {names} is not scored on it"
    return [part for part in parts if part.name not in left_out], left_out


def _answer(question: _Question, panels: tuple[LevelPanel, ...], level: float, alpha: float, margin: float | None) -> list[LevelResult]:
    asked = [Comparison(panel, question.design, question.reference, question.arms) for panel in panels]
    return compare(asked, level=level, alpha=alpha, margin=margin)


def _reference(named: list[tuple[str, Design]]) -> str:
    return named[0][0] if len(named) == 1 else ", ".join(f"{name} ({design.value})" for name, design in named)


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
        PairRow(result.level, result.name, arms[a].name, arms[b].name, difference, decided, arms[a].source, arms[b].source)
        for (a, b), difference, decided in zip(result.pairs, result.differences, result.decided, strict=True)
    ]


def best_first(ranking: Ranking, level: str = OVERALL, name: str = OVERALL) -> tuple[EffectRow, ...]:
    """Return a level's rows by tier and then by effect, as they are listed."""
    rows = [row for row in ranking.effects if (row.level, row.name) == (level, name)]
    return tuple(sorted(rows, key=lambda row: (row.tier if row.tier is not None else np.inf, -row.effect.value, row.arm)))
