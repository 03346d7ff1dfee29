"""Rows that give a benchmark's answers away: the image, the question and the answer of an item together, or most of a long text.

Texts are compared first, so only images of rows that ask a benchmark's questions are looked at.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sources.benchmark import Item
from sources.canonical import content_hash
from sources.images import image_digest
from sources.overlap import look
from sources.overlap.gallery import Gallery, shared
from sources.overlap.scanning import named_images, scan_images
from sources.overlap.texts import BenchmarkTexts, RowWords
from sources.problems import RowError
from sources.sample import ImageRef
from sources.sampling import SourcePool
from sources.whole_files import write_whole_text

RULE = 2  # raised when other rows would be found
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Contamination:
    """Rows of a source that a benchmark's items stand in, by number: by image, question and answer, or by a long text alone.

    `examples` pairs some of the rows with the items they hold, by id.
    """

    source: str
    benchmark: str
    rows: int  # of the source, looked at
    by_item: tuple[int, ...] = ()
    by_text: tuple[int, ...] = ()
    examples: tuple[tuple[int, str], ...] = ()

    @property
    def numbers(self) -> frozenset[int]:
        """The rows that are not to be trained on."""
        return frozenset((*self.by_item, *self.by_text))


@dataclass(frozen=True, slots=True)
class Held:
    """A benchmark to look for: its name, the fingerprint of its items, and what reads them where they are needed."""

    name: str
    fingerprint: str
    items: Callable[[], Sequence[Item]]


def contaminated_rows(
    pool: SourcePool, benchmarks: Sequence[Held], cache_dir: Path | None = None, progress: Progress | None = None
) -> list[Contamination]:
    """Find the rows of a source that hold items of benchmarks, in one pass; what was found before of both is taken from `cache_dir`.

    Raises:
        SourceError: a row cannot be read any more.
    """
    whole = pool.whole()
    files = [_file(whole, benchmark, cache_dir) for benchmark in benchmarks]
    found = {benchmark.name: held for benchmark, file in zip(benchmarks, files, strict=True) if file and (held := _load(file))}
    searches = {benchmark.name: _Search(benchmark.items()) for benchmark in benchmarks if benchmark.name not in found}
    if searches:
        found |= _find(whole, searches, cache_dir, progress)
    for benchmark, file in zip(benchmarks, files, strict=True):
        if file and benchmark.name in searches:
            _save(found[benchmark.name], file)
    return [dataclasses.replace(found[benchmark.name], source=pool.spec.slug, benchmark=benchmark.name) for benchmark in benchmarks]


def _file(pool: SourcePool, benchmark: Held, cache_dir: Path | None) -> Path | None:
    key = content_hash([RULE, look.VERSION, pool.fingerprint, pool.content, benchmark.fingerprint])
    return cache_dir / f"contamination-{key}.json" if cache_dir else None


class _Search:
    """One benchmark's items, and the rows of a source that have their texts."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.texts = BenchmarkTexts(items)
        self.asked: dict[int, set[int]] = {}  # row -> items, if its images are theirs too
        self.copied: dict[int, set[int]] = {}

    def look_into(self, number: int, row: RowWords) -> bool:
        """Note what a row has of the items; say whether its images decide."""
        if of := self.texts.copied_in(row):
            self.copied[number] = of
        elif of := {item for item in self.texts.asked_in(row) if self.items[item].images}:
            self.asked[number] = of
            return True
        return False


def _find(pool: SourcePool, searches: Mapping[str, _Search], cache_dir: Path | None, progress: Progress | None) -> dict[str, Contamination]:
    images: dict[str, ImageRef] = {}
    row_images: dict[int, tuple[str, ...]] = {}
    for done, (number, sample) in enumerate(pool.numbered_samples()):
        row = RowWords.of(sample)
        asking = [search for search in searches.values() if search.look_into(number, row)]
        if asking:
            row_images[number] = named_images(pool, sample, images)
        if progress and done % 500 == 0:
            progress(done, pool.usable)
    seen = scan_images(images, cache_dir, progress)
    found = {}
    for name, search in searches.items():
        both = _with_image(search, row_images, seen, cache_dir, progress) if search.asked else {}
        rows = sorted({**both, **search.copied}.items())
        examples = tuple((number, search.items[min(of)].id) for number, of in rows[:5])
        found[name] = Contamination(pool.spec.slug, name, pool.usable, tuple(sorted(both)), tuple(sorted(search.copied)), examples)
    return found


def _with_image(
    search: _Search, row_images: Mapping[int, tuple[str, ...]], seen: Gallery, cache_dir: Path | None, progress: Progress | None
) -> dict[int, set[int]]:
    """Keep of each row the items whose images it shows, all of them."""
    wanted = sorted({item for of in search.asked.values() for item in of})
    item_images, refs = _item_images(search.items, wanted)
    same = same_images(seen, scan_images(refs, cache_dir, progress))
    found = {}
    for number, of in search.asked.items():
        shown = set().union(*(same.get(digest, ()) for digest in row_images[number]))
        if hit := {item for item in of if item_images[item] and item_images[item] <= shown}:
            found[number] = hit
    return found


def same_images(one: Gallery, other: Gallery) -> dict[str, set[str]]:
    """Return for the images of a gallery, by the hash of their bytes, those of another that are the same."""
    found: dict[str, set[str]] = {}
    for a, b in zip(*shared(one, other), strict=True):
        found.setdefault(one.name(int(a)), set()).add(other.name(int(b)))
    return found


def _item_images(items: Sequence[Item], wanted: Iterable[int]) -> tuple[dict[int, set[str]], dict[str, ImageRef]]:
    known: dict[str, str] = {}
    digests: dict[int, set[str]] = {}
    refs: dict[str, ImageRef] = {}
    for item in wanted:
        digests[item] = set()
        for ref in items[item].images:
            with suppress(RowError):  # an image that is gone is told where it is scored
                digest = known.setdefault(ref.identity(), "") or image_digest(ref)
                known[ref.identity()] = digest
                digests[item].add(digest)
                refs[digest] = ref
    return digests, refs


def _load(file: Path) -> Contamination | None:
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        examples = tuple((number, item) for number, item in held.pop("examples"))
        return Contamination(by_item=tuple(held.pop("by_item")), by_text=tuple(held.pop("by_text")), examples=examples, **held)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _save(found: Contamination, file: Path) -> None:
    with suppress(OSError):
        write_whole_text(file, json.dumps(dataclasses.asdict(found)))
