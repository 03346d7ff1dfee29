"""What base models were trained on, where that is published."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Disclosure(enum.StrEnum):
    """How much of a base's training data is published by name."""

    ALL = "all"
    PART = "part"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Base:
    """A family of base models with one published list of training data.

    `ids` are hub ids, `presets` names of proxies, `model_types` those of `config.json` that only its descendants have. `trained_on` are
    slugs of the catalogue, `made_as` formats whose rows are generated as its training data was; `beside` says in words what else is named.
    """

    name: str
    ids: tuple[str, ...]
    disclosed: Disclosure
    link: str
    read: bool
    presets: tuple[str, ...] = ()
    model_types: tuple[str, ...] = ()
    made_as: tuple[str, ...] = ()
    trained_on: tuple[str, ...] = ()
    beside: str = ""


def bases() -> tuple[Base, ...]:
    """Return every base that is known, the user's own (`PROBE_CATALOGUE`) first.

    Raises:
        SourceError: the user's own file cannot be read.
    """
    from sources.catalogue_file import catalogue_files

    return catalogue_files().bases


def find_base(names: Iterable[str], model_type: str = "") -> Base | None:
    """Return the base that goes by one of these names (hub id, the part after its slash, or preset), else by a model type."""
    wanted = [name.casefold() for name in names if name]
    for name in wanted:
        for base in bases():
            if name in _names(base):
                return base
    return next((base for base in bases() if model_type and model_type in base.model_types), None)


def _names(base: Base) -> set[str]:
    ids = [base_id.casefold() for base_id in base.ids]
    return {*ids, *(base_id.rpartition("/")[2] for base_id in ids), *(preset.casefold() for preset in base.presets)}
