"""How a new benchmark is asked and scored: what the user said, and for the rest what its items and its rule ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from probe.errors import UsageError
from sources.benchmark import BenchmarkSpec, InHouseScorer, PromptForm, Scoring
from sources.counted import counted

if TYPE_CHECKING:
    from sources.benchmark import Item

TRIAL_ITEMS = 2


@dataclass(frozen=True, slots=True)
class ScoringChoice:
    """What the user said; None and empty mean nothing."""

    choices: PromptForm | None = None
    scoring: Scoring | None = None
    rule: str = ""
    scorer: InHouseScorer | None = None
    instruction: str | None = None
    answer_tokens: int | None = None

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UsageError: it does.
        """
        if self.scorer is not None and self.scorer.entry_point and self.scorer.command:
            raise UsageError("give --scorer or --scorer-command, not both.")
        if self.scorer is not None and self.rule:
            raise UsageError("give a --rule or a scorer of your own, not both.")
        if self.scoring is Scoring.LIKELIHOOD and (self.rule or self.scorer):
            raise UsageError("a rule or a scorer judges generated answers: leave --scoring likelihood out.")


def completed_spec(spec: BenchmarkSpec, items: Sequence[Item], chosen: ScoringChoice) -> BenchmarkSpec:
    """Return a benchmark's spec with all of its scoring settled, so that a later version of this program reads it alike.

    Answers are generated where the user named a rule or a scorer, or where items have the answers of several annotators.

    Raises:
        UsageError: the user's choices contradict each other.
        SourceError: the rule does not fit the items, or the scorer cannot score two of them.
    """
    chosen.check()
    judged = bool(chosen.rule or chosen.scorer or any(item.answers for item in items))
    scoring = chosen.scoring or (Scoring.GENERATE if judged else Scoring.LIKELIHOOD)
    if scoring is Scoring.LIKELIHOOD:
        return replace(spec, prompt_form=chosen.choices or PromptForm.TEXT)
    spec = replace(spec, scoring=scoring, rule=chosen.rule, scorer=chosen.scorer, answer_tokens=chosen.answer_tokens or spec.answer_tokens)
    return _try_scorer(spec, items, chosen) if chosen.scorer else _with_rule(spec, items, chosen)


def _with_rule(spec: BenchmarkSpec, items: Sequence[Item], chosen: ScoringChoice) -> BenchmarkSpec:
    from sources.answer_rules.scoring import rule_of

    rule = rule_of(spec, items)
    form = PromptForm.LETTER if rule.needs_choices else PromptForm.TEXT
    instruction = rule.instruction if chosen.instruction is None else chosen.instruction
    return replace(spec, rule=rule.name, prompt_form=chosen.choices or form, instruction=instruction)


def _try_scorer(spec: BenchmarkSpec, items: Sequence[Item], chosen: ScoringChoice) -> BenchmarkSpec:
    """Let the scorer score the right answers to some items: what is wrong with it is better seen now than after hours of training."""
    from sources.in_house.running import in_house_scores

    assert spec.scorer is not None
    some = items[:TRIAL_ITEMS]
    in_house_scores(spec.scorer, some, {number: item.answer for number, item in enumerate(some)})
    return replace(spec, prompt_form=chosen.choices or PromptForm.TEXT, instruction=chosen.instruction or "")


def scoring_words(spec: BenchmarkSpec) -> str:
    """Return in words how a benchmark is scored."""
    if not spec.generates:
        return "likelihood"
    by = (spec.scorer.entry_point or spec.scorer.command) if spec.scorer else f"the rule {spec.rule}"
    return f"generated answers, by {by}"


def notes_on(spec: BenchmarkSpec, items: Sequence[Item]) -> list[str]:
    """Return what to know of how these items are scored."""
    from sources.answer_rules.vqa import FEWEST_ANNOTATORS

    notes = []
    without = sum(not item.images for item in items)
    if without:
        notes.append(f"{counted(without, 'item has', 'items have')} no image: text-only")
    few = sum(len(item.accepted()) < FEWEST_ANNOTATORS for item in items) if spec.rule == "vqa" else 0
    if few:
        notes.append(f"{few:,} items have fewer than {FEWEST_ANNOTATORS} annotators: under the rule vqa no answer to them scores 1")
    return notes
