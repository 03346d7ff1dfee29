"""What a study asks for by itself, and what it refuses before anything is trained."""

import json
from pathlib import Path

import pytest

from db.values import Design
from probe.errors import UsageError
from probe.study.base import parse_base
from probe.study.run import RunRequest, plan_run, store_plan
from probe.workspace import Workspace


@pytest.mark.parametrize("text", ["mine=0.5,chat=0.7", "a=1,b=1", "a=0.5"])
def test_a_base_mixture_that_does_not_sum_to_one_is_refused(text):
    with pytest.raises(UsageError, match="must sum to 1"):
        parse_base(text)


def test_rounded_shares_are_a_base_mixture():
    assert parse_base("a=0.333,b=0.333,c=0.333").weights()["a"] == pytest.approx(1 / 3)


def test_a_study_keeps_its_own_number_of_repeats(probe, study, tsv):
    assert probe("benchmarks", "add", "later", "--path", tsv, "--choices", "letter").code == 0
    ended = probe("run", "--source", "mine", "--benchmark", "later", "--dry-run")
    assert "2 arms, 2 probes (0 new, 0 done)" in ended.err  # the study was planned with one seed
    assert "Scoring 0 saved adapters on later, training nothing." in ended.err
    assert "4 probes (4 new, 0 done)" in probe("run", "--source", "mine", "--study", "new", "--samples", "8", "--dry-run").err


def test_a_dry_run_prints_its_plan_as_json(probe, mine, bench):
    plan = probe("run", "--source", mine, "--samples", "8", "--seeds", "2", "--dry-run", "--json").json()
    assert (plan["study"], plan["arms"], plan["new"], plan["budget"]) == ("main", ["untrained", "mine"], 3, 8)
    assert [p["rows"] for p in plan["probes"]] == [0, 8, 8]


def test_a_split_prints_json(probe, mine):
    made = probe("sources", "split", mine, "--holdout", "0.5", "--json").json()
    assert made["rows_held_out"] + made["rows_left"] == 40
    assert made["benchmarks"][0]["name"] == "mine-holdout"


def test_a_benchmark_of_one_image_is_refused_and_not_kept(probe, tsv):
    lines = tsv.read_text().splitlines()
    tsv.write_text("\n".join(lines[:2]) + "\n")
    ended = probe("benchmarks", "add", "one", "--path", tsv)
    assert (ended.code, "both halves need some" in ended.err) == (1, True)
    assert "one" not in [row["name"] for row in probe("benchmarks", "list", "--json").json()]


def test_other_data_takes_the_place_of_a_source_only_when_asked(probe, mine, llava, images):
    add = ("sources", "add", mine, "--path", llava, "--images", images)
    assert probe(*add).code == 0  # the same again
    llava.write_text("\n".join(llava.read_text().splitlines()[:20]))
    refused = probe(*add)
    assert (refused.code, "--replace" in refused.err) == (1, True)
    assert probe(*add, "--replace").code == 0
    assert probe("sources", "show", mine, "--json").json()["usable"] == 20


def test_check_counts_rows_that_exports_leave_out(probe, images, tmp_path):
    answers = ["a tag <image> here", "red"]
    rows = [
        {"id": str(n), "image": f"{n}.png", "conversations": [{"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": a}]}
        for n, a in enumerate(answers)
    ]
    (tmp_path / "tags.json").write_text(json.dumps(rows))
    assert probe("sources", "add", "tags", "--path", "tags.json", "--images", images).code == 0
    assert "1 row is trained on by probes and left out by exports" in probe("sources", "check", "tags").out


def test_wrong_columns_and_formats_are_named(probe, tmp_path):
    (tmp_path / "wrong.tsv").write_text("index\tprompt\treply\n1\ta\tb\n")
    assert "it names index, prompt, reply" in probe("benchmarks", "add", "wrong", "--path", "wrong.tsv").err
    (tmp_path / "notes.txt").write_text("nothing")
    assert "the formats are parquet, tsv, chat, llava" in probe("sources", "add", "notes", "--path", "notes.txt").err


def test_the_example_of_unusable_rows_is_of_the_most_frequent_problem(probe, tmp_path):
    def row(answer):
        return {"image": "gone.png", "conversations": [{"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": answer}]}

    (tmp_path / "bad.json").write_text(json.dumps([row(""), row("red"), row("blue")]))
    said = probe("sources", "add", "bad", "--path", "bad.json").err
    assert "row 1, for example" in said
    assert f"images were looked for in {tmp_path}" in said


def test_what_another_study_failed_at_is_tried_again_by_a_new_one(probe, study):
    with Workspace(Path(".probe")).open_store() as store:
        while claim := store.claim("worker", "main", 60):
            store.fail(claim, "the device xyz is not here")
        again = plan_run(Workspace(Path(".probe")), RunRequest(("mine",), study="other", samples=16, seeds=1), lambda line: None)
        store_plan(Workspace(Path(".probe")), again)
        assert (store.progress("other").failed, store.progress("other").waiting) == (0, 2)


def test_a_swarm_alone_is_sent_to_the_search(probe, bench):
    for name in "ab":
        words = ("--format", "world", "--option", "skill=colour", "--option", "rows=20", "--option", f"seed={ord(name)}")
        assert probe("sources", "add", name, *words).code == 0
    asked = RunRequest(tuple("ab"), design=Design.SWARM, samples=8, seeds=1, mixtures=3)
    store_plan(Workspace(Path(".probe")), plan_run(Workspace(Path(".probe")), asked, lambda line: None))
    assert "probe optimize --study main" in probe("rank").err
