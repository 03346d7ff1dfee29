"""InternVL, `internvl_chat/internvl/train/internvl_chat_finetune.py` and `dataset.py`."""

import json

from tests.conformance.trained_rows import TrainedRow


def loaded(meta, out):
    """internvl_chat_finetune.py:325-350, LazySupervisedDataset.__init__: a head, or whole copies."""
    assert meta["annotation"].endswith("jsonl")
    lines = (out / meta["annotation"]).read_text().splitlines()
    if meta["repeat_time"] < 1:
        lines = lines[: int(len(lines) * meta["repeat_time"])]
    if meta["repeat_time"] > 1:
        assert isinstance(meta["repeat_time"], int)
        lines = lines * meta["repeat_time"]
    return [json.loads(line) for line in lines]


def read(row, root):
    """internvl_chat_finetune.py, __getitem__ and its three readers; dataset.py, preprocess_internvl2_5: system, then in turns; images
    are looked for in human turns, and there have to be as many as paths."""
    turns = [(turn["from"], turn["value"]) for turn in row["conversations"]]
    paths = row.get("image", [])
    if paths and not isinstance(paths, list):
        paths = [paths]
        if "<image>" not in turns[0][1]:
            turns[0] = (turns[0][0], "<image>\n" + turns[0][1])
    if not paths:
        assert not row.get("video")
    spoken = turns[1:] if turns[0][0] == "system" else turns
    assert [speaker for speaker, _ in spoken] == ["human", "gpt"] * (len(spoken) // 2)
    assert sum(text.count("<image>") for speaker, text in spoken if speaker == "human") == len(paths)
    roles = {"system": "system", "human": "user", "gpt": "assistant"}
    images = tuple((root / path).read_bytes() for path in paths)
    return TrainedRow(row["source"], row["id"], tuple((roles[speaker], text) for speaker, text in turns), images)


def trained_rows(out, phase):
    """internvl_chat_finetune.py:701-760, build_datasets without resampling and packing: a ConcatDataset."""
    meta = json.loads((out / f"{phase}.json").read_text())
    return [read(row, out / entry["root"]) for entry in meta.values() for row in loaded(entry, out)]
