"""VILA: `llava/data/builder.py:30-150`, `llava/data/dataset_impl/llava.py:66-113`, LLaVANextDataset."""

import yaml

from tests.conformance.trained_rows import of_llava, read_lines


def processed(record, root):
    """LLaVANextDataset.process: `image` is iterated, every `<image>` takes the next one, and none may be left."""
    left = list(record.get("image", []))
    assert all((root / path).is_file() for path in left)
    for turn in record["conversations"]:
        for _ in range(turn["value"].count("<image>")):
            left.pop(0)
    assert not left
    return of_llava(record, root)


def trained_rows(out, phase):
    registry = yaml.safe_load((out / "vila_datasets.yaml").read_text())
    entry = registry[f"probe-{phase}"]
    assert entry["_target_"] == "llava.data.LLaVANextDataset"
    assert entry["resample_on_failure"] is False
    return [processed(record, out / entry["media_dir"]) for record in read_lines(out / entry["data_path"])]
