"""The differences of two manifests as plain text lines: `-` is what A says, `+` what B says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from probe.manifest.diff import DECISION, Difference, ManifestDiff
from probe.manifest.document import BenchmarkEntry, ConfirmedGain, LicenceFlag, PhaseEntry, SourceEntry, WatchedGain
from probe.manifest.show import estimate_text, gain_text, watched_text
from probe.manifest.typed_json import plain_value
from sources.counted import counted
from sources.estimate import Estimate

TEXT_CHARS = 160
LISTED = 3


def diff_lines(found: ManifestDiff) -> list[str]:
    """Return the differences as text lines without markup: what was decided, then how it was come by.

    What the search worked out on its way is only counted.
    """
    head = [f"A  manifest {found.a}", f"B  manifest {found.b}"]
    if found.same_decision:
        head.append("the same decision")
    return [*head, *map(_one_line, _told(found))]


def _told(found: ManifestDiff) -> Iterator[str]:
    by_section = [(name, list(group)) for name, group in groupby(found.differences, lambda d: d.section)]
    decided = [(name, group) for name, group in by_section if name in DECISION]
    for name, group in decided:
        yield from _section(name, group)
    how = [(name, group) for name, group in by_section if name not in DECISION]
    if how and decided:
        yield from ("", "HOW THEY WERE COME BY")
    for name, group in how:
        yield from _section(name, group)


def value_text(value: Any) -> str:
    """Return a value of a manifest in a few words, numbers with their intervals."""
    if isinstance(value, Estimate):
        return estimate_text(value)
    if isinstance(value, ConfirmedGain):
        return gain_text(value)
    if isinstance(value, WatchedGain):
        return watched_text(value)
    if isinstance(value, SourceEntry):
        return f"{counted(value.rows, 'row')} ({value.share:.1%})"
    if isinstance(value, PhaseEntry):
        return f"{value.share:.1%} of the budget, {counted(sum(value.counts.values()), 'row')}"
    if isinstance(value, BenchmarkEntry):
        return f"weight {value.weight:.3g}, fingerprint {value.fingerprint}"
    if isinstance(value, LicenceFlag):
        return f"{value.licence}: {value.reason}"
    return _plain_text(value)


def _section(name: str, differences: Sequence[Difference]) -> Iterator[str]:
    yield ""
    yield name.replace("_", " ")
    inner = sum(found.inner for found in differences)
    for found in differences:
        if found.inner:
            continue
        sides = side_texts(found)
        where = " ".join(found.path[1:])
        yield from ([f"  {where}"] if where else [])
        yield from (f"    {mark} {text}" for mark, text in zip("-+", sides, strict=True) if text is not None)
    if inner:
        yield f"  {counted(inner, 'difference')} in what the search worked out on its way (--json shows them)"


def side_texts(found: Difference) -> tuple[str | None, str | None]:
    """Return both sides' texts, precise enough to differ; None for the side that says nothing."""
    a, b = value_text(found.a), value_text(found.b)
    if a == b and isinstance(found.a, Estimate) and isinstance(found.b, Estimate):
        a, b = _finer_text(found.a), _finer_text(found.b)
    if a == b:
        a, b = (json.dumps(plain_value(value), ensure_ascii=False) for value in (found.a, found.b))
    return None if found.kind == "only_b" else a, None if found.kind == "only_a" else b


def _finer_text(one: Estimate) -> str:
    """Return an estimate whose differences lie below what is shown else."""
    return f"{one.value:.6g} [{one.low:.6g}, {one.high:.6g}] n={one.n}, standard error {one.stderr:.6g}"


def _plain_text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple) and all(isinstance(one, str) for one in value):
        more = f" and {len(value) - LISTED} more" if len(value) > LISTED else ""
        return ", ".join(value[:LISTED]) + more
    text = value if isinstance(value, str) else json.dumps(plain_value(value), ensure_ascii=False)
    return text if len(text) <= TEXT_CHARS else f"{text[:TEXT_CHARS]}..."


def _one_line(text: str) -> str:
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
