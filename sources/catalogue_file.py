"""Files of the catalogue: ours beside this module, and the user's own that `PROBE_CATALOGUE` names.

[my-charts]                       # an entry: the table's name is its slug
title = "Charts of our reports"
format = "llava"
images = ["charts"]
capabilities = ["charts"]
facts = [{ about = "rows", link = "https://...", read = true }]

[[overlap]]                       # a and b share rows or images, or a contains b
a = "my-charts"
b = "cauldron-chartqa"
kind = "rows"

[[base]]                          # a model, and what it was trained on
name = "Our 3B"
ids = ["us/ours-3b"]
trained_on = ["my-charts"]
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from sources.bases import Base, Disclosure
from sources.catalogue import CAPABILITIES, CatalogueEntry, Fact
from sources.overlaps import Overlap, OverlapKind
from sources.problems import SourceError
from sources.spec import Licence

OWN_FILE = "PROBE_CATALOGUE"
_OURS = ("catalogue.toml", "overlaps.toml", "bases.toml")
_ENTRY = {"title": "", "hub_id": "", "format": "", "homepage": "", "images": [], "capabilities": [], "facts": []}
_OVERLAP = {"words": "", "link": "", "read": False}
_BASE = {"ids": [], "disclosed": "all", "link": "", "read": False}


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """What one or several files say."""

    entries: Mapping[str, CatalogueEntry] = field(default_factory=dict)
    overlaps: tuple[Overlap, ...] = ()
    bases: tuple[Base, ...] = ()

    def then(self, other: CatalogueFile) -> CatalogueFile:
        """Return both; where both have an entry or know a base, the other file's counts."""
        return CatalogueFile({**self.entries, **other.entries}, self.overlaps + other.overlaps, other.bases + self.bases)


def catalogue_files() -> CatalogueFile:
    """Return our files and the user's own as one.

    Raises:
        SourceError: the user's own file is missing, no TOML, or holds something that it cannot hold; the message names it.
    """
    return _all_files(os.environ.get(OWN_FILE, ""))


@cache
def _all_files(own: str) -> CatalogueFile:
    found = CatalogueFile()
    for name in _OURS:
        found = found.then(read_catalogue(Path(__file__).with_name(name)))
    found = found.then(read_catalogue(Path(own).expanduser())) if own else found
    _check_names(found, own)
    return found


def read_catalogue(path: Path) -> CatalogueFile:
    """Read one file.

    Raises:
        SourceError: it is missing, no TOML, or holds something that it cannot hold.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceError(f"The catalogue {path} cannot be read ({error}); mend it, or unset {OWN_FILE}") from None
    overlaps, bases = tables.pop("overlap", []), tables.pop("base", [])
    return CatalogueFile(
        {slug: _made(path, slug, _entry, slug, table) for slug, table in tables.items()},
        tuple(_made(path, f"overlap {number}", _overlap, table) for number, table in enumerate(overlaps, 1)),
        tuple(_made(path, f"base {number}", _base, table) for number, table in enumerate(bases, 1)),
    )


def _made(path: Path, what: str, make: Any, *given: Any) -> Any:
    """Make one value of a table; whatever does not fit ends in one sentence that names it."""
    try:
        return make(*given)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        detail = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise SourceError(f"The catalogue {path} has an error in {what}: {detail}; see docs/catalogue.md") from None


def _entry(slug: str, table: Mapping[str, Any]) -> CatalogueEntry:
    table = {**_ENTRY, **table}
    licence = Licence(table.pop("declared", "NOASSERTION"), table.pop("concluded", "NOASSERTION"), table.pop("terms", ""))
    if unknown := set(table["capabilities"]) - set(CAPABILITIES):
        raise ValueError(f"capability {min(unknown)!r} is none of {', '.join(CAPABILITIES)}")
    facts = tuple(Fact(**fact) for fact in table.pop("facts"))
    return CatalogueEntry(slug=slug, licence=licence, facts=facts, **_fitting(CatalogueEntry, table))


def _overlap(table: Mapping[str, Any]) -> Overlap:
    return Overlap(kind=OverlapKind(table["kind"]), **_fitting(Overlap, {**_OVERLAP, **table}, "kind"))


def _base(table: Mapping[str, Any]) -> Base:
    table = {**_BASE, **table}
    return Base(disclosed=Disclosure(table["disclosed"]), **_fitting(Base, table, "disclosed"))


def _fitting(kind: type, table: Mapping[str, Any], *but: str) -> dict[str, Any]:
    """Return a table's values for a dataclass's fields, lists as tuples.

    Raises:
        TypeError: one is not of the field's type, or no field has that name.
    """
    types = {field.name: str(field.type) for field in fields(kind)}
    found = {}
    for name, value in table.items():
        if name not in types:
            raise TypeError(f"there is no field {name!r}")
        if name not in but:
            found[name] = tuple(value) if isinstance(value, list) else value
            if types[name] != ("tuple[str, ...]" if isinstance(value, list) else type(value).__name__):
                raise TypeError(f"{name} = {value!r} is not of type {types[name]}")
    return found


def _check_names(found: CatalogueFile, own: str) -> None:
    named = {slug for overlap in found.overlaps for slug in (overlap.a, overlap.b)}
    named |= {slug for base in found.bases for slug in base.trained_on}
    if unknown := sorted(named - set(found.entries)):
        raise SourceError(f"The catalogue {own} names {unknown[0]!r}, which is no entry; add a table [{unknown[0]}]")
