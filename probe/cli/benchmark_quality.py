"""`probe benchmarks check --proxy P --study S`: a benchmark's quality, measured, kept and told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probe.cli.output import counting, estimate_json, interval
from probe.errors import ProbeError
from probe.workspace import Workspace
from sources.counted import counted

if TYPE_CHECKING:
    from probe.decide.letter_prior import LetterPrior
    from probe.study.proxy_quality import ProxyQuality
    from probe.study.study_quality import StudyQuality
    from sources.estimate import Estimate


@dataclass(frozen=True, slots=True)
class QualityRequest:
    """What is asked: a proxy, a study or both; at most so many items; with written answers of at most so many tokens, or 0."""

    proxy: str | None
    study: str | None
    items: int
    generate: int
    device: str | None


def proxy_quality(workspace: Workspace, name: str, asked: QualityRequest) -> ProxyQuality:
    """Return what is kept of a benchmark on a proxy where the same was asked before, else measure and keep it.

    Raises:
        ProbeError, ProxyError, SourceError: the benchmark or the proxy cannot be used.
    """
    from probe.study.devices import check_device
    from probe.study.items import read_eval_set
    from probe.study.proxy_quality import measured_quality
    from probe.study.quality_files import keep_quality, kept_quality
    from probe.study.registry import find_benchmark
    from proxy_training.jobs import EngineSettings
    from proxy_training.proxies import proxy_spec

    check_device(asked.device)
    with workspace.open_store() as store:
        eval_set = read_eval_set(find_benchmark(store, name))
    spec = proxy_spec(asked.proxy or "")
    kept = kept_quality(workspace.quality, spec.weights_hash, eval_set.fingerprint)
    if kept is not None and kept.asked_items == asked.items and (not asked.generate or kept.generated is not None):
        return kept
    with counting("scoring") as show:
        found = measured_quality(
            spec,
            eval_set,
            workspace.features,
            items=asked.items,
            generate=asked.generate,
            settings=EngineSettings(asked.device),
            progress=lambda _, done, of: show(done, of),
        )
    keep_quality(workspace.quality, found)
    return found


def shown_by_study(workspace: Workspace, name: str, study: str) -> StudyQuality:
    """Return what a study's probes show of a benchmark.

    Raises:
        ProbeError: there is no such study, or it has no scores on the benchmark.
    """
    from probe.study.study_quality import study_quality

    with workspace.open_store() as store:
        found = {quality.benchmark: quality for quality in study_quality(store, study)}
    if name not in found:
        raise ProbeError(f"study {study} has no scores on {name} (scored: {', '.join(found) or 'none yet'}); see `probe status`.")
    return found[name]


def proxy_json(found: ProxyQuality) -> dict[str, Any]:
    """Return what a proxy showed as the object that `--json` prints."""
    need = found.need
    return {
        "proxy": found.proxy,
        "items": found.items,
        "images": found.images,
        "metric": found.metric,
        "chance": found.chance,
        "with_image": estimate_json(need.with_image) if need else None,
        "without_image": estimate_json(need.without_image) if need else None,
        "gain_without_image": estimate_json(need.gain) if need else None,
        "lost_without_image": estimate_json(need.loss) if need else None,
        "explained_without_image": estimate_json(need.explained) if need else None,
        "by_question": estimate_json(found.by_question),
        "by_question_chance": found.question_chance,
        "letters": _letters_json(found.letters) if found.letters else None,
        "generated": estimate_json(found.generated),
    }


def _letters_json(letters: LetterPrior) -> dict[str, Any]:
    places = {_letter(place.place): {**(estimate_json(place.probability) or {}), "even": place.even} for place in letters.places}
    shares = {name: estimate_json(getattr(letters, name)) for name in ("follows", "plain", "rotated", "difference")}
    return {"places": places, **shares}


def study_json(found: StudyQuality) -> dict[str, Any]:
    """Return what a study showed as the object that `--json` prints."""
    items = found.informative
    return {
        "metric": found.metric,
        "arms": found.arms,
        "probes": found.probes,
        "informative_items": items.items if items else None,
        "informative": estimate_json(items.informative) if items else None,
        "all_right": estimate_json(items.all_right) if items else None,
        "all_wrong": estimate_json(items.all_wrong) if items else None,
        "signal_to_noise": estimate_json(found.signal_to_noise),
        "rank_agreement_with_generated": {metric: estimate_json(estimate) for metric, estimate in found.agreement},
    }


def proxy_lines(found: ProxyQuality) -> Iterator[str]:
    """Yield what a proxy showed, for people."""
    yield f"on proxy {found.proxy}, {found.items:,} selection items on {found.images:,} images, {found.metric}, chance {found.chance:.3f}:"
    if found.need:
        need = found.need
        yield f"  with the image {_plain(need.with_image)}, without it {_plain(need.without_image)}"
        kept = _plain(need.explained) if need.explained else "unknown: with the image it is not shown to be above chance"
        yield f"  without the image, above chance {interval(need.gain)}; share of the score above chance that is kept: {kept}"
    else:
        yield "  without the image: nothing to compare, no two images (a text-only benchmark has none)"
    if found.by_question:
        yield (
            f"  the most frequent answer to the same question on other images is right for {_plain(found.by_question)} "
            f"(chance {found.question_chance:.3f})"
        )
    if found.letters:
        yield from _letter_lines(found.letters)
    else:
        yield "  letter prior: none to measure, the prompt does not list choices by letter"
    if found.generated:
        yield f"  written answers score {_plain(found.generated)}"


def _letter_lines(letters: LetterPrior) -> Iterator[str]:
    told = ", ".join(f"{_letter(p.place)} {_plain(p.probability)} (even {p.even:.3f})" for p in letters.places)
    yield f"  probability by letter, choices rotated: {told}"
    yield f"  answers that follow the letter in every rotation: {_plain(letters.follows)}"
    yield (
        f"  accuracy as in the file {_plain(letters.plain)}, over rotations {_plain(letters.rotated)}, "
        f"difference {interval(letters.difference)}"
    )


def study_lines(study: str, found: StudyQuality) -> Iterator[str]:
    """Yield what a study showed, for people."""
    yield f"in study {study}, {counted(found.probes, 'probe')} of {counted(found.arms, 'arm')}, selection items, {found.metric}:"
    if items := found.informative:
        yield f"  every probe right {_plain(items.all_right)}, every probe wrong {_plain(items.all_wrong)}"
        yield f"  items that tell probes apart: {items.items:,} ({_plain(items.informative)})"
    else:
        yield "  items that tell probes apart: unknown, needs two arms whose answers count as right or wrong"
    if signal := found.signal_to_noise:
        yield f"  signal to noise {_plain(signal, 2)} over {signal.n} trained arms"
    else:
        yield "  signal to noise: unknown, needs two trained arms with repeats that differ"
    if not found.agreement:
        yield "  agreement with written answers: none were written in this study"
    for metric, estimate in found.agreement:
        told = f"Kendall's tau {interval(estimate, 2)} over {estimate.n} arms" if estimate else "too few arms to tell"
        yield f"  order of arms by {metric} against written answers: {told}"


def _letter(place: int) -> str:
    return chr(ord("A") + place)


def _plain(estimate: Estimate, digits: int = 3) -> str:
    return interval(estimate, digits, signed=False)
