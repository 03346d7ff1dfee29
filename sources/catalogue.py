"""The catalogue of well-known sources: what they are called, where they are, and which image folders they need."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sources.problems import SourceError
from sources.spec import Licence, SourceSpec


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One well-known source. `images` are folders below the image root; empty means that images are inside the data."""

    slug: str
    title: str
    hub_id: str
    format: str
    homepage: str
    licence: Licence
    capabilities: tuple[str, ...]
    subset: str = ""  # `*`: one of many, to be chosen
    file: str = ""
    images: tuple[str, ...] = ()
    rows: int = 0  # about; 0: not known
    note: str = ""

    def spec(self, path: str = "", image_root: str = "") -> SourceSpec:
        """Return the entry as a source, at a place on this machine if one is given."""
        return SourceSpec(self.slug, self.format, path, image_root, self.licence, self.hub_id, self.subset)


@cache
def catalogue() -> Mapping[str, CatalogueEntry]:
    """Return every entry by slug, in the file's order."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return {slug: _entry(slug, fields) for slug, fields in tomllib.loads(text).items()}


def find_catalogue(slug: str) -> CatalogueEntry:
    """Return an entry.

    Raises:
        SourceError: there is none of that name.
    """
    entry = catalogue().get(slug)
    if entry is None:
        close = difflib.get_close_matches(slug, catalogue(), n=1)
        hint = f"did you mean {close[0]!r}" if close else "see `probe sources list`"
        raise SourceError(f"The catalogue has no source {slug!r}; {hint}, or add your own with `probe sources add {slug} --path ...`")
    return entry


def offline_help(slug: str) -> str:
    """Return the one sentence that says how to make a source of the catalogue work from local files.

    Raises:
        SourceError: there is none of that name.
    """
    entry = find_catalogue(slug)
    where = f"{entry.hub_id}/{entry.file}" if entry.file else entry.hub_id
    if entry.subset == "*":
        where = f"one subset's parquet files of {entry.hub_id}"
    elif entry.subset:
        where = f"the parquet files of {entry.hub_id}, subset {entry.subset}"
    path = entry.file or ("FOLDER" if entry.format == "parquet" else "FILE.json")
    command = f"probe sources add {slug} --path {path} --format {entry.format}"
    if not entry.images:
        return f"{slug} is not on this machine and cannot be fetched; download {where} and run `{command}` (its images are inside)."
    command += " --images DIR"
    return f"{slug} is not on this machine and cannot be fetched; download {where} and its images, and run `{command}`, {_folders(entry)}."


def resolve_source(slug: str, registered: Mapping[str, SourceSpec]) -> SourceSpec:
    """Return the source of a name: registered, part of a registered one (`name/sub`), generated, or of easy-VQA.

    Raises:
        SourceError: it is none of these; for a source of the catalogue the message says how to add it.
    """
    if slug in registered:
        return registered[slug]
    if slug in (built_in := _built_in(slug.partition("/")[0])):
        return built_in[slug]
    for cut in (i for i, char in reversed(list(enumerate(slug))) if char == "/"):
        if slug[:cut] in registered:
            return registered[slug[:cut]].part(slug[cut + 1 :])
    name = next((name for name in (slug, slug.partition("/")[0]) if name in catalogue()), None)
    if name:
        raise SourceError(offline_help(name))
    names = [*registered, *built_in, *catalogue()]
    close = difflib.get_close_matches(slug, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"add it with `probe sources add {slug} --path ...`"
    raise SourceError(f"There is no source {slug!r}; {hint}")


def _built_in(family: str) -> dict[str, SourceSpec]:
    if family == "easy-vqa":
        from sources.easy_vqa import easy_vqa_source_specs

        return {spec.slug: spec for spec in easy_vqa_source_specs()}
    if family == "world":
        from importlib import import_module

        return {spec.slug: spec for spec in import_module("sources.world.catalogue").world_source_specs()}
    return {}


def _folders(entry: CatalogueEntry) -> str:
    if entry.images == (".",):
        return "where DIR is the folder that the records' image paths start from"
    if len(entry.images) == 1:
        return f"where DIR is the folder {entry.images[0]}"
    return f"where DIR holds {', '.join(entry.images)}"


def _entry(slug: str, fields: dict[str, Any]) -> CatalogueEntry:
    licence = Licence(fields.pop("declared", "NOASSERTION"), fields.pop("concluded", "NOASSERTION"), fields.pop("terms", ""))
    images, capabilities = tuple(fields.pop("images")), tuple(fields.pop("capabilities"))
    return CatalogueEntry(slug=slug, licence=licence, images=images, capabilities=capabilities, **fields)
