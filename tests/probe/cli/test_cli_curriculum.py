"""`probe sources difficulty` and what follows from it: phases of its pools, and an export that holds their very rows."""

import json
from pathlib import Path

import pytest

from probe.manifest.example import example_manifest
from probe.manifest.write import write_manifest
from probe.study.registry import find_source
from probe.workspace import Workspace
from sources.images import IMAGE_POLICY
from sources.sampling import SourcePool

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
NAMES = ("mine/easy", "mine/medium", "mine/hard")


@pytest.fixture
def pools(probe, mine):
    """The pools of `mine` as the command printed them."""
    ended = probe("sources", "difficulty", mine, "--device", "cpu", "--json")
    assert ended.code == 0, ended.err
    return ended.json()


def opened():
    workspace = Workspace(Path(".probe"))
    with workspace.open_store() as store:
        return {slug: SourcePool.open(find_source(store, slug), workspace.indexes) for slug in NAMES}


def test_pools_are_registered_from_easy_to_hard_and_cost_nothing_again(probe, mine, pools):
    assert pools["judged"] == 40
    assert [pool["source"] for pool in pools["pools"]] == list(NAMES)
    assert [pool["rows"] for pool in pools["pools"]] == [13, 13, 14]
    borders = [value for pool in pools["pools"] for value in (pool["low"], pool["high"])]
    assert borders == sorted(borders)
    kept = {file: file.stat().st_mtime_ns for file in Path(".probe/difficulty").rglob("*.json")}
    assert kept
    again = probe("sources", "difficulty", mine, "--device", "cpu", "--json")
    assert again.json() == pools
    assert {file: file.stat().st_mtime_ns for file in Path(".probe/difficulty").rglob("*.json")} == kept
    numbers = [set(pool.numbers()) for pool in opened().values()]
    assert sorted(number for own in numbers for number in own) == list(range(40))


def test_fewer_rows_are_the_same_ones_every_time(probe, mine):
    first, second = (probe("sources", "difficulty", mine, "--rows", "11", "--pools", "2", "--device", "cpu", "--json") for _ in range(2))
    assert first.json() == second.json()
    assert [pool["rows"] for pool in first.json()["pools"]] == [5, 6]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("sources", "difficulty", "mine/easy"), 1, "mine/easy is a pool by difficulty already: judge mine"),
        (("sources", "difficulty", "mine", "--pools", "50"), 1, "only 40 of 40 rows of mine have a loss"),
        (("run", "--source", "mine", "--phases-by", "difficulty"), 2, "--phases-by goes with --design phases"),
        (("run", "--design", "phases", "--phases-by", "difficulty"), 2, "needs the source whose pools are the phases"),
        (("run", "--design", "phases", "--phases-by", "difficulty", "--source", "world/all"), 2, "probe sources difficulty world/all"),
        (("run", "--design", "phases", "--phases-by", "quality", "--source", "mine"), 2, "ranks mine in no tier"),
        (("run", "--design", "phases", "--phases-by", "capability", "--source", "world/colour"), 2, "makes one phase of these sources"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_with_the_cure(probe, bench, pools, words, code, sentence):
    ended = probe(*words)
    assert ended.code == code, ended.err
    assert sentence in ended.err


def test_phases_by_difficulty_go_from_easy_to_hard(probe, bench, pools):
    words = ("--design", "phases", "--phases-by", "difficulty", "--source", "mine", "--samples", "24", "--seeds", "1", "--device", "cpu")
    ended = probe("run", *words, "--workers", "1", "--json")
    assert ended.code == 0, ended.err
    assert "--phase mine/easy=1 --phase mine/medium=1 --phase mine/hard=1 --phase-share 0.325,0.325,0.35" in ended.err
    with Workspace(Path(".probe")).open_store() as store:
        staged = next(arm for arm in store.arms("main") if arm.name == "phases/staged")
        rows = {probe.arm: (probe.rows, probe.tokens) for probe in store.probes("main") if probe.rows}
    assert [phase.mixture.weights() for phase in staged.curriculum.phases] == [{slug: 1.0} for slug in NAMES]
    assert {n for n, _ in rows.values()} == {24}
    assert len({tokens for _, tokens in rows.values()}) == 1  # the same rows in each order


def test_an_export_of_phases_holds_the_rows_of_the_pools(probe, mine, pools, tmp_path):
    held = opened()
    phases = [{"mine/easy": 6}, {"mine/medium": 6, "mine/easy": 2}, {"mine/hard": 8}]
    usable = {slug: pool.usable for slug, pool in held.items()}
    doc = example_manifest(phases, usable, {slug: pool.fingerprint for slug, pool in held.items()}, IMAGE_POLICY)
    ended = probe("export", write_manifest(doc, tmp_path / "manifests"), "--trainer", "jsonl", "--out", "out")
    assert ended.code == 0, ended.err
    ids = {slug: {sample.id for _, sample in pool.numbered_samples()} for slug, pool in held.items()}
    used = []
    for number, counts in enumerate(phases, 1):
        records = [json.loads(line) for line in Path(f"out/phase-{number}.jsonl").read_text().splitlines()]
        used += [record["id"] for record in records]
        assert {slug: sum(record["source"] == slug for record in records) for slug in counts} == counts
        assert all(record["id"] in ids[record["source"]] for record in records)
    assert len(set(used)) == len(used)  # `easy` goes on in phase 2 where phase 1 left it
