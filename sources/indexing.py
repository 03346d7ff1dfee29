"""The index of a source: every row read and checked once, and what a draw needs of the good ones.

It is kept as a file, because checking every image of a large source takes minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sources.canonical import content_hash, hash_bytes
from sources.fingerprint import VIEW_OPTIONS, fingerprint
from sources.formats.files import image_root
from sources.formats.registry import find_reader
from sources.images import IMAGE_POLICY, check_image, decode_image, read_image_bytes
from sources.problems import Problem, RowError
from sources.reader import Rows
from sources.row_index import RowIndex, load_index, save_index
from sources.sample import ImageRef
from sources.spec import SourceSpec

# Up to so many distinct images each is decoded; of more, only the header is read, and a draw decodes what it takes.
FULL_DECODE_IMAGES = 20_000
_LAYOUT = 1
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class _Read:
    """One well-formed row between the two passes."""

    number: int
    subsource: str
    text: str  # digest
    images: tuple[str, ...]  # identities


def open_index(rows: Rows, spec: SourceSpec, cache_dir: Path | None, progress: Progress | None, hash_all: bool = False) -> RowIndex:
    """Return the index of a source's opened rows, from the cache while neither its files nor its images have changed.

    `hash_all` names images by their bytes however many they are. View options are ignored here.

    Raises:
        SourceError: the source cannot be used at all.
    """
    spec = replace(spec, options=tuple(option for option in spec.options if option[0] not in VIEW_OPTIONS))
    reader = find_reader(spec.format)
    key = content_hash([_LAYOUT, fingerprint(spec), reader.name, reader.version, IMAGE_POLICY, FULL_DECODE_IMAGES, hash_all])
    file = cache_dir / f"index-{key}.json" if cache_dir else None
    root = image_root(spec) if spec.path else ""
    if file and (held := load_index(file, root)):
        return held
    index = _build(rows, progress, hash_all)
    if file:
        save_index(index, file, root)
    return index


def _build(rows: Rows, progress: Progress | None, hash_all: bool) -> RowIndex:
    read, first, index = _read_rows(rows, progress)
    index.by_bytes = hash_all or len(first) <= FULL_DECODE_IMAGES
    problems = _check_images(rows, first, index, len(first) <= FULL_DECODE_IMAGES, progress)
    usable = []
    for row in read:
        bad = next((problems[image] for image in row.images if image in problems), None)
        if bad:
            index.exclude(bad.problem, row.number, bad.detail)
        else:
            usable.append(row)
    _add_usable(index, usable)
    return index


def _read_rows(rows: Rows, progress: Progress | None) -> tuple[list[_Read], dict[str, tuple[int, int]], RowIndex]:
    index = RowIndex(total=len(rows), by_bytes=True)
    read: list[_Read] = []
    first: dict[str, tuple[int, int]] = {}  # identity -> row and place where it first stands
    for row in rows:
        if row.sample is None:
            index.exclude(row.problem or Problem.MALFORMED, row.number, row.detail)
        else:
            identities = tuple(ref.identity() for ref in row.sample.images)
            read.append(_Read(row.number, row.sample.subsource, row.sample.text_digest(), identities))
            for place, identity in enumerate(identities):
                first.setdefault(identity, (row.number, place))
        if progress and row.number % 1000 == 0:
            progress(row.number, index.total)
    return read, first, index


def _check_images(
    rows: Rows, first: dict[str, tuple[int, int]], index: RowIndex, decode: bool, progress: Progress | None
) -> dict[str, RowError]:
    problems: dict[str, RowError] = {}
    for done, (identity, (number, place)) in enumerate(first.items()):
        sample = rows.get(number).sample
        ref = sample.images[place] if sample else ImageRef()
        if ref.path is not None:
            index.image_paths.append(ref.path)
        try:
            if index.by_bytes:
                data = read_image_bytes(ref)
                index.image_hashes[identity] = hash_bytes(data)
            if decode:
                decode_image(data)
            else:
                check_image(ref, decode=False)
        except RowError as error:
            problems[identity] = error
            index.image_hashes.pop(identity, None)
        if progress and done % 100 == 0:
            progress(done, len(first))
    if progress:
        progress(len(first), len(first))
    return problems


def _add_usable(index: RowIndex, usable: list[_Read]) -> None:
    groups = _image_groups([_image_keys(row, index) for row in usable], [row.text for row in usable])
    seen: Counter[str] = Counter()
    stratum_of: dict[str, int] = {}
    for row, group in zip(usable, groups, strict=True):
        content = hash_bytes(*(part.encode("utf-8", "surrogatepass") for part in (row.text, *_image_keys(row, index))))
        index.numbers.append(row.number)
        index.strata.append(stratum_of.setdefault(row.subsource, len(stratum_of)))
        index.groups.append(group)
        index.keys.append(bytes.fromhex(hash_bytes(content.encode(), str(seen[content]).encode())))
        index.images_per_row[len(row.images)] += 1
        seen[content] += 1
    index.names = list(stratum_of)
    index.duplicate_rows = sum(seen.values()) - len(seen)
    used = {image for row in usable for image in row.images}
    index.image_hashes = {image: digest for image, digest in index.image_hashes.items() if image in used}


def _image_keys(row: _Read, index: RowIndex) -> list[str]:
    return [index.image_hashes[image] if index.by_bytes else image for image in row.images]


def _image_groups(images: list[list[str]], texts: list[str]) -> list[bytes]:
    """Return a key per row: rows are joined by every image they share; the key is the smallest image's of those joined."""
    parent: dict[str, str] = {}

    def find(image: str) -> str:
        while parent.setdefault(image, image) != image:
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    for row in images:
        for other in row[1:]:
            low, high = sorted((find(row[0]), find(other)))
            parent[high] = low
    keys = (find(row[0]) if row else "text:" + text for row, text in zip(images, texts, strict=True))
    return [bytes.fromhex(hash_bytes(key.encode("utf-8", "surrogatepass"))) for key in keys]
