"""How good a benchmark is, from scores alone: what is right without the image, what every arm gets right, and signal against noise."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probe.decide.means import LEVEL, mean_with_interval, ratio_with_interval, score_with_interval, share_with_interval
from sources.estimate import Estimate

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ImageNeed:
    """What a model scores with the image and without it.

    `gain` is what it scores above chance without, `loss` what it loses when the image goes, on the same items; `explained` is the part
    of its score above chance that it keeps without the image, None where it is not above chance with the image.
    """

    with_image: Estimate
    without_image: Estimate
    gain: Estimate
    loss: Estimate
    explained: Estimate | None


@dataclass(frozen=True, slots=True)
class Informative:
    """Shares of items that every probe gets fully right, that none gets at all, and of the others; `items` counts these others."""

    all_right: Estimate
    all_wrong: Estimate
    informative: Estimate
    items: int


def image_need(with_image: ArrayLike, without_image: ArrayLike, chance: float, groups: ArrayLike, level: float = LEVEL) -> ImageNeed | None:
    """Compare scores `[item]` of one model (higher is better) with and without the image, over image clusters `groups[item]`.

    Only items that were scored both ways count; None where these are on fewer than two images. Without-image baselines as in
    Goyal et al. 2017 (arXiv:1612.00837) and Chen et al. 2024, MMStar (arXiv:2403.20330).
    """
    sighted, blind, groups = np.asarray(with_image, float), np.asarray(without_image, float), np.asarray(groups)
    both = np.isfinite(sighted) & np.isfinite(blind)
    sighted, blind, groups = sighted[both], blind[both], groups[both]
    seen, unseen = score_with_interval(sighted, groups, level), score_with_interval(blind, groups, level)
    loss = mean_with_interval(sighted - blind, groups, level)
    if seen is None or unseen is None or loss is None:
        return None
    gain = Estimate(unseen.value - chance, unseen.stderr, unseen.low - chance, unseen.high - chance, unseen.n)
    return ImageNeed(seen, unseen, gain, loss, ratio_with_interval(blind - chance, sighted - chance, groups, level))


def right_by_question(questions: Sequence[Hashable], answers: Sequence[str], groups: ArrayLike, chances: ArrayLike) -> Floats:
    """Return for each item how right the most frequent answer to its question on *other* images is [items], in 0..1.

    Equally frequent answers share the credit; a question that no other image has gets `chances[item]`. Leaving the item's own image out
    takes one of its own answer away, so the mean errs downwards, most where answers to a question are even. A floor of what can be
    learned from text alone: it knows no word of the question, only whether two questions are the same.
    """
    clusters, fallback = np.asarray(groups).tolist(), np.asarray(chances, dtype=np.float64)
    counts: defaultdict[Hashable, Counter[str]] = defaultdict(Counter)
    own: defaultdict[tuple[Hashable, int], Counter[str]] = defaultdict(Counter)
    for question, answer, cluster in zip(questions, answers, clusters, strict=True):
        counts[question][answer] += 1
        own[question, cluster][answer] += 1
    found = np.array(fallback)
    for i, (question, answer, cluster) in enumerate(zip(questions, answers, clusters, strict=True)):
        others = counts[question] - own[question, cluster]  # what is not above zero is gone
        if others:
            most = max(others.values())
            found[i] = (others[answer] == most) / sum(count == most for count in others.values())
    return found


def informative_items(scores: ArrayLike, groups: ArrayLike, level: float = LEVEL) -> Informative | None:
    """Say how many items tell arms apart at all, from `scores[arm, repeat, item]` in 0..1 (NaN = missing) on clusters `groups[item]`.

    Over items that every finished probe has scored; None of fewer than two arms or two images. More arms and repeats leave fewer items
    that all agree on, so shares of studies of different sizes do not compare.
    """
    scores, groups = np.asarray(scores, dtype=np.float64), np.asarray(groups)
    done = np.isfinite(scores).any(axis=2)
    if done.any(axis=1).sum() < 2:
        return None
    probes = scores[done]
    common = np.isfinite(probes).all(axis=0)
    right, wrong = (probes[:, common] >= 1).all(axis=0), (probes[:, common] <= 0).all(axis=0)
    kinds = (right, wrong, ~(right | wrong))
    shares = [share_with_interval(kind.astype(np.float64), groups[common], level) for kind in kinds]
    if shares[0] is None or shares[1] is None or shares[2] is None:
        return None
    return Informative(shares[0], shares[1], shares[2], int(kinds[2].sum()))


def signal_to_noise(means: ArrayLike, level: float = LEVEL) -> Estimate | None:
    """Return how far arms differ on these items, in deviations that one probe's mean has over repeats, from `means[arm, repeat]`.

    The ratio of signal to noise by which Heineman et al. 2025 (Signal and Noise, arXiv:2508.13144) and Madaan et al. 2024
    (arXiv:2406.10229) judge benchmarks, with two changes: noise is that of repeats, which is what a study has, and the noise that is in
    the arms' means themselves is taken out of their spread, so that arms which do not differ come out at 0. Interval: that of the
    variance ratio in a one-way random model, exact for equal numbers of repeats (Searle, Casella & McCulloch 1992, Variance Components,
    3.6), with the harmonic mean of their numbers else (Thomas & Hultquist 1978, Annals of Statistics 6, 582-587). It is not
    symmetric, so its standard error is NaN; `n` counts arms.

    None where fewer than two arms are scored, no arm has two repeats, or repeats agree exactly.
    """
    from scipy.special import fdtri

    means = np.asarray(means, dtype=np.float64)
    runs = [row[np.isfinite(row)] for row in means if np.isfinite(row).any()]
    df = sum(len(row) - 1 for row in runs)
    if len(runs) < 2 or df < 1:
        return None
    noise = sum(float(((row - row.mean()) ** 2).sum()) for row in runs) / df
    if noise == 0:
        return None
    repeats = len(runs) / sum(1 / len(row) for row in runs)
    ratio = repeats * float(np.var([row.mean() for row in runs], ddof=1)) / noise
    quantiles = [1.0, *(float(fdtri(len(runs) - 1, df, p)) for p in (0.5 + level / 2, 0.5 - level / 2))]
    value, low, high = (float(np.sqrt(max(0.0, (ratio / q - 1) / repeats))) for q in quantiles)
    return Estimate(value, float("nan"), low, high, len(runs))
