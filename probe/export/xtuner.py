"""`xtuner`: an annotation list a phase for xtuner v1, over OpenAI-style records as JSON Lines, and the function that reads it.

    OUT/phase-1.json          {"colour": {"annotation": "phase-1/colour.jsonl", "media_root": ".", "sample_ratio": 1.0}}
    OUT/phase-1/colour.jsonl  {"messages": [{"role": "user", "content": [
                                 {"type": "image_url", "image_url": {"url": "images/3f/3f0c....jpg", "image_wh": [640, 480]}},
                                 {"type": "text", "text": "<IMG_CONTEXT>\\nWhat is this?"}]}, ...]}
    OUT/mixture.py            dataset_config("phase-1", TOKENIZE_FN) for `DataloaderConfig(dataset_config_list=...)`

Format: `docs/en/get_started/mllm_sft.md`; `xtuner/v1/datasets/config.py`, `DatasetConfig`; `jsonl.py`, `JsonlDataset.__init__`:
`int(rows * sample_ratio)` rows, whole copies first and a random part of the rest. `mllm_tokenize_fn/base_mllm_tokenize_fn.py`: images of
users' turns only, in order, the k-th `<IMG_CONTEXT>` for the k-th; their sizes are needed where rows are packed.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from probe.export.conversation import IMAGE_PLACE, StoreImage, conversation_record
from probe.export.exporter import Exporter, Part, Work, Written, phase_files
from probe.export.phase_commands import chained
from probe.export.ratios import ratio
from probe.export.readable import literal, readable_by
from sources.images import image_facts
from sources.sample import ImageRef, Sample

PLACE = "<IMG_CONTEXT>"
OWN_PLACES = (PLACE, "<VIDEO_CONTEXT>", "XTUNER-ALIAS-ALIAS-XTUNER-2025")
NOTES = (
    "In your training script TRAIN.py give `DataloaderConfig` the list `dataset_config(os.environ['PHASE'], TOKENIZE_FN)` of `mixture.py`,",
    "where TOKENIZE_FN is the tokenising configuration of your model, and `TrainerConfig` `load_from=os.environ['MODEL']`, `epoch_num=1`",
    "and `work_dir=os.environ['WORK_DIR']`; then run the commands in this folder, one phase after the other. Of a later phase the model is",
    "the checkpoint that xtuner saved for Hugging Face, somewhere below the folder as written. xtuner leaves out rows that it cannot",
    "tokenise and trains on a made-up one where an image fails: both are in its log.",
)
SCRIPT = '''"""The phases of this folder as xtuner's data sets: from mixture import dataset_config."""

import json
from pathlib import Path

from xtuner.v1.datasets.config import DatasetConfig

FOLDER = Path(__file__).resolve().parent


def dataset_config(phase, tokenize_fn):
    """Return the `dataset_config_list` of a phase, "phase-1" and so on."""
    entries = json.loads((FOLDER / f"{phase}.json").read_text(encoding="utf-8"))
    return [{"dataset": _dataset(name, entry), "tokenize_fn": tokenize_fn} for name, entry in entries.items()]


def _dataset(name, entry):
    return DatasetConfig(
        name=name,
        anno_path=str(FOLDER / entry["annotation"]),
        media_root=str(FOLDER / entry["media_root"]),
        sample_ratio=entry["sample_ratio"],
        class_name="VLMJsonlDataset",
    )
'''


def write(work: Work) -> Written:
    """Write an annotation list a phase, the function that reads it, and one file of records a phase and source."""
    for phase, parts in work.phases.items():
        for part in parts:
            work.write_records(f"{phase}/{part.name}.jsonl", part.rows, partial(openai_record, root=work.folder))
        entries = {part.name: _entry(phase, part) for part in parts}
        (work.folder / f"{phase}.json").write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    (work.folder / "mixture.py").write_text(SCRIPT, encoding="utf-8")
    files = (*(f"{phase}.json" for phase in work.phases), "mixture.py", *phase_files(work.phases))
    return Written(files, chained(work.phases, _command))


def openai_record(sample: Sample, source: str, store_image: StoreImage, root: Path) -> dict[str, Any]:
    """Return a sample as a record; users' turns that show images are lists of parts, all others are strings."""
    chat = conversation_record(sample, source, store_image)
    images = iter(chat["images"])
    messages = [{"role": message["role"], "content": _content(message, images, root)} for message in chat["messages"]]
    return {"id": chat["id"], "messages": messages, "source": source}


def _content(message: dict[str, str], images: Any, root: Path) -> str | list[dict[str, Any]]:
    text = message["content"]
    shown = [next(images) for _ in range(text.count(IMAGE_PLACE))] if message["role"] == "user" else []
    if not shown:
        return text
    return [*(_image(path, root) for path in shown), {"type": "text", "text": text.replace(IMAGE_PLACE, PLACE)}]


def _image(path: str, root: Path) -> dict[str, Any]:
    facts = image_facts(ImageRef(path=path, root=str(root)))
    return {"type": "image_url", "image_url": {"url": path, "image_wh": [facts.width, facts.height]}}


def _entry(phase: str, part: Part) -> dict[str, Any]:
    return {"annotation": f"{phase}/{part.name}.jsonl", "media_root": ".", "sample_ratio": ratio(part.wanted, len(part.rows))}


def _command(phase: str, model: str) -> str:
    return f"PHASE={phase} MODEL={model} WORK_DIR=output/{phase} PYTHONPATH=. torchrun --nproc-per-node=GPUS TRAIN.py"


export = Exporter("xtuner", write, NOTES, unreadable=readable_by(literal(OWN_PLACES)))
