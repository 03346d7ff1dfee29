"""One model's scores by VLMEvalKit: it asks the model, scores the answers by its rules, and our rule scores the same answers beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.errors import ProbeError
from probe.vlmeval.judge import judge_for
from probe.vlmeval.known import find_known, kit_name
from probe.vlmeval.tables import write_table
from probe.vlmeval.worker import Progress, Worker
from proxy_training.jobs import EngineSettings, EvalSet, Scope
from sources.problems import SourceError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which model answers, and how: `our_prompts` asks as our own scorer does, else as VLMEvalKit's benchmark does."""

    proxy: str
    adapter: Path | None
    scope: Scope
    features: Path
    settings: EngineSettings
    max_new_tokens: int
    our_prompts: bool = False


@dataclass(frozen=True, slots=True)
class KitScores:
    """Scores by VLMEvalKit, all over the items that were asked [items]; NaN where one has none.

    `scores` are its own per item, of a circular question on its first row; `ours` are our rule's of the same answers.
    `headline` is what VLMEvalKit leads with, `headline_score` that on a scale from 0 to 1, `entries` everything that it returned.
    """

    name: str
    predictions: tuple[str, ...]
    scores: Floats
    parsed: Floats
    ours: Floats
    headline: str
    headline_score: float
    entries: tuple[Mapping[str, Any], ...]

    def agreement(self) -> tuple[int, int]:
        """Return on how many items both rules give the same score, and how many have both."""
        both = np.isfinite(self.scores) & np.isfinite(self.ours)
        return int(np.isclose(self.scores[both], self.ours[both], atol=1e-6).sum()), int(both.sum())


def kit_scores(process: Worker, folder: Path, eval_set: EvalSet, asked: Asked, progress: Progress | None = None) -> KitScores:
    """Let VLMEvalKit ask and score one model on a benchmark's items.

    Args:
        process: the running worker.
        folder: where the run's own folder is made, and removed at the end.
        eval_set: the items.
        asked: the model.
        progress: takes (what, done, of).

    Raises:
        ProbeError: it cannot be scored, or the worker ended.
        SourceError: the benchmark's table cannot be read any more.
    """
    prompts = _our_prompts(eval_set) if asked.our_prompts else None
    request = {
        "proxy": asked.proxy,
        "adapter": str(asked.adapter.absolute()) if asked.adapter else None,
        "scope": asked.scope.value,
        "features": str(asked.features.absolute()),
        "device": asked.settings.device,
        "gpus_per_probe": asked.settings.gpus_per_probe,
        "max_new_tokens": asked.max_new_tokens,
        "prompts": prompts,
    }
    return _scored(process, folder, eval_set, request, progress)


def kit_scores_of(process: Worker, folder: Path, eval_set: EvalSet, predictions: Mapping[int, str]) -> KitScores:
    """Score answers that are there, by item number, one an item; else as `kit_scores`."""
    return _scored(process, folder, eval_set, {"predictions": {eval_set.items[n].id: text for n, text in predictions.items()}}, None)


def _scored(process: Worker, folder: Path, eval_set: EvalSet, request: Mapping[str, Any], progress: Progress | None) -> KitScores:
    name = kit_name(eval_set.spec)
    judge = {"judge": asdict(judge_for(name))} if find_known(name).needs_judge else {}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=folder) as run:  # of this run alone: no result of another is ever found
        write_table(Path(run) / f"{name}.tsv", eval_set.spec, eval_set.items)
        found = process.ask("score", Path(run), {**request, "name": name, **judge}, progress)
    return _values(eval_set, name, found)


def _values(eval_set: EvalSet, name: str, found: Mapping[str, Any]) -> KitScores:
    ids = [item.id for item in eval_set.items]
    if set(found["predictions"]) != set(ids):
        raise ProbeError(f"VLMEvalKit answered for other rows of {name} than it was given; nothing of it was kept.")
    predictions = tuple(found["predictions"][one] for one in ids)
    return KitScores(
        name,
        predictions,
        np.array([found["scores"].get(one, np.nan) for one in ids]),
        np.array([float(found["parsed"][one]) for one in ids]),
        _ours(eval_set, predictions),
        found["headline"],
        float(found["score"]),
        tuple(found["entries"]),
    )


def _ours(eval_set: EvalSet, predictions: tuple[str, ...]) -> Floats:
    from sources.answer_rules.scoring import generated_scores

    rule = find_known(kit_name(eval_set.spec)).our_rule
    if not rule:
        return np.full(len(predictions), np.nan)
    try:
        spec = replace(eval_set.spec, rule=rule, scorer=None)
        return generated_scores(spec, eval_set.items, dict(enumerate(predictions)))[0].astype(np.float64)
    except SourceError:
        return np.full(len(predictions), np.nan)


def _our_prompts(eval_set: EvalSet) -> dict[str, str]:
    from proxy_training.evaluation import item_turns

    return {item.id: item_turns(eval_set.spec, item)[0].text for item in eval_set.items}
