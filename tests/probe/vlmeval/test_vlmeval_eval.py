"""One real adapter scored by VLMEvalKit and by our own scorer, through the command line: the same answers, the same scores."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kit_tables import make_tables, needs_kit

from probe.cli.benchmarks import add_benchmark
from probe.study.items import read_eval_set
from probe.study.registry import find_benchmark
from probe.study.scoring_choice import ScoringChoice
from probe.vlmeval.adding import own_table, with_kit_rule
from probe.vlmeval.scores import Asked, kit_scores
from probe.vlmeval.worker import Worker
from probe.workspace import Workspace
from proxy_training.engine import Engine
from proxy_training.evaluation import item_turns
from proxy_training.jobs import EngineSettings, EvalSet, Job, Scope, Stage, Training
from proxy_training.proxies import proxy_spec
from sources.sample import Role, Sample, Turn
from sources.sampling import DrawnRow

pytestmark = [needs_kit, pytest.mark.slow, pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")]
KINDS = ("MMStar", "MMBench_DEV_EN", "POPE", "TextVQA_VAL", "DocVQA_VAL", "ChartQA_TEST", "OCRBench")


def run(folder: Path, *words: str, code: int = 0) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", "from probe.cli.main import main; main()", *words], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert ended.returncode == code, ended.stderr
    return ended.stderr if code else ended.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    place = Workspace(folder / ".probe")
    for name, path in make_tables(folder).items():
        add_benchmark(place, own_table(f"mine-{name}", name, str(path), ""), with_kit_rule(ScoringChoice(), name))
    return folder


@pytest.fixture(scope="module")
def eval_sets(workspace: Path) -> dict[str, EvalSet]:
    with Workspace(workspace / ".probe").open_store() as store:
        return {name: read_eval_set(find_benchmark(store, f"mine-{name}")) for name in KINDS}


@pytest.fixture(scope="module")
def adapter(workspace: Path, eval_sets: dict[str, EvalSet]) -> Path:
    """An adapter that learned two thirds of the questions of each kind."""
    drawn = []
    for name, eval_set in eval_sets.items():
        for n, item in enumerate(eval_set.items):
            if n % 12 < 8:
                turn, candidates = item_turns(eval_set.spec, item)
                answer = candidates[item.choices.index(item.answer)] if item.choices else item.answer
                sample = Sample(item.id, item.images, (turn, Turn(Role.ASSISTANT, (answer,))))
                drawn.append(DrawnRow(name, n, sample, f"{name}-{n}"))
    spec = proxy_spec("tiny")
    rows = tuple(drawn[(7 * i) % len(drawn)] for i in range(1280))
    engine = Engine(spec, spec.recipe, workspace / ".probe" / "features", EngineSettings("cpu"))
    job = Job(Training(spec, spec.recipe, (Stage(rows),), 0), (), save_to=workspace / "adapter")
    assert not next(iter(engine.run([job]))).failure
    return workspace / "adapter"


def test_one_adapter_scores_the_same_by_both(workspace: Path, eval_sets: dict[str, EvalSet], adapter: Path) -> None:
    words = ["--proxy", "tiny", "--adapter", str(adapter), "--scorer", "vlmeval", "--prompts", "probe", "--device", "cpu"]
    rows: list[dict[str, Any]] = json.loads(run(workspace, "eval", *words, "--max-new-tokens", "8", "--json"))
    assert [row["benchmark"] for row in rows] == sorted(f"mine-{name}" for name in KINDS)
    spec = proxy_spec("tiny")
    engine = Engine(spec, spec.recipe, workspace / ".probe" / "features", EngineSettings("cpu"))
    scores = []
    for row in rows:
        eval_set = eval_sets[row["vlmeval"]["name"]]
        own = engine.reference.generate(Job(Training(spec, spec.recipe, (), 0), (), adapter), eval_set, 8)
        items = row["vlmeval"]["items"]
        assert [one["prediction"] for one in items] == [own[n] for n in range(len(items))]
        assert [one["score"] for one in items] == [
            pytest.approx(one["our_rule"], abs=1e-6) if one["score"] is not None else None for one in items
        ]
        assert row["vlmeval"]["agree"] == row["vlmeval"]["compared"] == row["vlmeval_accuracy"]["n"]
        assert row["vlmeval_accuracy"]["value"] == pytest.approx(row["generated"]["value"], abs=1e-6)
        assert row["vlmeval_parsed"]["value"] == pytest.approx(row["parsed"]["value"], abs=1e-6)
        scores.append(row["vlmeval_accuracy"]["value"])
    assert sum(0 < score < 1 for score in scores) >= 5, scores
    assert not list((workspace / ".probe" / "vlmeval").glob("run-*"))


def test_vlmevalkit_asks_by_its_own_prompts(kit: Worker, workspace: Path, eval_sets: dict[str, EvalSet], adapter: Path) -> None:
    """The answer to an item is the one to the text that MMBench's class writes."""
    eval_set = eval_sets["MMBench_DEV_EN"]
    asked = Asked("tiny", adapter, Scope.LORA_LANGUAGE, workspace / ".probe" / "features", EngineSettings("cpu"), 4)
    seen: list[tuple[str, int, int]] = []
    found = kit_scores(kit, workspace / "runs", eval_set, asked, lambda *what: seen.append(what))
    assert found.agreement() == (12, 12)
    assert ("answers", 36, 36) in seen
    spec = proxy_spec("tiny")
    engine = Engine(spec, spec.recipe, workspace / ".probe" / "features", EngineSettings("cpu"))
    item = eval_set.items[0]
    listed = "".join(f"{letter}. {choice}\n" for letter, choice in zip("ABC", item.choices, strict=True))
    text = f"Question: {item.question}\nOptions:\n{listed}Please select the correct answer from the options above. \n"
    rows = engine.preparation.prompt_rows([(Turn(Role.USER, (0, text)), item.images)])
    own = engine.reference.generate_rows(Job(Training(spec, spec.recipe, (), 0), (), adapter), rows, 4)
    assert found.predictions[0] == own[0]
