"""Which licences a mixture may hold, as its user states it; nothing here is legal advice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from probe.manifest.licences import NOASSERTION, LicenceError, effective_licence, flag_member, normalise_licence, parse_licence
from sources.spec import Licence


@dataclass(frozen=True, slots=True)
class LicenceRule:
    """Licences that are allowed (SPDX identifiers; none given: all), and whether non-commercial ones are left out."""

    allow: tuple[str, ...] = ()
    no_noncommercial: bool = False

    @classmethod
    def of(cls, allow: Iterable[str], no_noncommercial: bool = False) -> LicenceRule:
        """Spell identifiers as SPDX does.

        Raises:
            LicenceError: one is no SPDX identifier.
        """
        return cls(tuple(dict.fromkeys(normalise_licence(name) for name in allow)), no_noncommercial)

    def excluded(self, members: Iterable[tuple[str, Licence]]) -> dict[str, str]:
        """Return the sources that the rule leaves out, with their licences.

        Of `A AND B` both must be allowed, of `A OR B` one. Where licences are listed, a source of unknown licence is left out; without
        a list it stays, and `unknown` names it.

        Raises:
            LicenceError: a source's licence is no SPDX expression; the message names the source.
        """
        if not self.allow and not self.no_noncommercial:
            return {}
        return {slug: effective_licence(licence) for slug, licence in members if not self._allows(slug, licence)}

    def unknown(self, members: Iterable[tuple[str, Licence]]) -> tuple[str, ...]:
        """Return the sources whose licence nobody knows."""
        return tuple(slug for slug, licence in members if effective_licence(licence) == NOASSERTION)

    def _allows(self, slug: str, licence: Licence) -> bool:
        try:
            return holds(effective_licence(licence), self._permitted)
        except LicenceError as error:
            raise LicenceError(f"source {slug}: {error}") from None

    def _permitted(self, key: str) -> bool:
        noncommercial = any("non-commercial" in flag.reason for flag in flag_member("", Licence(key)))
        return (not self.allow or key in self.allow) and not (self.no_noncommercial and noncommercial)


def holds(expression: str, permitted: Callable[[str], bool]) -> bool:
    """Say whether an SPDX expression can be kept with licences that are `permitted`: all of an AND, one of an OR.

    Raises:
        LicenceError: it cannot be parsed.
    """
    return _holds(parse_licence(expression), permitted)


def _holds(node: Any, permitted: Callable[[str], bool]) -> bool:
    parts = getattr(node, "args", ())
    if not parts:
        return permitted(str(node))
    return (any if getattr(node, "operator", "").strip() == "OR" else all)(_holds(part, permitted) for part in parts)
