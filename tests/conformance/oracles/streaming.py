"""MosaicML streaming 0.13, without it: `streaming/base/format/mds/reader.py` and `encodings.py`, `base/stream.py`, `base/sampling.py`."""

import json
import random
import struct
from itertools import pairwise

from tests.conformance.trained_rows import TrainedRow


def samples(folder):
    """mds/reader.py, MDSReader.get_sample_data and decode_sample."""
    for shard in json.loads((folder / "index.json").read_text())["shards"]:
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"]
        number = struct.unpack_from("<I", data)[0]
        assert number == shard["samples"]
        offsets = struct.unpack_from(f"<{number + 1}I", data, 4)
        for begin, end in pairwise(offsets):
            names = shard["column_names"]
            sizes = struct.unpack_from(f"<{len(names)}I", data, begin)
            at, sample = begin + 4 * len(names), {}
            for name, size in zip(names, sizes, strict=True):
                sample[name], at = data[at : at + size], at + size
            assert at == end
            yield sample


def chosen(rows, choose):
    """base/sampling.py, get_sampling: whole copies, and some of the rows once more."""
    copies, rest = divmod(choose, len(rows))
    return rows * copies + random.Random(0).sample(rows, rest)


def row(sample):
    record = json.loads(sample["record"])
    images, at = [], 0
    for size in record["images"]:
        images.append(sample["images"][at : at + size])
        at += size
    assert at == len(sample["images"])
    turns = tuple((message["role"], message["content"]) for message in record["messages"])
    assert sum(text.count("<image>") for _, text in turns) == len(images)
    return TrainedRow(record["source"], record["id"], turns, tuple(images))


def trained_rows(out, phase):
    """base/stream.py, Stream.apply_weights with absolute `choose`."""
    entries = json.loads((out / "phases.json").read_text())[phase]
    return [row(sample) for entry in entries for sample in chosen(list(samples(out / entry["local"])), entry["choose"])]
