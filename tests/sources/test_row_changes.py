import dataclasses
import json
import random

import numpy as np
import pytest

from sources.fingerprint import fingerprint
from sources.row_changes import RowChanges, RowKeys, kept_rows, row_changes
from sources.sampling import SourcePool
from sources.spec import SourceSpec
from sources.views import viewed_rows


def rows_of(keys, numbers=None):
    hashes = np.array([bytes([key]) * 16 for key in keys], dtype="S16")
    return RowKeys(np.array(range(len(keys)) if numbers is None else numbers, dtype=np.int64), hashes)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (rows_of([1, 2, 3]), rows_of([1, 2, 3]), RowChanges((), (), (), None)),
        (rows_of([1, 2, 3]), rows_of([1, 9, 3]), RowChanges((1,), (), (), None)),
        (rows_of([1, 2, 3]), rows_of([1, 3, 2]), RowChanges((), (), (), 1)),
        (rows_of([1, 2, 3]), rows_of([1, 3]), RowChanges((), (1,), (), None)),
        (rows_of([1, 2, 3]), rows_of([9, 1, 2, 3]), RowChanges((), (), (0,), None)),
        (rows_of([1, 2, 3]), rows_of([1, 3], [0, 2]), RowChanges((), (1,), (), None)),  # still a row, but not usable
        (rows_of([1, 2, 3], [4, 6, 8]), rows_of([3, 9, 1], [4, 6, 8]), RowChanges((6,), (), (), 4)),
    ],
)
def test_small_cases(before, after, expected):
    assert row_changes(before, after) == expected


def test_replaced_rows_are_found_among_moved_ones():
    rng = random.Random(0)
    for _ in range(50):
        n = rng.randint(2, 60)
        before = list(range(n))
        replaced = sorted(rng.sample(range(n), rng.randint(0, n // 2)))
        after = [100 + key if key in replaced else key for key in before]
        assert row_changes(rows_of(before), rows_of(after)) == RowChanges(tuple(replaced), (), (), None)
        order = rng.sample(range(n), n)
        moved = row_changes(rows_of(before), rows_of([after[place] for place in order]))
        assert {after[order[number]] for number in (*moved.changed, *moved.new)} == {100 + key for key in replaced}
        assert {*moved.changed, *moved.gone} == set(replaced)


def write(path, answers):
    rows = [
        {"id": str(i), "conversations": [{"from": "human", "value": f"Q{i}?"}, {"from": "gpt", "value": answer}]} for i, answer in answers
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("options", [(), (("holdout", "0.4:0"),)])
def test_the_rows_of_then_are_found_again_after_the_files_changed(tmp_path, options):
    spec = SourceSpec("mine", "llava", str(tmp_path / "d.jsonl"), str(tmp_path), options=options)
    other = dataclasses.replace(spec, path=str(tmp_path / "other.jsonl"))
    cache = tmp_path / "cache"
    write(tmp_path / "d.jsonl", [(i, "x") for i in range(20)])
    write(tmp_path / "other.jsonl", [(i, "y") for i in range(20)])
    then, _ = SourcePool.open(spec, cache), SourcePool.open(other, cache)
    known = then.fingerprint, then.content
    numbers = list(then.numbers())
    write(tmp_path / "d.jsonl", [(i, "changed" if i == numbers[3] else "x") for i in range(20)])
    before = kept_rows(spec, *known, cache)
    assert before is not None
    assert before.numbers.tolist() == numbers
    now = SourcePool.open(spec, cache)
    assert fingerprint(spec) != known[0]
    changes = row_changes(before, RowKeys.of(now.index, viewed_rows(spec, now.index)))
    assert numbers[3] in (*changes.changed, *changes.gone)
    assert kept_rows(spec, "0" * 32, "0" * 32, cache) is None
    assert kept_rows(spec, *known, None) is None
