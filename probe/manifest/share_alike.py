"""Which share-alike and copyleft licences go together: those of which some licence may stand over the whole.

- Version 3 of the GPL and of the AGPL may be combined: section 13 of each permits it, each part stays under its own licence, and what
  the AGPL asks of use over a network holds for the whole (gnu.org/licenses/gpl-3.0, gnu.org/licenses/agpl-3.0).
- GPL-2.0-only goes with no other version: its section 2 b asks for itself, and version 3 adds restrictions that its section 6 forbids.
  `or-later` lets the recipient take a later version (section 9, in version 3 section 14; gnu.org/licenses/gpl-faq, `#AllCompatibility`).
- What is made of CC-BY-SA-4.0 may be put under GPL-3.0, never the other way round
  (creativecommons.org/share-your-work/licensing-considerations/compatible-licenses).

Versions of the other families count as one: Creative Commons lets an adaptation be under a later version. The EUPL's list of licences
that it gives way to is not looked at, so a conflict with it may be none. Nothing here is legal advice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from probe.manifest.licence_rule import holds
from probe.manifest.licences import licence_keys

FAMILIES = ("AGPL", "CC-BY-NC-SA", "CC-BY-SA", "CDLA-Sharing", "EUPL", "GFDL", "GPL", "ODbL", "OSL")
VERSIONS = {"AGPL": ("1.0", "3.0"), "GFDL": ("1.1", "1.2", "1.3"), "GPL": ("1.0", "2.0", "3.0")}


@dataclass(frozen=True, slots=True)
class Demand:
    """What a licence expression asks of the whole: one of `over`, as far as one family is concerned; `name` is how it is written."""

    family: str
    name: str
    over: frozenset[str]

    def goes_with(self, other: Demand) -> bool:
        """Say whether some licence of the whole does for both."""
        return bool(self.over & other.over)


def demands(expression: str) -> Iterator[Demand]:
    """Yield what an SPDX expression asks, by share-alike family; nothing of a family that an alternative does without."""
    for name in families(expression):
        keys = sorted(key for key in licence_keys(expression) if family(key) == name)
        yield Demand(name, " or ".join(keys), frozenset().union(*map(_over, keys)))


def families(expression: str) -> tuple[str, ...]:
    """Return the share-alike families that no alternative is without, in the order of `FAMILIES`."""
    return tuple(name for name in FAMILIES if not holds(expression, partial(_is_other, name)))


def family(key: str) -> str:
    """Return the share-alike or copyleft family of a licence, its version left out; empty for one that is neither."""
    return next((name for name in FAMILIES if key.upper().startswith(f"{name.upper()}-")), "")


def _is_other(name: str, key: str) -> bool:
    return family(key) != name


def _over(key: str) -> frozenset[str]:
    """Return the licences under which a whole may be that holds something under this one."""
    name = family(key)
    found = {f"{name}-{version}" for version in _versions(key)} if name in VERSIONS else {name}
    if "GPL-3.0" in found:
        found.add("AGPL-3.0")
    if key.upper().startswith("CC-BY-SA-4.0"):
        found.add("GPL-3.0")
    return frozenset(found)


def _versions(key: str) -> tuple[str, ...]:
    """Return the versions of its family under which a licence may be taken; all of them where it names none that is known."""
    known = VERSIONS[family(key)]
    named = re.match(r"[A-Za-z]+-(\d+\.\d+)", key)
    if named is None or named[1] not in known:
        return known
    later = "or-later" in key or key.partition(" ")[0].endswith("+")
    return known[known.index(named[1]) :] if later else (named[1],)
