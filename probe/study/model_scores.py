"""Scores of one model or adapter by itself, with intervals over new images; no study is needed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.values import SPLIT_CODES
from probe.decide.means import LEVEL, mean_with_interval
from probe.errors import ProbeError
from proxy_training.jobs import ANY_ENGINE, METRICS, EngineSettings, EvalSet, ItemScores, Job, ProxySpec, Recipe, Scope, Training
from sources.benchmark import Scoring, Split
from sources.estimate import Estimate

if TYPE_CHECKING:
    from proxy_training.jobs import Progress

SHOWN = ("right_probability", "accuracy", "bits_per_byte")
GENERATED = ("generated", "parsed")


@dataclass(frozen=True, slots=True)
class ModelScore:
    """One benchmark's means: an estimate a metric, None where it does not apply or there are fewer than two images."""

    benchmark: str
    capability: str
    items: int
    unscored: int
    estimates: tuple[tuple[str, Estimate | None], ...]


def score_model(
    proxy: ProxySpec,
    adapter: Path | None,
    benchmarks: Sequence[EvalSet],
    features: Path,
    *,
    split: Split | None = None,
    level: float = LEVEL,
    settings: EngineSettings = ANY_ENGINE,
    generate: int = 0,
    progress: Progress | None = None,
) -> list[ModelScore]:
    """Score a proxy, or an adapter on it, on benchmarks; `split` limits the items.

    With `generate`, answers of at most so many tokens are generated too, greedily, where a benchmark does not ask for it itself:
    `generated` is their mean score by the benchmark's rule, `parsed` the share that could be read.

    Raises:
        ProbeError: the adapter is none, or the model could not be run.
    """
    asked = [generating(eval_set, generate) if generate else eval_set for eval_set in benchmarks]
    found = item_scores(proxy, adapter, asked, features, settings, progress)
    shown = SHOWN + GENERATED if any(eval_set.spec.generates for eval_set in asked) else SHOWN
    return [
        _score(eval_set, {name: scores.values[METRICS.index(name)].astype(np.float64) for name in shown}, scores.unscored, split, level)
        for eval_set, scores in zip(benchmarks, found, strict=True)
    ]


def item_scores(
    proxy: ProxySpec,
    adapter: Path | None,
    benchmarks: Sequence[EvalSet],
    features: Path,
    settings: EngineSettings = ANY_ENGINE,
    progress: Progress | None = None,
) -> tuple[ItemScores, ...]:
    """Score a proxy, or an adapter on it, item by item; one result a benchmark, in their order.

    Raises:
        ProbeError: the adapter is none, or the model could not be run.
    """
    from proxy_training.engine import Engine

    recipe = proxy.recipe if adapter is None else recipe_of(adapter, proxy.recipe)
    job = Job(Training(proxy, recipe, (), 0), tuple(benchmarks), adapter)
    with quiet():
        engine = Engine(proxy, recipe, features, settings)
        result = next(iter(engine.run([job], progress)))
    if result.failure or result.unscored:
        why = result.failure or "; ".join(f"{name}: {reason}" for name, reason in result.unscored)
        raise ProbeError(f"the model could not be scored: {why.rstrip('.')}.")
    return result.scores


def generating(eval_set: EvalSet, most: int) -> EvalSet:
    """Return a benchmark as it is, or asked in the same words for generated answers."""
    spec = eval_set.spec
    asked = replace(spec, scoring=Scoring.GENERATE, answer_tokens=most, instruction="")
    return eval_set if spec.generates else replace(eval_set, spec=asked)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the bars and the deprecation notes of the libraries that load the model from the user."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        yield


def recipe_of(adapter: Path, recipe: Recipe) -> Recipe:
    """Return the recipe with the scope that a saved adapter has.

    Raises:
        ProbeError: the folder holds none.
    """
    if (adapter / "adapter_config.json").is_file() and (adapter / "adapter_model.safetensors").is_file():
        return replace(recipe, scope=Scope.LORA_LANGUAGE)
    if (adapter / "language-model.safetensors").is_file():
        return replace(recipe, scope=Scope.FULL_LANGUAGE)
    raise ProbeError(f"{adapter} holds no adapter: give a PEFT folder with adapter_config.json and adapter_model.safetensors.")


def _score(
    eval_set: EvalSet, columns: Mapping[str, NDArray[np.float64]], unscored: Sequence[int], split: Split | None, level: float
) -> ModelScore:
    from probe.study.items import split_items

    groups, splits = split_items(eval_set.items)
    chosen = np.ones(len(groups), bool) if split is None else splits == SPLIT_CODES[split]
    estimates = tuple((name, mean_with_interval(values[chosen], groups[chosen], level)) for name, values in columns.items())
    missing = int(chosen[list(unscored)].sum()) if unscored else 0
    return ModelScore(eval_set.spec.name, eval_set.spec.capability, int(chosen.sum()), missing, estimates)
