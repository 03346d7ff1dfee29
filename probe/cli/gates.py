"""`probe run --sequential`: gates that sources pass one after another, as tables and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from probe.cli.output import estimate_json, interval, print_json, print_listing, say
from probe.errors import ProbeError, UsageError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from probe.decide.gates import Gate
    from probe.study.gates import Order
    from probe.study.request import RunRequest
    from probe.study.run import Planned

COLUMNS = ("order", "gate", "source", "against", "effect", "verdict", "level", "base after")


def run_sequential(workspace: Workspace, request: RunRequest, options: dict[str, Any]) -> None:
    """Pass the sources through their gates and print the log; the same command goes on where it was interrupted.

    Raises:
        UsageError: the design is another one, or there is one source only.
        ProbeError, SourceError: something cannot be used, or probes failed.
    """
    from db.values import Design
    from probe.cli.run import cost_json, engine_settings, estimated, plan_json, print_plan, run_waiting
    from probe.study.gates import first_plan, run_gates

    if request.design not in (None, Design.ADD_ONE):
        raise UsageError(f"--sequential is a way to ask add-one, not {request.design.value}.")
    request = replace(request, design=Design.ADD_ONE)

    def tell(line: str) -> None:
        say(line, err=True)

    if options["dry_run"]:
        planned = first_plan(workspace, request, options["orders"], tell)
        print_plan(planned)
        tell("These are the first gates: which probes follow hangs on what they accept, one new probe a gate, order and seed at most.")
        cost = estimated(workspace, planned, options)
        if options["form"] == "json":
            print_json(plan_json(planned) | {"cost": None if cost is None else cost_json(cost)})
        return

    def run(planned: Planned) -> None:
        print_plan(planned)
        if options["retry_failed"]:
            with workspace.open_store() as store:
                store.retry_failed(request.study)
        if unscored := run_waiting(workspace, request.study, options["workers"], engine_settings(options)):
            raise ProbeError(unscored)

    print_orders(request.study, run_gates(workspace, request, options["orders"], run, tell), options["form"])


def print_orders(study: str, orders: Sequence[Order], form: str) -> None:
    """Print each order's gates, and where the accepted sets differ."""
    from probe.study.gates import disputed_units

    disputed = disputed_units(orders)
    if form == "json":
        told = [{"order": list(o.units), "accepted": list(o.accepted()), "gates": [gate_json(gate) for gate in o.gates]} for o in orders]
        print_json({"study": study, "orders": told, "disputed": list(disputed)})
        return
    print_listing([gate_row(k, gate) for k, order in enumerate(orders, 1) for gate in order.gates], form, empty="", columns=COLUMNS)
    if form != "table":
        return
    for number, order in enumerate(orders, 1):
        say(f"Order {number} accepts {', '.join(order.accepted()) or 'nothing'}.")
    if len(orders) > 1:
        say(f"The orders differ on {', '.join(disputed)}: what these bring hangs on what is there already." if disputed else "All agree.")


def gate_row(order: int, gate: Gate) -> dict[str, Any]:
    """Return a gate as a row of the table."""
    return {
        "order": order,
        "gate": gate.number,
        "source": gate.unit,
        "against": gate.reference,
        "effect": interval(gate.effect),
        "verdict": gate.verdict.value,
        "level": round(gate.level, 4),
        "base after": " ".join(f"{slug}={share:.3g}" for slug, share in gate.after.shares),
    }


def gate_json(gate: Gate) -> dict[str, Any]:
    """Return a gate as the object that others script against."""
    return {
        "order": list(gate.order),
        "gate": gate.number,
        "source": gate.unit,
        "arm": gate.arm,
        "reference": gate.reference,
        "effect": estimate_json(gate.effect),
        "verdict": gate.verdict.value,
        "accepted": gate.accepted,
        "level": gate.level,
        "seeds": gate.repeats,
        "base_before": gate.before.weights(),
        "base_after": gate.after.weights(),
    }
