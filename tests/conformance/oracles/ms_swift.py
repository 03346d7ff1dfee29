"""ms-swift 4.6.0: `swift/dataset/dataset_syntax.py`, DatasetSyntax.parse, and `swift/dataset/utils.py:18`, sample_dataset."""

import random

import yaml

from tests.conformance.trained_rows import of_messages, read_lines


def sampled(rows, wanted):
    """Whole copies, and for the rest a random part."""
    wanted = len(rows) if wanted is None else wanted
    return rows * (wanted // len(rows)) + random.sample(rows, wanted % len(rows))


def trained_rows(out, phase):
    config = yaml.safe_load((out / f"train-{phase}.yaml").read_text())
    assert (config["split_dataset_ratio"], config["strict"]) == (0, True)
    rows = []
    for name in config["dataset"]:
        path, _, count = name.rpartition("#") if "#" in name else (name, "", "")
        rows += [of_messages(record, out) for record in sampled(read_lines(out / path), int(count) if count else None)]
    return rows
