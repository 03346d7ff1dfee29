"""Sub-sources: the parts that a source is made of, what they are called in commands and files, and how one is found again.

A part's own name comes from the data (`iam(cauldron)`, `PMC figures`, `图表`) and may be anything. Its slug can be typed, and stands in
mixtures, manifests and exports: `llava-onevision/iam-cauldron`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from sources.canonical import hash_bytes
from sources.problems import SourceError

UNNAMED = "unnamed"  # rows that name no part
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_SHOWN = 12


def subsource_slug(name: str) -> str:
    """Return a sub-source's slug: the name itself where it is safe, else the name without what is not.

    A name that would lose letters, or is too long, ends in six characters of its hash.
    """
    if not name or _SAFE.fullmatch(name):
        return name or UNNAMED
    plain = re.sub(r"-(?=[._])", "", re.sub(r"[^A-Za-z0-9._-]+", "-", name)).strip("-.")[:64]
    is_whole = all(char.isascii() for char in name if char.isalnum()) and len(name) <= 64 and _SAFE.fullmatch(plain)
    return plain if is_whole else f"{plain[:40]}-{hash_bytes(name.encode('utf-8', 'surrogatepass'))[:6]}".lstrip("-")


def find_subsource(wanted: str, names: Sequence[str]) -> int | None:
    """Return the place of a sub-source among names, by its name or slug; None where there is none.

    Raises:
        SourceError: several have that slug.
    """
    found = [place for place, name in enumerate(names) if subsource_slug(name) == subsource_slug(wanted)]
    if len(found) > 1:
        several = " and ".join(repr(names[place][:60]) for place in found[:2])
        raise SourceError(f"Two sub-sources, {several}, are both called {subsource_slug(wanted)!r}; give one another name in the data")
    return found[0] if found else None


def no_subsource_message(slug: str, wanted: str, names: Iterable[str]) -> str:
    """Return the sentence for a sub-source that a source has no usable row of; it names the close ones, else the first."""
    whole = slug.removesuffix(f"/{wanted}")
    known = sorted({subsource_slug(name) for name in names})
    close = difflib.get_close_matches(wanted, known, n=3) or [name for name in known if wanted in name][:3]
    if close:
        return f"{whole} has no usable row in the sub-source {wanted!r}; did you mean {' or '.join(f'{whole}/{name}' for name in close)}?"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"{whole} has no usable row in the sub-source {wanted!r}; it has {', '.join(known[:_SHOWN]) or 'none'}{more}"
