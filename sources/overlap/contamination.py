"""Rows that give a benchmark's answers away: the image, the question and the answer of an item together, or most of a long text.

Texts are compared first, so only images of rows that ask a benchmark's questions are looked at.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
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
from sources.overlap.texts import BenchmarkTexts
from sources.problems import RowError
from sources.sample import ImageRef
from sources.sampling import SourcePool

RULE = 1  # raised when other rows would be found
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


def contaminated_rows(
    pool: SourcePool,
    benchmark: str,
    benchmark_fingerprint: str,
    items: Callable[[], Sequence[Item]],
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Contamination:
    """Find the rows of a source that hold items of a benchmark; taken from `cache_dir`, `items` unread, where both are as they were.

    Raises:
        SourceError: a row cannot be read any more.
    """
    whole = pool.whole()
    key = content_hash([RULE, look.VERSION, whole.fingerprint, whole.content, benchmark_fingerprint])
    file = cache_dir / f"contamination-{key}.json" if cache_dir else None
    held = _load(file) if file else None
    if held is not None:
        return dataclasses.replace(held, source=pool.spec.slug, benchmark=benchmark)
    found = _find(whole, benchmark, items(), cache_dir, progress)
    if file:
        _save(found, file)
    return found


def _find(pool: SourcePool, benchmark: str, items: Sequence[Item], cache_dir: Path | None, progress: Progress | None) -> Contamination:
    texts = BenchmarkTexts(items)
    asked: dict[int, set[int]] = {}
    copied: dict[int, set[int]] = {}
    images: dict[str, ImageRef] = {}
    row_images: dict[int, tuple[str, ...]] = {}
    for done, (number, sample) in enumerate(pool.numbered_samples()):
        if of := texts.copied_in(sample):
            copied[number] = of
        elif of := {item for item in texts.asked_in(sample) if items[item].images}:
            asked[number] = of
            row_images[number] = named_images(pool, sample, images)
        if progress and done % 500 == 0:
            progress(done, pool.usable)
    both = _with_image(asked, row_images, images, items, cache_dir, progress) if asked else {}
    examples = [(number, items[min(of)].id) for number, of in sorted({**both, **copied}.items())[:5]]
    return Contamination(pool.spec.slug, benchmark, pool.usable, tuple(sorted(both)), tuple(sorted(copied)), tuple(examples))


def _with_image(
    asked: Mapping[int, set[int]],
    row_images: Mapping[int, tuple[str, ...]],
    images: Mapping[str, ImageRef],
    items: Sequence[Item],
    cache_dir: Path | None,
    progress: Progress | None,
) -> dict[int, set[int]]:
    """Keep of each row the items whose images it shows, all of them."""
    wanted = sorted({item for of in asked.values() for item in of})
    item_images, refs = _item_images(items, wanted)
    same = same_images(scan_images(images, cache_dir, progress), scan_images(refs, cache_dir, progress))
    found = {}
    for number, of in asked.items():
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
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".contamination-", delete=False, encoding="utf-8") as temporary:
            json.dump(dataclasses.asdict(found), temporary)
        os.replace(temporary.name, file)
