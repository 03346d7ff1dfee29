"""One scoring run: VLMEvalKit asks the proxy, or takes answers that are there, and scores them; all in the run's own folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from proxy_training.jobs import EngineSettings, Scope
from proxy_training.vlmeval_worker.benchmarks import open_table
from proxy_training.vlmeval_worker.kit import KitError
from proxy_training.vlmeval_worker.scoring import evaluate

MODEL = "model"  # in file names alone: each run has a folder of its own, so that no result of another model is ever found
Progress = Callable[[str, int, int], None]


def score(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Return answers, item scores by row index, what could be read of them, the headline and VLMEvalKit's own entries.

    The request has `folder`, `name`, and either `predictions` (by index) or `proxy`, `adapter`, `scope`, `features`, `device`,
    `gpus_per_probe`, `max_new_tokens` and `prompts`; with `judge` where the benchmark needs one.

    Raises:
        KitError, ProxyError: the rows cannot be asked or scored.
    """
    folder, name = Path(request["folder"]), request["name"]
    dataset = open_table(name, folder)
    if name == "MME":
        _two_questions_an_image(dataset)
    predictions = request.get("predictions")
    if predictions is None:
        _infer(dataset, folder, request, progress)
    else:
        _put(dataset, folder, predictions)
    found = evaluate(dataset, folder / f"{MODEL}_{name}.tsv", request.get("judge"))
    answers = {str(index): str(text) for index, text in zip(dataset.data["index"], dataset.data["prediction"], strict=True)}
    return {
        "predictions": answers,
        "scores": found.scores,
        "parsed": found.parsed,
        "entries": found.entries,
        "headline": found.headline,
        "score": found.score,
    }


def _infer(dataset: Any, folder: Path, request: Mapping[str, Any], progress: Progress) -> None:
    from vlmeval.inference import infer_data_job

    from proxy_training.vlmeval_worker.model import ProxyModel, Speaker

    adapter, settings = request["adapter"], EngineSettings(request["device"], gpus_per_probe=request["gpus_per_probe"])
    features = Path(request["features"])
    speaker = Speaker(request["proxy"], adapter and Path(adapter), Scope(request["scope"]), features, settings, request["max_new_tokens"])
    model = ProxyModel(speaker, folder / "images", request["prompts"])
    model.answer_ahead(dataset, progress)
    infer_data_job(model, str(folder), MODEL, dataset)


def _put(dataset: Any, folder: Path, predictions: Mapping[str, str]) -> None:
    from vlmeval.smp import dump

    dataset.data["prediction"] = [predictions[str(index)] for index in dataset.data["index"]]
    dump(dataset.data.drop(columns="image", errors="ignore"), str(folder / f"{MODEL}_{dataset.dataset_name}.tsv"))


def _two_questions_an_image(dataset: Any) -> None:
    counts = dataset.data.groupby(["category", "image_path"]).size()
    if odd := int((counts != 2).sum()):
        raise KitError(f"MME asks two questions of each image, and {odd} images of this table have another number: add it without --limit")
