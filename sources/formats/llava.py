r"""LLaVA JSON: one array, or one object a line. Defined by `LLaVA/docs/Finetune_Custom_Data.md` and `llava/train/train.py`.

    {"id": "000000033471", "image": "coco/train2017/000000033471.jpg",
     "conversations": [{"from": "human", "value": "<image>\nWhat are the colors of the bus in the image?"},
                       {"from": "gpt", "value": "White and red"}]}

    {"id": "sa_544212", "image": "sam/images/sa_544212.jpg", "conversations": [...]}                    ShareGPT4V
    {"id": "allava_laion_inst_0", "image": "allava_laion/images/100277305.jpeg", "conversations": ...}  ALLaVA
    {"id": "x", "image": ["dreamsim/ref.jpg", "dreamsim/left.jpg"], "conversations": ...}               M4-Instruct
    {"id": "wNBg1PA_0", "model": "", "conversations": ...}                                              text, as in LLaVA-665k
    [[{"image": "a.jpg", "conversations": ...}, {"image": ["b.jpg"], ...}], [...]]                      Qwen-VL, packed

Rows without an image (`image` absent, null, "" or []) are text and as good as any other. `<image>` counts in human turns
only; a row with one image and no placeholder has it before the first question, any other difference in number is a
mismatch. Each record of a packed list is a row of its own: packing is the trainer's matter. An absolute path counts as
relative where it lies below the image root. The sub-source is `source` or `data_source` where the record has one, else the
first folder of the first image, or "text". Text-only rows of LLaMA-Factory look the same, so `system` is read as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sources.formats.conversation import (
    Message,
    Prepend,
    build_sample,
    list_of,
    loss_of,
    mapping_of,
    named_subsource,
    refuse_other_media,
    role_of,
    row_id,
    split_placeholders,
    system_message,
    text_of,
)
from sources.formats.files import below_root, image_root, json_files
from sources.formats.json_records import JsonRecords, first_records
from sources.formats.record_rows import RecordRows
from sources.problems import Problem, RowError
from sources.reader import Rows
from sources.sample import ImageRef, Sample
from sources.spec import SourceSpec


class LlavaReader:
    """Reads LLaVA JSON and JSON lines."""

    name = "llava"
    version = 3
    options: tuple[str, ...] = ()

    def sniff(self, path: Path) -> bool:
        """Say whether the first records have `conversations`."""
        files = json_files(path)
        return bool(files) and all(any(isinstance(record.get("conversations"), list) for record in first_records(file)) for file in files)

    def files(self, path: Path) -> list[Path]:
        """Return the file, or what a folder holds of this format."""
        return json_files(path)

    def open(self, spec: SourceSpec) -> Rows:
        """Open the file, or all JSON files of the folder.

        Raises:
            SourceError: no such file, or no records in it.
        """
        root = image_root(spec)
        records = JsonRecords(json_files(Path(spec.path)) or [Path(spec.path)])
        return RecordRows(records, lambda record, number: read_record(record, number, root))


def read_record(record: Mapping[str, Any], number: int, root: str) -> Sample:
    """Return one LLaVA record as a sample.

    Raises:
        RowError: it cannot be used.
    """
    refuse_other_media(record)
    messages = system_message(record) + read_conversations(record.get("conversations"))
    return build_sample(row_id(record.get("id"), number), messages, _images(record, root), Prepend.ONE, named_subsource(record))


def read_conversations(value: Any) -> list[Message]:
    """Return `[{"from": ..., "value": ...}]` as messages.

    Raises:
        RowError: a field is missing or of the wrong type.
    """
    messages = []
    for turn in list_of(value, "conversations"):
        turn = mapping_of(turn, "a turn")
        role = role_of(turn.get("from", turn.get("role")))
        text = text_of(turn.get("value", turn.get("content")), "a turn's value")
        messages.append(Message(role, split_placeholders(role, text), loss_of(turn, role)))
    return messages


def _images(record: Mapping[str, Any], root: str) -> list[ImageRef]:
    value = record.get("image") or record.get("images")
    if not value:
        return []
    paths = value if isinstance(value, list) else [value]
    if not all(isinstance(path, str) and path for path in paths):
        raise RowError(Problem.MALFORMED, "image is neither a path nor a list of paths")
    return [ImageRef(path=below_root(path, root), root=root) for path in paths]
