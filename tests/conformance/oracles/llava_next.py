"""LLaVA-NeXT, `llava/train/train.py`: LazySupervisedDataset.__init__ (958-1035), preprocess_multimodal (380-395), _get_item."""

import yaml

from tests.conformance.trained_rows import of_llava, read_lines


def sliced(records, strategy):
    kind, _, number = strategy.partition(":")
    assert kind in ("all", "first")  # `random` is of an unseeded shuffle
    return records[: int(number)] if number else records


def checked(record):
    """`roles[sentence["from"]]` knows human and gpt alone; an image without a key, or a key without an image, is an error later."""
    speakers = [turn["from"] for turn in record["conversations"]]
    assert speakers == ["human", "gpt"] * (len(speakers) // 2)
    places = sum(turn["value"].count("<image>") for turn in record["conversations"])
    assert ("image" in record) == bool(places)
    return record


def trained_rows(out, phase):
    datasets = yaml.safe_load((out / f"{phase}.yaml").read_text())["datasets"]
    rows = []
    for dataset in datasets:
        assert dataset["json_path"].endswith(".jsonl")
        records = [checked(record) for record in read_lines(out / dataset["json_path"])]
        rows += [of_llava(record, out) for record in sliced(records, dataset["sampling_strategy"])]
    return rows
