from __future__ import annotations

import json
import random
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making_sources import data_url, good_rows, llava, llava_source, pair, pixel_bomb, png, text_bomb

from sources.canonical import hash_bytes
from sources.mixture import Mixture, largest_remainder
from sources.mixture_draw import draw_mixture, training_order
from sources.ordering import RowOrder, seeded_key, stratified
from sources.problems import Problem, SourceError
from sources.sampling import DrawnRow, SourcePool
from sources.spec import SourceSpec
from tests.writing_files import write, write_json, write_jsonl

WEIGHTS = st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1e6), min_size=1, max_size=8).filter(
    lambda w: sum(w.values()) > 1e-6
)


@given(st.integers(0, 10_000), WEIGHTS)
def test_largest_remainder_sums_and_stays_within_one(total: int, weights: dict[str, float]) -> None:
    counts = largest_remainder(total, weights)
    assert sum(counts.values()) == total
    assert all(abs(counts[name] - total * weight / sum(weights.values())) < 1 + 1e-6 for name, weight in weights.items())


@given(st.lists(st.integers(0, 40), min_size=1, max_size=9).filter(any))
def test_every_prefix_is_stratified_within_one_row(sizes: list[int]) -> None:
    taken, total = [0] * len(sizes), sum(sizes)
    order = list(stratified(sizes, list(range(len(sizes)))))
    assert Counter(order) == {stratum: size for stratum, size in enumerate(sizes) if size}
    for n, stratum in enumerate(order, 1):
        taken[stratum] += 1
        assert all(abs(taken[s] * total - n * size) < total for s, size in enumerate(sizes))


ROWS = st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 6), st.integers(0, 10**6)), min_size=1, max_size=40, unique=True)


