"""How a benchmark's generated answers are scored, by a rule or by a team's own scorer, and the identity of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sources.answer_rules.judging import Floats, chance_of_guessing, judged
from sources.answer_rules.registry import RULES_VERSION, AnswerRule, find_rule, inferred_rule
from sources.benchmark import BenchmarkSpec, Item
from sources.canonical import content_hash
from sources.in_house.running import in_house_scores
from sources.in_house.version import scorer_version
from sources.problems import SourceError


def rule_of(spec: BenchmarkSpec, items: Sequence[Item]) -> AnswerRule:
    """Return a benchmark's rule: the one that it names, or the one that its items ask for.

    Raises:
        SourceError: there is none of that name, or it does not fit the items.
    """
    rule = find_rule(spec.rule) if spec.rule else inferred_rule(items)
    if rule.needs_choices and not all(item.choices for item in items):
        raise SourceError(f"The rule {rule.name} needs choices, which not all items of {spec.name} have; give another one with --rule")
    if rule.name == "yes-no" and any(item.answer.lower() not in ("yes", "no") for item in items):
        raise SourceError(
            f"The rule yes-no needs answers that are yes or no, which not all of {spec.name} are; give another one with --rule"
        )
    return rule


def generated_scores(spec: BenchmarkSpec, items: Sequence[Item], predictions: Mapping[int, str]) -> tuple[Floats, Floats]:
    """Return scores and readability, both [items], of generated answers by item number; NaN where an item has none.

    Raises:
        SourceError: the team's scorer failed, or gave what is no score.
    """
    if spec.scorer is not None:
        return in_house_scores(spec.scorer, items, predictions)
    return judged(rule_of(spec, items), items, predictions)


def scoring_identity(spec: BenchmarkSpec, items: Sequence[Item] = ()) -> str:
    """Return the hash of what turns answers into scores; `items` are needed where the rule is not named.

    Raises:
        SourceError: the rule or the scorer's file is not there.
    """
    how = scorer_version(spec.scorer) if spec.scorer else [RULES_VERSION, rule_of(spec, items).name]
    return content_hash([how, spec.instruction, spec.answer_tokens])


def chance(spec: BenchmarkSpec, items: Sequence[Item]) -> float:
    """Return the score of guessing: among the choices, by the rule that counts; 0 where nothing has choices, or nobody knows."""
    if spec.generates and spec.scorer is not None:
        return 0.0
    with_choices = [item for item in items if item.choices]
    if spec.generates:
        return chance_of_guessing(rule_of(spec, items), with_choices)
    return sum(1 / len(item.choices) for item in with_choices) / len(with_choices) if with_choices else 0.0
