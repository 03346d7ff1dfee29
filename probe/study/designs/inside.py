"""Units that are a part of the base mixture: what `leave-one-out` and `halving` ask about."""

from __future__ import annotations

from db.values import Design
from probe.errors import UsageError
from probe.study.designs.mixtures import share_of
from probe.study.designs.question import Question, Unit
from sources.mixture import Mixture


def units_inside(question: Question, design: Design) -> tuple[Unit, ...]:
    """Return the units, by default every source of the base mixture.

    Raises:
        UsageError: a source of a unit has no share in the base mixture, or a unit is all of it.
    """
    base = question.base.weights()
    units = question.units or tuple(Unit(slug, Mixture.single(slug)) for slug in base)
    for unit in units:
        if outside := sorted(unit.slugs() - set(base)):
            raise UsageError(
                f"{', '.join(outside)} has no share in the base mixture ({', '.join(base)}), and {design.value} asks about what is in it: "
                "name a --base that holds it in a new --study, or ask about adding it with --design add-one."
            )
        if share_of(question.base, unit.slugs()) > 1 - 1e-9:
            raise UsageError(f"{unit.name} is the whole base mixture: {design.value} needs a --base with something beside it.")
    return units
