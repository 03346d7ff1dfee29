r"""Chat JSON: messages with roles, as JSON lines or one array.

    {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"},
                                               {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR..."}}]},
                  {"role": "assistant", "content": "A cat."}]}                                    OpenAI
    {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]}, ...],
     "images": ["a.jpg"]}                                                                         HF, TRL
    {"messages": [{"role": "user", "content": [{"type": "image_url", "value": "a.jpg"}, {"type": "text", "value": "What is this?"}],
                   "loss_weight": 0.0}, ...]}                                                     LLaMA-Factory v1
    {"messages": [{"role": "user", "content": "<image>What is this?"}, ...], "images": ["a.jpg"]} ms-swift, LLaMA-Factory
    {"query": "<image>What is this?", "response": "A cat.", "images": ["data:image/png;base64,..."]} ms-swift
    {"conversations": [{"from": "human", "value": "<image>What is this?"}, ...], "images": [...]} LLaMA-Factory sharegpt
    {"instruction": "<image>What is this?", "input": "", "output": "A cat.", "images": [...]}     alpaca

Defined by OpenAI's chat API, `ms-swift/docs/.../Custom-dataset.md` and `LLaMA-Factory/data/README.md`. A string's `<image>`
in a user turn is a place; inside a content part text is text. No place at all: every listed image comes before the first
question; too few or too many: a mismatch. An image is a path, a data URL, or an object with `bytes`, `path` or `url`; a URL of
the web is refused, an absolute path counts as relative where it lies below the image root. Keys that Arrow added as null are
ignored. The sub-source is `channel`, `source` or `data_source`, else the first image's folder, else "text". A message with
`loss` false (ms-swift), `weight` 0 (OpenAI) or `loss_weight` 0 (LLaMA-Factory v1) is not learned. A row that leaves the writing
of boxes to the trainer (`<bbox>` and `objects` of ms-swift) is unsupported.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sources.formats.conversation import (
    Message,
    Part,
    Place,
    Prepend,
    build_sample,
    list_of,
    loss_of,
    mapping_of,
    named_subsource,
    refuse_other_media,
    refuse_unwritten_boxes,
    role_of,
    row_id,
    split_placeholders,
    system_message,
    text_of,
)
from sources.formats.files import below_root, image_root, json_files
from sources.formats.json_records import JsonRecords, first_records
from sources.formats.llava import read_conversations
from sources.formats.record_rows import RecordRows
from sources.images import IMAGE_POLICY
from sources.problems import Problem, RowError
from sources.reader import Rows
from sources.sample import ImageRef, Role, Sample
from sources.spec import SourceSpec

_PAIRS = (("instruction", "output"), ("query", "response"))


class ChatReader:
    """Reads chat JSON and JSON lines of OpenAI, TRL, ms-swift and LLaMA-Factory."""

    name = "chat"
    version = 3
    options: tuple[str, ...] = ()

    def sniff(self, path: Path) -> bool:
        """Say whether the first records have `messages`, `conversations` with `images`, or a question and its answer."""
        files = json_files(path)
        return bool(files) and all(any(_is_chat(record) for record in first_records(file)) for file in files)

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
    """Return one chat record as a sample. Bytes may stand where a path may, as they do in parquet.

    Raises:
        RowError: it cannot be used.
    """
    refuse_other_media(record)
    messages = _messages(record, root)
    refuse_unwritten_boxes(record, messages)
    return build_sample(row_id(record.get("id"), number), messages, listed_images(record, root), Prepend.ALL, named_subsource(record))


def listed_images(record: Mapping[str, Any], root: str) -> list[ImageRef]:
    """Return the images that a record lists beside its messages.

    Raises:
        RowError: an entry is no image.
    """
    value = record.get("images") or record.get("image")
    if not value:
        return []
    return [image_ref(entry, root) for entry in (value if isinstance(value, list) else [value])]


def image_ref(value: Any, root: str) -> ImageRef:
    """Return a path, a data URL, bytes, or a `{"bytes", "path"}` or `{"url"}` object as a reference.

    Raises:
        RowError: it is none of these, or the URL's base64 is broken.
    """
    if isinstance(value, dict):
        data = value.get("bytes")
        if data is not None and not isinstance(data, bytes):
            raise RowError(Problem.MALFORMED, "an image's bytes are text")
        value = data if data is not None else value.get("path") or value.get("url")
        if value is None:
            raise RowError(Problem.MISSING_IMAGE, "neither bytes nor a path")
    if isinstance(value, bytes):
        return ImageRef(data=value)
    if not isinstance(value, str) or not value:
        raise RowError(Problem.MALFORMED, f"an image is {type(value).__name__}, not a path")
    return ImageRef(data=_data_url(value)) if value[:5].lower() == "data:" else ImageRef(path=below_root(value, root), root=root)


def _is_chat(record: Mapping[str, Any]) -> bool:
    if isinstance(record.get("messages"), list):
        return True
    listed = "images" in record and isinstance(record.get("conversations"), list)
    return listed or any(asked in record and answered in record for asked, answered in _PAIRS)


def _messages(record: Mapping[str, Any], root: str) -> list[Message]:
    messages = system_message(record)
    if record.get("messages") is not None:
        turns = (mapping_of(turn, "a message") for turn in list_of(record["messages"], "messages"))
        return messages + [_message(turn, root) for turn in turns]
    if record.get("conversations") is not None:
        return messages + read_conversations(record["conversations"])
    answered = next((name for _, name in _PAIRS if record.get(name) is not None), None)
    if answered:
        return messages + _pairs(record, answered)
    raise RowError(Problem.MALFORMED, "neither messages nor conversations nor output nor response")


def _message(turn: Mapping[str, Any], root: str) -> Message:
    role = role_of(turn.get("role"))
    content = turn.get("content")
    parts = split_placeholders(role, content) if isinstance(content, str) else [_part(part, root) for part in list_of(content, "content")]
    return Message(role, parts, loss_of(turn, role))


def _part(value: Any, root: str) -> Part:
    if isinstance(value, str):
        return value
    part = {key: entry for key, entry in mapping_of(value, "a content part").items() if entry is not None}
    kind = part.get("type")
    if kind == "text":
        return text_of(part.get("text", part.get("value")), "a text part")
    if kind == "image_url":
        return image_ref(part.get("image_url", part.get("url", part.get("value"))), root)
    if kind == "image":
        inline = next((part[key] for key in ("image", "url", "path", "value") if key in part), None)
        return Place.NEXT if inline is None else image_ref(inline, root)
    if isinstance(kind, str) and kind.startswith(("video", "audio", "input_audio")):
        raise RowError(Problem.UNSUPPORTED_MODALITY, kind)
    raise RowError(Problem.MALFORMED, f"unknown content part {str(kind)[:40]!r}")


def _pairs(record: Mapping[str, Any], answered: str) -> list[Message]:
    pairs = [list_of(pair, "a pair of history") for pair in list_of(record.get("history") or [], "history")]
    if any(len(pair) != 2 for pair in pairs):
        raise RowError(Problem.MALFORMED, "history is not a list of pairs")
    names = ("instruction", "input") if answered == "output" else ("query",)
    asked = [text_of(record.get(name) or "", name) for name in names]
    pairs.append(["\n".join(text for text in asked if text), record[answered]])
    texts = [(role, text_of(text, role.value)) for pair in pairs for role, text in zip((Role.USER, Role.ASSISTANT), pair, strict=True)]
    return [Message(role, split_placeholders(role, text)) for role, text in texts]


def _data_url(url: str) -> bytes:
    # https://www.rfc-editor.org/rfc/rfc2397
    head, comma, body = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise RowError(Problem.UNDECODABLE_IMAGE, "a data URL that is not base64")
    if len(body) > IMAGE_POLICY.max_file_bytes * 4 // 3 + 4:
        raise RowError(Problem.IMAGE_TOO_LARGE, f"a data URL of {len(body)} characters")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RowError(Problem.UNDECODABLE_IMAGE, f"a data URL with broken base64: {error}") from error
