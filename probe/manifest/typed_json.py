"""Frozen dataclasses to plain JSON values and back, by their declared types.

The declared type decides the form in both directions (a `float` field holding 1 is written 1.0), so a value and its file
always hash alike, also after numpy numbers or hand-made integers went in.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

T = TypeVar("T")
NEWER = "newer"
_PLAIN = frozenset((str, int, bool, type(None)))


def to_plain(value: Any) -> dict[str, Any]:
    """Return a dataclass as dicts, lists, strings, numbers, booleans and nulls, fields in their declared order.

    A field that is `newer` is left out where it holds its default.

    Raises:
        ValueError: a number is not finite, or a value does not fit its declared type; the message holds the path to it.
    """
    plain: dict[str, Any] = _convert(type(value), value, "", decode=False)
    return plain


def newer(default: Any) -> Any:
    """Return a dataclass field that came after the first documents: those keep their form, and with it their hash."""
    return dataclasses.field(default=default, metadata={NEWER: True})


def from_plain(kind: type[T], plain: Mapping[str, Any]) -> T:
    """Return the dataclass that `to_plain` made `plain` of; unknown keys are ignored, absent ones take their defaults."""
    value: T = _convert(kind, plain, "", decode=True)
    return value


def plain_value(value: Any) -> Any:
    """Return any JSON-like value without tuples, enums and dataclasses.

    Raises:
        ValueError: it has no JSON form.
    """
    return _free(value, "")


@functools.cache
def field_types(kind: type) -> dict[str, Any]:
    """Return the resolved types of a dataclass's fields, in order."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _convert(kind: Any, value: Any, path: str, *, decode: bool) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, typing.Union):  # only `X | None` is used
        return None if value is None else _convert(args[0], value, path, decode=decode)
    if dataclasses.is_dataclass(kind):
        return _fields(kind, value, path, decode=decode)
    if origin is tuple:
        items = [_convert(args[0], item, f"{path}[{i}]", decode=decode) for i, item in enumerate(value)]
        return tuple(items) if decode else items
    if origin is Mapping:
        return {str(key): _convert(args[1], value[key], f"{path}.{key}", decode=decode) for key in sorted(value)}
    return _leaf(kind, value, path)


def _fields(kind: Any, value: Any, path: str, *, decode: bool) -> Any:
    hints = field_types(kind)
    if decode:
        return kind(**{name: _convert(hint, value[name], f"{path}.{name}", decode=True) for name, hint in hints.items() if name in value})
    told = [
        field.name for field in dataclasses.fields(kind) if not (field.metadata.get(NEWER) and getattr(value, field.name) == field.default)
    ]
    return {name: _convert(hints[name], getattr(value, name), f"{path}.{name}", decode=False) for name in told}


def _leaf(kind: Any, value: Any, path: str) -> Any:
    if kind is Any:
        return _free(value, path)
    try:
        leaf = kind(value)
    except (TypeError, ValueError):
        leaf = None
    if leaf is None or (leaf == leaf and leaf != value):  # int(1.5) and str(None) change the value
        raise ValueError(f"{path.lstrip('.')} should be {kind.__name__}, but is {value!r}")
    if isinstance(leaf, float) and not math.isfinite(leaf):
        raise ValueError(f"{path.lstrip('.')} is {leaf}, which has no JSON form: leave the estimate out, or give it more seeds or items")
    return leaf


def _free(value: Any, path: str) -> Any:
    """Make JSON of a value without a declared type: a recipe, an optimiser's parameter, the image policy."""
    if type(value) in _PLAIN:  # looked at first, here and for items of lists: what a search saw is many thousand numbers
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _free(getattr(value, field.name), f"{path}.{field.name}") for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _free(value[key], f"{path}.{key}") for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [item if type(item) in _PLAIN else _free(item, f"{path}[{i}]") for i, item in enumerate(value)]
    for kind in (str, int, float):  # enums of strings and numpy's float64 become plain ones here
        if isinstance(value, kind):
            return _leaf(kind, getattr(value, "value", value), path)
    raise ValueError(f"{path.lstrip('.')} is a {type(value).__name__}, which has no JSON form")
