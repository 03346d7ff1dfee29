"""What was decided and why: manifests under their hash, and notes."""

from __future__ import annotations

import sqlalchemy as sa

from db.errors import StoreError
from db.schema import ManifestRow, NoteRow
from db.studies import check_study
from db.values import ManifestRecord, Note

_MANIFEST = sa.select(ManifestRow.hash, ManifestRow.study, ManifestRow.json, ManifestRow.created_at)


def put_manifest(connection: sa.Connection, record: ManifestRecord, now: str) -> None:
    """Keep a manifest; the same one again changes nothing."""
    known = connection.execute(_MANIFEST.where(ManifestRow.hash == record.hash)).one_or_none()
    if known is None:
        values = {"study": record.study, "json": record.json, "created_at": record.created_at or now}
        connection.execute(sa.insert(ManifestRow).values(hash=record.hash, **values))
    elif known.json != record.json:
        raise StoreError(f"manifest {record.hash} is here with other content: hash it again")


def manifest(connection: sa.Connection, prefix: str) -> ManifestRecord | None:
    """Return the manifest whose hash is, or begins with, `prefix`."""
    query = _MANIFEST.where(ManifestRow.hash.startswith(prefix, autoescape=True))
    found = connection.execute(query.order_by(ManifestRow.hash).limit(2)).all()
    if len(found) > 1 and found[0].hash != prefix:
        both = f"{found[0].hash} and {found[1].hash}"
        raise StoreError(f"more than one manifest begins with {prefix!r}, such as {both}: give more of the hash")
    return ManifestRecord(*found[0]) if found else None


def manifests(connection: sa.Connection, study: str | None = None) -> tuple[ManifestRecord, ...]:
    """Return all manifests, or a study's, newest first."""
    query = _MANIFEST.order_by(ManifestRow.created_at.desc(), ManifestRow.hash)
    return tuple(ManifestRecord(*row) for row in connection.execute(query if study is None else query.where(ManifestRow.study == study)))


def add_note(connection: sa.Connection, note: Note) -> None:
    """Add a note to a study."""
    check_study(connection, note.study)
    values = {"study": note.study, "text": note.text, "author": note.author, "created_at": note.created_at}
    connection.execute(sa.insert(NoteRow).values(values))


def notes(connection: sa.Connection, study: str) -> tuple[Note, ...]:
    """Return the notes of a study, oldest first."""
    check_study(connection, study)
    query = sa.select(NoteRow.study, NoteRow.text, NoteRow.author, NoteRow.created_at).where(NoteRow.study == study)
    return tuple(Note(*row) for row in connection.execute(query.order_by(NoteRow.id)))
