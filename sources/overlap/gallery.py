"""A gallery: what is kept of many images, in arrays, and the pairs of images that two galleries share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sources.overlap.bands import BandedIndex
from sources.overlap.look import COLOUR_SIDE, SIDE, WINDOWS, Look, is_flat
from sources.overlap.pixels import BATCH, agreement, same_drawing

Ints = NDArray[np.int64]
_WHOLE = 0  # the window that is the image


@dataclass(frozen=True, slots=True)
class Gallery:
    """Images in one order: the hash of their bytes [n] (16 bytes each), small pictures, hashes of windows [n, windows], and their kind."""

    digests: NDArray[np.void]
    grey: NDArray[np.uint8]
    colour: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    simple: NDArray[np.bool_]
    flat: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.digests)

    def name(self, place: int) -> str:
        """Return the hash of an image's bytes, in hex."""
        return bytes(self.digests[place].tobytes()).hex()

    @classmethod
    def of(cls, digests: Sequence[str], looks: Sequence[Look]) -> Gallery:
        """Return the gallery of looks; `digests` are hex hashes of the images' bytes."""
        n = len(looks)
        hashes = np.zeros((n, len(WINDOWS)), np.uint64)
        for row, look in enumerate(looks):
            hashes[row, : len(look.hashes)] = look.hashes
        return cls(
            np.frombuffer(b"".join(map(bytes.fromhex, digests)), "V16") if digests else np.zeros(0, "V16"),
            np.array([look.grey for look in looks], np.uint8).reshape(n, SIDE, SIDE),
            np.array([look.colour for look in looks], np.uint8).reshape(n, 2, COLOUR_SIDE, COLOUR_SIDE),
            hashes,
            np.array([look.simple for look in looks], np.bool_),
            np.array([is_flat(look) for look in looks], np.bool_),
        )

    @classmethod
    def joined(cls, parts: Sequence[Gallery]) -> Gallery:
        """Return galleries one behind the other."""
        if not parts:
            return cls.of((), ())
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))

    def some(self, places: Ints) -> Gallery:
        """Return the images at places."""
        return Gallery(*(getattr(self, name)[places] for name in self.__slots__))


def shared(one: Gallery, other: Gallery) -> tuple[Ints, Ints]:
    """Return the pairs of places (in `one`, in `other`) that show the same image, sorted: same bytes, or near hashes and like pixels."""
    pairs = [_same_bytes(one, other)]
    for a, b, window_a, window_b in _candidates(one, other):
        for start in range(0, len(a), BATCH):
            part = slice(start, start + BATCH)
            same = _same_pixels(one, other, a[part], b[part], window_a[part], window_b[part])
            pairs.append((a[part][same], b[part][same]))
    n = max(1, len(other))
    found = np.unique(np.concatenate([a * n + b for a, b in pairs]))
    return found // n, found % n


def repeated(gallery: Gallery) -> tuple[Ints, Ints]:
    """Return the pairs of places in one gallery that show the same image, the lower place first."""
    a, b = shared(gallery, gallery)
    return a[a < b], b[a < b]


def _same_bytes(one: Gallery, other: Gallery) -> tuple[Ints, Ints]:
    places: dict[bytes, list[int]] = {}
    for place, digest in enumerate(other.digests.tolist()):
        places.setdefault(digest, []).append(place)
    pairs = [(a, b) for a, digest in enumerate(one.digests.tolist()) for b in places.get(digest, ())]
    both = np.array(pairs, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _candidates(one: Gallery, other: Gallery) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
    """Yield places and windows of near hashes: the whole of one image near a window of the other, both ways; simple drawings as wholes."""
    a, b, window = _near(one, other, windows=True)
    yield a, b, np.zeros_like(window), window
    b, a, window = _near(other, one, windows=False)
    yield a, b, window, np.zeros_like(window)


def _near(whole: Gallery, cut: Gallery, windows: bool) -> tuple[Ints, Ints, Ints]:
    """Return (place in `whole`, place in `cut`, the nearest window of `cut`), whole images among them only if `windows` is so."""
    queries = np.nonzero(~whole.flat)[0]
    place, window = _entries(cut, windows)
    entries = cut.hashes[place, window]
    query, entry = BandedIndex(entries).near(whole.hashes[queries, _WHOLE])
    query = queries[query]
    apart = np.bitwise_count(whole.hashes[query, _WHOLE] ^ entries[entry])
    order = np.lexsort((window[entry], apart, place[entry], query))
    query, entry = query[order], entry[order]
    first = np.ones(len(query), np.bool_)
    first[1:] = (query[1:] != query[:-1]) | (place[entry[1:]] != place[entry[:-1]])
    return query[first], place[entry[first]], window[entry[first]]


def _entries(cut: Gallery, whole_too: bool) -> tuple[Ints, Ints]:
    rich = np.nonzero(~cut.flat & ~cut.simple)[0]
    simple = np.nonzero(~cut.flat & cut.simple)[0] if whole_too else np.zeros(0, np.int64)
    windows = np.arange(0 if whole_too else 1, len(WINDOWS))
    return (
        np.concatenate([np.repeat(rich, len(windows)), simple]).astype(np.int64),
        np.concatenate([np.tile(windows, len(rich)), np.zeros(len(simple), np.int64)]).astype(np.int64),
    )


def _same_pixels(one: Gallery, other: Gallery, a: Ints, b: Ints, window_a: Ints, window_b: Ints) -> NDArray[np.bool_]:
    same = np.zeros(len(a), np.bool_)
    drawn = one.simple[a] | other.simple[b]
    as_is = drawn | ((window_a == _WHOLE) & (window_b == _WHOLE))
    if as_is.any():
        x, y = a[as_is], b[as_is]
        same[as_is] = same_drawing(one.grey[x], other.grey[y], one.colour[x], other.colour[y])
    drawn |= same
    for turned, (inner, i), (outer, o), window in (
        (~drawn & (window_a == _WHOLE), (one, a), (other, b), window_b),
        (~drawn & (window_a != _WHOLE), (other, b), (one, a), window_a),
    ):
        if turned.any():
            x, y = i[turned], o[turned]
            boxes = np.array(WINDOWS, np.float32)[window[turned]]
            same[turned] = agreement(inner.grey[x], outer.grey[y], inner.colour[x], outer.colour[y], boxes).same()
    return same
