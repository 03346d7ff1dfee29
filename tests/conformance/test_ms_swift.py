"""ms-swift itself reads the export: its command line, its `FILE#N`, its loader."""

from collections import Counter

import pytest

from probe.export import ExportOptions, Mode, find_exporter
from tests.conformance.environments import ask
from tests.conformance.small_world import PHASES

READ = r"""
import dataclasses, json, os, re, sys
from collections import Counter
from swift.arguments import SftArguments
from swift.cli.main import parse_yaml_args
from swift.dataset import load_dataset
from swift.dataset.dataset_syntax import DatasetSyntax
arguments = [sys.argv[1]]
parse_yaml_args(arguments)
names = {field.name for field in dataclasses.fields(SftArguments)}
assert all(argument[2:] in names for argument in arguments if argument.startswith("--")), arguments
files = arguments[1 : arguments.index("--split_dataset_ratio")]
assert all(DatasetSyntax.parse(file).dataset_type == "path" for file in files)
train, held_out = load_dataset(files, split_dataset_ratio=0, shuffle=True, strict=True, seed=1)
assert held_out is None
found = Counter()
for row in train:
    assert sum(message["content"].count("<image>") for message in row["messages"]) == len(row["images"] or [])
    assert all(os.path.isfile(image["path"]) for image in row["images"] or [])
    found[re.search(r"in (\S+)\?", row["messages"][0]["content"]).group(1)] += 1
print(json.dumps(found))
"""


@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.NATIVE])
def test_ms_swift_loads_the_manifests_counts(doc, pools, tmp_path, mode):
    report = find_exporter("ms-swift")(doc, pools, tmp_path / "out", options=ExportOptions(mode=mode))
    for command, counts in zip(report.commands, PHASES, strict=True):
        configuration = command.split()[2]
        assert Counter(ask("ms-swift", READ, configuration, cwd=tmp_path / "out")) == Counter(counts)
