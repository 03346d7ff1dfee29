"""The log of gates: notes of a study whose first line says a gate in words and whose second is its record."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from db.documents import from_document, to_document
from db.values import Note
from probe.decide.gates import Gate

if TYPE_CHECKING:
    from db.store import Store

AUTHOR = "probe gates"


def log_gate(store: Store, study: str, gate: Gate) -> None:
    """Write a gate into its study's log."""
    store.add_note(study, f"{gate.sentence()}\n{json.dumps(to_document(gate), sort_keys=True)}", AUTHOR)


def logged_gates(notes: Iterable[Note]) -> list[Gate]:
    """Return the gates among a study's notes, oldest first; a note that somebody else wrote under this name is none."""
    found = []
    for note in notes:
        if note.author == AUTHOR:
            try:
                found.append(from_document(Gate, json.loads(note.text.partition("\n")[2])))
            except (ValueError, TypeError, KeyError):
                continue
    return found


def shown_text(note: Note) -> str:
    """Return what a note says to people: of a gate its words, without the record."""
    return note.text.partition("\n")[0] if note.author == AUTHOR else note.text
