"""TRL itself reads the export, and trains on it."""

import re
from collections import Counter

import pytest
from PIL import Image

from probe.export import ExportOptions, Mode, find_exporter
from tests.conformance.environments import ask
from tests.conformance.small_world import PHASES, manifest_for, open_pools, write_source

HERE = "--use_cpu --bf16 false"  # a machine without a GPU

READ = r"""
import json, re, sys
from collections import Counter
from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments, SFTConfig, TrlParser, get_dataset
from trl.data_utils import prepare_multimodal_messages
parser = TrlParser((ScriptArguments, SFTConfig, ModelConfig, DatasetMixtureConfig))
*_, mixture = parser.parse_args_and_config(sys.argv[1].split(), fail_with_unknown_args=True)
found = Counter()
for row in get_dataset(mixture)["train"]:
    messages = prepare_multimodal_messages(row["messages"], images=row["images"])
    assert all(part["type"] != "image" or part["image"].size == (4, 4) for message in messages for part in message["content"])
    text = "".join(part["text"] for message in messages for part in message["content"] if part["type"] == "text")
    found[re.search(r"in (\S+)\?", text).group(1)] += 1
print(json.dumps(found))
"""

TRAIN = r"""
import json, sys
from trl.scripts.sft import main, make_parser
script, training, model, mixture = make_parser().parse_args_and_config(sys.argv[1].split(), fail_with_unknown_args=True)
main(script, training, model, mixture)
print(json.dumps(json.load(open("output/phase-1/checkpoint-4/trainer_state.json"))["log_history"]))
"""


@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.NATIVE])
def test_trl_concatenates_the_manifests_counts(doc, pools, tmp_path, mode):
    report = find_exporter("trl")(doc, pools, tmp_path / "out", options=ExportOptions(mode=mode))
    for command, counts in zip(report.commands, PHASES, strict=True):
        arguments = re.sub("output/", f"{tmp_path}/", command.removeprefix("trl sft "))
        assert Counter(ask("trl", READ, f"{arguments} {HERE}", cwd=tmp_path / "out")) == Counter(counts)


@pytest.mark.slow
def test_trl_trains_on_it(tmp_path):
    from tests.proxy_training.tiny_models import build

    pools = open_pools([write_source(tmp_path, "mid/chart", 6), write_source(tmp_path, "text/chat", 4)])
    for file in (tmp_path / "mid-chart" / "img").iterdir():
        Image.new("RGB", (32, 32), "red").save(file)
    report = find_exporter("trl")(manifest_for(pools, ({"mid/chart": 10, "text/chat": 6},)), pools, tmp_path / "out")
    build("idefics3", tmp_path / "model")
    command = report.commands[0].removeprefix("trl sft ").replace("MODEL", str(tmp_path / "model"))
    rest = "--per_device_train_batch_size 4 --save_steps 4 --logging_steps 1 --max_length 512 --report_to none"
    history = ask("trl", TRAIN, f"{command} {rest} {HERE}", cwd=tmp_path / "out")
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert len(losses) == 4  # 16 rows in batches of 4
    assert all(0 < loss < 20 for loss in losses)
