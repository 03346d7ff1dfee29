"""What single trainers make of numbers, and which rows they cannot read."""

import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.export import ExportError, ExportOptions, Mode, find_exporter
from probe.export.exporter import Part
from probe.export.qwen_vl import draws, percent
from probe.export.ratios import ratio
from sources.spec import SourceSpec
from tests.conformance.small_world import bitmap, manifest_for, open_pools, write_source
from tests.conformance.trained_rows import trained_rows


@given(st.integers(1, 2_000_000), st.integers(1, 20_000_000))
def test_a_ratio_that_is_rounded_down_makes_exactly_the_wanted_rows(rows, wanted):
    found = ratio(wanted, rows)
    assert int(rows * found) == wanted  # InternVL below 1, xtuner
    copies = int(found)
    assert rows * copies + math.floor(rows * (found - copies)) == wanted  # NeMo Automodel
    assert (copies, found == copies) == (wanted // rows, wanted % rows == 0)


def part(rows, wanted):
    return Part("a", "a", tuple(range(rows)), wanted)


@given(st.integers(1, 3000), st.integers(1, 9000))
def test_qwens_whole_percentages_come_as_near_as_they_can(rows, wanted):
    drawn = draws(part(rows, max(rows, wanted)))
    assert abs(drawn - max(rows, wanted)) <= rows / 200 + 1
    assert 0 <= percent(part(rows, max(rows, wanted))) <= 100


def test_qwen_refuses_repeats_that_its_percentages_cannot_express_and_names_the_cure(tmp_path):
    pools = open_pools([write_source(tmp_path / "data", "text/a", 3), write_source(tmp_path / "data", "text/b", 9)])
    doc = manifest_for(pools, ({"text/a": 4, "text/b": 4},))
    report = find_exporter("qwen-vl")(doc, pools, tmp_path / "ok", options=ExportOptions(mode=Mode.NATIVE))
    assert report.counts == {"phase-1": {"text/a": 4, "text/b": 4}}
    assert any("without a seed" in warning for warning in report.warnings)
    large = open_pools([write_source(tmp_path / "data", "text/c", 700)])
    doc = manifest_for({**pools, **large}, ({"text/a": 3, "text/c": 1303},))
    with pytest.raises(ExportError, match=r"more than 0.00% away: use mode exact"):
        find_exporter("qwen-vl")(doc, {**pools, **large}, tmp_path / "out", options=ExportOptions(mode=Mode.NATIVE, tolerance=1e-7))


def user(text):
    return {"role": "user", "content": text}


def odd_source(root: Path) -> SourceSpec:
    """Chat rows: a system turn before an image, a place of another trainer's in capitals or not, and a plain one."""
    (root / "img").mkdir(parents=True)
    (root / "img" / "a.bmp").write_bytes(bitmap((1, 2, 3)))
    ask, answer = user("<image> What?"), {"role": "assistant", "content": "Red."}
    image = "img/a.bmp"
    rows = [
        {"id": "system", "messages": [{"role": "system", "content": "Be brief."}, ask, answer], "images": [image]},
        {"id": "literal", "messages": [user("What is <img_context>?"), answer], "images": []},
        {"id": "plain", "messages": [ask, answer, user("And <image>?"), answer], "images": [image, image]},
    ]
    (root / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SourceSpec("odd", "chat", str(root / "data.jsonl"), str(root))


@pytest.mark.parametrize(
    ("trainer", "read"),
    [
        ("internvl", {"system", "literal", "plain"}),
        ("qwen-vl", {"literal", "plain"}),
        ("nemo", {"system", "literal", "plain"}),
        ("xtuner", {"system", "plain"}),
        ("axolotl", {"system", "literal", "plain"}),
        ("energon", {"system", "literal", "plain"}),
        ("streaming", {"system", "literal", "plain"}),
    ],
)
def test_rows_that_a_trainer_would_read_as_others_are_left_out(trainer, read, tmp_path):
    pools = open_pools([odd_source(tmp_path / "data")])
    report = find_exporter(trainer)(manifest_for(pools, ({"odd": 12},)), pools, tmp_path / "out")
    rows = trained_rows(trainer, tmp_path / "out", "phase-1")
    assert {row.id for row in rows} == read
    assert sum(report.excluded.get("odd", {}).values()) == 3 - len(read)
    roles = {row.id: [role for role, _ in row.turns] for row in rows}
    assert roles.get("system", ["system"])[0] == "system"
    assert Counter(len(row.images) for row in rows if row.id == "plain").keys() == {2}


def run(script, *folders):
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def package(root: Path, module: str, text: str) -> Path:
    path = root.joinpath(*module.split("."))
    path.mkdir(parents=True)
    for folder in [path, *path.parents]:
        if folder == root:
            break
        (folder / "__init__.py").touch()
    (path / "__init__.py").write_text(text)
    return root


def test_qwens_script_registers_every_data_set_of_the_commands(tmp_path):
    pools = open_pools([write_source(tmp_path / "data", "mid/chart", 5)])
    report = find_exporter("qwen-vl")(manifest_for(pools, ({"mid/chart": 5}, {"mid/chart": 2})), pools, tmp_path / "out")
    stand_in = package(tmp_path / "qwen", "qwenvl.data", "data_dict = {'other': 1}\n")
    found = run(
        "import json, qwen_train, qwenvl.data as d; qwen_train.register(); print(json.dumps(d.data_dict))", tmp_path / "out", stand_in
    )
    assert set(found) == {"other", "phase-1_mid_chart", "phase-2_mid_chart"}
    assert all(f" --dataset_use {name} " in command for name, command in zip(sorted(set(found) - {"other"}), report.commands, strict=True))
    for entry in (entry for name, entry in found.items() if name != "other"):
        assert Path(entry["annotation_path"]).is_file()
        record = json.loads(Path(entry["annotation_path"]).read_text().splitlines()[0])
        assert all(Path(entry["data_path"], image).is_file() for image in [record["image"]] if isinstance(image, str))


def test_xtuners_function_makes_a_data_set_of_every_source(tmp_path):
    pools = open_pools([write_source(tmp_path / "data", "mid/chart", 5), write_source(tmp_path / "data", "text/chat", 4)])
    find_exporter("xtuner")(
        manifest_for(pools, ({"mid/chart": 12, "text/chat": 3},)), pools, tmp_path / "out", options=ExportOptions(mode=Mode.NATIVE)
    )
    fields = "name, anno_path, media_root, sample_ratio, class_name"  # of xtuner/v1/datasets/config.py, DatasetConfig; others are refused
    stand_in = package(tmp_path / "xtuner", "xtuner.v1.datasets.config", f"def DatasetConfig(*, {fields}): return dict(locals())\n")
    found = run("import json, mixture; print(json.dumps(mixture.dataset_config('phase-1', 'FN')))", tmp_path / "out", stand_in)
    assert [(entry["dataset"]["name"], entry["dataset"]["sample_ratio"], entry["tokenize_fn"]) for entry in found] == [
        ("mid_chart", 2.5, "FN"),
        ("text_chat", 1.0, "FN"),
    ]
    assert all(Path(entry["dataset"]["anno_path"]).is_file() for entry in found)
    assert {entry["dataset"]["class_name"] for entry in found} == {"VLMJsonlDataset"}
