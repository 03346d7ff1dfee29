"""Write and read manifests: checked against the schema and against themselves, written atomically, hashed when read."""

from __future__ import annotations

import functools
import json
import os
import re
import uuid
from importlib import resources
from pathlib import Path
from typing import Any

from probe.errors import ProbeError
from probe.manifest.consistency import contradictions
from probe.manifest.document import SCHEMA_VERSION, Manifest
from probe.manifest.markdown import mixture_markdown
from probe.manifest.typed_json import from_plain

SHORT_HASH_CHARS = 12
CARD = "MIXTURE.md"


class ManifestError(ProbeError):
    """A manifest cannot be written or read; the message is one sentence with the cure."""


def manifest_json(doc: Manifest) -> str:
    """Return the document as indented JSON, its `hash` first.

    Raises:
        ManifestError: it does not fit the schema or contradicts itself.
    """
    try:
        plain = {"schema_version": doc.schema_version, "hash": doc.hash} | doc.plain()
    except ValueError as error:
        raise ManifestError(f"the manifest cannot be written: {error}") from None
    _check_schema(plain, "the manifest")
    _check_sense(doc, "the manifest")
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse_manifest(text: str, name: str = "the manifest") -> Manifest:
    """Return the manifest that a JSON text holds; `name` is what errors call it.

    Raises:
        ManifestError: not JSON, another schema version, not as the schema says, contradictory, or changed after it was written.
    """
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{name} is not JSON ({error}): export it again, or take it from the store") from None
    _check_version(plain, name)
    _check_schema(plain, name)
    try:
        doc = from_plain(Manifest, plain)
    except ValueError as error:  # NaN and numbers beyond a float pass a JSON Schema
        raise ManifestError(f"{name} cannot be used: {error}") from None
    if doc.hash != plain["hash"]:
        raise ManifestError(
            f"{name} was changed after it was written: its hash is {doc.hash}, the document says {plain['hash']}; "
            "take the original, or run `probe optimize` to decide again"
        )
    _check_sense(doc, name)
    return doc


def manifest_file_name(doc: Manifest) -> str:
    """Return the name a manifest is filed under: its study and the first 12 digits of its hash."""
    study = re.sub(r"[^A-Za-z0-9._-]+", "-", doc.study.name).strip("-.") or "study"
    return f"{study}-{doc.hash[:SHORT_HASH_CHARS]}.json"


def write_manifest(doc: Manifest, folder: Path) -> Path:
    """Write a manifest into a folder, whole or not at all, and return its path. The same decision gets the same name.

    Raises:
        ManifestError: see `manifest_json`.
    """
    return _write(folder / manifest_file_name(doc), manifest_json(doc))


def write_card(doc: Manifest, folder: Path) -> Path:
    """Write a manifest's `MIXTURE.md` into a folder, beside the manifest and named like it, and return its path."""
    return _write(folder / f"{Path(manifest_file_name(doc)).stem}.{CARD}", mixture_markdown(doc))


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_manifest(path: Path) -> Manifest:
    """Read a manifest file.

    Raises:
        ManifestError: see `parse_manifest`; or there is no such file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ManifestError(f"{path.name} is not UTF-8 text: take the original file") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read ({error.strerror}): `probe optimize` writes manifests into the workspace") from None
    return parse_manifest(text, path.name)


def manifest_schema() -> dict[str, Any]:
    """Return the published JSON Schema (draft 2020-12)."""
    schema: dict[str, Any] = json.loads(resources.files("probe.manifest").joinpath("schema.json").read_text(encoding="utf-8"))
    return schema


def _check_version(plain: Any, name: str) -> None:
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if version is None:
        raise ManifestError(f"{name} is not a manifest: it has no schema_version")
    if version != SCHEMA_VERSION:
        cure = "use the version of probe that wrote it"
        raise ManifestError(f"{name} has schema_version {version!r}, this probe reads {SCHEMA_VERSION}: {cure}")


def _check_sense(doc: Manifest, name: str) -> None:
    found = contradictions(doc)
    if found:
        raise ManifestError(f"{name} contradicts itself: {found[0]}" + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""))


def _check_schema(plain: Any, name: str) -> None:
    from jsonschema.exceptions import best_match  # here: jsonschema is slow to import

    error = best_match(_validator().iter_errors(plain))
    if error is not None:
        where = error.json_path.removeprefix("$").lstrip(".") or "the document"
        raise ManifestError(f"{name} is not as the manifest schema says, at {where}: {error.message[:300]}")


@functools.cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(manifest_schema())
