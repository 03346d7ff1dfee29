"""`probe curve`: how a score grows with size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from probe.cli.output import estimate_json, interval, listing_options, print_json, print_listing, say
from probe.errors import ProbeError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from probe.decide.scaling.study_curves import Point, StudyCurve


@click.command()
@click.option("--study", default="main", show_default=True, help="The study whose ladders are shown.")
@click.option("--source", "units", multiple=True, metavar="S", help="A source or other unit of a ladder; repeat for more.")
@click.option("--capability", default=None, help="Show one capability instead of all.")
@click.option("--at", multiple=True, type=click.FloatRange(min=0, min_open=True), metavar="N", help="Forecast here; repeat for more.")
@click.option("--level", default=0.90, show_default=True, type=click.FloatRange(0.5, 0.999), help="Level of the intervals.")
@listing_options
@click.pass_obj
def command(
    workspace: Workspace, study: str, units: tuple[str, ...], capability: str | None, at: tuple[float, ...], level: float, form: str
) -> None:
    """Show how scores grow with size: the law as far as the sizes tell it, and forecasts with intervals.

    Sizes and forecasts are in the study's unit (tokens or samples). A forecast far beyond the largest size has a wide interval: it keeps
    every law open that the sizes leave open.
    """
    from probe.study.curves import curves
    from probe.study.ranking import known_study

    with workspace.look() as store:
        found = curves(store, study, units, at, level)
        unit = known_study(store, study).budget_unit.value
    if form == "json":
        print_json({"study": study, "unit": unit, "level": level, "curves": [curve_json(curve) for curve in found]})
        return
    shown = [curve for curve in found if (curve.level, curve.name) == _wanted(found, capability)]
    print_listing([line for curve in shown for line in _lines(curve, unit)], form, empty="Nothing is scored yet: see `probe status`.")
    for curve in shown if form == "table" else ():
        told = curve.choice.sentence() if curve.choice else curve.why
        say(f"{curve.unit}: {told}.")
        if curve.choice:
            say(f"{curve.unit}: one doubling is worth {interval(curve.choice.doubling)} over these sizes.")
        if curve.cut:
            say(f"{curve.unit}: {curve.cut}.")


def curve_json(curve: StudyCurve) -> dict[str, Any]:
    """Return a curve as the object that `probe curve --json` prints."""
    choice = curve.choice
    return {
        "source": curve.unit,
        "level": curve.level,
        "name": curve.name,
        "metric": curve.metric,
        "points": _points_json(curve.points),
        "law": None if choice is None else choice.law.value,
        "told": choice is not None and choice.told,
        "possible": [] if choice is None else [law.value for law in choice.possible],
        "exponent": estimate_json(choice.exponent) if choice else None,
        "doubling": estimate_json(choice.doubling) if choice else None,
        "held_out": {} if choice is None else {law.value: estimate_json(error) for law, error in choice.held_out.items()},
        "fit_p": choice.fits if choice else None,
        "parts_at": choice.parts_at if choice else None,
        "forecasts": _points_json(curve.forecasts),
        "cut": curve.cut,
        "says": choice.sentence() if choice else curve.why,
    }


def _points_json(points: tuple[Point, ...]) -> list[dict[str, Any]]:
    return [{"size": size, **(estimate_json(estimate) or {})} for size, estimate in points]


def _wanted(found: tuple[StudyCurve, ...], capability: str | None) -> tuple[str, str]:
    if capability is None:
        return "overall", "overall"
    known = sorted({curve.name for curve in found if curve.level == "capability"})
    if capability not in known:
        raise ProbeError(f"there is no capability {capability!r} in this study; it has {', '.join(known)}.")
    return "capability", capability


def _lines(curve: StudyCurve, unit: str) -> list[dict[str, Any]]:
    law = curve.choice.law.value if curve.choice and curve.choice.told else "not told"
    rows = [(size, "trained", score) for size, score in curve.points] + [(size, "forecast", score) for size, score in curve.forecasts]
    return [
        {"source": curve.unit, unit: f"{size:,.0f}", "what": what, curve.metric: interval(score, signed=False), "law": law}
        for size, what, score in rows
    ]
