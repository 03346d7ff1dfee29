"""Sources of the catalogue on this machine, laid out as they are published: the file or the subset's folder inside what was downloaded.

ShareGPT4V/sharegpt4v_instruct_gpt4-vision_cap100k.json, ...      the file that the catalogue names, of several that a folder holds
FineVision/sharegpt4v(coco)/train-00000-of-00007.parquet          `finevision/sharegpt4v-coco`: a folder a subset
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

from sources.catalogue import catalogue_entry
from sources.problems import SourceError
from sources.spec import SourceSpec
from sources.subsources import subsource_slug


def published_spec(slug: str, path: str) -> SourceSpec:
    """Return what the catalogue knows of a source or of a part of one (`finevision/chartqa`), with its data's place at or below a path.

    A name that the catalogue does not know comes back with the path alone; of a known one without a path the place is empty.

    Raises:
        SourceError: the path is a folder of several subsets, and the one that is meant is not among them.
    """
    entry, part = catalogue_entry(slug)
    if entry is None:
        return SourceSpec(slug, "", path)
    subset = part if entry.subset in ("", "*") else entry.subset
    folder = _subset_folder(Path(path), subset) if path and subset else None
    file = Path(path) / entry.file if path and entry.file else None
    place = str(file) if file and file.is_file() else str(folder or path)
    return replace(entry.spec(place), slug=slug, subset=(folder.name if folder else subset) if entry.subset else "")


def _subset_folder(path: Path, subset: str) -> Path | None:
    """Return the folder of a subset, given by its name or slug: the path itself or a folder in it; None where nothing is named so.

    Raises:
        SourceError: the folder holds several other subsets, which are not to be taken for this one.
    """
    if not path.is_dir():
        return None
    inside = sorted(folder for folder in path.iterdir() if folder.is_dir())
    found = next((folder for folder in (path, *inside) if subsource_slug(folder.name) == subsource_slug(subset)), None)
    others = [folder.name for folder in inside if any(folder.glob("*.parquet"))]
    if found is None and len(others) > 1 and "data" not in others:  # where a first subset may lie under any name, as Docmatix' `images`
        close = difflib.get_close_matches(subset, others, n=3) or others[:12]
        raise SourceError(f"{path} has no subset {subset!r}, it has {', '.join(close)}; give the folder of one of them with --path")
    return found
