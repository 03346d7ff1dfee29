"""TRL 1.16.0: `trl/scripts/utils.py:305-340`, get_dataset; `trl/data_utils.py:74-120`, prepare_multimodal_messages."""

import pyarrow.parquet as pq
import yaml

from tests.conformance.trained_rows import TrainedRow


def row(record, root):
    places = [part for message in record["messages"] for part in message["content"] if part["type"] == "image"]
    assert len(places) == len(record["images"])
    turns = tuple(
        (message["role"], "".join(part["text"] if part["type"] == "text" else "<image>" for part in message["content"]))
        for message in record["messages"]
    )
    images = tuple(image["bytes"] or (root / image["path"]).read_bytes() for image in record["images"])
    return TrainedRow(record["source"], record["id"], turns, images)


def trained_rows(out, phase):
    rows = []
    for dataset in yaml.safe_load((out / f"train-{phase}.yaml").read_text())["datasets"]:
        assert "fraction" not in dataset
        head = dataset["split"].removeprefix("train").strip("[:]")
        records = pq.read_table(out / dataset["data_files"]).to_pylist()
        rows += [row(record, out) for record in records[: int(head) if head else None]]
    return rows
