"""What `probe run` works out before anything is trained, and what of it is stored."""

import json
import math
import socket
import sqlite3
from pathlib import Path

import pytest

from probe.cli.output import interval, number, print_json, print_listing
from probe.errors import UsageError
from probe.study.base import parse_base
from probe.study.run import RunRequest, plan_run, store_plan
from probe.workspace import Workspace
from sources.estimate import Estimate

NAN = float("nan")


def stored():
    """Return everything that the database holds."""
    with sqlite3.connect(".probe/probe.db") as connection:
        return list(connection.iterdump())


def plan(**asked):
    heard = []
    return plan_run(Workspace(Path(".probe")), RunRequest(**asked), heard.append), heard


def test_a_catalogue_source_in_a_fresh_folder_is_one_sentence_and_leaves_nothing(probe, tmp_path):
    ended = probe("run", "--source", "sharegpt4v")
    assert ended.code == 1
    assert ended.err.count("Error:") == 1
    assert ended.err.strip().count("\n") == 0
    assert "sharegpt4v is not on this machine" in ended.err
    assert "probe sources add sharegpt4v --path" in ended.err
    assert not (tmp_path / ".probe").exists()


def test_without_a_budget_a_new_study_takes_the_proxys(probe, mine, bench):
    ended = probe("run", "--source", mine, "--dry-run")
    assert ended.code == 0
    assert "budget 1,920 samples each = 1,920-1,920 rows" in ended.err


@pytest.mark.parametrize("budget", [{"samples": 0}, {"tokens": 0}, {"tokens": -5}])
def test_a_budget_of_nothing_is_refused_before_anything_is_stored(probe, mine, bench, budget):
    before = stored()
    with pytest.raises(UsageError, match="trains nothing"):
        plan(sources=(mine,), **budget)
    assert stored() == before


def test_a_dry_run_stores_nothing_for_a_new_study_nor_an_old_one(probe, study, tsv):
    assert probe("benchmarks", "add", "later", "--path", tsv).code == 0
    before = stored()
    ended = probe("run", "--source", "mine", "--samples", "16", "--seeds", "3", "--benchmark", "later", "--retry-failed", "--dry-run")
    assert (ended.code, "4 probes (2 new, 0 done)" in ended.err) == (0, True), ended.err
    assert probe("run", "--source", "mine", "--study", "other", "--benchmark", "easy-vqa/colour", "--dry-run").code == 0
    assert stored() == before


def test_a_dry_run_refuses_what_the_run_would_refuse(probe, study, llava):
    llava.write_text("\n".join(llava.read_text().splitlines()[5:]))
    before = stored()
    ended = probe("run", "--source", "mine", "--samples", "16", "--seeds", "1", "--dry-run")
    assert ended.code == 1
    assert "was planned with other rows" in ended.err
    assert stored() == before


def test_when_rows_cannot_be_drawn_no_study_is_left_behind(probe, bench, tmp_path, images):
    record = {"id": "0", "conversations": [{"from": "human", "value": "why? " * 5000}, {"from": "gpt", "value": "so"}]}
    (tmp_path / "long.json").write_text(json.dumps([record]))
    assert probe("sources", "add", "long", "--path", tmp_path / "long.json").code == 0
    before = stored()
    ended = probe("run", "--source", "long", "--samples", "4")
    assert ended.code == 1
    assert "too_long" in ended.err
    assert stored() == before


def test_an_add_share_that_the_study_does_not_have_is_refused(probe, mine, bench):
    base = plan(sources=(mine,), samples=8, seeds=1, add_share=0.3, base=None, study="adding")[0]
    store_plan(Workspace(Path(".probe")), base)
    same = probe("run", "--source", mine, "--study", "adding", "--add-share", "0.3", "--seeds", "1", "--dry-run")
    other = probe("run", "--source", mine, "--study", "adding", "--add-share", "0.5", "--seeds", "1", "--dry-run")
    assert (same.code, other.code) == (0, 1)
    assert "another add-one share of 0.3" in other.err


