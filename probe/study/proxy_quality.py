"""A benchmark's quality as one proxy sees it: scored with its images, without them, and with its choices rotated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.values import SPLIT_CODES, Split
from probe.decide.benchmark_quality import ImageNeed, image_need, right_by_question
from probe.decide.letter_prior import LetterPrior, letter_prior
from probe.decide.means import score_with_interval
from probe.decide.study_scores import ACCURACY, FREE_TEXT_METRIC, GENERATED_METRIC
from probe.errors import ProbeError
from proxy_training.jobs import ANY_ENGINE, METRICS, EngineSettings, EvalSet, ItemScores, ProxySpec
from sources.benchmark import Item, PromptForm, Scoring
from sources.canonical import content_hash
from sources.estimate import Estimate
from sources.ordering import seeded_key

if TYPE_CHECKING:
    from proxy_training.jobs import Progress

DEFAULT_ITEMS = 200
_SEED = 20260


@dataclass(frozen=True, slots=True)
class ProxyQuality:
    """What a proxy shows of a benchmark, on `items` selection items on `images` images.

    `metric` is that of `need`, `chance` its value by guessing. `need` is None where no item has an image, `letters` where choices are
    not shown in an order. `by_question` is how often the most frequent answer to a question on other images is right, on all
    selection items and without any model; `generated` the score of written answers, where they were asked for.
    """

    benchmark: str
    fingerprint: str
    proxy: str
    weights_hash: str
    asked_items: int
    items: int
    images: int
    metric: str
    chance: float
    need: ImageNeed | None
    by_question: Estimate | None
    question_chance: float
    letters: LetterPrior | None
    generated: Estimate | None = None


@dataclass(frozen=True, slots=True)
class _Sample:
    """Selection items of a benchmark, whole images at a time, with their clusters."""

    eval_set: EvalSet
    groups: NDArray[np.int32]


def measured_quality(
    proxy: ProxySpec,
    eval_set: EvalSet,
    features: Path,
    *,
    items: int = DEFAULT_ITEMS,
    generate: int = 0,
    settings: EngineSettings = ANY_ENGINE,
    progress: Progress | None = None,
) -> ProxyQuality:
    """Score a benchmark's selection items, at most about `items` of them, on the proxy as it is, in all the ways that are compared.

    With `generate`, answers of at most so many tokens are written too where the benchmark does not ask for it itself.

    Raises:
        ProbeError: the proxy could not score it, or it has selection items on fewer than two images.
    """
    from probe.study.items import split_items
    from probe.study.model_scores import generating
    from sources.answer_rules.scoring import chance

    groups, splits = split_items(eval_set.items)
    selection = np.flatnonzero(splits == SPLIT_CODES[Split.SELECTION])
    asked = generating(eval_set, generate) if generate else eval_set
    sample = _sample(asked, groups, selection, items)
    variants = [sample.eval_set, *_without_images(sample.eval_set), *_rotated(sample.eval_set)]
    scores = dict(zip((one.fingerprint for one in variants), _scores(proxy, variants, features, settings, progress), strict=True))
    plain, blind = scores[sample.eval_set.fingerprint], scores.get(_blind_name(sample.eval_set))
    metric = _metric(sample.eval_set)
    guessing = chance(sample.eval_set.spec, sample.eval_set.items)
    generated = score_with_interval(_column(plain, GENERATED_METRIC), sample.groups) if asked.spec.generates else None
    everything = [eval_set.items[i] for i in selection]
    return ProxyQuality(
        eval_set.spec.name,
        eval_set.fingerprint,
        proxy.name,
        proxy.weights_hash,
        items,
        len(sample.groups),
        len(np.unique(sample.groups)),
        metric if metric != FREE_TEXT_METRIC else f"negative {metric}",
        guessing,
        image_need(_column(plain, metric), _column(blind, metric), guessing, sample.groups) if blind else None,
        _by_question(everything, groups[selection]),
        float(np.mean(_chances(everything))),
        _letters(sample, scores),
        generated,
    )


def _sample(eval_set: EvalSet, groups: NDArray[np.int32], selection: NDArray[np.int64], most: int) -> _Sample:
    """Take whole images in seeded order while their items fit, so that rotations of one question stay together."""
    members: dict[int, list[int]] = {}
    for i in selection.tolist():
        members.setdefault(int(groups[i]), []).append(i)
    taken: list[int] = []
    for place, group in enumerate(sorted(members, key=lambda group: seeded_key(_SEED, "quality", group))):
        if place < 2 or len(taken) + len(members[group]) <= most:
            taken += members[group]
    if len({int(groups[i]) for i in taken}) < 2:
        raise ProbeError(f"benchmark {eval_set.spec.name} has selection items on fewer than two images: its quality cannot be told.")
    taken.sort()
    name = content_hash([eval_set.fingerprint, "sample", taken])
    return _Sample(EvalSet(eval_set.spec, name, tuple(eval_set.items[i] for i in taken)), groups[taken])


def _blind_name(eval_set: EvalSet) -> str:
    return f"{eval_set.fingerprint} without images"


def _without_images(eval_set: EvalSet) -> Iterator[EvalSet]:
    """Yield the items as text alone; an item that never had an image is nothing to compare."""
    if any(item.images for item in eval_set.items):
        items = tuple(replace(item, images=()) for item in eval_set.items)
        yield EvalSet(eval_set.spec, _blind_name(eval_set), items)


def _turned(item: Item, by: int) -> Item:
    return replace(item, choices=item.choices[by:] + item.choices[:by])


def _rotated(eval_set: EvalSet) -> Iterator[EvalSet]:
    """Yield one set a rotation of the choices beyond the file's own, where the prompt lists them in an order."""
    if eval_set.spec.prompt_form is not PromptForm.LETTER:
        return
    spec = replace(eval_set.spec, scoring=Scoring.LIKELIHOOD)  # which letter is likely, without writing it out
    for by in range(1, max(len(item.choices) for item in eval_set.items)):
        items = tuple(_turned(item, by) for item in eval_set.items if len(item.choices) > by)
        yield EvalSet(spec, _rotation_name(eval_set, by), items)


