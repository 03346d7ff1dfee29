"""Small tables of the seven kinds of benchmark from real images (easy-VQA), for VLMEvalKit's rules."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from probe.vlmeval.environment import eval_python
from sources.easy_vqa import ANSWERS

needs_kit = pytest.mark.skipif(eval_python() is None, reason="VLMEvalKit's environment is not here: make eval")
IMAGES = 12


class Table:
    """A TSV in the making: one line a question."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = columns
        self.lines: list[dict[str, str]] = []

    def add(self, **cells: object) -> None:
        self.lines.append({name: str(cell) for name, cell in cells.items()})

    def write(self) -> Path:
        with self.path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.columns, delimiter="\t", restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.lines)
        return self.path


def picture(number: int) -> str:
    """Return an image of one colour as base64."""
    image = Image.new("RGB", (24, 24), (10 * number, 255 - 10 * number, 90))
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def shapes() -> list[tuple[str, str, str]]:
    """Return images of the test split as base64, each with its colour and its shape."""
    from easy_vqa import get_test_image_paths, get_test_questions

    paths, found = get_test_image_paths(), dict[int, dict[str, str]]()
    for _, answer, image in zip(*get_test_questions(), strict=True):
        for kind in ("colour", "shape"):
            if answer in ANSWERS[kind]:
                found.setdefault(image, {})[kind] = answer
    known = [image for image in sorted(found) if len(found[image]) == 2][:IMAGES]
    return [(base64.b64encode(Path(paths[i]).read_bytes()).decode(), found[i]["colour"], found[i]["shape"]) for i in known]


def make_tables(folder: Path) -> dict[str, Path]:
    """Write one table a kind and return them by the name of the VLMEvalKit benchmark whose rule they use."""
    colours, forms = ANSWERS["colour"], ANSWERS["shape"]
    tables = {
        "MMStar": Table(folder / "choices.tsv", ["index", "image", "question", *"ABCD", "answer", "category"]),
        "MMBench_DEV_EN": Table(folder / "circular.tsv", ["index", "image", "question", *"ABC", "answer", "category"]),
        "POPE": Table(folder / "presence.tsv", ["index", "image", "question", "answer", "category"]),
        "TextVQA_VAL": Table(folder / "soft.tsv", ["index", "image", "question", "answer"]),
        "DocVQA_VAL": Table(folder / "documents.tsv", ["index", "image", "question", "answer"]),
        "ChartQA_TEST": Table(folder / "charts.tsv", ["index", "image", "question", "answer"]),
        "OCRBench": Table(folder / "ocr.tsv", ["index", "image", "question", "answer", "category"]),
    }
    for n, (image, colour, shape) in enumerate(shapes()):
        others = [one for one in colours if one != colour][:3]
        options = [*others[: n % 4], colour, *others[n % 4 :]]
        what = "what color is the shape?"
        tables["MMStar"].add(
            index=n, image=image, question=what, **dict(zip("ABCD", options, strict=True)), answer="ABCD"[n % 4], category="c"
        )
        for turn in range(3):
            options = [forms[(place + turn) % 3] for place in range(3)]
            cells = dict(zip("ABC", options, strict=True)) | {"answer": "ABC"[options.index(shape)]}
            index = n + 1 + turn * 1_000_000
            tables["MMBench_DEV_EN"].add(
                index=index, image=image if turn == 0 else n + 1, question="what shape is it?", **cells, category="s"
            )
        asked = forms[n % 3]
        tables["POPE"].add(
            index=n, image=image, question=f"is there a {asked}?", answer="Yes" if asked == shape else "No", category="random"
        )
        tables["TextVQA_VAL"].add(index=n, image=image, question=what, answer=[colour] * 7 + ["grey"] * 2 + ["two"])
        tables["DocVQA_VAL"].add(index=n, image=image, question="what shape is it?", answer=[shape, f"a {shape}"])
        tables["ChartQA_TEST"].add(index=n, image=image, question="how many corners?", answer=[colour, "40", "3.5%", "0"][n % 4])
        formula = n % 3 == 0
        kind = "Handwritten Mathematical Expression Recognition" if formula else "Regular Text Recognition"
        tables["OCRBench"].add(index=n, image=image, question=what, answer=["x ^ 2"] if formula else [colour], category=kind)
    return {name: table.write() for name, table in tables.items()}
