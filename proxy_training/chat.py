"""Turns to token ids and a label mask, without torch: chat template, image places, and which tokens carry loss.

Text from a data file is never trusted: where it contains the spelling of a special token (`<image>`, an end-of-turn mark),
it is tokenised apart with special tokens switched off, so that it stays ordinary text. All other rows are tokenised as one
string, exactly as the model's own processor does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sources.sample import Role, Turn

# Private-use marks say where a text part stands in the rendered template; the vertical tabs around them survive only if
# the template does not trim its texts.
_SLOT = re.compile("\x0b?\ue000(\\d+)\ue001(\x0b?)")


@dataclass(frozen=True, slots=True)
class Encoded:
    """One conversation: `input_ids` [tokens] int32 and `is_label` [tokens], true on learned assistant text and its end token.

    The first `both_ways` tokens see each other in both directions (a prefix-LM's prompt); 0 where all attention is causal.
    """

    input_ids: NDArray[np.int32]
    is_label: NDArray[np.bool_]
    both_ways: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a rendered conversation: a text of the data, or of the template (`is_skeleton`)."""

    text: str
    is_skeleton: bool
    is_answer: bool


class ChatEncoder:
    """The tokenizer and chat template of one model folder."""

    def __init__(self, folder: Path, image_token: str = "<image>") -> None:
        self.folder = folder
        self.image_token = image_token
        self._skeletons: dict[tuple[Any, ...], tuple[str, ...]] = {}

    @cached_property
    def tokenizer(self) -> Any:
        """Return the folder's `tokenizers.Tokenizer`."""
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    @cached_property
    def _special(self) -> re.Pattern[str]:
        texts = [token.content for token in self.tokenizer.get_added_tokens_decoder().values()]
        return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or "(?!)")

    def image_token_id(self) -> int:
        """Return the id whose places in `input_ids` take image features."""
        return int(self.tokenizer.token_to_id(self.image_token))

    def encode(self, turns: Sequence[Turn], expansions: Sequence[str]) -> Encoded:
        """Encode a conversation.

        Args:
            turns: the turns; an `int` part i is where image i stands.
            expansions: for each image, the text that the processor puts in its place (with its image tokens).

        Raises:
            ValueError: the template put fewer or more image marks than the turns have images.
        """
        pieces = self._pieces(turns, expansions)
        if any(not piece.is_skeleton and self.spells_special(piece.text) for piece in pieces):
            return self._encode_apart(pieces)
        return self._encode_whole(pieces)

    def encode_prompt(self, turns: Sequence[Turn], expansions: Sequence[str]) -> Encoded:
        """Encode a conversation up to where the assistant is to answer, as the template opens an answer.

        No answer is looked at: its first letters may share a token with what stands before, and would be told.

        Raises:
            ValueError: as `encode`.
        """
        pieces = self._pieces(turns, expansions, opened=True)
        if any(not piece.is_skeleton and self.spells_special(piece.text) for piece in pieces):
            return self._encode_apart(pieces)
        return self._encode_whole(pieces)

    def spells_special(self, text: str) -> bool:
        """Say whether a text holds the spelling of a special token."""
        return self._special.search(text) is not None

    def _pieces(self, turns: Sequence[Turn], expansions: Sequence[str], opened: bool = False) -> list[Piece]:
        skeleton = self._skeleton(turns, opened)
        texts = [(part, turn.role is Role.ASSISTANT and turn.has_loss) for turn in turns for part in turn.parts if isinstance(part, str)]
        places = [place for turn in turns for place in turn.image_places]
        pieces, used = [], 0
        for i, piece in enumerate(skeleton):
            if i % 3 == 1:
                text, is_answer = texts[int(piece)]
                pieces.append(Piece(text if skeleton[i + 1] else text.strip(), False, is_answer))
            if i % 3:
                continue
            chunks = piece.split(self.image_token)
            filled = chunks[0]
            for chunk in chunks[1:]:
                filled += expansions[places[used]] + chunk if used < len(places) else self.image_token + chunk
                used += 1
            pieces.append(Piece(filled, True, False))
        if used != len(places):
            raise ValueError(f"the chat template of {self.folder.name} made {used} image places for {len(places)} images")
        return pieces

    def _skeleton(self, turns: Sequence[Turn], opened: bool) -> tuple[str, ...]:
        """Return the rendered template split at text slots: template text, slot number, mark of an untrimmed slot, and again."""
        shape = (opened, *((turn.role, tuple(isinstance(part, str) for part in turn.parts)) for turn in turns))
        if shape not in self._skeletons:
            slots = iter(range(sum(isinstance(part, str) for turn in turns for part in turn.parts)))
            messages = [
                {
                    "role": turn.role.value,
                    "content": [
                        {"type": "text", "text": f"\x0b\ue000{next(slots)}\ue001\x0b"} if isinstance(part, str) else {"type": "image"}
                        for part in turn.parts
                    ],
                }
                for turn in turns
            ]
            self._skeletons[shape] = tuple(_SLOT.split(self._render(messages, opened)))
        return self._skeletons[shape]

    def _render(self, messages: list[dict[str, Any]], opened: bool) -> str:
        return str(self._template.render(messages=messages, add_generation_prompt=opened, **self._special_names))

    @cached_property
    def _template(self) -> Any:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        # The same environment as transformers': templates come with model folders and are not trusted either.
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        environment.filters["tojson"] = lambda x, **kw: json.dumps(x, ensure_ascii=False, **kw)
        return environment.from_string(self._template_text())

    def _template_text(self) -> str:
        for name in ("chat_template.jinja", "chat_template.json", "processor_config.json", "tokenizer_config.json"):
            path = self.folder / name
            if path.is_file():
                text = path.read_text("utf-8")
                template = text if name.endswith(".jinja") else json.loads(text).get("chat_template")
                if template:
                    return str(template)
        raise ValueError(f"{self.folder} has no chat template (looked for chat_template.jinja and chat_template.json)")

    @cached_property
    def _special_names(self) -> dict[str, str]:
        path = self.folder / "tokenizer_config.json"
        config = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        names = ("bos_token", "eos_token", "pad_token", "unk_token")
        return {n: v["content"] if isinstance(v, dict) else v for n in names if (v := config.get(n)) is not None}

    def adds_special(self, text: str) -> bool:
        """Say whether the tokenizer puts its own tokens around a rendered text: not where the template began with them already."""
        begin = self._special_names.get("bos_token")
        return not (begin and text.startswith(begin))

    def _encode_whole(self, pieces: list[Piece]) -> Encoded:
        spans, at = [], 0
        for piece in pieces:
            if piece.is_answer:
                spans.append((at, at + len(piece.text)))
            at += len(piece.text)
        self.tokenizer.encode_special_tokens = False
        text = "".join(piece.text for piece in pieces)
        encoding = self.tokenizer.encode(text, add_special_tokens=self.adds_special(text))
        offsets = np.asarray(encoding.offsets, np.int64).reshape(-1, 2)
        is_label = np.zeros(len(offsets), bool)
        for start, end in spans:
            inside = np.flatnonzero((offsets[:, 1] > start) & (offsets[:, 0] < end))
            if len(inside):
                is_label[inside[0] : inside[-1] + 2] = True  # and the end token behind it
        return Encoded(np.asarray(encoding.ids, np.int32), is_label)

    def _encode_apart(self, pieces: list[Piece]) -> Encoded:
        ids: list[int] = []
        labels: list[bool] = []
        for i, piece in enumerate(pieces):
            self.tokenizer.encode_special_tokens = not piece.is_skeleton
            new = self.tokenizer.encode(piece.text, add_special_tokens=i == 0 and self.adds_special(piece.text)).ids
            after_answer = i > 0 and pieces[i - 1].is_answer
            ids += new
            labels += [piece.is_answer or (after_answer and j == 0) for j in range(len(new))]
        self.tokenizer.encode_special_tokens = False
        return Encoded(np.asarray(ids, np.int32), np.asarray(labels, bool))
