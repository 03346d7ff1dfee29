"""xtuner v1, `xtuner/v1/datasets/`."""

import io
import json
import random

from PIL import Image

from tests.conformance.trained_rows import TrainedRow, read_lines


def sampled(rows, ratio):
    """jsonl.py:105-130, JsonlDataset.__init__: whole copies and a random part of the rest, rounded down."""
    chosen = rows * int(ratio)
    return chosen + random.sample(rows, int(len(rows) * ratio) - len(chosen))


def conversation(record, root):
    """mllm_tokenize_fn/base_mllm_tokenize_fn.py, collect_image_video_paths_and_extra and replace_image_token."""
    turns, images = [], []
    for message in record["messages"]:
        content = message["content"]
        if isinstance(content, list):
            assert message["role"] == "user"
            for part in content:
                if part["type"] == "image_url":
                    images.append((root / part["image_url"]["url"]).read_bytes())
                    with Image.open(io.BytesIO(images[-1])) as image:
                        assert list(image.size) == part["image_url"]["image_wh"]
            content = "".join(part["text"].replace("<IMG_CONTEXT>", "<image>") for part in content if part["type"] == "text")
        turns.append((message["role"], content))
    assert sum(text.count("<image>") for _, text in turns) == len(images)
    return TrainedRow(record["source"], record["id"], tuple(turns), tuple(images))


def trained_rows(out, phase):
    """config.py, DatasetConfig with `media_root`, one data set an annotation file."""
    rows = []
    for entry in json.loads((out / f"{phase}.json").read_text()).values():
        records = sampled(read_lines(out / entry["annotation"]), entry["sample_ratio"])
        rows += [conversation(record, out / entry["media_root"]) for record in records]
    return rows
