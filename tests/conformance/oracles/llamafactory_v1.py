"""LLaMA-Factory 0.9.5, `src/llamafactory/v1/core/data_engine.py`, _build_data_index: without `size` and `weight`, every row once."""

import yaml

from tests.conformance.trained_rows import TrainedRow, read_lines


def row(record, root):
    turns, images = [], []
    for message in record["messages"]:
        assert message["loss_weight"] == float(message["role"] == "assistant")
        images += [(root / part["value"]).read_bytes() for part in message["content"] if part["type"] == "image_url"]
        turns.append((message["role"], "".join(part["value"] if part["type"] == "text" else "<image>" for part in message["content"])))
    return TrainedRow(record["source"], record["id"], tuple(turns), tuple(images))


def trained_rows(out, phase):
    infos = yaml.safe_load((out / f"data-{phase}.yaml").read_text())
    assert all(set(info) == {"path", "source"} for info in infos.values())
    return [row(record, out) for info in infos.values() for record in read_lines(out / info["path"])]
