"""The normal form that every format is read into: ordered images, ordered turns, and where each image stands.

    Sample(
        id="000000033471",
        images=(ImageRef(path="coco/train2017/000000033471.jpg", root="/data"),),
        turns=(
            Turn(Role.USER, (0, "\\nWhat are the colors of the bus?")),     # 0 is "image 0 stands here"
            Turn(Role.ASSISTANT, ("White and red",)),
        ),
        subsource="coco",
    )

Text is text: a literal `<image>` in an answer is three characters more of answer and never a placeholder.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from sources.canonical import hash_bytes, plain_hash


class Role(enum.StrEnum):
    """Who speaks a turn."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where one image's bytes are: a file below an image root, or bytes that the record carried.

    Exactly one of `path` and `data` is set. Only `sources.images.load_image` opens it.
    """

    path: str | None = None  # relative to `root`, as written in the record
    root: str | None = None
    data: bytes | None = field(default=None, repr=False)

    def identity(self) -> str:
        """Return what tells this image from others in its source: its path, or the hash of its bytes."""
        return self.path if self.path is not None else hash_bytes(self.data or b"")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: text parts and image places (an `int` is an index into the sample's images), in order.

    An answer without loss is read as context and not learned.
    """

    role: Role
    parts: tuple[str | int, ...]
    has_loss: bool = True

    @property
    def text(self) -> str:
        """The turn's text without its images."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def image_places(self) -> tuple[int, ...]:
        """The images that stand in this turn, in order."""
        return tuple(part for part in self.parts if isinstance(part, int))


@dataclass(frozen=True, slots=True)
class Sample:
    """One conversation about zero or more images."""

    id: str
    images: tuple[ImageRef, ...]
    turns: tuple[Turn, ...]
    subsource: str = ""

    def text_digest(self) -> str:
        """Return the hash of roles, texts, image places and losses: the part of a row's identity that is not pixels."""
        return plain_hash([[turn.role.value, list(turn.parts), *([] if turn.has_loss else [False])] for turn in self.turns])

    def group(self) -> str:
        """Return the key under which rows share images: the first image, or the row's own text where there is none."""
        return self.images[0].identity() if self.images else "text:" + self.text_digest()
