"""What a mixture must keep, as the user states it, and the region of mixtures that comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from probe.errors import ProbeError, UsageError
from probe.manifest.licence_rule import LicenceRule
from sources.mixture import Mixture
from sources.spec import Licence

if TYPE_CHECKING:
    from collections.abc import Set

    from probe.decide.region import Region
    from probe.decide.surrogates import Surrogate

PRIORS = ("base", "uniform", "proportional")


@dataclass(frozen=True, slots=True)
class Constraints:
    """What the mixture must keep.

    `epoch_cap` bounds how often a row is used at the budget, `least` and `greatest` bound shares, `most_sources` their number, `licences`
    what may be used at all. `floors` are the least predicted effects against the base, in the objective's units, by capability, each
    with `floor_probability`. `prior` is a name of `PRIORS` or a mixture; distance from it costs `trust` a nat (in deviations of the
    surface), and is at most `max_kl` nats.
    """

    epoch_cap: float = 4.0
    least: tuple[tuple[str, float], ...] = ()
    greatest: tuple[tuple[str, float], ...] = ()
    most_sources: int | None = None
    licences: LicenceRule = field(default_factory=LicenceRule)
    floors: tuple[tuple[str, float], ...] = ()
    floor_probability: float = 0.9
    prior: str | Mixture = "base"
    trust: float = 0.05
    max_kl: float | None = None

    def plain(self) -> dict[str, Any]:
        """Return them as JSON values for the manifest; beyond cap and bounds only what was asked for."""
        asked: dict[str, Any] = {}
        if self.most_sources is not None:
            asked["most_sources"] = self.most_sources
        if self.licences != LicenceRule():
            asked["licences"] = {"allow": list(self.licences.allow), "no_noncommercial": self.licences.no_noncommercial}
        if self.floors:
            asked["floors"] = {"least": dict(self.floors), "probability": self.floor_probability}
        prior = self.prior if isinstance(self.prior, str) else self.prior.weights()
        asked["prior"] = {"mixture": prior, "trust": self.trust, "max_kl": self.max_kl}
        return {"epoch_cap": self.epoch_cap, "least": dict(self.least), "greatest": dict(self.greatest), **asked}


@dataclass(frozen=True, slots=True)
class Setting:
    """What constraints are applied to: the sources with what each holds, the budget, the base, licences, and fitted capabilities."""

    sources: tuple[str, ...]
    usable: Mapping[str, float]
    budget: int
    base: Sequence[float]
    licences: Mapping[str, Licence]
    surrogates: Mapping[str, Surrogate] = field(default_factory=dict)

    def baseline(self) -> list[float]:
        """Return the base's shares of these sources, or those proportional to what they hold where it has none."""
        shares = list(self.base) if sum(self.base) > 0 else list(self.usable.values())
        return [share / sum(shares) for share in shares]


def prior_shares(prior: str | Mixture, setting: Setting) -> list[float]:
    """Return the prior's shares.

    Raises:
        UsageError: it holds none of the sources.
    """
    if isinstance(prior, Mixture):
        shares = [prior.weights().get(slug, 0.0) for slug in setting.sources]
    else:
        named = {"base": setting.baseline(), "uniform": [1.0] * len(setting.sources), "proportional": list(setting.usable.values())}
        shares = named[prior]
    if sum(shares) <= 0:
        raise UsageError(f"--prior holds none of the sources that are mixed here: {', '.join(setting.sources)}.")
    return [share / sum(shares) for share in shares]


def licence_notes(rule: LicenceRule, setting: Setting) -> tuple[str, ...]:
    """Return what the rule for licences left out, and what it kept without knowing."""
    members = list(setting.licences.items())
    gone = rule.excluded(members)
    notes = []
    if gone:
        notes.append(f"left out by licence: {', '.join(f'{slug} ({licence})' for slug, licence in gone.items())}")
    kept = [slug for slug in rule.unknown(members) if slug not in gone]
    if kept and rule != LicenceRule():
        notes.append(f"nobody stated the licence of {', '.join(kept)}, so the rule for licences cannot judge: kept in the search")
    return tuple(notes)


