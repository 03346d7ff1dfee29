"""`probe sources check`: what a source holds, what is wrong with it, and what is worth knowing before it is trained on."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from sources.images import ImageFacts, image_facts
from sources.indexing import FULL_DECODE_IMAGES
from sources.ordering import seeded_key
from sources.parts import Progress
from sources.problems import Problem, RowError
from sources.sample import ImageRef, Sample
from sources.sampling import SourcePool
from sources.spec import Licence, SourceSpec

TOKEN_SAMPLE = 2000
SMALL_SIDE, EXTREME_ASPECT = 28, 200.0  # where Qwen's processors refuse or clamp


@dataclass(frozen=True, slots=True)
class Example:
    """One excluded row."""

    number: int
    detail: str


@dataclass(frozen=True, slots=True)
class Excluded:
    """Rows excluded for one reason, with a few of them."""

    problem: Problem
    count: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number is distributed over rows; `n` is how many rows were looked at."""

    minimum: float
    median: float
    mean: float
    p95: float
    maximum: float
    n: int

    @classmethod
    def of(cls, values: list[float]) -> Spread | None:
        """Return the spread of values, None of no values. The 95th percentile is a value that occurs."""
        if not values:
            return None
        ranked = sorted(values)
        p95 = ranked[-(-95 * len(ranked) // 100) - 1]
        return cls(ranked[0], statistics.median(ranked), statistics.fmean(ranked), p95, ranked[-1], len(ranked))


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found. `duplicate_images` counts images whose bytes stood before under another name.

    Rotated, misnamed and extreme images are counted among `images_looked_at`: all of them, or a sample of very many.
    """

    slug: str
    fingerprint: str
    content: str
    licence: Licence
    rows: int
    usable: int
    excluded: tuple[Excluded, ...]
    subsources: tuple[tuple[str, int], ...]
    distinct_images: int
    images_per_row: Spread | None
    images_looked_at: int
    rotated_images: int
    extension_mismatches: int
    extreme_images: int
    duplicate_rows: int
    duplicate_images: int
    undecoded_images: int
    tokens_per_row: Spread | None
    too_long: int
    warnings: tuple[str, ...]


def check_source(
    spec: SourceSpec,
    count_tokens: Callable[[Sample], int | None] | None = None,
    progress: Progress | None = None,
    cache_dir: Path | None = None,
    seed: int = 0,
) -> CheckReport:
    """Check a source. `count_tokens` gives a row's tokens under the proxy's own processor, None for a row over its context.

    Tokens are measured on a seeded sample of up to 2,000 rows; what headers say, on every image up to 20,000 of them, else a sample.

    Raises:
        SourceError: the source cannot be used at all, or no row of it is usable.
    """
    return check_pool(SourcePool.open(spec, cache_dir, progress), count_tokens, seed)


def check_pool(pool: SourcePool, count_tokens: Callable[[Sample], int | None] | None = None, seed: int = 0) -> CheckReport:
    """Check a source that is open."""
    spec, index = pool.spec, pool.index
    facts = _facts(pool)
    lengths = [count_tokens(row.sample) for row in islice(pool.order(seed), min(TOKEN_SAMPLE, pool.usable))] if count_tokens else []
    known = [float(length) for length in lengths if length is not None]
    per_row = [float(n) for n, count in index.images_per_row.items() for _ in range(count)]
    report = CheckReport(
        slug=spec.slug,
        fingerprint=pool.fingerprint,
        content=pool.content,
        licence=spec.licence,
        rows=index.total,
        usable=pool.usable,
        excluded=_excluded(pool),
        subsources=tuple(sorted(pool.subsources.items())),
        distinct_images=index.distinct_images,
        images_per_row=Spread.of(per_row),
        images_looked_at=len(facts),
        rotated_images=sum(fact.rotated for fact in facts),
        extension_mismatches=sum(fact.extension_mismatch for fact in facts),
        extreme_images=sum(_extreme(fact) for fact in facts),
        duplicate_rows=index.duplicate_rows,
        duplicate_images=index.duplicate_images,
        undecoded_images=index.undecoded_images,
        tokens_per_row=Spread.of(known),
        too_long=len(lengths) - len(known),
        warnings=(),
    )
    return _with_warnings(report)


def _excluded(pool: SourcePool) -> tuple[Excluded, ...]:
    examples: Mapping[Problem, list[tuple[int, str]]] = pool.index.examples
    return tuple(
        Excluded(problem, count, tuple(Example(*seen) for seen in examples.get(problem, [])))
        for problem, count in pool.excluded.most_common()
    )


def _facts(pool: SourcePool) -> list[ImageFacts]:
    found = []
    for ref in _distinct_images(pool):
        try:
            found.append(image_facts(ref))
        except RowError:  # it changed since it was indexed; the draw will count it
            continue
    return found


def _distinct_images(pool: SourcePool) -> Iterator[ImageRef]:
    """Yield each image of the source once, or a seeded 20,000 of more."""
    seen: set[str] = set()
    for _, sample in pool.numbered_samples():
        for ref in sample.images:
            if ref.identity() not in seen:
                seen.add(ref.identity())
                if _in_sample(ref, pool.index.distinct_images):
                    yield ref


def _in_sample(ref: ImageRef, n_images: int) -> bool:
    return n_images <= FULL_DECODE_IMAGES or seeded_key(0, "facts", ref.identity()) < FULL_DECODE_IMAGES / n_images * 2.0**64


def _extreme(fact: ImageFacts) -> bool:
    short, long = sorted((fact.width, fact.height))
    return short < SMALL_SIDE or long / short > EXTREME_ASPECT


def _with_warnings(report: CheckReport) -> CheckReport:
    return replace(report, warnings=tuple(_warnings(report)))


def _warnings(report: CheckReport) -> Iterator[str]:
    if report.usable < report.rows:
        share = 1 - sum(entry.count for entry in report.excluded) / report.rows
        if share < 0.9:
            yield f"only {share:.0%} of the rows are usable"
    if "NOASSERTION" in (report.licence.declared, report.licence.concluded):
        yield "the licence is not stated; say what it is with --licence"
    if report.duplicate_rows:
        yield f"{report.duplicate_rows} rows are exact copies of other rows"
    if report.duplicate_images:
        yield f"{report.duplicate_images} images have the bytes of another image under another name"
    looked_at = f" of {report.images_looked_at}" if report.images_looked_at < report.distinct_images else ""
    if report.rotated_images:
        yield f"{report.rotated_images}{looked_at} images are turned by EXIF; trainers that ignore EXIF see them sideways"
    if report.extension_mismatches:
        yield f"{report.extension_mismatches}{looked_at} images are of another format than their extension says"
    if report.extreme_images:
        how = f"under {SMALL_SIDE} pixels or more than {EXTREME_ASPECT:.0f} times as long as wide"
        yield f"{report.extreme_images}{looked_at} images are {how}"
    if report.too_long:
        yield f"{report.too_long} sampled rows are longer than the proxy's context and would be left out"
    if report.undecoded_images:
        yield f"of {report.undecoded_images} images only the header was checked; they are decoded when they are drawn"
    if any(entry.problem is Problem.UNSPLIT for entry in report.excluded):
        yield "the end of a JSON file could not be split into rows: it is broken or was cut off, and rows are missing; download it again"