@pytest.mark.parametrize(("samples", "overlap"), [(8, 0.2), (30, 0.75), (40, 1.0), (100, 1.0)])
def test_repeats_that_share_rows_are_marked_with_how_many(probe, mine, bench, samples, overlap):
    planned, heard = plan(sources=(mine,), samples=samples, seeds=2)
    trained = [p for p in planned.plan.probes if p.arm == mine]
    assert [p.overlap for p in trained] == pytest.approx([overlap, overlap])
    told = [line for line in heard if "of their rows in common" in line]
    assert told == ([f"mine: small for this budget, so two repeats have about {overlap:.0%} of their rows in common."] * (overlap > 0.5))


def test_the_overlap_of_a_mixture_counts_each_source_by_its_rows(probe, mine, bench):
    planned, _ = plan(sources=(mine,), base=None, samples=40, seeds=1, design=None)
    assert [p.overlap for p in planned.plan.probes] == [0.0, 1.0]  # the untrained proxy has no rows
    mixed, _ = plan(sources=(mine,), base=parse_base("mine=0.5,world/colour=0.5"), samples=40, seeds=1, study="mixed")
    overlaps = {p.arm: p.overlap for p in mixed.plan.probes}
    assert overlaps["base"] == pytest.approx(0.25, abs=0.02)  # 20 rows of 40, and 20 of many
    assert overlaps["+mine"] == pytest.approx(0.6 * 24 / 40, abs=0.03)


def test_a_swarm_without_sources_is_a_wrong_use(probe, study):
    ended = probe("run", "--design", "swarm", "--dry-run")
    assert ended.code == 2
    assert "--source" in ended.err


def test_a_benchmark_is_taken_out_of_a_study_but_not_its_last_one(probe, study, tsv):
    assert probe("benchmarks", "add", "later", "--path", tsv, "--choices", "letter").code == 0
    assert "is the only one of study 'main'" in probe("benchmarks", "remove", "bench", "--study", "main").err
    with Workspace(Path(".probe")).open_store() as store:
        store.add_study_benchmark("main", "later")
    assert probe("benchmarks", "remove", "later", "--study", "main").code == 0
    assert probe("studies", "show", "main", "--json").json()["benchmark_list"] == ["bench"]
    assert "no benchmark 'later'" in probe("benchmarks", "remove", "later", "--study", "main").err
    assert probe("benchmarks", "remove", "later").code == 0


def test_numbers_that_are_none_are_null_in_json_and_words_in_tables(capsys):
    print_json({"a": NAN, "b": [math.inf, 1.5], "c": {"d": -math.inf}})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"a": None, "b": [None, 1.5], "c": {"d": None}}
    print_listing([{"x": NAN, "y": 1.0}], "csv", empty="")
    assert capsys.readouterr().out == "x,y\n,1.0\n"
    print_listing([{"x": NAN, "y": 1.0}], "table", empty="")
    assert "nan" not in capsys.readouterr().out
    assert interval(Estimate(NAN, NAN, NAN, NAN, 0)) == "-"
    assert interval(Estimate(0.5, NAN, -math.inf, math.inf, 1)) == "+0.500 [unknown]"
    assert (number(NAN), number(0.25)) == ("unknown", "0.250")


def test_a_benchmark_that_cannot_be_read_costs_its_scores_and_not_the_ranking(probe, mine, bench, tsv, tmp_path):
    lost = tmp_path / "lost.tsv"
    lost.write_text(tsv.read_text().replace("which color has this?", "which color?"))
    assert probe("benchmarks", "add", "lost", "--path", lost).code == 0
    lost.unlink()
    ended = probe("run", "--source", mine, "--samples", "16", "--seeds", "2", "--workers", "1", "--device", "cpu")
    assert ended.code == 1
    assert "3 probes are trained but not scored everywhere: benchmark lost" in ended.err
    assert "mine" in ended.out
    row = probe("status", "--json").json()[0]
    assert (row["unscored"], row["failed"], row["waiting"]) == (3, 0, 0)


def test_probes_of_a_killed_process_wait(probe, study):
    with Workspace(Path(".probe")).open_store() as store:
        assert store.claim(f"{socket.gethostname()}:999999999", study, 60.0)
    row = probe("status", "--json").json()[0]
    assert (row["running"], row["waiting"]) == (0, 2)
    assert "go on: probe run --study main" in probe("status").out
    with Workspace(Path(".probe")).open_store() as store:
        assert store.claim("another-host:1", study, 60.0)
    assert probe("status", "--json").json()[0]["running"] == 1, "it may be alive"
