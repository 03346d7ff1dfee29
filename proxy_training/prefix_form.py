"""The prompt form of PaliGemma, which has no chat template: images and prompt, a line break, the answer and the end token.

Defined by transformers `models/paligemma/processing_paligemma.py` for a prompt and its answer. Turns behind the first answer, which the
model was never trained on, follow in the same form and are read causally, so that every answer still carries loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from proxy_training.chat import ChatEncoder, Encoded, Piece
from sources.sample import Role, Turn


class PrefixEncoder(ChatEncoder):
    """The tokenizer and prompt form of one PaliGemma folder."""

    def adds_special(self, text: str) -> bool:
        """Return False: the form has its own begin token, behind the images."""
        return False

    def encode(self, turns: Sequence[Turn], expansions: Sequence[str]) -> Encoded:
        """Encode a conversation: what is before the first answer is the prompt, which is read in both directions."""
        first = next((i for i, turn in enumerate(turns) if turn.role is Role.ASSISTANT), len(turns))
        prompt = self._encode_apart(self._joined(self._prompt(turns[:first], expansions)))
        rest = self._encode_apart([piece for turn in turns[first:] for piece in self._turn(turn, expansions)])
        ids, labels = (np.concatenate([a, b]) for a, b in ((prompt.input_ids, rest.input_ids), (prompt.is_label, rest.is_label)))
        return Encoded(ids, labels, both_ways=len(prompt.input_ids))

    def encode_prompt(self, turns: Sequence[Turn], expansions: Sequence[str]) -> Encoded:
        """Encode a prompt: turns without an answer are one, and nothing opens the answer."""
        return self.encode(turns, expansions)

    def _prompt(self, turns: Sequence[Turn], expansions: Sequence[str]) -> list[Piece]:
        """Return the pieces of the prompt: its turns, with the begin token behind the last image."""
        pieces = [piece for turn in turns for piece in self._turn(turn, expansions)]
        last = max((i for i, piece in enumerate(pieces) if self.image_token in piece.text and piece.is_skeleton), default=-1)
        return [*pieces[: last + 1], Piece(self._special_names["bos_token"], True, False), *pieces[last + 1 :]]

    def _turn(self, turn: Turn, expansions: Sequence[str]) -> list[Piece]:
        answers = turn.role is Role.ASSISTANT
        pieces = [
            Piece(expansions[part], True, False) if isinstance(part, int) else Piece(part, False, answers and turn.has_loss)
            for part in turn.parts
        ]
        return [*pieces, Piece(self._special_names["eos_token"] if answers else "\n", True, False)]

    def _joined(self, pieces: list[Piece]) -> list[Piece]:
        """Return the pieces as one text, as the processor tokenises it, where none of them spells a special token."""
        if any(not piece.is_skeleton and self.spells_special(piece.text) for piece in pieces):
            return pieces
        return [Piece("".join(piece.text for piece in pieces), True, False)]