@given(ROWS, st.integers(0, 5), st.randoms())
@settings(max_examples=60)
def test_order_depends_on_content_alone_and_keeps_groups_together(
    rows: list[tuple[str, int, int]], seed: int, chance: random.Random
) -> None:
    def order(rows: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
        names = list(dict.fromkeys(row[0] for row in rows))
        groups, keys = [b"%d" % row[1] for row in rows], [repr(row).encode() for row in rows]
        return [rows[i] for i in RowOrder([names.index(row[0]) for row in rows], names, groups, keys).permutation(seed, 0)]

    found = order(rows)
    moved = list(rows)
    chance.shuffle(moved)
    assert order(moved) == found
    assert sorted(found) == sorted(rows)
    for stratum in "xyz":
        groups = [row[1] for row in found if row[0] == stratum]
        assert len([g for g, before in zip(groups, [None, *groups], strict=False) if g != before]) == len(set(groups))


def test_seeds_and_passes_give_other_orders() -> None:
    keys = [b"%d" % i for i in range(50)]
    orders = {tuple(RowOrder([0] * 50, ["x"], keys, keys).permutation(seed, turn)) for seed in range(3) for turn in range(3)}
    assert len(orders) == 9


@pytest.fixture
def source(tmp_path: Path) -> SourceSpec:
    return llava_source(write_json(tmp_path / "x.json", good_rows(tmp_path)))


def digests(pool: SourcePool, n: int, seed: int = 0) -> list[str]:
    return [row.digest for row in islice(pool.order(seed), n)]


def test_prefixes_are_nested_and_each_pass_holds_every_row_once(source: SourceSpec) -> None:
    pool = SourcePool.open(source)
    assert (pool.usable, pool.subsources) == (48, Counter(coco=24, sam=12, text=12))
    long = digests(pool, 144)
    for n in (1, 7, 48, 100):
        assert [row.digest for row in pool.draw(n, 0).rows] == long[:n]
    assert Counter(long[:48]) == Counter(long[48:96]) == Counter(dict.fromkeys(long, 1))
    assert long[:48] != long[48:96]
    assert digests(pool, 48, seed=1) != long[:48]
    assert pool.draw(96, 0).passes == 2


def test_draw_is_stratified_and_grouped(source: SourceSpec) -> None:
    rows = SourcePool.open(source).draw(16, 3).rows
    assert Counter(row.sample.subsource for row in rows) == {"coco": 8, "sam": 4, "text": 4}
    coco = [row.sample.images[0].path for row in rows if row.sample.subsource == "coco"]
    assert sorted(Counter(coco).values()) == [2, 3, 3]


def test_draw_is_the_same_from_anywhere_in_any_file_order(source: SourceSpec, tmp_path: Path) -> None:
    records = json.loads(Path(source.path).read_text())
    random.Random(0).shuffle(records)
    moved = tmp_path / "elsewhere"
    good_rows(moved)
    other = llava_source(write_jsonl(moved / "y.jsonl", records))
    assert digests(SourcePool.open(other), 100) == digests(SourcePool.open(source), 100)


def test_same_rows_inline_or_by_path_have_one_digest(tmp_path: Path) -> None:
    write(tmp_path / "a.png", png(0))
    by_path = {"messages": [{"role": "user", "content": "<image>Hi"}, {"role": "assistant", "content": "Yo"}], "images": ["a.png"]}
    inline = {**by_path, "images": [data_url(png(0))]}
    pools = [SourcePool.open(SourceSpec("s", "chat", str(write_jsonl(tmp_path / n, [r])))) for n, r in (("p", by_path), ("i", inline))]
    assert digests(pools[0], 1) == digests(pools[1], 1)


def test_rows_equal_in_content_are_all_drawn(tmp_path: Path) -> None:
    pool = SourcePool.open(llava_source(write_json(tmp_path / "x.json", [llava(None, "Hi")] * 3 + [llava(None, "Ho")])))
    assert sorted(row.number for row in pool.draw(4, 0).rows) == [0, 1, 2, 3]
    assert pool.index.duplicate_rows == 2


def hostile_rows(root: Path) -> tuple[list[object], Counter[Problem]]:
    """Broken rows between good ones, and how many there are of each class."""
    write(root / "broken" / "empty.png", b"")
    write(root / "broken" / "noise.png", b"\x89PNG not really")
    write(root / "broken" / "cut.png", png(5, (64, 64))[:700])
    write(root / "broken" / "pixels.png", pixel_bomb())
    write(root / "broken" / "text.png", text_bomb())
    outside = write(root.parent / "outside.png", png(6))
    (root / "broken" / "link.png").symlink_to(outside)
    by_class: dict[Problem, list[object]] = {
        Problem.MISSING_IMAGE: [pair("broken/none.png", 1), pair("coco/none.png", 2)],
        Problem.EMPTY_IMAGE: [pair("broken/empty.png", 3)],
        Problem.UNDECODABLE_IMAGE: [pair("broken/noise.png", 4), pair("broken/cut.png", 5)],
        Problem.IMAGE_TOO_LARGE: [pair("broken/pixels.png", 6), pair("broken/text.png", 7)],
        Problem.UNSAFE_PATH: [
            pair("../outside.png", 8),
            pair(str(outside), 9),
            pair("broken/link.png", 10),
        ],
        Problem.REMOTE_IMAGE: [pair("http://x.org/a.png", 11)],
        Problem.PLACEHOLDER_MISMATCH: [
            llava("coco/1.png", "<image><image>"),
            llava(None, "<image>"),
            llava(["coco/1.png", "coco/2.png"], "<image>"),
        ],
        Problem.MALFORMED: [llava("coco/1.png", None), {"conversations": None}, b"{", b'{"a": 1, "a": 2}'],
        Problem.BAD_ENCODING: [b'{"image": "\xff"}'],
        Problem.NO_ANSWER: [llava("coco/1.png", "<image>", "")],
        Problem.UNSUPPORTED_MODALITY: [llava(None, "x", video="x.mp4")],
    }
    return [row for rows in by_class.values() for row in rows], Counter({problem: len(rows) for problem, rows in by_class.items()})


def test_hostile_rows_are_counted_by_class_and_change_nothing_that_is_drawn(tmp_path: Path) -> None:
    root = tmp_path / "root"
    good = [*good_rows(root), llava("coco/1.png", "<image>Which tag?", "Write <image>, twice: <image>")]
    hostile, expected = hostile_rows(root)
    mixed: list[object] = [*good, *hostile]
    random.Random(0).shuffle(mixed)
    clean = SourcePool.open(llava_source(write_jsonl(root / "clean.jsonl", good)))
    dirty = SourcePool.open(llava_source(write_jsonl(root / "dirty.jsonl", mixed)))
    assert dirty.excluded == expected
    assert (clean.usable, dirty.usable) == (49, 49)
    for seed in range(3):
        assert [(row.digest, row.sample.turns) for row in dirty.draw(120, seed).rows] == [
            (row.digest, row.sample.turns) for row in clean.draw(120, seed).rows
        ]
    for problem, numbers in dirty.examples.items():
        assert 0 < len(numbers) <= 5
        assert all(mixed[number] in hostile for number in numbers), problem


def test_cost_is_spent_and_rows_that_do_not_fit_are_left_out(source: SourceSpec) -> None:
    pool = SourcePool.open(source)

    def fits(row: DrawnRow) -> bool:
        return row.sample.subsource == "coco"

    draw = pool.draw(95, 0, lambda row: 10.0, fits)
    assert (len(draw.rows), draw.cost) == (10, 100)
    assert {row.sample.subsource for row in draw.rows} == {"coco"}
    assert pool.draw(240 + 5, 0, lambda row: 10.0, fits).rejected == {Problem.TOO_LONG: 24}
    with pytest.raises(SourceError, match="48 too_long"):
        pool.draw(1, 0, fits=lambda row: False)


def few_decoded(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr("sources.indexing.FULL_DECODE_IMAGES", limit)


def cut_image_behind(hashes: set[str]) -> bytes:
    """An image that breaks off behind its header, with a hash that sorts behind others."""
    whole = png(1, (64, 64))
    return next(whole[:n] for n in range(700, 2000) if hash_bytes(whole[:n]) > max(hashes))


def test_an_image_that_fails_after_indexing_is_counted_at_the_draw(source: SourceSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    others = {hash_bytes(png(image)) for image in range(12)}
    write(Path(source.image_root) / "coco" / "1.png", cut_image_behind(others))
    few_decoded(monkeypatch, 5)
    pool = SourcePool.open(source)
    assert (pool.usable, pool.index.undecoded_images) == (48, 7)
    draw = pool.draw(90, 0)
    assert draw.rejected == {Problem.UNDECODABLE_IMAGE: 3}
    assert len({row.digest for row in draw.rows}) == 45


def test_broken_rows_change_nothing_also_where_they_make_the_images_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    good = good_rows(root)
    hostile, expected = hostile_rows(root)
    more = [pair(f"broken/missing-{number}.png", 1000 + number) for number in range(30)]
    clean, dirty = (llava_source(write_jsonl(root / name, rows)) for name, rows in (("a", good), ("b", [*more, *hostile, *good])))
    few_decoded(monkeypatch, 14)
    pools = SourcePool.open(clean), SourcePool.open(dirty)
    assert pools[1].excluded == expected + Counter({Problem.MISSING_IMAGE: 30})
    assert digests(pools[0], 100) == digests(pools[1], 100)
    assert pools[0].content == pools[1].content


def test_the_number_of_decoded_images_changes_no_draw(source: SourceSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = digests(SourcePool.open(source), 100)
    few_decoded(monkeypatch, 5)
    assert digests(SourcePool.open(source, tmp_path / "cache"), 100) == expected
    assert digests(SourcePool.open(source, tmp_path / "cache"), 100) == expected


def test_index_is_kept_and_dropped_when_an_image_changes(source: SourceSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sources.indexing as indexing

    cache = tmp_path / "cache"
    before = SourcePool.open(source, cache)
    with monkeypatch.context() as patch:
        patch.setattr(indexing, "_build", lambda *_: pytest.fail("the kept index was not used"))
        kept = SourcePool.open(source, cache)
    assert digests(kept, 60) == digests(before, 60)
    assert (kept.content, kept.excluded, list(kept.numbers())) == (before.content, before.excluded, list(before.numbers()))
    write(Path(source.image_root) / "coco" / "1.png", b"")
    assert SourcePool.open(source, cache).excluded == {Problem.EMPTY_IMAGE: 3}
    next(cache.glob("index-*/index.json")).write_text("{")
    assert SourcePool.open(source, cache).usable == 45


def test_subsource_is_a_source_of_its_own(source: SourceSpec) -> None:
    pool = SourcePool.open(source.part("sam"))
    assert (pool.spec.slug, pool.usable, pool.subsources) == ("mine/sam", 12, Counter(sam=12))
    assert pool.fingerprint != SourcePool.open(source).fingerprint
    with pytest.raises(SourceError, match="sub-source 'nope'; it has coco, sam, text"):
        SourcePool.open(source.part("nope"))


def test_mixture_gets_exact_counts_and_shares_of_a_cost(source: SourceSpec) -> None:
    pools = {slug: SourcePool.open(source.part(slug)) for slug in ("coco", "sam", "text")}
    mixture = Mixture.of({"coco": 0.5, "sam": 0.3, "text": 0.2})
    draw = draw_mixture(pools, mixture, 25, 0)
    assert Counter(row.sample.subsource for row in draw.rows) == mixture.counts(25)
    assert draw.cost == 25
    by_cost = draw_mixture(pools, mixture, 100, 0, lambda row: 2.0)
    assert Counter(row.sample.subsource for row in by_cost.rows) == {"coco": 25, "sam": 15, "text": 10}
    thirds = Mixture.of({"coco": 1.0, "sam": 1.0, "text": 1.0})
    fitting = draw_mixture(pools, thirds, 25, 0, fits=lambda row: row.sample.id not in ("1-0", "3-1"))
    assert (len(fitting.rows), fitting.rejected) == (25, {Problem.TOO_LONG: 1}), "what does not fit changes no count"
    with pytest.raises(SourceError, match="probe sources add"):
        draw_mixture({}, mixture, 3, 0)


def test_training_order_depends_on_seed_and_rows_alone(source: SourceSpec) -> None:
    rows: list[DrawnRow] = list(SourcePool.open(source).draw(60, 0).rows)
    ordered = [row.digest for row in training_order(rows, 1)]
    assert ordered == [row.digest for row in training_order(rows[::-1], 1)]
    assert ordered != [row.digest for row in training_order(rows, 2)]
    assert sorted(ordered) == sorted(row.digest for row in rows)


def test_no_usable_row_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"2 rows, 2 missing_image.*--images") as caught:
        SourcePool.open(llava_source(write_json(tmp_path / "x.json", [pair("a.png", 0), pair("b.png", 1)])))
    assert "\n" not in str(caught.value)


def test_seeded_key_frames_its_parts() -> None:
    assert seeded_key(0, "ab", "c") != seeded_key(0, "a", "bc")
    assert seeded_key(0, "a") != seeded_key(1, "a")
