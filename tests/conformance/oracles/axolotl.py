"""Axolotl 0.19, `src/axolotl/`; the files are really read with `datasets`, which it reads them with."""

import yaml

from tests.conformance.trained_rows import TrainedRow


def concatenated(config, out):
    """utils/data/shared.py, _load_from_local_path: the split with its slice; merge_datasets: concatenated, whatever is listed twice."""
    from datasets import concatenate_datasets, load_dataset

    loaded = []
    for entry in config["datasets"]:
        assert (entry["ds_type"], entry["type"]) == ("parquet", "chat_template")
        path = str(out / entry["path"])
        loaded.append(load_dataset("parquet", data_files=path, split=entry["split"], cache_dir=str(out.parent / "cache")))
    return concatenate_datasets(loaded)


def without_none(value):
    """utils/dict.py, remove_none_values."""
    if isinstance(value, dict):
        return {key: without_none(inner) for key, inner in value.items() if inner is not None}
    return [without_none(inner) for inner in value] if isinstance(value, list) else value


def shown(example, out):
    """processing_strategies.py, ProcessingStrategy.__call__: no `images` column, so messages go to the chat template as they are."""
    assert "images" not in example
    assert "image" not in example
    turns, images = [], []
    for message in without_none(example["messages"]):
        text = []
        for part in message["content"]:
            assert set(part) == ({"type", "path"} if part["type"] == "image" else {"type", "text"})
            text.append("<image>" if part["type"] == "image" else part["text"])
            images += [(out / part["path"]).read_bytes()] if part["type"] == "image" else []
        turns.append((message["role"], "".join(text)))
    return TrainedRow(example["source"], example["id"], tuple(turns), tuple(images))


def trained_rows(out, phase):
    config = yaml.safe_load((out / f"{phase}.yaml").read_text())
    assert config["skip_prepare_dataset"] is True
    assert config["dataset_exact_deduplication"] is config["sample_packing"] is config["remove_unused_columns"] is False
    return [shown(example, out) for example in concatenated(config, out)]
