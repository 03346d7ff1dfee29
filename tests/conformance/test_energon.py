"""Megatron-Energon itself reads what was exported for it: its parser, its loader with several workers' shares, its own index."""

import json
from collections import Counter

import pytest

from probe.export import ExportOptions, Mode, find_exporter
from probe.export.energon_shards import write_energon
from tests.conformance.environments import ask
from tests.conformance.small_world import PHASES

PARSE = """
import json, sys
from megatron.energon.metadataset.loader import load_config
from megatron.energon.epathlib import EPath
from megatron.energon import MetadatasetV2
path = EPath(sys.argv[1])
config = load_config(path, default_type=MetadatasetV2, default_kwargs={"path": path})
config.post_initialize()
found = config.traverse(split_part="train")
print(json.dumps([str(type(config).__name__), sorted(str(reference.path) for reference in found)]))
"""
ITERATE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from cooker import DECODER, cook_conversation
from megatron.energon import Cooker, DefaultTaskEncoder, WorkerConfig, get_loader, get_train_dataset

class Encoder(DefaultTaskEncoder):
    cookers = [Cooker(cook_conversation)]
    decoder = DECODER
    def batch(self, samples):
        return samples
    def encode_batch(self, batch):
        return batch

rows = []
for phase in ("phase-1", "phase-2"):
    for rank in range(int(sys.argv[2])):
        config = WorkerConfig(rank=rank, world_size=int(sys.argv[2]), num_workers=0)
        dataset = get_train_dataset(
            f"{sys.argv[1]}/{phase}.yaml", worker_config=config, batch_size=1, repeat=False, task_encoder=Encoder(),
            shuffle_buffer_size=None, max_samples_per_sequence=None,
        )
        for batch in get_loader(dataset):
            for sample in batch:
                text = "".join(message["content"] for message in sample.messages)
                rows.append([phase, sample.source, text.count("<image>"), [list(image.size) for image in sample.images]])
print(json.dumps(rows))
"""
PREPARE = """
import json, sys, pathlib, sqlite3
from megatron.energon.cli.main import main
meta = pathlib.Path(sys.argv[1]) / ".nv-meta"
def facts():
    files = {path.name: path.read_text() for path in meta.iterdir() if path.name in ("dataset.yaml", "split.yaml", ".info.json")}
    offsets = {path.name: path.read_bytes().hex() for path in sorted(meta.parent.glob("*.idx"))}
    database = sqlite3.connect(meta / "index.sqlite")
    tables = [database.execute(f"select * from {name} order by 1, 2, 3, 4").fetchall() for name in ("samples", "sample_parts")]
    indexes = sorted(row[0] for row in database.execute("select name from sqlite_master where type = 'index'"))
    database.close()
    return json.loads(json.dumps([files, offsets, tables, indexes]))
ours = facts()
for path in [*meta.iterdir(), *meta.parent.glob("*.idx")]:
    path.unlink()
command = ["prepare", str(meta.parent), "--non-interactive", "--split-ratio", "1,0,0", "--num-workers", "1"]
main(command + ["--sample-type", "CrudeWebdataset", "--no-progress"], standalone_mode=False)
print()
print(json.dumps([ours, facts()]))
"""


@pytest.fixture(scope="module", params=[Mode.EXACT, Mode.NATIVE])
def out(request, doc, pools, tmp_path_factory):
    out = tmp_path_factory.mktemp("energon") / "out"
    find_exporter("energon")(doc, pools, out, options=ExportOptions(mode=request.param))
    return out


def test_the_metadataset_is_parsed_and_every_data_set_of_it_found(out):
    kind, paths = ask("energon", PARSE, out / "phase-1.yaml")
    assert kind == "MetadatasetV2"
    assert {path.rpartition("/")[2] for path in paths} == {"big_web", "mid_chart", "tiny_ocr", "text_chat"}


@pytest.mark.parametrize("ranks", [1, 3])
def test_an_epoch_holds_the_counts_whoever_shares_it(out, ranks):
    rows = ask("energon", ITERATE, out, ranks)
    for number, counts in enumerate(PHASES, start=1):
        assert Counter(source for phase, source, _, _ in rows if phase == f"phase-{number}") == counts
    assert all(places == len(sizes) and all(size == [4, 4] for size in sizes) for _, _, places, sizes in rows)
    assert {places for _, _, places, _ in rows} == {0, 1, 2}


def test_our_index_is_the_one_that_energon_prepares(tmp_path):
    images = [[(f"{place}.bin", b"x" * 700) for place in range(number % 3)] for number in range(29)]
    samples = [[("json", json.dumps({"n": "x" * number}).encode()), *shown] for number, shown in enumerate(images)]
    write_energon(tmp_path / "shards", samples, shard_bytes=10_000)
    assert len(list((tmp_path / "shards").glob("*.tar"))) > 2
    ours, theirs = ask("energon", PREPARE, tmp_path / "shards")
    assert ours[1:] == theirs[1:]
    assert ours[0][".info.json"] == theirs[0][".info.json"]
    assert ours[0]["dataset.yaml"] == theirs[0]["dataset.yaml"]
