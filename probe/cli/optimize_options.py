"""The options of `probe optimize` that say what a mixture must keep, and the constraints they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from probe.errors import UsageError

if TYPE_CHECKING:
    from probe.study.constraints import Constraints
    from sources.mixture import Mixture

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--epoch-cap", type=click.FloatRange(0.01), default=4.0, show_default=True, help="How often a row may be used."),
    click.option("--least", default="", metavar="S=SHARE,...", help="Least shares."),
    click.option("--greatest", default="", metavar="S=SHARE,...", help="Greatest shares."),
    click.option("--most-sources", type=click.IntRange(1), default=None, help="How many sources the mixture may have."),
    click.option("--licence-allow", default="", metavar="ID,...", help="Use sources under these SPDX licences alone."),
    click.option("--no-noncommercial", is_flag=True, help="Leave out sources under non-commercial licences."),
    click.option("--floor", default="", metavar="C=GAIN,...", help="Least predicted gain over the base, by capability; 0: no worse."),
    click.option("--floor-probability", type=click.FloatRange(0.5, 0.999), default=0.9, show_default=True, help="Of a floor; .5: mean."),
    click.option(
        "--prior", default="base", show_default=True, metavar="M", help="Stay near it: base, uniform, proportional, FILE, a=.5,b=.5."
    ),
    click.option("--trust", type=click.FloatRange(0), default=0.05, show_default=True, help="Price of a nat from the prior."),
    click.option("--max-kl", type=click.FloatRange(0, min_open=True), default=None, help="Greatest divergence from the prior, in nats."),
)
_QUESTIONS = (
    click.option("--suggest", type=click.IntRange(1, 64), default=None, metavar="N", help="Instead: say which N mixtures to train next."),
    click.option("--run", "train", is_flag=True, help="With --suggest: add them to the study and train them."),
    click.option("--front", default="", metavar="GOAL,...", help="Instead: the front of capabilities, score, tokens, unique-rows."),
)


def constraint_options(command: F) -> F:
    """Add what a mixture must keep."""
    return _with(command, _OPTIONS)


def question_options(command: F) -> F:
    """Add the other questions that can be asked of the same fit."""
    return _with(command, _QUESTIONS)


def _with(command: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        command = option(command)
    return command


def constraints_of(options: dict[str, Any]) -> Constraints:
    """Return the constraints that the options state.

    Raises:
        UsageError: one means nothing.
    """
    from probe.manifest.licence_rule import LicenceRule
    from probe.study.constraints import Constraints

    allowed = [name.strip() for name in options["licence_allow"].split(",") if name.strip()]
    return Constraints(
        epoch_cap=options["epoch_cap"],
        least=parse_weights("--least", options["least"]),
        greatest=parse_weights("--greatest", options["greatest"]),
        most_sources=options["most_sources"],
        licences=LicenceRule.of(allowed, options["no_noncommercial"]),
        floors=parse_weights("--floor", options["floor"]),
        floor_probability=options["floor_probability"],
        prior=_prior(options["prior"]),
        trust=options["trust"],
        max_kl=options["max_kl"],
    )


def question(options: dict[str, Any]) -> str:
    """Return what is asked: `suggest`, `front`, or nothing for the mixture itself.

    Raises:
        UsageError: options contradict each other.
    """
    if options["suggest"] and options["front"]:
        raise UsageError("give --suggest or --front, not both.")
    if options["train"] and not options["suggest"]:
        raise UsageError("--run goes with --suggest N: it trains the mixtures that are suggested.")
    return "suggest" if options["suggest"] else "front" if options["front"] else ""


def parse_weights(option: str, text: str) -> tuple[tuple[str, float], ...]:
    """Parse `a=1,b=2`.

    Raises:
        UsageError: it is not of that form, or names one thing twice.
    """
    pairs: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            name = ""
        if not name or number != number:
            raise UsageError(f"{option} takes NAME=NUMBER,NAME=NUMBER, got {text!r}.")
        if name in pairs:
            raise UsageError(f"{option} names {name!r} twice.")
        pairs[name] = number
    return tuple(pairs.items())


def _prior(text: str) -> str | Mixture:
    from probe.study.base import parse_base
    from probe.study.constraints import PRIORS

    if text in PRIORS:
        return text
    try:
        return parse_base(text)
    except UsageError as error:
        names = ", ".join(PRIORS)
        raise UsageError(f"{str(error).replace('--base', '--prior').rstrip('.')}; or a name: {names}.") from None