def region_of(asked: Constraints, setting: Setting) -> Region:
    """Return the mixtures that keep all constraints.

    Raises:
        ProbeError: there is none; the sentence names the constraints that contradict each other.
    """
    from probe.decide.region import conflict, feasible

    gone = asked.licences.excluded(setting.licences.items())
    if len(gone) == len(setting.sources):
        listed = ", ".join(f"{slug} ({licence})" for slug, licence in gone.items())
        raise ProbeError(f"the licence rule leaves out every source: {listed}. Allow one, or state licences with `probe sources add`.")
    names = _names(asked)
    starts = [setting.baseline(), prior_shares(asked.prior, setting)]

    def possible(chosen: Set[str]) -> bool:
        try:
            return feasible(_region(asked, setting, chosen), starts)
        except ValueError:
            return False

    told = conflict(names, possible)
    if not told:
        return _region(asked, setting, set(names))
    try:
        _region(asked, setting, set(told))
    except ValueError as error:
        reason = str(error)
    else:
        reason = "loosen one of them" if len(told) > 1 else "loosen it"
    raise ProbeError(f"no mixture keeps {_joined(told)}: {reason}.")


def _names(asked: Constraints) -> list[str]:
    """Return what the constraints are called, those first that should be spared first when a conflict is told."""
    names = ["the licence rule"] if asked.licences != LicenceRule() else []
    names += [f"--floor {name}={least:g}" for name, least in asked.floors]
    names += [f"--max-kl {asked.max_kl:g}"] if asked.max_kl is not None else []
    names += [f"--most-sources {asked.most_sources}"] if asked.most_sources is not None else []
    names += ["--least"] if asked.least else []
    names += ["--greatest"] if asked.greatest else []
    return [*names, f"--epoch-cap {asked.epoch_cap:g}"]


def _region(asked: Constraints, setting: Setting, chosen: Set[str]) -> Region:
    """Return the region of some of the constraints, by name.

    Raises:
        ValueError: no shares keep the bounds.
    """
    from probe.decide.region import Floor, Region
    from probe.decide.simplex import ShareBounds

    greatest = _per_source(asked.greatest, setting.sources, 1.0, "--greatest" in chosen)
    if "the licence rule" in chosen:
        gone = asked.licences.excluded(setting.licences.items())
        greatest = [0.0 if slug in gone else share for slug, share in zip(setting.sources, greatest, strict=True)]
    bounds = ShareBounds.of(
        len(setting.sources),
        least=_per_source(asked.least, setting.sources, 0.0, "--least" in chosen),
        greatest=greatest,
        usable=list(setting.usable.values()),
        budget=setting.budget,
        epoch_cap=asked.epoch_cap if f"--epoch-cap {asked.epoch_cap:g}" in chosen else None,
    )
    base = _array(setting.baseline())
    return Region(
        bounds,
        asked.most_sources if f"--most-sources {asked.most_sources}" in chosen else None,
        tuple(prior_shares(asked.prior, setting)),
        asked.max_kl if asked.max_kl is not None and f"--max-kl {asked.max_kl:g}" in chosen else None,
        tuple(
            Floor(name, setting.surrogates[name], base, least, asked.floor_probability)
            for name, least in asked.floors
            if f"--floor {name}={least:g}" in chosen
        ),
    )


def _per_source(given: Sequence[tuple[str, float]], sources: Sequence[str], default: float, used: bool) -> list[float]:
    unknown = [slug for slug, _ in given if slug not in sources]
    if unknown:
        raise UsageError(f"no such source in this search: {', '.join(unknown)}; there are {', '.join(sources)}.")
    return [dict(given).get(slug, default) if used else default for slug in sources]


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} together"


def _array(values: Sequence[float]) -> Any:
    import numpy as np

    return np.array(values)
