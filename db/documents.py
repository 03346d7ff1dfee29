"""Values as JSON documents and back: frozen dataclasses of plain fields, enums and tuples."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import types
from collections.abc import Hashable
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from sources.canonical import canonical_json

T = TypeVar("T")


def to_document(value: Any) -> Any:
    """Return a value as what `json` reads: dicts, lists, strings, numbers.

    Raises:
        ValueError: a float is not finite.
    """
    return json.loads(canonical_json(value))


def from_document(kind: type[T], document: Any) -> T:
    """Return the value that `to_document` was given; fields that the document lacks get their defaults.

    Raises:
        TypeError: the document does not fit the type.
    """
    value: T = _read(kind, document)
    return value


def _read(kind: Any, document: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        hints = _hints(cast("Hashable", kind))
        return kind(**{name: _read(hints[name], field) for name, field in document.items() if name in hints})  # type: ignore[operator]
    origin = get_origin(kind)
    if origin is tuple:
        return _read_tuple(get_args(kind), document)
    if origin in (Union, types.UnionType):
        return None if document is None else _read(next(a for a in get_args(kind) if a is not type(None)), document)
    if isinstance(kind, type) and issubclass(kind, (enum.Enum, float)):
        return kind(document)
    return document


def _read_tuple(kinds: tuple[Any, ...], document: Any) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_read(kinds[0], entry) for entry in document)
    return tuple(_read(kind, entry) for kind, entry in zip(kinds, document, strict=True))


@functools.cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(cast("type", kind))
