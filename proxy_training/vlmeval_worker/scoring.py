"""Scores by VLMEvalKit's rules: what it wrote of each item, which answers it could read, and its headline on a scale from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy_training.vlmeval_worker.kit import KitError
from proxy_training.vlmeval_worker.scales import headline

Judge = Mapping[str, str]  # `url`, `model`, `key` of an OpenAI-compatible endpoint


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out, by row index as text. A circular question's score stands at its first row; `scores` is empty where none is kept."""

    scores: dict[str, float]
    parsed: dict[str, bool]
    entries: list[dict[str, Any]]
    headline: str
    score: float


def evaluate(dataset: Any, predictions: Path, judge: Judge | None = None) -> Evaluation:
    """Score a table of predictions that VLMEvalKit wrote.

    Raises:
        KitError: the table cannot be scored by this benchmark's rule, or the judge does not answer.
    """
    from vlmeval.dataset.utils import vqa_eval

    hits = list[list[float]]()
    calculate = vqa_eval.hit_calculate

    def remember(*args: Any, **options: Any) -> list[float]:  # the score of each row stands nowhere else for every rule
        hits.append([float(hit) for hit in calculate(*args, **options)])
        return hits[-1]

    vqa_eval.hit_calculate = remember
    try:
        found = dataset.evaluate(str(predictions), **_options(judge))
    except (KeyError, IndexError, ValueError, TypeError, AssertionError, SyntaxError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise KitError(
            f"VLMEvalKit cannot score these rows as {dataset.dataset_name} ({why}); see that the table has its columns"
        ) from error
    finally:
        vqa_eval.hit_calculate = calculate
    rows = _rows(predictions)
    entries = _entries(found)
    name, score = headline(dataset.dataset_name, entries, len(rows))
    scores = {} if judge else _item_scores(dataset, predictions, rows, hits)
    return Evaluation(scores, _parsed(dataset, rows), entries, name, score)


def _options(judge: Judge | None) -> dict[str, Any]:
    """Return how `evaluate` is called; a judge's name is fixed, because VLMEvalKit makes file names of it."""
    if judge is None:
        return {"model": "exact_matching"}
    import os

    from vlmeval.dataset.utils import build_judge

    os.environ["LOCAL_LLM"] = judge["model"]
    url = judge["url"].rstrip("/")
    url = url if url.endswith("/chat/completions") else f"{url}/chat/completions"
    options = {"model": "judge", "api_base": url, "key": judge["key"], "retry": 3, "wait": 1}
    if not build_judge(**options, max_tokens=8).working():
        raise KitError(
            f"the judge at {judge['url']} does not answer as an OpenAI-compatible endpoint with {judge['model']}: mend PROBE_JUDGE_*"
        )
    return options


def _rows(table: Path) -> list[dict[str, Any]]:
    from vlmeval.smp import load

    rows: list[dict[str, Any]] = load(str(table)).to_dict("records")
    return rows


def _entries(found: Any) -> list[dict[str, Any]]:
    records = found.to_dict("records") if hasattr(found, "to_dict") else [found]
    return [{str(name): _plain(value) for name, value in record.items()} for record in records]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, (int, float, str, bool, list)) or value is None else str(value)


def _item_scores(dataset: Any, predictions: Path, rows: Sequence[Mapping[str, Any]], hits: Sequence[Sequence[float]]) -> dict[str, float]:
    """Return the score of each row, as the kind of benchmark keeps it."""
    if type(dataset).__name__ == "OCRBench":
        return _one_by_one(dataset, predictions, rows)
    if whole := [each for each in hits if len(each) == len(rows)]:
        return {str(row["index"]): hit for row, hit in zip(rows, whole[-1], strict=True)}
    kept = {"MCQ": ("_exact_matching_result", "hit"), "Y/N": ("_auxmatch", "score")}.get(dataset.TYPE)
    if kept is None:
        return {}
    table = predictions.with_name(f"{predictions.stem}{kept[0]}{predictions.suffix}")
    return {str(row["index"]): float(row[kept[1]]) for row in _rows(table)}


def _one_by_one(dataset: Any, predictions: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Score each row by itself: OCRBench keeps counts alone."""
    import pandas
    from vlmeval.smp import dump

    alone, found = predictions.with_name("one-row.tsv"), {}
    for row in rows:
        dump(pandas.DataFrame([row]), str(alone))
        found[str(row["index"])] = float(dataset.evaluate(str(alone))["Final Score"])
    return found


def _parsed(dataset: Any, rows: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Say of each row whether its answer could be read: as a choice, as yes or no, or as any text at all."""
    from vlmeval.dataset import utils
    from vlmeval.dataset.utils import yorn

    def written(row: Mapping[str, Any]) -> bool:
        return bool(str(row["prediction"]).strip())

    readers: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        "MCQ": lambda row: utils.prefetch_answer(dict(row)) not in (False, "Z") if isinstance(row.get("A"), str) else written(row),
        "Y/N": lambda row: yorn.YOrN_Extraction(str(row["prediction"])) != "Unknown",
    }
    reader = readers.get(dataset.TYPE, written)
    return {str(row["index"]): bool(reader(row)) for row in rows}
