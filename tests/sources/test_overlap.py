from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making_sources import llava, llava_source
from PIL import Image, ImageFilter

from sources.benchmark import Item
from sources.overlap.bands import RADIUS, BandedIndex
from sources.overlap.contamination import Held, contaminated_rows
from sources.overlap.gallery import Gallery, repeated, shared
from sources.overlap.hits import Hits, RowFacts
from sources.overlap.look import is_simple, look_at
from sources.overlap.scanning import scan_images
from sources.overlap.shares import overlap
from sources.overlap.texts import BenchmarkTexts, RowWords, words
from sources.problems import Problem
from sources.sample import ImageRef
from sources.sampling import SourcePool
from tests.writing_files import write, write_json

LONG = (
    "A farmer has seventeen sheep and sells nine of them at the market on Tuesday before buying four more from his neighbour, who in turn "
    "had bought those from a dealer passing through the valley; how many sheep does the farmer own in the end?"
)


def picture(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """Noise of several scales: as different from another seed's as two photographs are."""
    rng = np.random.default_rng(seed)
    layers = [
        Image.fromarray(rng.integers(0, 255, (n * 3, n * 4, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC) for n in (2, 4, 9)
    ]
    return Image.fromarray((sum(np.asarray(layer, np.float64) for layer in layers) / 3).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = 60) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def gallery(images: list[Image.Image], name: int) -> Gallery:
    return Gallery.of([f"{name:016x}{i:016x}" for i in range(len(images))], [look_at(image) for image in images])


def test_index_finds_exactly_what_a_comparison_of_all_pairs_finds() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 1 << 63, 3000, dtype=np.uint64)
    near = [hashes[i] ^ np.uint64(sum(1 << int(bit) for bit in rng.choice(63, i % 14, replace=False))) for i in range(400)]
    queries = np.array([*near, *rng.integers(0, 1 << 63, 100, dtype=np.uint64)], np.uint64)
    apart = np.bitwise_count(queries[:, None] ^ hashes[None])
    found = BandedIndex(hashes).near(queries)
    assert list(zip(*map(np.ndarray.tolist, found), strict=True)) == [tuple(pair) for pair in np.argwhere(apart <= RADIUS).tolist()]
    with pytest.raises(ValueError, match="more than the bands guarantee"):
        BandedIndex(hashes).near(queries, 12)


def test_hash_of_the_whole_is_the_librarys() -> None:
    image = picture(1)
    look = look_at(image)
    grey = Image.fromarray(look.grey).resize((32, 32), Image.Resampling.LANCZOS)
    assert f"{int(look.hashes[0]):016x}" == str(imagehash.phash(grey))


def test_copies_are_found_and_other_images_are_not() -> None:
    originals = [picture(seed) for seed in range(12)]
    copies = [
        Image.open(io.BytesIO(jpeg(originals[0], 30))).convert("RGB"),
        originals[1].resize((120, 90)),
        originals[2].resize((480, 360), Image.Resampling.LANCZOS),
        originals[3].crop((14, 3, 232, 170)),
        originals[4].convert("L").convert("RGB"),
        Image.fromarray((255 * (np.asarray(originals[5]) / 255.0) ** 1.6).astype(np.uint8)),
        originals[6].filter(ImageFilter.GaussianBlur(1)),
    ]
    a, b = shared(gallery(copies, 1), gallery(originals, 2))
    assert (a.tolist(), b.tolist()) == ([*range(7)], [*range(7)])
    a, b = shared(gallery(originals, 2), gallery(copies, 1))  # whichever of the two was cut
    assert (a.tolist(), b.tolist()) == ([*range(7)], [*range(7)])
    assert repeated(gallery([*originals, *copies], 3))[0].tolist() == [*range(7)]


def drawing(x: int, colour: tuple[int, int, int] = (20, 80, 200), ground: tuple[int, int, int] = (240, 240, 235)) -> Image.Image:
    image = Image.new("RGB", (64, 64), ground)
    image.paste(colour, (x, 20, x + 18, 38))
    return image


def test_a_simple_drawing_is_found_re_encoded_but_not_moved_nor_repainted() -> None:
    one = drawing(20)
    assert is_simple(look_at(one).grey)
    again = Image.open(io.BytesIO(jpeg(one, 80))).convert("RGB")
    others = [drawing(22), drawing(20, (200, 40, 40)), drawing(20, ground=(225, 240, 250)), Image.new("RGB", (64, 64), (240, 240, 235))]
    _, b = shared(gallery([one], 1), gallery([again, *others], 2))
    assert b.tolist() == [0]


def test_images_of_one_colour_are_only_equal_to_their_own_bytes() -> None:
    plain = [Image.new("RGB", (32, 32), "red")] * 2
    assert not len(repeated(gallery(plain, 1))[0])
    one = gallery(plain[:1], 1)
    assert shared(one, one)[0].tolist() == [0]


def test_a_scan_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    refs = {f"{i:032x}": ImageRef(data=jpeg(picture(i))) for i in range(4)}
    first = scan_images({name: refs[name] for name in list(refs)[:3]}, tmp_path)
    kept = dict.fromkeys(list(refs)[:3], ImageRef(data=b"gone"))  # not read again
    both = scan_images({**kept, list(refs)[3]: refs[list(refs)[3]]}, tmp_path)
    assert [both.name(i) for i in range(4)] == list(refs)
    assert np.array_equal(both.grey[:3], first.grey)
    next(tmp_path.glob("looks-*")).write_bytes(b"damaged")
    assert len(scan_images(refs, tmp_path)) == 4


def source(tmp_path: Path, records: list[dict[str, Any]]) -> SourcePool:
    return SourcePool.open(llava_source(write_json(tmp_path / "data.json", records), tmp_path))


def item(name: str, image: bytes | None, question: str, answer: str, choices: tuple[str, ...] = ()) -> Item:
    return Item(name, (ImageRef(data=image),) if image else (), question, choices, answer)


def test_a_row_is_contaminated_by_image_question_and_answer_or_by_a_long_text(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"{i}.jpg", jpeg(picture(i), 90))
    pool = source(
        tmp_path,
        [
            llava("0.jpg", "<image>\nWhat colour is the ball?", "Red."),
            llava("0.jpg", "<image>\nWhat colour is the ball?", "Blue"),  # another answer
            llava("0.jpg", "<image>\nWhere is the ball?", "red"),  # another question
            llava("1.jpg", "<image>\nWhat colour is the ball?", "red"),  # another image: the question is asked everywhere
            llava("2.jpg", "<image>\nWhich shape is it?\nA. cube\nB. cone\nAnswer with the letter.", "B"),
            llava(None, f"Think step by step. {LONG.upper()}", "Twelve"),
            llava(None, "How many sheep does the farmer own in the end?", "12"),
        ],
    )
    items = [
        item("ball", jpeg(picture(0), 40), "what colour is the ball?", "red"),
        item("shape", jpeg(picture(2).resize((160, 120)), 80), "Which shape is it?", "cone", ("cube", "cone")),
        item("sheep", None, LONG, "12"),
    ]
    bench = Held("bench", "print", lambda: items)
    (found,) = contaminated_rows(pool, [bench], tmp_path / "cache")
    assert (found.by_item, found.by_text) == ((0, 4), (5,))
    assert dict(found.examples) == {0: "ball", 4: "shape", 5: "sheep"}
    for file in tmp_path.glob("*.jpg"):
        file.unlink()  # what was found is kept
    assert contaminated_rows(pool, [bench], tmp_path / "cache") == [found]
    clean = pool.without(found.numbers)
    assert (clean.usable, clean.excluded[Problem.CONTAMINATED], clean.examples[Problem.CONTAMINATED]) == (4, 3, [0, 4, 5])
    assert list(clean.numbers()) == [1, 2, 3, 6]
    assert clean.content != pool.content == clean.whole().content


def test_the_wording_that_all_items_share_is_no_match(tmp_path: Path) -> None:
    items = [item(str(i), None, f"{LONG} Case {i}.", str(i)) for i in range(9)]
    pool = source(tmp_path, [llava(None, LONG, "12")])
    assert not BenchmarkTexts(items).copied_in(RowWords.of(pool.sample(0)))
    assert BenchmarkTexts(items[:2]).copied_in(RowWords.of(pool.sample(0))) == {0, 1}


def test_overlap_of_two_sources_has_known_shares(tmp_path: Path) -> None:
    for i in range(4):
        write(tmp_path / "a" / f"{i}.jpg", jpeg(picture(i), 90))
        write(tmp_path / "b" / f"{i}.jpg", jpeg(picture(i if i < 2 else 50 + i), 50))
    one = source(tmp_path / "a", [llava(f"{i}.jpg", "<image>\nQ?", f"{i}") for i in range(4)])
    other = source(tmp_path / "b", [llava(f"{i}.jpg", "<image>\nQ?", f"{i % 2 * 7}") for i in range(4)] + [llava(None, LONG, "12")])
    found = overlap(one, other, tmp_path / "cache")
    assert (found.by_image.value, found.by_text.value, found.by_both.value) == (0.5, 0.0, 0.25)
    assert found.examples[0] == (0, 0)
    assert overlap(one, other, tmp_path / "cache") == found
    some = overlap(one, other, rows=2)
    assert some.by_image.n == 2
    assert some.by_image.low <= 0.5 <= some.by_image.high
    inside = overlap(other, other)
    assert (inside.by_image.value, inside.by_both.value) == (0.0, 0.0)


def test_the_same_data_under_two_names_is_shared_whole(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"{i}.jpg", jpeg(picture(i), 90))
    rows = [llava(f"{i}.jpg", "<image>\nQ?", f"{i}") for i in range(3)]
    one, again = source(tmp_path, rows), source(tmp_path, rows)
    assert overlap(one, one, tmp_path / "cache").by_both.value == 0.0
    found = overlap(one, again, tmp_path / "cache")
    assert (found.by_image.value, found.by_both.value) == (1.0, 1.0)


NAMES = st.sampled_from("abcdef")
FACTS = st.lists(
    st.tuples(st.lists(NAMES, max_size=2), st.sampled_from(["", "", "one", "two"]), st.frozensets(st.sampled_from(["p", "q"]))), max_size=8
)


def facts_of(rows: list[tuple[list[str], str, frozenset[str]]]) -> list[RowFacts]:
    return [RowFacts(number, tuple(images), text, pairs) for number, (images, text, pairs) in enumerate(rows)]


@given(FACTS, FACTS, st.dictionaries(NAMES, st.sets(NAMES)), st.booleans())
@settings(max_examples=300)
def test_rows_that_pass_by_are_compared_as_all_pairs_would_be(
    mine: list[tuple[list[str], str, frozenset[str]]],
    others: list[tuple[list[str], str, frozenset[str]]],
    same: dict[str, set[str]],
    inside: bool,
) -> None:
    held, met = facts_of(mine), facts_of(mine if inside else others)
    hits = Hits(held, same, inside)
    for other in met:
        hits.meet(other)
    for place, row in enumerate(held):
        twins = {twin for digest in row.images for twin in same.get(digest, ())}
        there = [other for other in met if not (inside and other.number == row.number)]
        shown = [other for other in there if twins & set(other.images)]
        copies = [other.number for other in shown if not inside or not set(row.images) & set(other.images)]
        read = [other.number for other in there if row.text and other.text == row.text]
        both = [other.number for other in shown if row.pairs & other.pairs]
        assert hits.by_image[place] == (copies[0] if copies else None)
        assert hits.by_text[place] == (read[0] if read else None)
        assert hits.by_both[place] == (both[0] if both else None)


def test_images_of_another_source_are_compared_a_portion_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(6):
        write(tmp_path / "a" / f"{i}.jpg", jpeg(picture(i), 90))
        write(tmp_path / "b" / f"{i}.jpg", jpeg(picture(i), 50))
    rows = [llava(f"{i}.jpg", "<image>\nQ?", f"{i}") for i in range(6)]
    one, other = source(tmp_path / "a", rows), source(tmp_path / "b", rows[::-1])
    whole = overlap(one, other)
    monkeypatch.setattr("sources.overlap.shares._PORTION", 2)
    assert overlap(one, other) == whole
    assert (whole.by_image.value, whole.by_both.value) == (1.0, 1.0)


def test_items_that_ask_the_same_are_all_found_and_no_other() -> None:
    """By its definition, whatever was asked before: what is known of short pairs must not be another pair's."""
    colours, shapes = ("red", "blue"), ("cube", "cone")
    asked = [("What colour is it?", colours), ("Which shape is it?", shapes), ("Which shape is it in the end?", shapes)]
    items = [
        item(f"{n}", None, question, choices[n % 2], choices if n % 3 else ()) for n in range(18) for question, choices in [asked[n % 3]]
    ]
    texts = BenchmarkTexts(items)
    for _ in range(2):
        for question, choices in asked:
            for answer in (*choices, "A", "b", "It is red.", "green"):
                said = RowWords(((words(f"Look. {question}"), words(answer)),), ())
                found = {
                    n
                    for n, one in enumerate(items)
                    if words(one.question) == words(question) or one.question[:-1] in question
                    if words(one.answer)[0] in words(answer)
                    or (one.choices and len(words(answer)) == 1 and words(answer)[0] == "ab"[one.choices.index(one.answer)])
                }
                assert texts.asked_in(said) == found, (question, answer)
