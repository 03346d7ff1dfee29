"""What a reader of a ranking must know of its benchmarks' quality, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from probe.study.proxy_quality import ProxyQuality
from probe.study.study_quality import StudyQuality
from sources.estimate import Estimate

MOSTLY = 0.5  # of what is above chance
FEW = 0.05  # of the items


def quality_notes(shown: Sequence[StudyQuality], kept: Mapping[str, ProxyQuality]) -> tuple[str, ...]:
    """Return the sentences about a study's benchmarks, from its probes and from what is kept of its proxy."""
    return tuple(note for quality in shown for note in (*_without_image(kept.get(quality.benchmark)), *_separates(quality)))


def _without_image(kept: ProxyQuality | None) -> Iterator[str]:
    """Tell what is answered without the image, where its interval shows that this is more than half of what is above chance."""
    if kept is None or kept.need is None:
        return
    explained = kept.need.explained
    if explained is not None and explained.low > MOSTLY:
        yield (
            f"benchmark {kept.benchmark} is mostly answered without the image: proxy {kept.proxy} keeps {_text(explained)} of its score "
            f"above chance when the image is taken away ({kept.need.without_image.value:.3f} of {kept.need.with_image.value:.3f})"
        )
    above = kept.by_question
    if above is not None and kept.question_chance > 0 and above.low > kept.question_chance + MOSTLY * (1 - kept.question_chance):
        yield (
            f"benchmark {kept.benchmark} can mostly be answered from its questions: the most frequent answer to the same question on "
            f"other images is right for {_text(above)} of the items (chance {kept.question_chance:.2f}), so a gain here may be text alone"
        )


def _separates(quality: StudyQuality) -> Iterator[str]:
    items, signal = quality.informative, quality.signal_to_noise
    if items is not None and items.informative.value <= FEW:
        yield (
            f"benchmark {quality.benchmark} has next to no items that tell arms apart: {items.items} of {items.informative.n} "
            f"({_text(items.informative)}); all probes are right on {items.all_right.value:.3f}, all wrong on {items.all_wrong.value:.3f}"
        )
    if signal is not None and signal.low == 0:
        yield (
            f"benchmark {quality.benchmark} is not shown to separate the arms: their spread is {_text(signal)} times what repeats alone do "
            f"to one arm's mean ({signal.n} arms, {quality.probes} probes)"
        )


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
