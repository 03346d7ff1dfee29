"""Made-up names: pronounceable words that mean nothing, for rare entities and for text that must be copied, not known."""

from __future__ import annotations

import random

_VOWELS, _CONSONANTS = tuple("aeiou"), tuple("bcdfghjklmnpqrstvwxyz")


def made_up_name(rng: random.Random) -> str:
    """Return a pronounceable word of one to three syllables."""
    return "".join(_syllable(rng) for _ in range(rng.randint(1, 3)))


def _syllable(rng: random.Random) -> str:
    parts = (_CONSONANTS, _VOWELS, ("", "", *_CONSONANTS))
    return "".join(rng.choice(part) for part in parts)
