"""`probe outcomes` by the command line."""

import json
from pathlib import Path

import pytest

from probe.manifest import write_manifest
from probe.manifest.example import example_manifest
from probe.study.run import RunRequest, plan_run, store_plan
from probe.workspace import Workspace


def test_a_result_is_recorded_listed_and_removed(probe, study, mine):
    words = ("--mixture", f"{mine}=1", "--score", "bench=0.41", "--stderr", "bench=0.01", "--name", "one", "--note", "8B")
    ended = probe("outcomes", "add", *words)
    assert ended.code == 0, ended.err
    assert "too few to tell (1 outcome" in ended.out
    (row,) = probe("outcomes", "list", "--json").json()
    assert (row["name"], row["mixture"], row["note"]) == ("one", [{mine: 1.0}], "8B")
    assert row["scores"] == [{"level": "benchmark", "name": "bench", "value": 0.41, "stderr": 0.01}]
    assert "bench=0.41" in probe("outcomes", "list", "--csv").out
    assert probe("outcomes", "add", "--mixture", f"{mine}=1", "--score", "bench=0.5", "--name", "one").code == 1
    assert probe("outcomes", "remove", "one").code == 0
    assert probe("outcomes", "list", "--json").json() == []
    assert "no outcome 'one'" in probe("outcomes", "remove", "one").err


def test_a_manifest_is_recorded_with_its_hash(probe, study, mine, tmp_path):
    doc = example_manifest(({mine: 20},), {mine: 40})
    path = write_manifest(doc, tmp_path)
    found = probe("outcomes", "add", "--manifest", path, "--score", "recognition=0.5", "--json").json()
    assert found["added"] == [doc.hash[:8]]
    assert found["fidelity"]["outcomes"] == 1
    (row,) = probe("outcomes", "list", "--study", "main", "--json").json()
    assert row["manifest"] == doc.hash
    assert row["scores"][0]["level"] == "capability"


def test_a_csv_file_is_recorded_whole_or_not_at_all(probe, study, mine, tmp_path):
    file = tmp_path / "r.csv"
    file.write_text(f"name,mixture,benchmark,score,seeds\na,{mine}=1,bench,0.4,2\nb,{mine}=1,bench,41,2\n")
    ended = probe("outcomes", "add", "--from", file)
    assert ended.code == 1
    assert "score 41 of bench is not in 0..1" in ended.err
    assert probe("outcomes", "list", "--json").json() == []
    file.write_text(file.read_text().replace(",41,", ",0.41,"))
    assert probe("outcomes", "add", "--from", file).code == 0
    assert [row["seeds"] for row in probe("outcomes", "list", "--json").json()] == [2, 2]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "give --manifest M or --mixture"),
        (("--mixture", "mine=1", "--manifest", "m"), "one of the two"),
        (("--mixture", "mine=1"), "at least one score"),
        (("--mixture", "mine=1", "--score", "bench"), "not of the form"),
        (("--mixture", "mine=1", "--score", "bench=0.1", "--score", "bench=0.2"), "bench twice"),
        (("--mixture", "mine=0.4", "--score", "bench=0.1"), "--mixture mine=0.4: its shares sum to 0.4"),
        (("--mixture", "mine=1", "--score", "bench=0.1", "--study", "other"), "no study 'other'"),
        (("--from", "none.csv", "--note", "x"), "give --from or --note, not both"),
        (("--from", "none.csv"), "cannot be read"),
    ],
)
def test_wrong_use_is_one_sentence(probe, study, words, sentence):
    ended = probe("outcomes", "add", *words)
    assert ended.code in (1, 2)
    assert sentence in ended.err
    assert "Traceback" not in ended.err


def test_a_recipe_check_tells_its_cost_and_needs_two_sources(probe, study, mine):
    assert "an order needs two" in probe("proxies", "check").err
    assert "was not trained" in probe("proxies", "check", "--source", "other").err


def test_a_recipe_check_is_planned_in_studies_of_its_own(probe, study, mine, llava, images):
    assert probe("sources", "add", "second", "--path", llava, "--images", images).code == 0
    workspace = Workspace(Path(".probe"))
    request = RunRequest((mine, "second"), study="two", samples=16, seeds=2, benchmarks=("bench",))
    store_plan(workspace, plan_run(workspace, request, lambda line: None))
    ended = probe("proxies", "check", "--study", "two", "--dry-run", "--json")
    assert ended.code == 0, ended.err
    assert "2 sources at 3 learning rates and 3 budgets: 36 trainings" in ended.err
    found = json.loads(ended.out)
    assert found["studies"] == ["two-rate-x0.5", "two-rate-x1", "two-rate-x2"]
    assert [row["study"] for row in probe("studies", "list", "--json").json()] == ["main", "two"]  # nothing is stored
