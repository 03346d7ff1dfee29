"""The table of VLMEvalKit's benchmarks, and the commands that need no environment."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from kit_tables import Table, needs_kit, picture

from probe.errors import ProbeError
from probe.study.items import read_eval_set
from probe.vlmeval.adding import own_table
from probe.vlmeval.known import find_known, kit_name, known_benchmarks
from probe.vlmeval.tables import write_table
from probe.vlmeval.worker import Worker
from sources.answer_rules.registry import RULES
from sources.benchmark import BenchmarkSpec

TYPES = {"multiple-choice": "MCQ", "circular": "MCQ", "mixed": "MCQ", "yes-no": "Y/N", "caption": "Caption"}


@needs_kit
def test_every_known_benchmark_is_there_and_of_the_kind_that_its_rule_needs(kit: Worker, tmp_path: Path) -> None:
    there = kit.ask("supported", tmp_path, {})
    for known in known_benchmarks().values():
        assert there[known.name] == TYPES.get(known.rule, "VQA"), known


def test_rules_are_ours_or_said_to_be_vlmevalkits_alone() -> None:
    rules = {known.rule for known in known_benchmarks().values()}
    assert rules - set(RULES) == {"mixed", "caption", "judge"}
    assert set(RULES) <= rules
    assert all(known.homepage.startswith("https://") for known in known_benchmarks().values())


def test_an_unknown_name_is_met_with_the_near_one() -> None:
    with pytest.raises(ProbeError, match="did you mean 'MMStar'"):
        find_known("MMstar")
    with pytest.raises(ProbeError, match="probe benchmarks add --vlmeval NAME"):
        kit_name(BenchmarkSpec("mine", "c", "tsv", "x.tsv"))


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_odd_tables_are_made_regular(tmp_path: Path) -> None:
    """Answers as texts, choices with gaps, images by reference, names out of the folder: all as VLMEvalKit reads them."""
    table = Table(tmp_path / "t.tsv", ["index", "image", "image_path", "question", *"ABCD", "answer", "hint"])
    table.add(index=7, image=picture(1), image_path="/etc/x.png", question="?", A="red", C="NA", answer="NA", hint="look")
    table.add(index=8, image=7, image_path="a/../../b.png", question="?", A="red", B="blue", D="3", answer="D")
    eval_set = read_eval_set(own_table("mine", "MMStar", str(table.write()), ""))
    write_table(tmp_path / "out.tsv", eval_set.spec, eval_set.items)
    one, two = lines_of(tmp_path / "out.tsv")
    assert [one[name] for name in ("A", "B", "C", "answer", "hint")] == ["red", "NA", "", "B", "look"]
    assert [two[name] for name in ("A", "B", "C", "answer", "image")] == ["red", "blue", "3", "C", "7"]
    assert one["image"] == picture(1)
    assert not any("/" in row["image_path"] for row in (one, two))


def test_rows_that_share_an_index_are_refused(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.tsv", ["index", "question", "answer"])
    for n in range(2):
        table.add(index=3, question=f"{n}?", answer="a")
    eval_set = read_eval_set(own_table("mine", "GQA_TestDev_Balanced", str(table.write()), ""))
    with pytest.raises(ProbeError, match="more than one of mine is '3'"):
        write_table(tmp_path / "out.tsv", eval_set.spec, eval_set.items)
    assert [path.name for path in tmp_path.iterdir()] == ["t.tsv"]
