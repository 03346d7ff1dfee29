"""What two manifests do not agree on: a pure function of two documents, differences only, values as they are typed.

found = diff_manifests(old, new)
found.differences[0]       # Difference(path=("phases", "phase-1", "counts", "chart/qa"), a=3000, b=4500, kind="changed")
found.section("confirmed") # Difference(path=("confirmed", "uniform"), a=ConfirmedGain(...), b=ConfirmedGain(...), kind="changed")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from probe.manifest.document import ConfirmedGain, Manifest, WatchedGain
from probe.manifest.typed_json import from_plain, plain_value, to_plain
from sources.estimate import Estimate

Kind = Literal["changed", "only_a", "only_b"]
DECISION = (  # what people decide by: the document's fields in that order
    "budget",
    "weights",
    "phases",
    "confirmed",
    "predicted",
    "outside",
    "licences",
    "warnings",
    "fidelity",
    "baselines",
    "objective",
)
HOW = (  # how it was come by
    "sources",
    "study",
    "proxy",
    "optimiser",
    "evidence",
    "image_policy",
    "sampling_seed",
    "schema_version",
    "provenance",
)
SECTIONS = (*DECISION, *HOW)
SEARCH_RESULTS = ("curriculum", "flat_optimum", "merged", "searched", "surrogate")  # among the optimiser's parameters; nobody chose them
MEMBER_NAMES = ("slug", "name", "source")  # the field that tells the members of a list apart
WHOLE = (Estimate, ConfirmedGain, WatchedGain)  # shown with their intervals, never field by field


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two manifests say differently.

    `path` leads to it, from the section: members of lists by their names. `a` and `b` are values of the document (an `Estimate`, a
    `SourceEntry`, a number, a text, ...), `None` on the side that says nothing of it (`only_a`, `only_b`). Of a list of texts, such
    as training ids, they hold what only that side has.
    """

    path: tuple[str, ...]
    a: Any
    b: Any
    kind: Kind = "changed"

    @property
    def section(self) -> str:
        """Return the part of the document that it belongs to."""
        return self.path[0]

    @property
    def inner(self) -> bool:
        """Say whether it is of what the search worked out on its way, not of what was asked or decided."""
        return self.path[:2] == ("optimiser", "parameters") and len(self.path) > 2 and self.path[2] in SEARCH_RESULTS


@dataclass(frozen=True, slots=True)
class ManifestDiff:
    """All differences, in the order of the decision. `a` and `b` are the manifests' hashes."""

    a: str
    b: str
    differences: tuple[Difference, ...]

    @property
    def same_decision(self) -> bool:
        """Say whether both are the same decision: who wrote it down and when is no part of it."""
        return self.a == self.b

    def section(self, name: str) -> tuple[Difference, ...]:
        """Return the differences of one section."""
        return tuple(found for found in self.differences if found.section == name)

    def plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "a": self.a,
            "b": self.b,
            "same_decision": self.same_decision,
            "differences": [{"path": list(d.path), "kind": d.kind, "a": plain_value(d.a), "b": plain_value(d.b)} for d in self.differences],
        }


def diff_manifests(a: Manifest, b: Manifest) -> ManifestDiff:
    """Return what two manifests do not agree on."""
    first, second = (_without_nothing(from_plain(Manifest, to_plain(doc))) for doc in (a, b))  # numbers as their declared types
    found = [d for section in SECTIONS for d in _compare((section,), getattr(first, section), getattr(second, section))]
    return ManifestDiff(a.hash, b.hash, tuple(found))


def _without_nothing(doc: Manifest) -> Manifest:
    """Return a manifest whose baselines name no source of which they hold nothing: a search among more sources names more of those."""
    held = {name: {source: share for source, share in shares.items() if share} for name, shares in doc.baselines.items()}
    return replace(doc, baselines=held)


def _compare(path: tuple[str, ...], a: Any, b: Any) -> Iterator[Difference]:
    if isinstance(a, Mapping) or isinstance(b, Mapping):
        yield from _compare_mappings(path, a, b)
    elif a is None or b is None:
        if a is not b:
            yield Difference(path, a, b, "only_b" if a is None else "only_a")
    elif _is_record(a) and _is_record(b):
        yield from _compare_members(path, _fields(a), _fields(b))
    elif isinstance(a, tuple) and isinstance(b, tuple):
        yield from _compare_lists(path, a, b)
    elif not _equal(a, b):
        yield Difference(path, a, b)


def _compare_mappings(path: tuple[str, ...], a: Any, b: Any) -> Iterator[Difference]:
    """Compare by key. Nothing said against something said is a difference for each of its members."""
    if not all(value is None or isinstance(value, Mapping) for value in (a, b)) or not (a or b):
        if not _equal(a, b):
            yield Difference(path, a, b)
        return
    yield from _compare_members(path, a or {}, b or {})


def _compare_members(path: tuple[str, ...], a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys((*a, *b)):
        where = (*path, name)
        if (isinstance(a.get(name), Mapping) or isinstance(b.get(name), Mapping)) and not (name in a and name in b):
            yield from _compare_mappings(where, a.get(name), b.get(name))
        elif name not in b:
            yield Difference(where, a[name], None, "only_a")
        elif name not in a:
            yield Difference(where, None, b[name], "only_b")
        else:
            yield from _compare(where, a[name], b[name])


def _compare_lists(path: tuple[str, ...], a: Sequence[Any], b: Sequence[Any]) -> Iterator[Difference]:
    if not all(map(_is_record, (*a, *b))):
        yield from _compare_texts(path, a, b)
        return
    first, second = _by_name(a), _by_name(b)
    yield from _compare_members(path, first, second)
    shared = [[name for name in names if name in first and name in second] for names in (first, second)]
    if shared[0] != shared[1]:
        yield Difference((*path, "order"), tuple(shared[0]), tuple(shared[1]))


def _compare_texts(path: tuple[str, ...], a: Sequence[Any], b: Sequence[Any]) -> Iterator[Difference]:
    if _equal(a, b):
        return
    only_a, only_b = (tuple(one for one in these if one not in others) for these, others in ((a, b), (b, a)))
    if only_a or only_b:
        yield Difference(path, only_a or None, only_b or None, "changed" if only_a and only_b else "only_a" if only_a else "only_b")
    else:
        yield Difference((*path, "order"), tuple(a), tuple(b))


def _by_name(members: Sequence[Any]) -> dict[str, Any]:
    """Return a list's members by name; those of one name are numbered."""
    named: dict[str, Any] = {}
    for member in members:
        name = key = str(next(getattr(member, field) for field in MEMBER_NAMES if hasattr(member, field)))
        number = 1
        while key in named:
            number += 1
            key = f"{name} #{number}"
        named[key] = member
    return named


def _is_record(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, WHOLE)


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _equal(a: Any, b: Any) -> bool:
    """Compare as JSON does: 1, 1.0 and true are three things."""
    return repr(plain_value(a)) == repr(plain_value(b))
