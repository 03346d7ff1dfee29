"""A 5 by 7 pixel alphabet, so that rendered words look the same on every machine whatever fonts it has."""

from __future__ import annotations

GLYPH_WIDTH, GLYPH_HEIGHT = 5, 7

_ROWS = {  # seven rows of five bits, the leftmost pixel the highest bit, in hexadecimal pairs
    "a": "0e11111f111111",
    "b": "1e11111e11111e",
    "c": "0f10101010100f",
    "d": "1e11111111111e",
    "e": "1f10101e10101f",
    "f": "1f10101e101010",
    "g": "0f10101711110f",
    "h": "1111111f111111",
    "i": "0e04040404040e",
    "j": "0701010101110e",
    "k": "11121418141211",
    "l": "1010101010101f",
    "m": "111b1515111111",
    "n": "11191513111111",
    "o": "0e11111111110e",
    "p": "1e11111e101010",
    "q": "0e11111115120d",
    "r": "1e11111e141211",
    "s": "0f10100e01011e",
    "t": "1f040404040404",
    "u": "1111111111110e",
    "v": "11111111110a04",
    "w": "1111111515150a",
    "x": "11110a040a1111",
    "y": "11110a04040404",
    "z": "1f01020408101f",
}


def glyph_pixels(letter: str) -> list[tuple[int, int]]:
    """Return the (column, row) pairs that are inked in a letter of the small Latin alphabet; other characters are blank."""
    rows = bytes.fromhex(_ROWS.get(letter.lower(), ""))
    return [(column, row) for row, bits in enumerate(rows) for column in range(GLYPH_WIDTH) if bits >> (GLYPH_WIDTH - 1 - column) & 1]
