"""Weighted sums of trained adapters: the logits of PEFT's own concatenation, and of weights summed by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from proxy_training.engine import Engine
from proxy_training.jobs import EvalSet, Job, Recipe, Scope, Stage, Training
from proxy_training.merging import MergedAdapters
from proxy_training.proxies import proxy_spec
from sources.benchmark import Scoring

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
SHARES = [0.5, 0.2, 0.3]


def trained(engine: Engine, stage: Stage, recipe: Recipe, folder: Path) -> list[Path]:
    """Train three adapters on different rows with one seed, as the solo adapters of three sources are."""
    folders = [folder / str(k) for k in range(3)]
    for k, place in enumerate(folders):
        training = Training(proxy_spec("tiny"), recipe, (Stage(stage.rows[k::3]),), seed=1)
        assert not next(iter(engine.run([Job(training, (), save_to=place)]))).failure
    return folders


@pytest.fixture(scope="module")
def folders(reference: Engine, stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return trained(reference, stage, Recipe(batch_size=8), tmp_path_factory.mktemp("adapters"))


def test_merged_scores_are_those_of_pefts_concatenation(
    engine: Engine, reference: Engine, folders: list[Path], benchmark_set: EvalSet, tmp_path: Path
) -> None:
    model = PeftModel.from_pretrained(reference.base.model, folders[0], adapter_name="a")
    try:
        for name, folder in zip("bc", folders[1:], strict=True):
            model.load_adapter(folder, adapter_name=name)
        model.add_weighted_adapter(["a", "b", "c"], SHARES, "sum", combination_type="cat")
        model.set_adapter("sum")
        untouched = Job(Training(proxy_spec("tiny"), Recipe(), (), 0), (benchmark_set,))
        expected = reference.reference.run(untouched).scores[0]
    finally:
        reference.base.model = model.unload()
    found = engine.score_merged(MergedAdapters(folders, Recipe(batch_size=8)), SHARES, (benchmark_set,))[0]
    np.testing.assert_allclose(found.log_probabilities, expected.log_probabilities, atol=2e-4)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-4)


def test_the_change_of_each_weight_is_the_sum_of_the_changes(folders: list[Path]) -> None:
    _, merged = MergedAdapters(folders, Recipe(batch_size=8)).merged(SHARES)
    parts = [load_file(folder / "adapter_model.safetensors") for folder in folders]
    for name in merged:
        if name.endswith("lora_A.weight"):
            other = name.replace("lora_A", "lora_B")
            changes = [share * 16 / 8 * part[other] @ part[name] for share, part in zip(SHARES, parts, strict=True)]
            torch.testing.assert_close(merged[other] @ merged[name], torch.stack(changes).sum(0), atol=1e-6, rtol=1e-5)
            averaged = torch.stack([s * p[other] for s, p in zip(SHARES, parts, strict=True)]).sum(0) @ torch.stack(
                [s * p[name] for s, p in zip(SHARES, parts, strict=True)]
            ).sum(0)
            assert not torch.allclose(2 * averaged, merged[other] @ merged[name], rtol=0.1), "means of A and B are another model"


def test_all_of_one_adapter_is_that_adapter(engine: Engine, folders: list[Path], benchmark_set: EvalSet) -> None:
    recipe = Recipe(batch_size=8)
    job = Job(Training(proxy_spec("tiny"), recipe, (), 0), (benchmark_set,), adapter=folders[1])
    alone = next(iter(engine.run([job]))).scores[0]
    found = engine.score_merged(MergedAdapters(folders, recipe), [0.0, 1.0, 0.0], (benchmark_set,))[0]
    np.testing.assert_allclose(found.log_probabilities, alone.log_probabilities, atol=1e-4)
    assert found.unscored == alone.unscored


def test_fully_trained_language_models_are_summed_weight_by_weight(
    reference: Engine, stage: Stage, benchmark_set: EvalSet, tmp_path: Path
) -> None:
    recipe = Recipe(Scope.FULL_LANGUAGE, batch_size=8, learning_rate=1e-3)
    places = trained(reference, stage, recipe, tmp_path)
    language = reference.base.model.get_submodule(reference.base.language_prefix())
    frozen = {name: weight.detach().clone() for name, weight in language.named_parameters()}
    changes = [load_file(place / "language-model.safetensors") for place in places]
    try:
        with torch.no_grad():
            for name, weight in language.named_parameters():
                weight += sum(share * (change[name] - frozen[name]) for share, change in zip(SHARES, changes, strict=True))
        expected = reference.reference.run(Job(Training(proxy_spec("tiny"), Recipe(), (), 0), (benchmark_set,))).scores[0]
    finally:
        with torch.no_grad():
            for name, weight in language.named_parameters():
                weight.copy_(frozen[name])
    found = reference.score_merged(MergedAdapters(places, recipe), SHARES, (benchmark_set,))[0]
    np.testing.assert_allclose(found.log_probabilities, expected.log_probabilities, atol=1e-3)


def test_a_saved_sum_is_a_standard_peft_folder(reference: Engine, folders: list[Path], benchmark_set: EvalSet, tmp_path: Path) -> None:
    merged = MergedAdapters(folders, Recipe(batch_size=8))
    merged.save(tmp_path, SHARES)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["r"] == 24
    job = Job(Training(proxy_spec("tiny"), Recipe(), (), 0), (benchmark_set,), adapter=tmp_path)
    by_peft = reference.reference.run(job).scores[0]
    found = reference.score_merged(merged, SHARES, (benchmark_set,))[0]
    np.testing.assert_array_equal(found.values, by_peft.values)


def test_what_cannot_be_merged_is_refused(reference: Engine, folders: list[Path], benchmark_set: EvalSet) -> None:
    with pytest.raises(ValueError, match="no weighted sum"):
        MergedAdapters(folders, Recipe(dora=True))
    with pytest.raises(ValueError, match="vision tower"):
        MergedAdapters(folders, Recipe(Scope.LORA_ALL))
    with pytest.raises(ValueError, match="not of rank 4"):
        MergedAdapters(folders, Recipe(rank=4))
    merged = MergedAdapters(folders, Recipe())
    for shares in ([0.5, 0.5], [0.7, 0.7, -0.4], [0.5, 0.2, 0.2]):
        with pytest.raises(ValueError, match="sum to 1"):
            merged.merged(shares)
    asked = dataclasses.replace(benchmark_set, spec=dataclasses.replace(benchmark_set.spec, scoring=Scoring.GENERATE))
    with pytest.raises(ValueError, match="not generated"):
        reference.score_merged(merged, SHARES, (asked,))
