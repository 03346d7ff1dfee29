"""Megatron-Energon 7.4.1, without it: `metadataset/metadataset_v2.py`, `wrappers/repeat_dataset.py`, `flavors/webdataset/`."""

import json
import re
import tarfile

import yaml

from tests.conformance.trained_rows import TrainedRow


def crude_samples(folder):
    """itar_reader.py, by the index beside each shard; config.py, split_name_re: a key ends at the first dot of a member's name."""
    split = yaml.safe_load((folder / ".nv-meta" / "split.yaml").read_text())["split_parts"]["train"]
    counts = json.loads((folder / ".nv-meta" / ".info.json").read_text())["shard_counts"]
    for shard in split:
        samples = {}
        with tarfile.open(folder / shard) as tar:
            for member in tar:
                key, field = re.fullmatch(r"((?:.*/|)[^.]+)[.]([^/]*)", member.name).groups()
                samples.setdefault(key, {})[field] = tar.extractfile(member).read()
        assert len(samples) == counts[shard] == (folder / f"{shard}.idx").stat().st_size // 8 - 1
        yield from samples.values()


def trained_rows(out, phase):
    """metadataset_v2.py, MetadatasetBlendEpochized; structs.py, DatasetSubset.compute_subset with absolute ends."""
    metadataset = yaml.safe_load((out / f"{phase}.yaml").read_text())
    assert (metadataset["__module__"], metadataset["__class__"]) == ("megatron.energon", "MetadatasetV2")
    rows = []
    for entry in metadataset["splits"]["train"]["blend_epochized"]:
        samples = list(crude_samples(out / entry["path"]))
        start, end = entry.get("subset", {"range": [0, len(samples)]})["range"]
        assert 0 <= start < end <= len(samples)
        assert isinstance(entry["repetitions"], int)
        rows += [_row(sample) for sample in samples[start:end]] * entry["repetitions"]
    return rows


def _row(sample):
    record = json.loads(sample["json"])
    turns = tuple((message["role"], message["content"]) for message in record["messages"])
    images = tuple(sample[name] for name in record["images"])
    assert sum(text.count("<image>") for _, text in turns) == len(images)
    return TrainedRow(record["source"], record["id"], turns, images)
