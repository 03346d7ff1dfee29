"""`croissant.json` beside a materialised export: its files with their hashes, its licence and sources (Croissant 1.0 of MLCommons).

The mixture's weights have no words in Croissant: they are in `manifest.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from probe.export.report import ExportReport
from probe.manifest.document import Manifest, SourceEntry
from sources.counted import counted

FILE = "croissant.json"
MATERIALISED = ("jsonl", "webdataset")  # exporters whose files are the data set itself
ENCODINGS = {".jsonl": "application/jsonlines", ".json": "application/json", ".tar": "application/x-tar", ".md": "text/markdown"}
FIELDS = {"source": ("The source's slug.", False), "images": ("Image files, relative to this one, in their order.", True)}
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def with_croissant(report: ExportReport, doc: Manifest, folder: Path) -> ExportReport:
    """Write the file where the export is materialised, and return the report that names it."""
    if report.trainer not in MATERIALISED:
        return report
    text = json.dumps(croissant(doc, folder, report), indent=2, ensure_ascii=True) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8")
    return replace(report, files=(*report.files, FILE))


def croissant(doc: Manifest, folder: Path, report: ExportReport) -> dict[str, Any]:
    """Return the metadata of an export that lies in a folder."""
    files = [name for name in report.files if (folder / name).is_file()]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": f"mixture-{doc.hash[:12]}",
        "description": f"Mixture of study {doc.study.name}: {_counted(doc)}, drawn with seed {report.seed}.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": doc.licences.expression,
        "url": f"urn:{doc.provenance.tool}:manifest:{doc.hash}",
        "identifier": doc.hash,
        "citeAs": f"{doc.provenance.tool}, manifest {doc.hash}",
        "version": "1.0.0",
        "datePublished": doc.provenance.created_at or "1970-01-01",
        "prov:wasDerivedFrom": [_origin(entry) for entry in doc.sources if entry.rows],
        "distribution": [*(_file(folder, name) for name in files), *_images(folder)],
        "recordSet": [_records(name) for name in files if name.endswith(".jsonl")],
    }


def _counted(doc: Manifest) -> str:
    used = sum(1 for entry in doc.sources if entry.rows)
    return f"{counted(sum(doc.rows().values()), 'row')} of {counted(used, 'source')}"


def _origin(entry: SourceEntry) -> dict[str, Any]:
    """Return what a source is: never where it lies."""
    known = {"version": entry.revision, "sameAs": f"https://huggingface.co/datasets/{entry.hub_id}" if entry.hub_id else ""}
    return {
        "@type": "prov:Entity",
        "name": entry.slug,
        "identifier": entry.fingerprint,
        "license": entry.licence.concluded if entry.licence.concluded not in ("", "NOASSERTION") else entry.licence.declared,
    } | {name: value for name, value in known.items() if value}


def _file(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": ENCODINGS.get(path.suffix, "application/octet-stream"),
        "sha256": digest,
    }


def _images(folder: Path) -> Iterator[dict[str, Any]]:
    if (folder / "images").is_dir():
        yield {"@type": "cr:FileSet", "@id": "images", "name": "images", "encodingFormat": "image/*", "includes": "images/**"}


def _records(name: str) -> dict[str, Any]:
    stem = name.removesuffix(".jsonl")
    return {
        "@type": "cr:RecordSet",
        "@id": stem,
        "name": stem,
        "description": "Rows in training order. Their turns are in `messages`: role and content, <image> where an image goes.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{stem}/{field}",
                "name": f"{stem}/{field}",
                "description": text,
                "dataType": "sc:Text",
                "repeated": many,
                "source": {"fileObject": {"@id": name}, "extract": {"column": field}},
            }
            for field, (text, many) in FIELDS.items()
        ],
    }