def _rotation_name(eval_set: EvalSet, by: int) -> str:
    return f"{eval_set.fingerprint} rotated by {by}"


def _scores(
    proxy: ProxySpec, variants: Sequence[EvalSet], features: Path, settings: EngineSettings, progress: Progress | None
) -> tuple[ItemScores, ...]:
    from probe.study.model_scores import item_scores

    return item_scores(proxy, None, variants, features, settings, progress)


def _metric(eval_set: EvalSet) -> str:
    if eval_set.spec.generates:
        return GENERATED_METRIC
    return ACCURACY if any(item.choices for item in eval_set.items) else FREE_TEXT_METRIC


def _column(scores: ItemScores, metric: str) -> NDArray[np.float64]:
    sign = -1.0 if metric == FREE_TEXT_METRIC else 1.0
    return np.asarray(sign * scores.values[METRICS.index(metric)], dtype=np.float64)


def _chances(items: Sequence[Item]) -> list[float]:
    return [1 / len(item.choices) if item.choices else 0.0 for item in items]


def _by_question(items: Sequence[Item], groups: NDArray[np.int32]) -> Estimate | None:
    questions = [(item.question, tuple(sorted(item.choices))) for item in items]
    return score_with_interval(right_by_question(questions, [item.answer for item in items], groups, _chances(items)), groups)


def _letters(sample: _Sample, scores: dict[str, ItemScores]) -> LetterPrior | None:
    items = sample.eval_set.items
    most = max(len(item.choices) for item in items)
    if _rotation_name(sample.eval_set, 1) not in scores:
        return None
    values = np.full((len(items), most, most), np.nan)
    for by in range(most):
        found = scores[_rotation_name(sample.eval_set, by) if by else sample.eval_set.fingerprint]
        numbers = [i for i, item in enumerate(items) if not by or len(item.choices) > by]
        missing, at = set(found.unscored), 0
        for place, number in enumerate(numbers):
            if place in missing:
                continue
            width = max(1, len(items[number].choices))
            logs = found.log_probabilities[at : at + width]
            at += width
            if items[number].choices:
                values[number, by, :width] = np.exp(logs - np.logaddexp.reduce(logs))
    right = [item.choices.index(item.answer) if item.choices else 0 for item in items]
    return letter_prior(values, right, sample.groups)
