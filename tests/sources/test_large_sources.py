"""What a source of very many rows or images goes through, at a size that a test can afford: small parts, small limits."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making_sources import good_rows, llava, llava_source, pair, png
from test_sampling import cut_image_behind, digests, hostile_rows

from sources import columns
from sources.audit import audit_images, bad_share_at_most, write_fix_list
from sources.canonical import hash_bytes
from sources.check import check_pool, check_source, percent
from sources.formats.registry import open_rows
from sources.ordering import RowOrder, seeded_key, stratified
from sources.problems import Problem
from sources.reader import walk
from sources.sampling import SourcePool
from sources.spec import SourceSpec
from tests.writing_files import write, write_json, write_jsonl, write_parquet, write_tar


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.index_rows.ROWS_A_PART", 7)
    monkeypatch.setattr("sources.index_images.IMAGES_A_PART", 3)
    monkeypatch.setattr("sources.index_keys._ROWS_A_PART", 11)
    monkeypatch.setattr("sources.columns._BUCKET", 5)
    monkeypatch.setattr("sources.columns.BLOCK", 4)


def hostile_source(tmp_path: Path) -> SourceSpec:
    root = tmp_path / "root"
    hostile, _ = hostile_rows(root)
    both = llava(["coco/1.png", "sam/3.png"], "<image><image>both")
    rows: list[object] = [*good_rows(root), *hostile, *good_rows(root)[:9], both]
    random.Random(1).shuffle(rows)
    return llava_source(write_jsonl(root / "rows.jsonl", rows))


def columns_of(pool: SourcePool) -> dict[str, bytes]:
    names = ("numbers", "strata", "group_of", "groups", "keys", "ids", "names", "reasons", "excluded.jsonl")
    return {name: (pool.index.folder / name).read_bytes() for name in names}


def test_the_index_is_the_same_whatever_the_number_of_processes_and_parts(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    spec = hostile_source(tmp_path)
    whole = SourcePool.open(spec)
    request.getfixturevalue("small_parts")
    for jobs in (1, 2, 3):
        pool = SourcePool.open(spec, tmp_path / f"cache-{jobs}", jobs=jobs)
        assert columns_of(pool) == columns_of(whole)
        assert (pool.content, pool.excluded, pool.examples) == (whole.content, whole.excluded, whole.examples)
        assert digests(pool, 100) == digests(whole, 100)
        assert not list((tmp_path / f"cache-{jobs}").glob(".*.part"))


def test_content_and_groups_are_what_their_definition_says(tmp_path: Path, small_parts: None) -> None:
    pool = SourcePool.open(hostile_source(tmp_path))
    assert pool.content == hash_bytes(*sorted(pool.index.keys))
    part = SourcePool.open(pool.spec.part("coco"))
    chosen = [i for i, number in enumerate(pool.numbers()) if number in set(part.numbers())]
    assert part.content == hash_bytes(*sorted(pool.index.keys[i] for i in chosen))
    by_group: dict[bytes, set[str]] = {}
    for group, (_, sample) in zip(pool.groups(), pool.numbered_samples(), strict=True):
        by_group.setdefault(group, set()).update(ref.path or "" for ref in sample.images)
    assert {"coco/1.png", "sam/3.png"} in by_group.values(), "joined by the row that shows both"


HASHES = st.lists(st.binary(min_size=16, max_size=16) | st.integers(0, 5).map(lambda n: bytes([n]) + bytes(15)), min_size=1, max_size=60)


@given(HASHES)
@settings(max_examples=60)
def test_columns_do_what_lists_would(hashes: list[bytes]) -> None:
    import tempfile
    from unittest.mock import patch

    with tempfile.TemporaryDirectory() as folder, patch("sources.columns._BUCKET", 3), patch("sources.columns.BLOCK", 7):
        file, ids, table, first = (Path(folder) / name for name in ("hashes", "ids", "table", "first"))
        file.write_bytes(b"".join(hashes))
        assert columns.number_distinct(file, ids, table, first) == len(set(hashes))
        held = columns.Hashes(columns.column(table, columns.HASH))
        assert list(held) == sorted(set(hashes))
        assert [held[i] for i in columns.column(ids, np.int32).tolist()] == hashes
        assert columns.column(first, np.int64).tolist() == [hashes.index(one) for one in held]
        seen: Counter[bytes] = Counter()
        before = []
        for place, one in enumerate(hashes):
            before += [(place, seen[one], hashes.index(one))] if seen[one] else []
            seen[one] += 1
        assert sorted(columns.repeats(file)) == before
        assert columns.count_distinct(file) == len(set(hashes))
        assert columns.sorted_digest(columns.column(file, columns.HASH)) == hash_bytes(*sorted(hashes))
        smallest = columns.Hashes(columns.smallest_distinct(file, None, 4))
        assert list(smallest) == sorted(set(hashes))[:4]
        assert columns.find_hash(held.column, hashes[0]) == sorted(set(hashes)).index(hashes[0])


def plain_order(strata: list[int], names: list[str], groups: list[bytes], keys: list[bytes], seed: int, turn: int) -> list[int]:
    """The order by its definition, with everything sorted at once."""

    def of_stratum(stratum: int) -> list[int]:
        mine = [i for i in range(len(strata)) if strata[i] == stratum]
        held = sorted({groups[i] for i in mine}, key=lambda group: (seeded_key(seed, turn, b"group", group), group))
        rows = {group: [i for i in mine if groups[i] == group] for group in held}
        return [i for group in held for i in sorted(rows[group], key=lambda i: (seeded_key(seed, turn, b"row", keys[i]), i))]

    waiting = [iter(of_stratum(stratum)) for stratum in range(len(names))]
    ties = [seeded_key(seed, turn, b"stratum", name) for name in names]
    return [next(waiting[stratum]) for stratum in stratified([strata.count(stratum) for stratum in range(len(names))], ties)]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=50), st.integers(0, 9), st.integers(0, 3))
@settings(max_examples=60)
def test_order_that_is_worked_out_lazily_is_the_order(rows: list[tuple[int, int]], seed: int, turn: int) -> None:
    from unittest.mock import patch

    strata, groups = [row[0] for row in rows], [b"group %d" % row[1] for row in rows]
    keys = [b"key %d" % i for i in range(len(rows))]
    with patch("sources.ordering._SORTED_FIRST", 2):
        assert list(RowOrder(strata, ["a", "b", "c"], groups, keys).permutation(seed, turn)) == plain_order(
            strata, ["a", "b", "c"], groups, keys, seed, turn
        )


def by_path(monkeypatch: pytest.MonkeyPatch, decoded: int = 5) -> None:
    monkeypatch.setattr("sources.index_images.HASHED_IMAGES", 0)
    monkeypatch.setattr("sources.indexing.HASHED_IMAGES", 0)
    monkeypatch.setattr("sources.indexing.FULL_DECODE_IMAGES", decoded)


def test_very_many_images_are_named_by_path_and_rows_still_hash_their_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = hostile_source(tmp_path)
    small = SourcePool.open(spec)
    of_row = {row.number: row.digest for row in small.draw(small.usable, 0).rows}
    by_path(monkeypatch)
    large = SourcePool.open(spec)
    assert large.index.by_path
    drawn = large.draw(large.usable, 0)
    assert {row.number: row.digest for row in drawn.rows if row.number in of_row} == of_row
    told = (Problem.MISSING_IMAGE, Problem.EMPTY_IMAGE, Problem.UNSAFE_PATH)
    assert {problem: large.excluded[problem] for problem in told} == {problem: small.excluded[problem] for problem in told}
    assert all(large.excluded[problem] + drawn.rejected[problem] == count for problem, count in small.excluded.items())
    report = check_pool(large)
    assert report.named_by_path
    assert any("path and size" in warning for warning in report.warnings)
    moved = Path(spec.image_root) / "coco" / "1.png"
    write(moved, png(77))
    again = {row.number: row.digest for row in SourcePool.open(spec).draw(60, 0).rows}
    assert again != {number: of_row[number] for number in again if number in of_row}, "other bytes, another row"


def test_inline_images_are_named_by_their_bytes_however_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"images": [{"bytes": png(n % 20), "path": None}], "texts": [{"user": f"q{n}", "assistant": "a"}]} for n in range(60)]
    spec = SourceSpec("p", "parquet", str(write_parquet(tmp_path / "x.parquet", rows)))
    small = SourcePool.open(spec)
    by_path(monkeypatch)
    large = SourcePool.open(spec)
    assert (large.content, digests(large, 100)) == (small.content, digests(small, 100))
    assert (large.index.distinct_images, large.index.undecoded_images) == (20, 15)


def test_a_kept_index_of_very_many_images_is_dropped_when_a_folder_or_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_path(monkeypatch)
    monkeypatch.setattr("sources.image_files.ALL_LOOKED_AT", 2)
    monkeypatch.setattr("sources.image_files._SAMPLE", 3)
    cache, spec = tmp_path / "cache", hostile_source(tmp_path)
    usable = SourcePool.open(spec, cache).usable
    (index,) = cache.glob("index-*")
    made = index.stat().st_ino
    write(Path(spec.image_root) / "coco" / "another.png", png(1))  # of no row: the folder is another, no image is
    assert SourcePool.open(spec, cache).usable == usable
    assert index.stat().st_ino == made
    (Path(spec.image_root) / "coco" / "2.png").unlink()
    assert SourcePool.open(spec, cache).usable < usable
    write(Path(spec.image_root) / "coco" / "2.png", png(2))
    assert SourcePool.open(spec, cache).usable == usable


def test_a_killed_check_goes_on_where_it_was(tmp_path: Path) -> None:
    rows = [llava(None, f"Question {n}?", f"Answer {n}") for n in range(3000)]
    spec = llava_source(write_json(tmp_path / "x.json", rows))
    script = (
        "import sys, sources.index_rows as r; r.ROWS_A_PART = 100\n"
        "import time; from sources.sample import Sample; real = Sample.text_digest\n"
        "Sample.text_digest = lambda self: (time.sleep(0.002), real(self))[1]\n"
        "from pathlib import Path; from sources.spec import SourceSpec; from sources.sampling import SourcePool\n"
        f"SourcePool.open(SourceSpec('mine', 'llava', {spec.path!r}), Path({str(tmp_path / 'cache')!r}), jobs=2)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    while len(parts := list(tmp_path.glob("cache/.index-*.part/rows-*.npz"))) < 3 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    stamps = {part: part.stat().st_mtime_ns for part in parts}
    seen: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sources.index_rows.ROWS_A_PART", 100)
        patch.setattr("shutil.rmtree", lambda path, **_: None if str(path).endswith(".part") else _really_remove(path))
        pool = SourcePool.open(llava_source(Path(spec.path)), tmp_path / "cache", lambda done, of: seen.append((done, of)))
    assert seen[0][0] >= 300, "what is finished is not read again"
    assert {part: part.stat().st_mtime_ns for part in parts} == stamps
    assert pool.content == SourcePool.open(spec).content


def _really_remove(path: Path) -> None:
    subprocess.run(["rm", "-rf", str(path)], check=True)


def test_a_process_that_dies_is_told(tmp_path: Path) -> None:
    spec = llava_source(write_json(tmp_path / "x.json", [llava(None, f"{n}") for n in range(30)]))
    script = (  # in a process of its own: beside another thread all parts are done in the process that asks
        "import os, sources.index_rows as r; r.ROWS_A_PART = 7; r._Part.write = lambda self, file: os._exit(9)\n"
        "from pathlib import Path; from sources.spec import SourceSpec; from sources.sampling import SourcePool\n"
        f"SourcePool.open(SourceSpec('mine', 'llava', {spec.path!r}), Path({str(tmp_path / 'cache')!r}), jobs=2)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "exit code 9" in ended.stderr
    assert "run the same command again" in ended.stderr


def test_audit_finds_every_bad_image_and_changes_no_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    rows = good_rows(root)
    write(root / "coco" / "1.png", cut_image_behind({hash_bytes(png(image)) for image in range(12)}))
    spec = llava_source(write_json(root / "x.json", [*rows, pair("coco/none.png", 1, id="lost"), {"broken": 1}]))
    monkeypatch.setattr("sources.indexing.FULL_DECODE_IMAGES", 5)
    pool = SourcePool.open(spec, tmp_path / "cache")
    before = digests(pool, 60)
    sampled, full = check_pool(pool), check_source(spec, cache_dir=tmp_path / "cache", full=True, jobs=2)
    assert (sampled.usable, sampled.decoded_images, sampled.undecoded_images) == (48, 5, 7)
    assert sampled.bad_share_at_most == pytest.approx(1 - 0.05 ** (1 / 5))
    assert (full.usable, full.decoded_images, full.undecoded_images, full.bad_share_at_most) == (45, 12, 0, None)
    found = {entry.problem: (entry.count, [example.number for example in entry.examples]) for entry in full.excluded}
    cut = [number for number, row in enumerate(rows) if row.get("image") == "coco/1.png"]
    assert found == {Problem.UNDECODABLE_IMAGE: (3, cut), Problem.MISSING_IMAGE: (1, [48]), Problem.MALFORMED: (1, [49])}
    assert digests(SourcePool.open(spec, tmp_path / "cache"), 60) == before
    audit = audit_images(pool.rows, pool.index)
    assert write_fix_list(pool, tmp_path / "fix.jsonl", audit) == 5
    lines = [json.loads(line) for line in (tmp_path / "fix.jsonl").read_text().splitlines()]
    assert [(line["row"], line["problem"]) for line in lines] == [(n, "undecodable_image") for n in cut] + [
        (48, "missing_image"),
        (49, "malformed"),
    ]
    assert [line["id"] for line in lines] == [rows[n]["id"] for n in cut] + ["lost", None]


def test_bound_is_exact_and_holds() -> None:
    assert bad_share_at_most(0, 20_000) == pytest.approx(1 - 0.05 ** (1 / 20_000))
    assert percent(bad_share_at_most(0, 20_000)) == "0.015 %"
    assert bad_share_at_most(3, 3) == 1.0
    chance = np.random.default_rng(0)
    for share in (0.001, 0.02, 0.3):
        seen = chance.binomial(500, share, 2000)
        bound = {bad: bad_share_at_most(bad, 500) for bad in set(seen.tolist())}
        assert np.mean([share <= bound[bad] for bad in seen.tolist()]) >= 0.94


def specs_of_every_format(tmp_path: Path) -> list[SourceSpec]:
    texts = [{"images": [{"bytes": png(n), "path": None}], "texts": [{"user": f"q{n}", "assistant": "a"}]} for n in range(11)]
    tar = {name: held for n in range(11) for name, held in ((f"{n}.png", png(n)), (f"{n}.json", {"caption": f"c{n}"}))}
    folder = tmp_path / "several"
    for name, start in (("a.json", 0), ("b.json", 4), ("c.json", 9)):
        write_json(folder / name, [llava(None, f"{n}") for n in range(start, start + 5)])
    return [
        SourceSpec("p", "parquet", str(write_parquet(tmp_path / "x.parquet", texts))),
        SourceSpec("w", "webdataset", str(write_tar(tmp_path / "x.tar", tar))),
        SourceSpec("l", "llava", str(folder)),
        SourceSpec("m", "world", options=(("rows", "12"),)),
    ]


@pytest.mark.parametrize("number", range(4))
def test_walking_some_rows_gives_those_rows(number: int, tmp_path: Path) -> None:
    rows = open_rows(specs_of_every_format(tmp_path)[number])
    whole = list(rows)
    for start, stop in ((0, len(rows)), (3, 9), (0, 1), (len(rows) - 1, len(rows)), (4, 4)):
        assert list(walk(rows, start, stop)) == whole[start:stop] == [rows.get(n) for n in range(start, stop)]
