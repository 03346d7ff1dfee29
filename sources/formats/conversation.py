"""From a record's messages and images to a `Sample`: roles, image places and the checks that all formats share.

Where a text format has a placeholder, `<image>` in a *user* turn is one; anywhere else it is text. Placeholders and images
must be equally many. The one forgiving case is a row with images and no placeholder at all, where trainers agree that the
images come before the first question (InternVL for one image in LLaVA JSON, `internvl_chat_finetune.py`; ms-swift for any
number, `swift/template/base.py`; nanoVLM always); a format says whether it takes part (`prepend`), and the
text itself stays as it was written.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sources.problems import Problem, RowError
from sources.sample import ImageRef, Role, Sample, Turn

PLACEHOLDER = "<image>"
_KEY = re.compile(r"\s+key:.*", re.DOTALL)
_BOXES = ("<bbox>", "<ref-object>")
_ROLES = {
    "human": Role.USER,
    "user": Role.USER,
    "gpt": Role.ASSISTANT,
    "assistant": Role.ASSISTANT,
    "system": Role.SYSTEM,
}


class Place(enum.Enum):
    """A place for the next of the row's listed images."""

    NEXT = "next"


Part = str | ImageRef | Place


@dataclass(slots=True)
class Message:
    """One message before its images are numbered."""

    role: Role
    parts: list[Part] = field(default_factory=list)
    has_loss: bool = True


class Prepend(enum.Enum):
    """Which rows without any placeholder get their images before the first question."""

    ONE = "one"
    ALL = "all"


def role_of(value: Any) -> Role:
    """Return the role that a format's word stands for.

    Raises:
        RowError: an unknown one.
    """
    role = _ROLES.get(value) if isinstance(value, str) else None
    if role is None:
        raise RowError(Problem.MALFORMED, f"unknown role {str(value)[:40]!r}")
    return role


def text_of(value: Any, name: str) -> str:
    """Return a text field.

    Raises:
        RowError: null or of another type.
    """
    if not isinstance(value, str):
        raise RowError(Problem.MALFORMED, f"{name} is {'null' if value is None else type(value).__name__}, not text")
    return value


def list_of(value: Any, name: str) -> list[Any]:
    """Return a list field.

    Raises:
        RowError: null or of another type.
    """
    if not isinstance(value, list):
        raise RowError(Problem.MALFORMED, f"{name} is {'null' if value is None else type(value).__name__}, not a list")
    return value


def mapping_of(value: Any, name: str) -> Mapping[str, Any]:
    """Return an object field.

    Raises:
        RowError: null or of another type.
    """
    if not isinstance(value, dict):
        raise RowError(Problem.MALFORMED, f"{name} is {'null' if value is None else type(value).__name__}, not an object")
    return value


def split_placeholders(role: Role, text: str) -> list[Part]:
    """Return a text's parts: `<image>` is a place in a user turn and text in any other."""
    if role is not Role.USER or PLACEHOLDER not in text:
        return [text]
    parts: list[Part] = []
    for number, piece in enumerate(text.split(PLACEHOLDER)):
        parts += [Place.NEXT, piece] if number else [piece]
    return parts


def system_message(record: Mapping[str, Any]) -> list[Message]:
    """Return a record's `system` field, which ms-swift and LLaMA-Factory put before the turns, as a message; none where it is empty.

    Raises:
        RowError: it is no text.
    """
    system = record.get("system")
    return [Message(Role.SYSTEM, [text_of(system, "system")])] if system else []


def loss_of(turn: Mapping[str, Any], role: Role) -> bool:
    """Say whether a turn is marked as not to be learned; no turn but an answer is learned, so none but an answer is marked.

    `loss` and `loss_scale` are ms-swift's, `weight` is OpenAI's, `loss_weight` LLaMA-Factory's (v1).

    Raises:
        RowError: an answer that counts neither fully nor not at all, or another turn that is to be learned.
    """
    given = [(name, turn[name]) for name in ("loss", "loss_scale", "weight", "loss_weight") if turn.get(name) is not None]
    for name, value in given:
        if value not in (0, 1) or (value and role is not Role.ASSISTANT):
            raise RowError(Problem.UNSUPPORTED_LOSS, f"{name} {str(value)[:20]} of a turn of the {role.value}")
    return role is not Role.ASSISTANT or all(value for _, value in given)


def refuse_other_media(record: Mapping[str, Any]) -> None:
    """Refuse a row that holds video, audio, or a PDF without its pages as images (Docmatix' config `pdf`).

    Raises:
        RowError: `UNSUPPORTED_MODALITY`.
    """
    for name in ("video", "videos", "audio", "audios"):
        if record.get(name) not in (None, "", [], {}):
            raise RowError(Problem.UNSUPPORTED_MODALITY, name)
    if (record.get("pdf") or record.get("pdfs")) and not (record.get("images") or record.get("image")):
        cure = "take the data set's config with page images (`images` of Docmatix), or make an image of each page"
        raise RowError(Problem.UNSUPPORTED_MODALITY, f"pages as PDF: {cure}")


