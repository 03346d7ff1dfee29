"""LLaMA-Factory 0.9.5, `src/llamafactory/data/`."""

import json
import random

from tests.conformance.trained_rows import of_messages, read_lines


def attributes(info, name):
    """parser.py, DatasetAttr and get_dataset_list: what is given is set, what is not becomes None."""
    entry = info[name]
    found = {"messages": "conversations", "role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}
    found |= {"images": None, "system": None, "tools": None, "system_tag": "system"}
    found |= {key: entry.get(key, default) for key, default in (("formatting", "alpaca"), ("num_samples", None), ("ranking", False))}
    if "columns" in entry:
        found |= {column: entry["columns"].get(column) for column in ("messages", "images", "system", "tools", "videos", "audios")}
    if "tags" in entry:
        tags = ("role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag")
        found |= {tag: entry["tags"].get(tag) for tag in tags}
    return found


def sampled(rows, wanted):
    """loader.py, _load_single_dataset: a permutation of the rows, and beyond them a draw with replacement."""
    order = random.sample(rows, len(rows))[:wanted]
    return order + random.choices(rows, k=max(0, wanted - len(rows)))


def checked(found, record, media_dir):
    """converter.py, SharegptDatasetConverter and _find_medias; mm_plugin.py, _validate_messages."""
    messages = record[found["messages"]]
    if messages and messages[0][found["role_tag"]] == found["system_tag"]:
        messages = messages[1:]
    for turn, message in enumerate(messages):
        assert message[found["role_tag"]] == found["assistant_tag" if turn % 2 else "user_tag"], "Invalid role tag"
    assert len(messages) % 2 == 0, "Invalid message count"
    images = record[found["images"]] or []
    assert all((media_dir / image).is_file() for image in images), "does not exist in media_dir"
    text = "".join(message[found["content_tag"]] for message in messages)
    assert text.count("<image>") == len(images), "The number of images does not match the number of <image> tokens"
    assert text.count("<video>") == text.count("<audio>") == 0
    return record


def trained_rows(out, phase):
    fragment = dict(line.split(": ", 1) for line in (out / f"train-{phase}.yaml").read_text().splitlines())
    assert (fragment["mix_strategy"], fragment["dataset_dir"], fragment["media_dir"]) == ("concat", ".", ".")
    info = json.loads((out / "dataset_info.json").read_text())
    rows = []
    for name in fragment["dataset"].split(","):
        found = attributes(info, name)
        assert found["formatting"] == "sharegpt"
        records = [checked(found, record, out) for record in read_lines(out / info[name]["file_name"])]
        rows += [of_messages(record, out) for record in sampled(records, found["num_samples"])]
    return rows
