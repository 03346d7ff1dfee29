"""NeMo Automodel 0.7, `nemo_automodel/components/datasets/vlm/datasets.py`."""

import json
import math
import random
import re

from tests.conformance.trained_rows import TrainedRow, read_lines


def sampled(rows, ratio):
    """Lines 1305-1316, _load_one_dataset: a seeded sample, or whole copies and a seeded sample of the broken part."""
    if ratio < 1.0:
        return random.Random(42).sample(rows, max(1, math.floor(len(rows) * ratio)))
    copies = int(ratio)
    extra = math.floor(len(rows) * (ratio - copies))
    return rows * copies + (random.Random(42).sample(rows, extra) if ratio > 1.0 and extra else [])


def conversation(record, columns, tags, root):
    """Lines 727-843, convert_sharegpt_to_conversation: places in users' turns only, however they are capitalised; texts are stripped."""
    paths, turns, shown = list(record[columns["images"]]), [], []
    for message in record[columns["messages"]]:
        role = {tags["user_tag"]: "user", tags["assistant_tag"]: "assistant", tags["system_tag"]: "system"}[message[tags["role_tag"]]]
        text = message[tags["content_tag"]]
        if role == "user":
            pieces = []
            for piece in re.split("(<image>|<video>)", text, flags=re.IGNORECASE):
                if piece.lower() == "<image>":
                    shown.append(paths[len(shown)])
                    pieces.append("<image>")
                else:
                    assert piece.lower() != "<video>"
                    pieces.append(f" {piece.strip()} ")
            text = "".join(pieces)
        turns.append((role, text))
    assert len(shown) == len(paths)
    return TrainedRow(record["source"], record["id"], tuple(turns), tuple((root / path).read_bytes() for path in shown))


def trained_rows(out, phase):
    """Lines 1185-1420, make_meta_dataset without sharding; `file_name` is relative to the meta file, `media_dir` to the working folder."""
    rows = []
    for entry in json.loads((out / f"{phase}.json").read_text()).values():
        records = sampled(read_lines(out / entry["file_name"]), entry["sample_ratio"])
        rows += [conversation(record, entry["columns"], entry["tags"], out / entry["media_dir"]) for record in records]
    return rows
