"""Open-Instruct, `open_instruct/dataset_transformation.py`."""

import random
import re

from tests.conformance.trained_rows import TrainedRow, read_lines


def new_range(number, size):
    """Lines 2334-2370, get_cached_dataset_tulu_with_statistics: a share where there is a decimal point, else a count."""
    return int(float(number) * size) if "." in number else int(number)


def selected(rows, wanted):
    """DatasetConfig.select_samples: whole copies, and a seeded draw of what is left."""
    copies, rest = divmod(wanted, len(rows))
    return rows * copies + random.Random(42).sample(rows, rest)


def trained_rows(out, phase):
    command = next(line for line in (out / "README.md").read_text().splitlines() if f"--output_dir output/{phase}" in line)
    assert "--dataset_mixer_list_splits train " in command
    words = re.search(r"--dataset_mixer_list (.*?) --", command).group(1).split()
    rows = []
    for name, number in zip(words[::2], words[1::2], strict=True):
        assert name.endswith(".jsonl")
        records = read_lines(out / name)
        for record in selected(records, new_range(number, len(records))):
            turns = tuple((message["role"], message["content"]) for message in record["messages"])
            rows.append(TrainedRow(record["source"], record["id"], turns, ()))
    return rows
