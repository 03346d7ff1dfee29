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

# The bytes of every image are hashed. So many distinct images are decoded, by their hashes and not by where they stand, so that
# nothing else in the source decides which; of the others only the header is read, and a draw decodes what it takes.
FULL_DECODE_IMAGES = 20_000
_LAYOUT = 2
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class _Read:
    """One well-formed row between the two passes."""

    number: int
    subsource: str
    text: str  # digest
    images: tuple[str, ...]  # identities


def open_index(rows: Rows, spec: SourceSpec, cache_dir: Path | None, progress: Progress | None) -> RowIndex:
    """Return the index of a source's opened rows, from the cache while neither its files nor its images have changed.

    View options are ignored here.

    Raises:
        SourceError: the source cannot be used at all.
    """
    spec = replace(spec, options=tuple(option for option in spec.options if option[0] not in VIEW_OPTIONS))
    reader = find_reader(spec.format)
    key = content_hash([_LAYOUT, fingerprint(spec), reader.name, reader.version, IMAGE_POLICY, FULL_DECODE_IMAGES])
    file = cache_dir / f"index-{key}.json" if cache_dir else None
    root = image_root(spec) if spec.path else ""
    if file and (held := load_index(file, root)):
        return held
    index = _build(rows, progress)
    if file:
        save_index(index, file, root)
    return index


def _build(rows: Rows, progress: Progress | None) -> RowIndex:
    read, first, index = _read_rows(rows, progress)
    hashes, problems = _check_images(rows, first, index, progress)
    usable = []
    for row in read:
        bad = next((problems[image] for image in row.images if image in problems), None)
        if bad:
            index.exclude(bad.problem, row.number, bad.detail)
        else:
            usable.append(row)
    _add_usable(index, usable, hashes)
    return index


def _read_rows(rows: Rows, progress: Progress | None) -> tuple[list[_Read], dict[str, tuple[int, int]], RowIndex]:
    index = RowIndex(total=len(rows))
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
    rows: Rows, first: dict[str, tuple[int, int]], index: RowIndex, progress: Progress | None
) -> tuple[dict[str, str], dict[str, RowError]]:
    """Return the hash of every image that can be used, and what is wrong with every other, both by identity."""
    hashes: dict[str, str] = {}
    problems: dict[str, RowError] = {}
    decode = len(first) <= FULL_DECODE_IMAGES
    for done, (identity, place) in enumerate(first.items()):
        ref = _image_at(rows, place)
        if ref.path is not None:
            index.image_paths.append(ref.path)
        try:
            hashes[identity] = _checked(ref, decode)
        except RowError as error:
            problems[identity] = error
        if progress and done % 100 == 0:
            progress(done, len(first))
    if not decode:
        _decode_some(rows, first, index, hashes, problems, progress)
    if progress:
        progress(len(first), len(first))
    return hashes, problems


def _image_at(rows: Rows, place: tuple[int, int]) -> ImageRef:
    sample = rows.get(place[0]).sample
    return sample.images[place[1]] if sample else ImageRef()


def _checked(ref: ImageRef, decode: bool) -> str:
    data = read_image_bytes(ref)
    if decode:
        decode_image(data)
    else:
        check_image(ImageRef(data=data), decode=False)
    return ref.identity() if ref.path is None else hash_bytes(data)


def _decode_some(
    rows: Rows,
    first: dict[str, tuple[int, int]],
    index: RowIndex,
    hashes: dict[str, str],
    problems: dict[str, RowError],
    progress: Progress | None,
) -> None:
    """Decode the images of the smallest hashes; one that cannot be is moved to the problems, under each of its names."""
    named: dict[str, list[str]] = {}
    for identity, digest in hashes.items():
        named.setdefault(digest, []).append(identity)
    ranked = sorted(named)
    chosen = set(ranked[:FULL_DECODE_IMAGES])
    if len(ranked) > FULL_DECODE_IMAGES:
        index.undecoded_images = len(ranked) - FULL_DECODE_IMAGES
        index.decoded_to = ranked[FULL_DECODE_IMAGES - 1]
    done = 0
    for identity, digest in list(hashes.items()):
        if digest not in chosen:
            continue
        chosen.remove(digest)
        try:
            check_image(_image_at(rows, first[identity]), decode=True)
        except RowError as error:
            for name in named[digest]:
                problems[name] = error
                del hashes[name]
        done += 1
        if progress and done % 100 == 0:
            progress(done, min(len(ranked), FULL_DECODE_IMAGES))


def _add_usable(index: RowIndex, usable: list[_Read], hashes: dict[str, str]) -> None:
    images = [[hashes[image] for image in row.images] for row in usable]
    groups = _image_groups(images, [row.text for row in usable])
    seen: Counter[str] = Counter()
    stratum_of: dict[str, int] = {}
    for row, keys, group in zip(usable, images, groups, strict=True):
        content = hash_bytes(*(part.encode("utf-8", "surrogatepass") for part in (row.text, *keys)))
        index.numbers.append(row.number)
        index.strata.append(stratum_of.setdefault(row.subsource, len(stratum_of)))
        index.groups.append(group)
        index.keys.append(bytes.fromhex(hash_bytes(content.encode(), str(seen[content]).encode())))
        index.images_per_row[len(row.images)] += 1
        seen[content] += 1
    index.names = list(stratum_of)
    index.duplicate_rows = sum(seen.values()) - len(seen)
    used = {image for row in usable for image in row.images}
    distinct = {hashes[image] for image in used}
    paths = set(index.image_paths)
    index.path_hashes = {image: digest for image, digest in hashes.items() if image in used and image in paths}
    index.distinct_images, index.duplicate_images = len(distinct), len(used) - len(distinct)


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
