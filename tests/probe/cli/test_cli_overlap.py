"""Twenty of the forty rows of `mine` are the items of `bench`, word for word and byte for byte."""

from pathlib import Path

import pytest

from probe.study.overlap_files import kept_overlaps
from probe.study.run import RunRequest, plan_run
from probe.workspace import Workspace


def planned(said, **asked):
    return plan_run(Workspace(Path(".probe")), RunRequest(("mine",), samples=16, seeds=1, benchmarks=("bench",), **asked), said.append)


@pytest.fixture
def bench(probe, tsv):
    tsv.write_text(tsv.read_text().replace("which color has this?", "What color is it"))
    assert probe("benchmarks", "add", "bench", "--path", tsv, "--capability", "recognition").code == 0


def test_contaminated_rows_are_told_and_not_drawn(probe, mine, bench):
    rows = probe("sources", "overlap", "--json").json()
    assert [(row["with"], row["kind"]) for row in rows] == [("mine", "inside"), ("bench", "benchmark")]
    assert rows[1]["excluded"] == 20
    assert rows[1]["examples"][0] == [0, "0"]
    assert "20 rows hold items of benchmark bench" in probe("sources", "check", mine).out
    assert "bench" in probe("sources", "overlap", mine, "--csv").out

    said, kept = [], []
    clean, whole = planned(said), planned(kept, study="whole", keep_contaminated=True)
    assert any("20 contaminated" in line for line in said)
    assert not any("contaminated" in line for line in kept)
    assert clean.plan.study.clean_of == ("bench",)
    assert whole.plan.study.clean_of == ()
    trained, other = ({p.arm: p.training_id for p in plan.plan.probes} for plan in (clean, whole))
    assert trained["mine"] != other["mine"]
    assert trained["untrained"] == other["untrained"]
    assert clean.plan.sources == whole.plan.sources  # what is registered of a source is no study's
    assert any("share" in line or "images of benchmark bench" in line for line in kept)


def test_without_a_source_it_says_how_to_go_on(probe):
    ended = probe("sources", "overlap")
    assert ended.code == 2
    assert "probe sources add" in ended.err


def test_examples_name_rows_by_source_number_image_and_text(probe, mine, bench, llava, images):
    rows = llava.read_text().splitlines(keepends=True)
    (llava.parent / "other.jsonl").write_text("".join([rows[3].replace("<image>", "\\u001b[2J<image>"), rows[9], rows[9]]))
    assert probe("sources", "add", "other", "--path", "other.jsonl", "--images", images).code == 0
    said = probe("sources", "overlap", "other", "mine").out
    _, _, examples = said.partition("\n\n")
    assert "[[" not in said
    assert "for example, other with mine:" in examples
    assert '  other row 1 (9.png, "what color is it?") = mine row 9 (9.png, "what color is it?")' in examples
    assert "other row 0 (3.png, " in examples
    assert "\x1b" not in said
    assert '  mine row 1 (1.png, "what color is it?") holds item 1 of bench' in examples
    found = {(row["source"], row["with"]): row for row in probe("sources", "overlap", "other", "mine", "--json").json()}
    assert found["other", "mine"]["examples"][0] == [0, 3]
    assert found["other", "mine"]["told"][0].startswith("other row 0 (3.png, ")
    assert "other row 0 (3.png, " in probe("sources", "overlap", "other", "mine", "--csv").out
    alone = probe("sources", "overlap", "other", "--json").json()
    assert {(row["source"], row["with"]) for row in alone} == {("other", "other"), ("other", "mine"), ("other", "bench")}
    assert next(row for row in alone if row["with"] == "mine") == found["other", "mine"]


def test_what_was_found_is_kept_while_the_data_are_the_same(probe, mine, bench):
    workspace = Workspace(Path(".probe"))
    assert kept_overlaps(workspace.overlaps, "mine", {"mine": "f"}, {}) == ()
    told = {row["kind"]: row for row in probe("sources", "overlap", "--json").json()}
    with workspace.open_store(read_only=True) as store:
        source, benchmark = store.source("mine").fingerprint, store.benchmark("bench").fingerprint
    inside, held = kept_overlaps(workspace.overlaps, "mine", {"mine": source}, {"bench": benchmark})
    assert (inside.kind, inside.rows, inside.by_both.value) == ("inside", told["inside"]["rows"], told["inside"]["by_both"]["value"])
    assert (held.other, held.left_out, held.by_both, list(held.examples)) == ("bench", 20, None, told["benchmark"]["told"])
    assert kept_overlaps(workspace.overlaps, "mine", {"mine": source}, {"bench": "other items"}) == (inside,)
    assert kept_overlaps(workspace.overlaps, "mine", {"mine": "other rows"}, {"bench": benchmark}) == ()
    for file in workspace.overlaps.iterdir():
        file.write_text("{")
    assert kept_overlaps(workspace.overlaps, "mine", {"mine": source}, {"bench": benchmark}) == ()
