"""The export through an oracle of LLaMA-Factory's own reading."""

import json
import re

import pytest
from PIL import Image

from probe.export import find_exporter
from probe.export.llamafactory import _file_names
from probe.manifest.example import example_manifest
from sources.images import IMAGE_POLICY
from sources.sampling import SourcePool
from sources.spec import SourceSpec

PHASES = ({"a/web": 30, "b/chat": 10}, {"a/web": 5, "b/chat": 35})


def oracle_attributes(info, name):
    """LLaMA-Factory src/llamafactory/data/parser.py, DatasetAttr and get_dataset_list: what is given is set, what is not becomes None."""
    entry = info[name]
    attributes = {"messages": "conversations", "role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}
    attributes |= {"images": None, "system": None, "tools": None, "system_tag": "system"}
    attributes |= {key: entry.get(key, default) for key, default in (("formatting", "alpaca"), ("num_samples", None), ("ranking", False))}
    if "columns" in entry:
        attributes |= {column: entry["columns"].get(column) for column in ("messages", "images", "system", "tools", "videos", "audios")}
    if "tags" in entry:
        tags = ("role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag")
        attributes |= {tag: entry["tags"].get(tag) for tag in tags}
    return attributes


def oracle_example(attributes, record, media_dir):
    """Same project: converter.py, SharegptDatasetConverter and _find_medias; mm_plugin.py, _validate_messages."""
    messages = record[attributes["messages"]]
    if messages and messages[0][attributes["role_tag"]] == attributes["system_tag"]:
        messages = messages[1:]
    for turn, message in enumerate(messages):
        assert message[attributes["role_tag"]] == attributes["assistant_tag" if turn % 2 else "user_tag"], "Invalid role tag"
    assert len(messages) % 2 == 0, "Invalid message count"
    images = record[attributes["images"]] or []
    assert all((media_dir / image).is_file() for image in images), "does not exist in media_dir"
    text = "".join(message[attributes["content_tag"]] for message in messages)
    assert text.count("<image>") == len(images), "The number of images does not match the number of <image> tokens"
    assert text.count("<video>") == text.count("<audio>") == 0
    return messages, images


@pytest.fixture
def exported(tmp_path):
    specs = []
    for slug, size in (("a/web", 12), ("b/chat", 8)):
        folder = tmp_path / slug
        folder.mkdir(parents=True)
        rows = []
        for number in range(size):
            Image.new("RGB", (3, 3), (number, 0, 0)).save(folder / f"{number}.png")
            system = [{"role": "system", "content": "Be brief."}] if number % 2 else []
            question = {"role": "user", "content": f"Is <image> like {number}?" if number % 3 else "No image?"}
            answer = {"role": "assistant", "content": "A literal <image>!" if number == 5 else "Yes."}
            rows.append(
                {"id": f"{slug}:{number}", "messages": [*system, question, answer], "images": [f"{number}.png"] if number % 3 else []}
            )
        (folder / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        specs.append(SourceSpec(slug, "chat", str(folder / "d.jsonl"), str(folder)))
    pools = {spec.slug: SourcePool.open(spec) for spec in specs}
    doc = example_manifest(PHASES, {s: p.usable for s, p in pools.items()}, {s: p.fingerprint for s, p in pools.items()}, IMAGE_POLICY)
    out = tmp_path / "out"
    return out, find_exporter("llamafactory")(doc, pools, out)


def test_every_phase_is_what_llamafactory_would_train_on(exported):
    out, report = exported
    info = json.loads((out / "dataset_info.json").read_text())
    for number, counts in enumerate(PHASES, start=1):
        fragment = dict(line.split(": ", 1) for line in (out / f"train-phase-{number}.yaml").read_text().splitlines())
        assert (fragment["mix_strategy"], fragment["dataset_dir"], fragment["media_dir"]) == ("concat", ".", ".")
        realised = {}
        for name in fragment["dataset"].split(","):
            attributes = oracle_attributes(info, name)
            assert attributes["formatting"] == "sharegpt"
            lines = (out / info[name]["file_name"]).read_text().splitlines()
            assert attributes["num_samples"] == len(lines)  # loader.py: num_samples of as many rows is a permutation
            for line in lines:
                record = json.loads(line)
                oracle_example(attributes, record, out)
                realised[record["source"]] = realised.get(record["source"], 0) + 1
        assert realised == counts
    assert sum(sum(reasons.values()) for reasons in report.excluded.values()) == 2


def test_the_first_row_of_a_file_has_an_image_when_any_has(exported):
    out, _ = exported
    for file in out.rglob("*.jsonl"):
        assert json.loads(file.read_text().splitlines()[0])["images"]


def test_files_hold_no_machine_path_and_commands_run_phases_in_order(exported):
    out, report = exported
    for file in out.rglob("*"):
        if file.suffix in (".json", ".jsonl", ".yaml", ".md"):
            assert str(out.parent) not in file.read_text()
    assert [re.search(r"train-phase-\d", command).group() for command in report.commands] == ["train-phase-1", "train-phase-2"]
    assert "adapter_name_or_path=output/phase-1" in report.commands[1]


def test_data_set_names_are_safe_and_distinct():
    names = _file_names({"a/b", "a_b", "A/B", "x,y", "../z", "ü"})
    assert len({name.lower() for name in names.values()}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) and not name.startswith(".") for name in names.values())
