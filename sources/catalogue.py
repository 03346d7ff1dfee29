"""The catalogue of well-known sources: what they are called, where they are, and which image folders they need."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from sources.problems import SourceError
from sources.spec import Licence, SourceSpec
from sources.subsources import subsource_slug

# Tag of a source -> the capability of benchmarks that it is meant to help.
CAPABILITIES = {
    "recognition": "recognition",
    "description": "recognition",
    "ocr": "ocr",
    "charts": "charts and documents",
    "documents": "charts and documents",
    "tables": "charts and documents",
    "diagrams": "charts and documents",
    "screens": "charts and documents",
    "counting": "counting and space",
    "space": "counting and space",
    "grounding": "counting and space",
    "knowledge": "knowledge and math",
    "math": "knowledge and math",
    "reasoning": "knowledge and math",
    "code": "knowledge and math",
    "hallucination": "hallucination",
    "conversation": "conversation",
    "multi-image": "multi-image",
    "text-only": "text-only",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """Where one statement of an entry comes from: about `licence`, `rows`, `files` or `contents`. `read`: it was seen there."""

    about: str
    link: str
    read: bool


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One well-known source. `images` are folders below the image root; empty means that images are inside the data.

    `format` is empty where no reader knows the records; `note` then says what they look like.
    """

    slug: str
    title: str
    hub_id: str
    format: str
    homepage: str
    licence: Licence
    capabilities: tuple[str, ...]
    facts: tuple[Fact, ...]
    subset: str = ""  # `*`: one of many, to be chosen
    file: str = ""
    images: tuple[str, ...] = ()
    rows: int = 0  # about; 0: not known
    counts: str = ""  # what a row is, where that is not a conversation
    note: str = ""

    def spec(self, path: str = "", image_root: str = "") -> SourceSpec:
        """Return the entry as a source, at a place on this machine if one is given."""
        return SourceSpec(self.slug, self.format, path, image_root, self.licence, self.hub_id, self.subset)


def catalogue() -> Mapping[str, CatalogueEntry]:
    """Return every entry by slug, in the files' order; one of the user's own file takes the place of ours of that name.

    Raises:
        SourceError: the user's own file cannot be read.
    """
    from sources.catalogue_file import catalogue_files

    return catalogue_files().entries


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


def entry_of(spec: SourceSpec) -> CatalogueEntry | None:
    """Return the entry that a source is, or is a part of: by its name (`llava-665k/ocr_vqa`), else by hub id, subset and file."""
    name, _, part = spec.slug.partition("/")
    entry = catalogue().get(spec.slug) or catalogue().get(name)
    hub_id, subset = (entry.hub_id, part or entry.subset) if entry else (spec.hub_id, spec.subset)
    same = [other for other in catalogue().values() if hub_id and other.hub_id == hub_id]
    if entry is None:
        same = [other for other in same if not other.file or spec.path.endswith(other.file)]
    exact = next((other for other in same if subset and other.subset == subset), None)
    return exact or entry or next((other for other in same if other.subset in ("", "*")), None)


def catalogue_entry(name: str) -> tuple[CatalogueEntry | None, str]:
    """Return the entry that a name means and what follows its slug: `finevision/chartqa` is FineVision and `chartqa`."""
    cuts = [len(name), *(cut for cut in range(len(name) - 1, 0, -1) if name[cut] == "/")]
    cut = next((cut for cut in cuts if name[:cut] in catalogue()), 0)
    return (catalogue()[name[:cut]], name[cut + 1 :]) if cut else (None, "")


def offline_help(slug: str, part: str = "") -> str:
    """Return the one sentence that says how to make a source of the catalogue, or a part of one, work from local files.

    Raises:
        SourceError: there is none of that name.
    """
    entry = find_catalogue(slug)
    if not entry.format:
        command = f"probe sources add {slug} --path FILE.json --format llava --images DIR"
        return f"{slug} is in no format that is read here ({entry.note}): write its rows as LLaVA JSON and run `{command}`."
    where = f"{entry.hub_id}/{entry.file}" if entry.file else entry.hub_id
    subset = part if entry.subset == "*" else entry.subset
    if entry.subset == "*" and part:
        slug = f"{slug}/{subsource_slug(part)}"
    if entry.subset:
        where = f"{f'the subset {subset}' if subset else 'one subset'} of {entry.hub_id}"
    path = entry.file or ("FOLDER" if entry.format in ("parquet", "webdataset") else "FILE.json")
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
        whole = registered.get(slug[:cut])
        if whole and not dict(whole.options).get("subsource"):
            part = whole.part(slug[cut + 1 :])
            return registered.get(part.slug, part)
    entry, subset = catalogue_entry(slug)
    if entry is not None:
        raise SourceError(offline_help(entry.slug, subset))
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
