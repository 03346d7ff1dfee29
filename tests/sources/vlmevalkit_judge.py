"""Score generated answers with the real VLMEvalKit: run by the interpreter that has it, JSON lines in and out.

in    {"kind": "vqa", "rows": [{"index": "1", "question": "...", "answer": "...", "prediction": "..."}, ...]}
out   {"scores": [0.3, ...], "overall": 0.3}          `overall` where `evaluate` is asked for, scaled to 0..1
"""

import json
import os
import sys
import tempfile
from pathlib import Path

FOLDER = tempfile.mkdtemp()
os.environ.update(LMUData=FOLDER, PRED_FORMAT="tsv", EVAL_FORMAT="csv")
OUT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the package prints must not mix with scores

import torch  # noqa: E402

try:
    import torchvision  # noqa: F401
except RuntimeError:  # built for CUDA: the operators that its import looks for are declared, and never called here
    LIBRARY = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for module in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[module]

import pandas as pd  # noqa: E402
from vlmeval.dataset.image_mcq import ImageMCQDataset  # noqa: E402
from vlmeval.dataset.image_vqa import ImageVQADataset, OCRBench  # noqa: E402
from vlmeval.dataset.image_yorn import ImageYORNDataset  # noqa: E402
from vlmeval.dataset.utils import vqa_eval  # noqa: E402
from vlmeval.dataset.utils.multiple_choice import prefetch_answer, prefetch_circular_group  # noqa: E402
from vlmeval.dataset.utils.yorn import YOrN_Extraction  # noqa: E402

VQA = {"vqa": ("TextVQA_VAL", "vqa_score"), "anls": ("DocVQA_VAL", "anls"), "relaxed": ("ChartQA_TEST", "relaxed_accuracy")}
VQA["exact-match"] = ("OCRVQA_TEST", "accuracy")
MCQ = {"multiple-choice": "AI2D_TEST", "circular": "MMBench_DEV_EN"}


def by_functions(kind, rows):
    """Return each row's score by the package's own functions; of circular rows, one score of the group."""
    if kind in VQA:
        dataset, method = VQA[kind]
        return [float(x) for x in vqa_eval.hit_calculate([vqa_eval.process_line(row, method) for row in rows], dataset)]
    if kind == "yes-no":
        return [float(YOrN_Extraction(row["prediction"]) == row["answer"]) for row in rows]
    if kind == "multiple-choice":
        return [float(prefetch_answer(row) == row["answer"]) for row in rows]
    if kind == "circular":
        found = prefetch_circular_group(pd.DataFrame([{**row, "GT": row["answer"]} for row in rows]))
        return [float(found["hit"] if found else 0)]
    return [_ocrbench([row]) for row in rows]


def _ocrbench(rows):
    path = Path(FOLDER) / "ocr.pkl"
    pd.DataFrame(rows).to_pickle(path)
    return OCRBench.evaluate(str(path))["Final Score"] / len(rows)


def by_evaluate(kind, rows):
    """Return each item's score and the mean, by the data class's `evaluate` on a prediction file."""
    folder = Path(tempfile.mkdtemp(dir=FOLDER))
    path = folder / "predictions.tsv"
    frame = pd.DataFrame(rows)
    frame.to_csv(path, sep="\t", index=False)
    if kind in VQA:
        table = _dataset(ImageVQADataset, VQA[kind][0]).evaluate(str(path))
        results = [json.loads(x.replace("True", "1").replace("False", "0")) for x in _read(folder, "_results")["eval_match"]]
        return vqa_eval.hit_calculate([{"match": match} for match in results], VQA[kind][0]), table["Overall"][0] / 100
    if kind == "yes-no":
        table = _dataset(ImageYORNDataset, "POPE").evaluate(str(path), model="exact_matching")
        return _read(folder, "_auxmatch")["score"].astype(float).tolist(), table["acc"][0] / 100
    if kind in MCQ:
        dataset = _dataset(ImageMCQDataset, MCQ[kind])
        dataset.data = pd.read_csv(path, sep="\t")
        table = dataset.evaluate(str(path), model="exact_matching")
        hits = _read(folder, "_exact_matching_result").set_index("index")["hit"]
        return [float(hits[index]) for index in sorted(hits.index)], table["Overall"][0]
    return by_functions(kind, rows), OCRBench.evaluate(str(path))["Final Score"] / len(rows)


def _dataset(kind, name):
    made = object.__new__(kind)  # without its download
    made.dataset_name = name
    return made


def _read(folder, suffix):
    return pd.read_csv(folder / f"predictions{suffix}.tsv", sep="\t")


for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("evaluate"):
        scores, overall = by_evaluate(asked["kind"], asked["rows"])
        told = {"scores": [float(score) for score in scores], "overall": float(overall)}
    else:
        told = {"scores": by_functions(asked["kind"], asked["rows"])}
    OUT.write(json.dumps(told) + "\n")
    OUT.flush()
