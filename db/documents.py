"""Values as JSON documents and back: frozen dataclasses of plain fields, enums and tuples."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import types
from collections.abc import Callable, Hashable
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
    value: T = _reader(cast("Hashable", kind))(document)
    return value


_Read = Callable[[Any], Any]


@functools.cache
def _reader(kind: Any) -> _Read:
    """Return the function that reads documents of a type, made once: stores hold thousands of values of few types."""
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    origin = get_origin(kind)
    if origin is tuple:
        return _tuple_reader(get_args(kind))
    if origin in (Union, types.UnionType):
        read = _reader(next(a for a in get_args(kind) if a is not type(None)))
        return lambda document: None if document is None else read(document)
    if isinstance(kind, type) and issubclass(kind, (enum.Enum, float)):
        return kind
    return _as_it_is


def _dataclass_reader(kind: Any) -> _Read:
    readers: dict[str, _Read] | None = None  # made at the first document, so that a type may hold itself

    def read(document: Any) -> Any:
        nonlocal readers
        if readers is None:
            readers = {name: _reader(hint) for name, hint in get_type_hints(kind).items()}
        return kind(**{name: readers[name](field) for name, field in document.items() if name in readers})

    return read


def _tuple_reader(kinds: tuple[Any, ...]) -> _Read:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        each = _reader(kinds[0])
        return tuple if each is _as_it_is else lambda document: tuple([each(entry) for entry in document])
    readers = [_reader(kind) for kind in kinds]
    if len(readers) == 2:
        return functools.partial(_pair, *readers)
    return lambda document: tuple([read(entry) for read, entry in zip(readers, document, strict=True)])


def _pair(first: _Read, second: _Read, document: Any) -> tuple[Any, Any]:
    """Read a tuple of two: most of a large store's documents are shares by source."""
    one, other = document
    return first(one), second(other)


def _as_it_is(document: Any) -> Any:
    return document
