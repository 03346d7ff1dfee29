"""`probe sources check`: what a source holds, what is wrong with it, and what is worth knowing before it is trained on."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from sources.counted import counted
from sources.images import ImageFacts, image_facts
from sources.parts import Progress
from sources.problems import Problem, RowError
from sources.sample import Sample
from sources.sampling import SourcePool
from sources.spec import Licence, SourceSpec

if TYPE_CHECKING:
    from sources.audit import Audit, ExcludedRow
    from sources.view_facts import ViewFacts

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
        return cls.of_counts(Counter(values))

    @classmethod
    def of_counts(cls, counts: Mapping[float, int] | Mapping[int, int]) -> Spread | None:
        """Return the spread of values of which each stands so often."""
        ranked = sorted(counts.items())
        n = sum(times for _, times in ranked)
        if not n:
            return None
        ends = list(accumulate(times for _, times in ranked))

        def at(place: int) -> float:
            return float(ranked[bisect_right(ends, place)][0])

        mean = math.fsum(value * times for value, times in ranked) / n
        return cls(at(0), (at((n - 1) // 2) + at(n // 2)) / 2, mean, at(-(-95 * n // 100) - 1), at(n - 1), n)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found, of a source or of a part of it. `duplicate_images` counts images whose bytes stood before under another name.

    `rows` are usable, held out or excluded; of a part, records that cannot be read at all are not among them.

    `undecoded_images` were not decoded: with 95 % confidence at most the share `bad_share_at_most` of them cannot be; None where all
    were. `named_by_path` says that images are so many that those at paths are told apart by path and size. Rotated, misnamed,
    extreme and animated images are counted among `images_looked_at`: all of them, or a sample of very many.
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
    several_frames: int
    duplicate_rows: int
    duplicate_images: int
    undecoded_images: int
    decoded_images: int
    bad_share_at_most: float | None
    named_by_path: bool
    tokens_per_row: Spread | None
    too_long: int
    warnings: tuple[str, ...]


def check_source(
    spec: SourceSpec,
    count_tokens: Callable[[Sample], int | None] | None = None,
    progress: Progress | None = None,
    cache_dir: Path | None = None,
    seed: int = 0,
    jobs: int = 1,
    full: bool = False,
) -> CheckReport:
    """Check a source. `count_tokens` gives a row's tokens under the proxy's own processor, None for a row over its context.

    Tokens are measured on a seeded sample of up to 2,000 rows; what headers say, on every image up to 20,000 of them, else a sample.
    With `full`, every image is decoded.

    Raises:
        SourceError: the source cannot be used at all, or no row of it is usable.
    """
    from sources.audit import audit_images

    pool = SourcePool.open(spec, cache_dir, progress, jobs)
    return check_pool(pool, count_tokens, seed, audit_images(pool.rows, pool.index, jobs, progress) if full else None)


def check_pool(
    pool: SourcePool, count_tokens: Callable[[Sample], int | None] | None = None, seed: int = 0, audit: Audit | None = None
) -> CheckReport:
    """Check a source that is open; `audit` is what reading all its images found."""
    spec, index, view = pool.spec, pool.index, pool.facts()
    facts = _facts(pool)
    undecoded, decoded, bound = _decoded(pool, view, audit)
    found_bad = audit.rows_of(pool) if audit else []
    lengths = [count_tokens(row.sample) for row in pool.sampled(TOKEN_SAMPLE, seed)] if count_tokens else []
    known = [float(length) for length in lengths if length is not None]
    report = CheckReport(
        slug=spec.slug,
        fingerprint=pool.fingerprint,
        content=pool.content,
        licence=spec.licence,
        rows=pool.total,
        usable=pool.usable - len(found_bad),
        excluded=_excluded(pool, found_bad),
        subsources=tuple(sorted(pool.subsources.items())),
        distinct_images=view.distinct_images,
        images_per_row=Spread.of_counts(view.images_per_row),
        images_looked_at=len(facts),
        rotated_images=sum(fact.rotated for fact in facts),
        extension_mismatches=sum(fact.extension_mismatch for fact in facts),
        extreme_images=sum(_extreme(fact) for fact in facts),
        several_frames=sum(fact.several_frames for fact in facts),
        duplicate_rows=view.duplicate_rows,
        duplicate_images=view.duplicate_images,
        undecoded_images=undecoded,
        decoded_images=decoded,
        bad_share_at_most=bound,
        named_by_path=index.by_path,
        tokens_per_row=Spread.of(known),
        too_long=len(lengths) - len(known),
        warnings=(),
    )
    return _with_warnings(report)


def _decoded(pool: SourcePool, view: ViewFacts, audit: Audit | None) -> tuple[int, int, float | None]:
    """Return how many images were not decoded, how many were, and the bound for the former.

    Of a part only the good ones that were decoded are known to be its own: with every bad one of the source counted to it, the bound holds.
    """
    from sources.audit import bad_share_at_most

    index, more = pool.index, audit.images if audit else 0
    if pool.whole_source:
        undecoded, decoded, looked_at = index.undecoded_images - more, index.decoded_images + more, index.decoded_images
    else:
        good = len(pool.decoded_images())
        undecoded, decoded, looked_at = view.distinct_images - good if not audit else 0, view.distinct_images, good + index.decoded_bad
        decoded -= undecoded
    return undecoded, decoded, bad_share_at_most(index.decoded_bad, looked_at) if undecoded and not audit else None


def _excluded(pool: SourcePool, found_bad: Sequence[ExcludedRow]) -> tuple[Excluded, ...]:
    from sources.row_index import EXAMPLES

    counts, examples = Counter(pool.excluded), {problem: list(seen) for problem, seen in pool.seen.items()}
    for number, problem, detail in found_bad:
        counts[problem] += 1
        examples.setdefault(problem, []).append((number, detail))
    shown = {problem: tuple(Example(*seen) for seen in sorted(rows)[:EXAMPLES]) for problem, rows in examples.items()}
    return tuple(Excluded(problem, n, shown[problem]) for problem, n in counts.most_common())


def percent(share: float) -> str:
    """Return a share for people, rounded up to two digits: 0.00014977 is `0.015 %`."""
    digits = 1 - math.floor(math.log10(share * 100)) if share > 0 else 0
    return f"{math.ceil(share * 100 * 10**digits) / 10**digits:.{max(0, digits)}f} %"


def _facts(pool: SourcePool) -> list[ImageFacts]:
    from sources.index_images import image_at

    found = []
    for image in pool.decoded_images():
        row, place = pool.index.first_place(image)
        try:
            found.append(image_facts(image_at(pool.rows, row, place)))
        except RowError:  # it changed since it was indexed; the draw will count it
            continue
    return found


def _extreme(fact: ImageFacts) -> bool:
    short, long = sorted((fact.width, fact.height))
    return short < SMALL_SIDE or long / short > EXTREME_ASPECT


def _with_warnings(report: CheckReport) -> CheckReport:
    return replace(report, warnings=tuple(_warnings(report)))


def _images(count: int, of: str) -> str:
    """Return `1 image is`, `3 images are` or `1 of 900 images is`."""
    return f"{count}{of} image{'' if count == 1 and not of else 's'} {'is' if count == 1 else 'are'}"


def _warnings(report: CheckReport) -> Iterator[str]:
    if report.usable < report.rows:
        share = 1 - sum(entry.count for entry in report.excluded) / report.rows
        if share < 0.9:
            yield f"only {share:.0%} of the rows are usable"
    if report.licence.declared == report.licence.concluded == "NOASSERTION":
        yield "the licence is not stated; say what it is with --licence"
    if report.duplicate_rows:
        yield counted(report.duplicate_rows, "row is an exact copy of another", "rows are exact copies of others")
    if report.duplicate_images:
        yield f"{counted(report.duplicate_images, 'image has', 'images have')} the bytes of another image under another name"
    looked_at = f" of {report.images_looked_at}" if report.images_looked_at < report.distinct_images else ""
    if report.rotated_images:
        yield f"{_images(report.rotated_images, looked_at)} turned by EXIF; trainers that ignore EXIF see them sideways"
    if report.extension_mismatches:
        yield f"{_images(report.extension_mismatches, looked_at)} of another format than their extension says"
    if report.extreme_images:
        how = f"under {SMALL_SIDE} pixels or more than {EXTREME_ASPECT:.0f} times as long as wide"
        yield f"{_images(report.extreme_images, looked_at)} {how}"
    if report.several_frames:
        yield f"{_images(report.several_frames, looked_at)} animated or of several pages, of which the first is taken"
    if report.too_long:
        yield f"{counted(report.too_long, 'sampled row is', 'sampled rows are')} longer than the proxy's context and would be left out"
    if report.undecoded_images:
        what = "size (of images in rows the header)" if report.named_by_path else "header"
        bound = f"at most {percent(report.bad_share_at_most or 1.0)} of them are bad (95 %)"
        yield f"of {report.undecoded_images} images only the {what} was checked; {bound}, and they are decoded when they are drawn"
    if report.named_by_path:
        yield "images at paths are so many that they are told apart by path and size: equal ones under two names count as two"
    if any(entry.problem is Problem.UNSPLIT for entry in report.excluded):
        yield "the end of a JSON file could not be split into rows: it is broken or was cut off, and rows are missing; download it again"
