"""Decisions for the filled store: one that differs from its own, and one whose sources are really the store's."""

from dataclasses import replace

from filled_workspace import HOSTILE, MARKDOWN, SCRIPT, a_manifest

from db.store import Store
from db.values import ManifestRecord
from probe.manifest import manifest_json, parse_manifest
from probe.manifest.example import example_manifest
from sources.spec import Licence

OLD = parse_manifest(a_manifest("main").json)


def another_manifest(study="main"):
    """Like the filled store's, but: less noise, a hostile source instead, another licence, a warning, two phases."""
    counts = ({"docs/charts": 1000, "web/captions": 400}, {"docs/charts": 400, HOSTILE: 120})
    doc = example_manifest(counts, usable=dict.fromkeys(["docs/charts", "web/captions", HOSTILE], 4000))
    licences = {"web/captions": Licence("CC0-1.0", terms=SCRIPT)}
    sources = tuple(replace(entry, licence=licences.get(entry.slug, entry.licence)) for entry in doc.sources)
    return replace(doc, study=replace(OLD.study, name=study), sources=sources, warnings=(MARKDOWN,), confirmed=None)


def keep(root, doc, made):
    """Put a decision into a workspace's store."""
    with Store.open(root / "probe.db") as store:
        store.put_manifest(ManifestRecord(doc.hash, doc.study.name, manifest_json(doc), made))


def keep_exportable(root):
    """Put a decision of two phases there that the store's own sources can fill, and return it."""
    counts = ({"docs/charts": 30, "web/captions": 6}, {HOSTILE: 4})
    with Store.open(root / "probe.db") as store:
        prints = {slug: store.source(slug).fingerprint for slug in ("docs/charts", "web/captions", HOSTILE)}
    doc = replace(example_manifest(counts, usable=dict.fromkeys(prints, 14), fingerprints=prints), study=OLD.study)
    keep(root, doc, "2026-07-03T12:00:00Z")
    return doc
