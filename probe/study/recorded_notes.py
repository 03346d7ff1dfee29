"""Notes that the program writes on a study: the first line says a finding in words, the second is its record."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from db.documents import from_document
from db.values import Note

if TYPE_CHECKING:
    from db.store import Store

GATES, RECIPE = "probe gates", "probe proxies check"  # authors
T = TypeVar("T")


def record(store: Store, study: str, author: str, words: str, finding: Any) -> None:
    """Write a finding on a study, unless the newest of this author says the very same."""
    # `json` writes and reads NaN, the error of an interval that has none, which a document may not hold.
    text = f"{' '.join(words.split())}\n{json.dumps(asdict(finding), sort_keys=True)}"
    if text not in [note.text for note in store.notes(study) if note.author == author][-1:]:
        store.add_note(study, text, author)


def recorded(kind: type[T], author: str, notes: Iterable[Note]) -> list[tuple[Note, T]]:
    """Return an author's findings among notes with their notes, oldest first; a note that somebody else wrote under the name is none."""
    found = []
    for note in notes:
        if note.author == author:
            try:
                found.append((note, from_document(kind, json.loads(note.text.partition("\n")[2]))))
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
    return found


def shown_text(note: Note) -> str:
    """Return what a note says to people: of a finding its words, without the record."""
    return note.text.partition("\n")[0] if note.author in (GATES, RECIPE) else note.text
