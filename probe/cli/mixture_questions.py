"""What `probe optimize` prints beside a decision: how flat the optimum is, which mixtures to train next, and fronts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from probe.cli.output import estimate_json, interval, number, print_json, print_table, say
from probe.errors import ProbeError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from probe.manifest.document import Manifest
    from probe.study.front import Front
    from probe.study.mixture_search import Fit, OptimizeRequest
    from probe.study.suggestion import Suggestion
    from proxy_training.jobs import EngineSettings


def flat_lines(doc: Manifest) -> list[str]:
    """Say in words how far one can move from the optimum; nothing for a manifest that does not know."""
    flat = doc.optimiser.parameters.get("flat_optimum")
    if not isinstance(flat, Mapping):
        return []
    simplest, loss = flat["simplest"], flat["simplest"]["predicted_loss"]
    ranges = ", ".join(f"{slug} {_between(ends)}" for slug, ends in flat["ranges"].items())
    moves = ", ".join(f"{slug} {_between(ends)}" for slug, ends in flat["moves"].items())
    shares = ", ".join(f"{slug} {share:.0%}" for slug, share in sorted(simplest["weights"].items(), key=lambda pair: -pair[1]))
    return [
        f"How flat: a difference below {number(flat['measurable_loss'])} between mixtures cannot be measured with {flat['seeds']} seeds.",
        f"Shares within that loss, the others free: {ranges}.",
        f"One share moved by itself, the others scaled: {moves}.",
        f"Simplest mixture surely within it: {shares} (spends {simplest['moved']:.0%} of the budget otherwise; predicted loss "
        f"{number(loss['value'])} [{number(loss['low'])}, {number(loss['high'])}]).",
    ]


def _between(ends: Mapping[str, float]) -> str:
    return f"{ends['low']:.0%}-{ends['high']:.0%}"


def answer_suggest(
    workspace: Workspace, request: OptimizeRequest, n: int, train: bool, workers: int | None, settings: EngineSettings, as_json: bool
) -> None:
    """Print the mixtures to train next; with `train`, put them into the study and train them."""
    from probe.cli.run import run_waiting
    from probe.study.suggestion import plan_suggestion, suggest

    with workspace.open_store() as store:
        found = suggest(store, request, n)
        _tell(found.fit)
        if train and found.suggested:
            plan_suggestion(workspace, store, found, lambda line: say(line, err=True))
    if as_json:
        print_json(suggestion_json(found))
    else:
        _print_suggestion(found, train)
    if train and (unscored := run_waiting(workspace, request.study, workers, settings)):
        raise ProbeError(unscored)
    if train and not as_json:
        say(f"Trained. Search again, or suggest more: probe optimize --study {request.study} --suggest {n} --run")


def suggestion_json(found: Suggestion) -> dict[str, Any]:
    """Return the suggestions for programs."""
    return {
        "study": found.fit.study.name,
        "metric": found.fit.objective.metric,
        "waiting": list(found.waiting),
        "suggestions": [
            {
                "arm": one.arm.name,
                "weights": one.arm.curriculum.phases[0].mixture.weights(),
                "expected_improvement": estimate_json(one.improvement),
                "chance": one.chance,
                "predicted_gain": estimate_json(one.predicted_gain),
            }
            for one in found.suggested
        ],
    }


def _print_suggestion(found: Suggestion, train: bool) -> None:
    if found.waiting:
        say(f"Planned already and not finished: {', '.join(found.waiting)}; they count among the number, and `probe run` trains them.")
    if not found.suggested:
        return
    rows = [
        [
            _shares(one.arm.curriculum.phases[0].mixture.weights()),
            number(one.improvement.value),
            f"{one.chance:.0%}",
            interval(one.predicted_gain),
        ]
        for one in found.suggested
    ]
    print_table(["mixture", "expected improvement", "chance to be best", "predicted gain over base"], rows)
    say("\nExpected improvement is over the best so far and the rows above, averaged over what the surface may be.")
    if not train:
        say(f"Train them with: probe optimize --study {found.fit.study.name} --suggest {len(found.suggested)} --run")


def answer_front(workspace: Workspace, request: OptimizeRequest, goals: str, as_json: bool) -> None:
    """Print a front."""
    from probe.study.front import find_front

    with workspace.look() as store:
        found = find_front(store, request, [name.strip() for name in goals.split(",") if name.strip()])
    _tell(found.fit)
    if as_json:
        print_json(front_json(found))
    else:
        _print_front(found)


def front_json(found: Front) -> dict[str, Any]:
    """Return a front for programs; gains are over the base, costs those of the whole budget."""
    return {
        "study": found.fit.study.name,
        "goals": list(found.goals),
        "budget": {"unit": found.fit.unit.value, "amount": found.fit.budget},
        "points": [
            {
                "weights": dict(point.weights),
                "predicted_gain": {name: estimate_json(gain) for name, gain in point.gains.items()},
                "cost": dict(point.costs),
            }
            for point in found.points
        ],
    }


def _print_front(found: Front) -> None:
    rows = [
        [_shares(point.weights), *(interval(point.gains[g]) if g in point.gains else f"{point.costs[g]:,.0f}" for g in found.goals)]
        for point in found.points
    ]
    print_table(["mixture", *found.goals], rows)
    say(f"\n{len(rows)} mixtures that no other is predicted to beat in one goal without losing in another. Gains are over the base.")
    say("Take one with: probe optimize --prior a=...,b=... --max-kl 0.01")


def _shares(weights: Mapping[str, float]) -> str:
    shown = {slug: share for slug, share in weights.items() if share >= 0.005}
    return ", ".join(f"{slug} {share:.0%}" for slug, share in sorted(shown.items(), key=lambda pair: -pair[1]))


def _tell(fit: Fit) -> None:
    for note in fit.notes:
        say(f"Note: {note}", err=True)
