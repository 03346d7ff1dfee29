"""Which decisions there are to look at: the manifests of the store, and files in the workspace's folder that the store does not know."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dashboard import reading
from dashboard.decision_frames import read_decision
from dashboard.decorators import kept_values
from db.values import ManifestRecord
from probe.manifest import Manifest, manifest_json
from probe.manifest.folder import manifests_in
from probe.manifest.write import SHORT_HASH_CHARS

MOST_FILES = 50


def known_decisions(study: str) -> dict[str, ManifestRecord]:
    """Return every manifest by its hash, those of a study first, newest first."""
    place = reading.workspace()
    if not place.exists():
        return {}
    with place.open_store(read_only=True) as store:
        kept = store.manifests()
    found = [*kept, *_from_files(place.manifests, {record.hash[:SHORT_HASH_CHARS] for record in kept})]
    found.sort(key=lambda record: record.created_at, reverse=True)
    return {record.hash: record for record in sorted(found, key=lambda record: record.study != study)}


def decision_label(record: ManifestRecord) -> str:
    """Return how a manifest is called in a list: its study, when it was made and the beginning of its hash."""
    made = record.created_at[:16].replace("T", " ")
    return "   ".join(filter(None, (record.study, made, record.hash[:SHORT_HASH_CHARS])))


def opened(record: ManifestRecord) -> Manifest | str:
    """Return a manifest's document, or the sentence that says why it cannot be read."""
    return _opened(record.hash, record.json)


@kept_values(entries=16)
def _opened(hash_: str, _text: str) -> Manifest | str:
    return read_decision(_text)


def _from_files(folder: Path, known: Collection[str]) -> list[ManifestRecord]:
    found = manifests_in(folder, known, MOST_FILES)
    return [ManifestRecord(doc.hash, doc.study.name, manifest_json(doc), doc.provenance.created_at) for doc in found]