def refuse_unwritten_boxes(record: Mapping[str, Any], messages: Iterable[Message]) -> None:
    """Refuse a row of ms-swift whose text leaves places for the boxes of its `objects`: each model has its own way to write them.

    Raises:
        RowError: `UNSUPPORTED_MODALITY`.
    """
    texts = (part for message in messages for part in message.parts if isinstance(part, str))
    if record.get("objects") and any(place in text for text in texts for place in _BOXES):
        raise RowError(Problem.UNSUPPORTED_MODALITY, "boxes of `objects`: write them into the text as the model that you train writes them")


def row_id(value: Any, number: int) -> str:
    """Return the record's own id, or its number where it has none."""
    return _storable(str(value)) if isinstance(value, (str, int)) and value != "" else str(number)


def named_subsource(record: Mapping[str, Any]) -> str | None:
    """Return what a record says it is from (`channel` of ms-swift, `source`, `data_source`); None where it names no part of the source.

    A URL is no part, and a key is left out: Docmatix writes `PDFA key: 244` in each row's texts.
    """
    names = (record.get(name) for name in ("channel", "source", "data_source"))
    return next((_KEY.sub("", name) for name in names if isinstance(name, str) and name and "://" not in name), None)


def first_folder(images: Sequence[ImageRef], none: str = "text") -> str:
    """Return the first component of the first image's path: what mixed sources such as LLaVA-665k are mixed from."""
    if not images:
        return none
    parts = [part for part in (images[0].path or "").split("/") if part != "."]
    return parts[0] if len(parts) > 1 else ""


def build_sample(
    id_: str, messages: Sequence[Message], listed: Sequence[ImageRef], prepend: Prepend, subsource: str | None = None
) -> Sample:
    """Number the images, check the row, and return it.

    `subsource=None` takes the first image's folder.

    Raises:
        RowError: no answer, roles out of order, places and images not equally many, or text that UTF-8 cannot hold.
    """
    _check_roles(messages)
    _place_unplaced(messages, listed, prepend)
    images, turns = _number_images(messages, listed)
    _check_text(turns)
    name = first_folder(images) if subsource is None else subsource
    return Sample(id_, tuple(images), tuple(turns), _storable(name))


def _storable(name: str) -> str:
    # A name is shown and stored, where half a surrogate pair or a NUL would stop a run; it is no part of what is learned.
    return name.encode("utf-8", "replace").decode().replace("\0", "?")


def _check_roles(messages: Sequence[Message]) -> None:
    spoken = [message for message in messages if message.role is not Role.SYSTEM]
    answers = [message for message in spoken if message.role is Role.ASSISTANT]
    if not any(isinstance(part, str) and part.strip() for message in answers for part in message.parts):
        raise RowError(Problem.NO_ANSWER, "every answer is empty" if answers else "no assistant turn")
    if not any(message.has_loss for message in answers):
        raise RowError(Problem.NO_ANSWER, "no answer is to be learned")
    if any(message.role is Role.SYSTEM for message in messages[1:]):
        raise RowError(Problem.ROLE_ORDER, "a system turn after the first turn")
    expected = [Role.USER, Role.ASSISTANT] * len(spoken)
    for number, (message, role) in enumerate(zip(spoken, expected, strict=False)):
        if message.role is not role:
            raise RowError(Problem.ROLE_ORDER, f"turn {number} is {message.role.value}, not {role.value}")
    if spoken[-1].role is Role.USER:
        raise RowError(Problem.NO_ANSWER, "the last question has no answer")


def _place_unplaced(messages: Sequence[Message], listed: Sequence[ImageRef], prepend: Prepend) -> None:
    places = sum(part is Place.NEXT for message in messages for part in message.parts)
    inline = sum(isinstance(part, ImageRef) for message in messages for part in message.parts)
    if places == len(listed):
        return
    if places or inline or (prepend is Prepend.ONE and len(listed) != 1):
        raise RowError(Problem.PLACEHOLDER_MISMATCH, f"{places} places for {len(listed)} images")
    question = next(message for message in messages if message.role is Role.USER)
    question.parts[:0] = [Place.NEXT] * len(listed)


def _number_images(messages: Sequence[Message], listed: Sequence[ImageRef]) -> tuple[list[ImageRef], list[Turn]]:
    images: list[ImageRef] = []
    remaining = iter(listed)
    turns = []
    for message in messages:
        parts: list[str | int] = []
        for part in message.parts:
            if isinstance(part, str):
                _append_text(parts, part)
                continue
            if message.role is not Role.USER:
                raise RowError(Problem.PLACEHOLDER_MISMATCH, f"an image stands in the {message.role.value}'s turn")
            parts.append(len(images))
            images.append(next(remaining) if isinstance(part, Place) else part)
        turns.append(Turn(message.role, tuple(parts), message.has_loss))
    return images, turns


def _append_text(parts: list[str | int], text: str) -> None:
    last = parts[-1] if parts else None
    if isinstance(last, str):
        parts[-1] = last + text
    elif text:
        parts.append(text)


def _check_text(turns: Iterable[Turn]) -> None:
    for turn in turns:
        try:
            turn.text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RowError(Problem.BAD_ENCODING, "half of a surrogate pair") from error
