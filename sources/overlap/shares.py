"""How much of one source is in another: shares of its rows by image, by long text, and by image with question and answer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import binomtest

from sources.canonical import content_hash, hash_bytes
from sources.estimate import Estimate
from sources.ordering import seeded_key
from sources.overlap import look
from sources.overlap.contamination import same_images
from sources.overlap.hits import Hits, RowFacts
from sources.overlap.scanning import PART, named_images, scan_images
from sources.overlap.texts import LONG_WORDS, RowWords
from sources.sample import ImageRef, Sample
from sources.sampling import SourcePool
from sources.whole_files import write_whole_text

RULE = 3  # raised when other shares would be found
SAMPLE_ROWS = 20_000
LEVEL = 0.95
_EXAMPLES = 5
_PORTION = 4 * PART  # images of the other source that are held at once
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Shares of a source's rows that another source holds too; of a source with itself, those that another row of it repeats.

    Inside one source an image counts only as a copy in other bytes, because rows may share an image. Two sources of the same content,
    registered under two names, share all. `examples` are pairs of row numbers.
    """

    source: str
    other: str
    rows: int  # of the source, looked at
    by_image: Estimate
    by_text: Estimate
    by_both: Estimate
    examples: tuple[tuple[int, int], ...] = ()


def overlap(
    pool: SourcePool, other: SourcePool, cache_dir: Path | None = None, progress: Progress | None = None, rows: int = SAMPLE_ROWS
) -> Overlap:
    """Look for a source's rows, a seeded sample of at most `rows`, in all of another; kept in `cache_dir` by what both hold.

    A pool with itself is looked through for what its rows repeat of each other.

    Raises:
        SourceError: a row cannot be read any more.
    """
    inside = pool is other
    key = content_hash([RULE, look.VERSION, rows, inside, pool.fingerprint, pool.content, other.fingerprint, other.content])
    file = cache_dir / f"overlap-{key}.json" if cache_dir else None
    held = _load(file) if file else None
    if held is not None:
        return dataclasses.replace(held, source=pool.spec.slug, other=other.spec.slug)
    found = _measure(pool, other, cache_dir, progress, rows, inside)
    if file:
        _save(found, file)
    return found


def _measure(pool: SourcePool, other: SourcePool, cache_dir: Path | None, progress: Progress | None, most: int, inside: bool) -> Overlap:
    """Walk the other source twice: for its images, a portion at a time, then for its rows; what is held of it are its images' names."""
    refs: dict[str, ImageRef] = {}
    numbers = sorted(sorted(pool.numbers(), key=lambda number: seeded_key(0, "overlap", number))[:most])
    mine = [_row(pool, number, pool.sample(number), refs) for number in numbers]
    same: dict[str, set[str]] = {}
    looks = scan_images(refs, cache_dir, progress)
    for portion in _portions(other):
        for digest, twins in same_images(looks, scan_images(portion, cache_dir, progress)).items():
            same.setdefault(digest, set()).update(twins)
    hits = Hits(mine, same, inside)
    for number, sample in other.numbered_samples():
        hits.meet(_row(other, number, sample, {}))
    share = [_share([hit is not None for hit in found], pool.usable) for found in (hits.by_image, hits.by_text, hits.by_both)]
    return Overlap(pool.spec.slug, other.spec.slug, len(mine), share[0], share[1], share[2], hits.examples(_EXAMPLES))


def _portions(pool: SourcePool) -> Iterator[dict[str, ImageRef]]:
    """Yield a source's images, each once, some thousands at a time."""
    seen: set[bytes] = set()
    portion: dict[str, ImageRef] = {}
    for _, sample in pool.numbered_samples():
        shown: dict[str, ImageRef] = {}
        named_images(pool, sample, shown)
        for digest, ref in shown.items():
            if (name := bytes.fromhex(digest)) not in seen:
                seen.add(name)
                portion[digest] = ref
        if len(portion) >= _PORTION:
            yield portion
            portion = {}
    yield portion


def _row(pool: SourcePool, number: int, sample: Sample, refs: dict[str, ImageRef]) -> RowFacts:
    digests = named_images(pool, sample, refs)
    row = RowWords.of(sample)
    words = row.all
    pairs = frozenset(hash_bytes(" ".join(asked).encode(), " ".join(answered).encode()) for asked, answered in row.pairs)
    return RowFacts(number, digests, hash_bytes(" ".join(words).encode()) if len(words) >= LONG_WORDS else "", pairs)


def _share(hits: Sequence[bool], usable: int) -> Estimate:
    """Return a share with its exact binomial interval (Clopper and Pearson 1934); of all rows it has none."""
    n, value = len(hits), sum(hits) / max(1, len(hits))
    if not n or n >= usable:
        return Estimate(value, 0.0, value, value, n)
    interval = binomtest(sum(hits), n).proportion_ci(LEVEL, method="exact")
    return Estimate(value, (value * (1 - value) / n) ** 0.5, float(interval.low), float(interval.high), n)


def _load(file: Path) -> Overlap | None:
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        image, text, both = (Estimate(**held[name]) for name in ("by_image", "by_text", "by_both"))
        return Overlap(held["source"], held["other"], held["rows"], image, text, both, tuple((a, b) for a, b in held["examples"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _save(found: Overlap, file: Path) -> None:
    with suppress(OSError):
        write_whole_text(file, json.dumps(dataclasses.asdict(found)))
