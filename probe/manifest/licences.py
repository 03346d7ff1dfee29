"""Licences of a mixture: SPDX expressions checked, joined, and members flagged that someone has to read.

Declared is what the card says, concluded what somebody found; concluded counts where there is one. `NOASSERTION` (nobody
looked) and `LicenseRef-...` (terms of their own) are valid and always flagged. Nothing here is legal advice: it says what to read.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

from probe.errors import ProbeError
from probe.manifest.document import LicenceFlag, LicenceSummary
from sources.spec import Licence

NOASSERTION = "NOASSERTION"
_REFERENCE = re.compile(r"(DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+")


class LicenceError(ProbeError, ValueError):
    """A licence is no SPDX expression; the message holds the cure."""


def normalise_licence(expression: str) -> str:
    """Return an SPDX expression in its normal spelling (`cc-by-4.0` becomes `CC-BY-4.0`); empty becomes `NOASSERTION`.

    Raises:
        LicenceError: it cannot be parsed, or names a licence that SPDX does not know.
    """
    if not expression.strip():
        return NOASSERTION
    parsed = parse_licence(expression)
    unknown = [key for key in _spdx().unknown_license_keys(parsed) if key != NOASSERTION and not _REFERENCE.fullmatch(key)]
    if unknown:
        raise LicenceError(
            f"{unknown[0]!r} is no SPDX licence identifier: see spdx.org/licenses, "
            f"or write LicenseRef-{_slug(unknown[0])} for terms of its own"
        )
    return str(parsed)


def effective_licence(licence: Licence) -> str:
    """Return the expression that counts: the concluded one where somebody concluded, else the declared one."""
    concluded = normalise_licence(licence.concluded)
    return concluded if concluded != NOASSERTION else normalise_licence(licence.declared)


def conjunction(expressions: Iterable[str]) -> str:
    """Return `A AND B AND ...` of distinct expressions, sorted, alternatives in parentheses; `NOASSERTION` of none."""
    distinct = sorted({normalise_licence(expression) for expression in expressions})
    if len(distinct) == 1:
        return distinct[0]
    return str(parse_licence(" AND ".join(f"({expression})" for expression in distinct))) if distinct else NOASSERTION


def summarise_licences(members: Iterable[tuple[str, Licence]]) -> LicenceSummary:
    """Return the mixture's licence and the flagged members, in the members' order.

    Raises:
        LicenceError: one is no SPDX expression; the message names the source.
    """
    expressions, flags = [], []
    for slug, licence in members:
        try:
            expressions.append(effective_licence(licence))
            flags.extend(flag_member(slug, licence))
        except LicenceError as error:
            raise LicenceError(f"source {slug}: {error}") from None
    return LicenceSummary(conjunction(expressions), tuple(flags))


def flag_member(slug: str, licence: Licence) -> list[LicenceFlag]:
    """Return what somebody has to read before training on a source."""
    expression = effective_licence(licence)
    flags = [LicenceFlag(slug, key, reason) for key in licence_keys(expression) if (reason := licence_traits(key))]
    if licence.terms.strip():
        flags.append(LicenceFlag(slug, expression, f"provider terms: {licence.terms.strip()}"))
    declared = normalise_licence(licence.declared)
    if NOASSERTION not in (declared, expression) and declared != expression:
        flags.append(LicenceFlag(slug, expression, f"concluded licence differs from the declared {declared}"))
    return flags


def licence_traits(key: str) -> str:
    """Return why one licence has to be looked at: `non-commercial, no derivatives`; empty where nothing is known against it."""
    parts = re.split(r"[-.]", key.upper())
    reasons = []
    if key == NOASSERTION:
        reasons.append("no licence known")
    if "LICENSEREF" in parts:
        reasons.append("terms of its own, not an SPDX licence")
    if "NC" in parts or "NONCOMMERCIAL" in key.upper().replace("-", ""):
        reasons.append("non-commercial")
    if "ND" in parts:
        reasons.append("no derivatives")
    return ", ".join(reasons)


def licence_keys(expression: str) -> list[str]:
    """Return the distinct licences that an SPDX expression names.

    Raises:
        LicenceError: it cannot be parsed.
    """
    return list(dict.fromkeys(_spdx().license_keys(parse_licence(expression))))


def parse_licence(expression: str) -> Any:
    """Return the parsed expression.

    Raises:
        LicenceError: it cannot be parsed.
    """
    try:
        return _spdx().parse(expression)
    except Exception as error:  # the parser's own errors derive from Exception alone
        raise LicenceError(f"{expression!r} is no SPDX expression such as 'CC-BY-4.0' or 'MIT AND CC-BY-NC-4.0'") from error


@functools.cache
def _spdx() -> Any:
    from license_expression import get_spdx_licensing  # here: it reads 2,400 licences

    return get_spdx_licensing()


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-") or "own-terms"
