"""Where a source's data lies, and the command that says where it lies now."""

from __future__ import annotations

import shlex
from pathlib import Path

from sources.difficulty import OPTION
from sources.problems import SourceError
from sources.spec import SourceSpec


def check_place(spec: SourceSpec) -> None:
    """Refuse a source on this machine of which nothing is left where it lay.

    Raises:
        SourceError: nothing is there.
    """
    if spec.path and spec.stream is None and not Path(spec.path).exists():
        command = add_command(spec, path="PATH")
        raise SourceError(f"There is nothing at {spec.path}; put it back, or say where it lies now: `{command}`")


def add_command(spec: SourceSpec, path: str = "", images: str = "") -> str:
    """Return the command that registers a source, or the one that it is a part of, from another path or with another folder of images."""
    unviewed = spec.unviewed()
    part = spec.option("subsource") or spec.option(OPTION)
    slug = spec.slug.rpartition("/")[0] if part and "/" in spec.slug else spec.slug
    licence = spec.licence
    said = {
        "--path": path or shlex.quote(spec.path),
        "--format": spec.format,
        "--images": images or (shlex.quote(spec.image_root) if spec.image_root else ""),
        "--licence": shlex.quote(licence.declared) if licence.declared != "NOASSERTION" else "",
        "--licence-concluded": shlex.quote(licence.concluded) if licence.concluded != "NOASSERTION" else "",
        "--terms": shlex.quote(licence.terms) if licence.terms else "",
        "--hub-id": shlex.quote(spec.hub_id) if spec.hub_id else "",
    }
    options = [f"--option {shlex.quote(f'{name}={value}')}" for name, value in unviewed.options]
    return " ".join(["probe sources add", slug, *(f"{name} {value}" for name, value in said.items() if value), *options])
