"""Which of a benchmark's numbers is its headline, and what it is divided by to lie between 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proxy_training.vlmeval_worker.kit import KitError

MME = {
    "perception": ("OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position", "posters", "scene"),
    "reasoning": ("code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation"),
}
MME_FULL = 200.0  # a category: 100 for its questions, 100 for its images with both right; 2,800 in all
# start of a benchmark's name -> the row that holds its headline (None: the only one), its entries (several: their mean), their full mark
_HEADLINES: tuple[tuple[str, str | None, tuple[str, ...], float], ...] = (
    ("HallusionBench", "Overall", ("aAcc", "fAcc", "qAcc"), 100.0),
    ("POPE", "Overall", ("Overall",), 100.0),
    ("AMBER", None, ("Avg ACC",), 100.0),
    ("VSR-zeroshot", None, ("acc",), 100.0),
    ("COCO_VAL", None, ("CIDEr",), 1000.0),
    ("MathVista", "Overall", ("acc",), 100.0),
    ("MathVision", "Overall", ("acc",), 100.0),
    ("MathVerse", "Overall", ("Overall",), 100.0),
    ("MMVet", "Overall", ("acc",), 100.0),
    ("LogicVista", "Overall", ("acc",), 100.0),
    ("LLaVABench", "overall", ("Relative Score (main)",), 100.0),
)
_PERCENT = ("TextVQA", "ChartQA", "OCRVQA", "GQA", "DocVQA", "InfoVQA", "VizWiz")


def headline(name: str, entries: Sequence[Mapping[str, Any]], rows: int) -> tuple[str, float]:
    """Return what a benchmark's headline is called and its value from 0 to 1.

    Args:
        name: the benchmark's name in VLMEvalKit.
        entries: the table, or the one mapping, that its `evaluate` returned.
        rows: how many rows were scored.

    Raises:
        KitError: the headline is not among the entries.
    """
    if name == "MME":
        return _mme(entries[0])
    if name.startswith("OCRBench"):  # 1,000 questions published, one point each
        return "Final Score", float(entries[0]["Final Score"]) / rows
    if name.startswith(_PERCENT):
        return "Overall", _mean(entries, None, ("Overall",)) / 100
    for start, row, columns, full in _HEADLINES:
        if name.startswith(start):
            return " ".join(columns), _mean(entries, row, columns) / full
    return "Overall", _mean(entries[-1:] if name.startswith("MMT-Bench") else entries, None, ("Overall",))


def _mme(entries: Mapping[str, Any]) -> tuple[str, float]:
    present = sum(category in entries for categories in MME.values() for category in categories)
    if not present:
        raise KitError("none of MME's 14 categories is in the column `category`: MME has no score without them")
    return "perception + reasoning", (float(entries["perception"]) + float(entries["reasoning"])) / (MME_FULL * present)


def _mean(entries: Sequence[Mapping[str, Any]], row: str | None, columns: Sequence[str]) -> float:
    """Return the mean of the columns, over the row that is named so in any of its cells, or over all rows (splits)."""
    chosen = [entry for entry in entries if row is None or row in entry.values()]
    try:
        values = [float(entry[column]) for entry in chosen for column in columns]
    except (KeyError, TypeError, ValueError) as error:
        raise KitError(f"VLMEvalKit's result has no {' '.join(columns)}: it is another version than was tested") from error
    if not values:
        raise KitError(f"VLMEvalKit's result has no row {row}: it is another version than was tested")
    return sum(values) / len(values)
