"""MosaicML streaming itself reads what was exported for it, chooses as many rows as asked, and would have written the same bytes."""

from collections import Counter

import pytest

from probe.export import ExportOptions, Mode, find_exporter
from tests.conformance.environments import ask
from tests.conformance.small_world import PHASES

# The package imports its part on torchvision, which nothing here needs; transformers looks for torchvision when it is imported itself.
WITHOUT_TORCHVISION = """
import json, sys, types
import transformers
for name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["torchvision.datasets"].VisionDataset = type("VisionDataset", (), {})
sys.modules["torchvision.transforms.functional"].to_tensor = None
"""
ITERATE = (
    WITHOUT_TORCHVISION
    + """
sys.path.insert(0, sys.argv[1])
from mixture import images, streams
from streaming import StreamingDataset
rows = []
for phase in ("phase-1", "phase-2"):
    dataset = StreamingDataset(streams=streams(phase), batch_size=1, shuffle=True)
    assert dataset.epoch_size == sum(stream.choose for stream in dataset.streams)
    for row in dataset:
        text = "".join(message["content"] for message in row["record"]["messages"])
        shown = [list(image.size) for image in images(row)]
        rows.append([phase, row["record"]["source"], row["record"]["id"], text.count("<image>"), shown])
print()
print(json.dumps(rows))
"""
)
WRITE = (
    WITHOUT_TORCHVISION
    + """
from pathlib import Path
from probe.export.mds_shards import write_mds
from streaming import MDSWriter
columns, out = {"record": "json", "images": "bytes"}, Path(sys.argv[1])
rows = [{"record": {"id": number}, "images": bytes([number]) * number * 10} for number in range(40)]
with MDSWriter(out=str(out / "theirs"), columns=columns, size_limit=900) as writer:
    for row in rows:
        writer.write(row)
write_mds(out / "ours", columns, ({**row, "record": json.dumps(row["record"]).encode()} for row in rows), 900)
print()
print(json.dumps([{path.name: path.read_bytes().hex() for path in (out / name).iterdir()} for name in ("ours", "theirs")]))
"""
)


@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.NATIVE])
def test_an_epoch_holds_the_counts_and_every_image(mode, doc, pools, tmp_path):
    find_exporter("streaming")(doc, pools, tmp_path / "out", options=ExportOptions(mode=mode))
    rows = ask("streaming", ITERATE, tmp_path / "out")
    for number, counts in enumerate(PHASES, start=1):
        assert Counter(source for phase, source, *_ in rows if phase == f"phase-{number}") == counts
    assert all(places == len(sizes) and all(size == [4, 4] for size in sizes) for *_, places, sizes in rows)
    uses = Counter(identity for phase, source, identity, *_ in rows if (phase, source) == ("phase-1", "tiny/ocr"))
    assert sorted(uses.values()) == [4, 4, 5, 5, 5, 5, 5]


def test_shards_are_byte_for_byte_what_the_package_writes(tmp_path):
    ours, theirs = ask("streaming", WRITE, tmp_path)
    assert ours == theirs
    assert len(ours) > 3
