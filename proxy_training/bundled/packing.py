"""Many conversations about one image in one row: the image is encoded once and each turn sees it as if it were alone.

A row is `<|user|>` and the image's tokens (block 0), then the turns (blocks 1, 2, ...). A lone turn attends to block 0 and itself and its
positions start again after the image, which is exactly a conversation of one turn; chained turns follow each other as the chat
template writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from proxy_training.bundled.tokenizer import AROUND_IMAGE, ASSISTANT, END, GLOBAL_IMAGE, IMAGE, PAD, USER

IGNORED = -100
PADDING_BLOCK = -1


@dataclass(frozen=True, slots=True)
class Talk:
    """One user turn and its answer, and what it is about (for the log)."""

    question: str
    answer: str
    topic: str = ""


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Token ids, positions, block numbers and labels, each [rows, length]; `chained` [rows]; `topics` names each row's blocks from 1."""

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    blocks: NDArray[np.int64]
    labels: NDArray[np.int64]
    chained: NDArray[np.bool_]
    topics: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Packer:
    """Turns conversations into packed rows of `length` tokens, always the same, so that a compiled model is compiled once."""

    tokenizer: PreTrainedTokenizerFast
    image_tokens: int
    length: int

    def pack(self, rows: Sequence[Sequence[Talk]], chained: Sequence[bool]) -> PackedRows:
        """Pack each row's turns after its image; a turn that no longer fits is left out, and its block number with it."""
        encoded = iter(self._encode(rows))
        built = [self._row([next(encoded) for _ in talks], chain) for talks, chain in zip(rows, chained, strict=True)]
        ids, positions, blocks, labels = (
            self._column([row[place] for row in built], fill) for place, fill in enumerate((self._id(PAD), 0, PADDING_BLOCK, IGNORED))
        )
        topics = tuple(tuple(talk.topic for talk in talks) for talks in rows)
        return PackedRows(ids, positions, blocks, labels, np.array(chained, dtype=np.bool_), topics)

    def _column(self, rows: Sequence[Sequence[int]], fill: int) -> NDArray[np.int64]:
        column = np.full((len(rows), self.length), fill, np.int64)
        for number, values in enumerate(rows):
            column[number, : len(values)] = values
        return column

    def _encode(self, rows: Sequence[Sequence[Talk]]) -> list[tuple[list[int], list[int]]]:
        texts = [f" {text}" for talks in rows for talk in talks for text in (talk.question, talk.answer)]
        ids = [encoding.ids for encoding in self.tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)]
        return [([*ids[i], self._id(ASSISTANT)], [*ids[i + 1], self._id(END)]) for i in range(0, len(ids), 2)]

    def _row(self, turns: list[tuple[list[int], list[int]]], chain: bool) -> tuple[list[int], list[int], list[int], list[int]]:
        image = (AROUND_IMAGE, GLOBAL_IMAGE, *(IMAGE,) * self.image_tokens, AROUND_IMAGE)
        ids = [self._id(token) for token in (USER, *image)]
        start = len(ids)
        positions, blocks, labels = list(range(start)), [0] * start, [IGNORED] * start
        for block, (question, answer) in enumerate(turns, 1):
            opening = [self._id(USER)] if chain and len(ids) > start else []
            turn = [*opening, *question, *answer]
            if len(ids) + len(turn) > self.length:
                continue
            first = len(ids) if chain else start
            ids += turn
            positions += range(first, first + len(turn))
            blocks += [block] * len(turn)
            labels += [IGNORED] * (len(opening) + len(question)) + answer
        return ids, positions, blocks, labels

    def _id(self, token: str) -> int:
        return int(self.tokenizer.convert_tokens_to_ids(token))
