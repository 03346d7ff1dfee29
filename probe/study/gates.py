"""`add-one --sequential`: sources accepted one after another, in one order or in several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.values import ArmRole, Design, Split, Verdict
from probe.decide.gates import Gate, disputed, gate_levels, gate_orders, judge_gate
from probe.errors import ProbeError, UsageError
from probe.study.designs.add_one import path_name
from probe.study.designs.references import BASE
from probe.study.planned_probes import Say
from probe.study.ranking import LEVEL, known_study, study_scores
from probe.study.recorded_notes import GATES, record, recorded
from probe.study.request import RunRequest
from probe.study.run import Planned, plan_run, store_plan
from probe.workspace import Workspace
from sources.estimate import Estimate

if TYPE_CHECKING:
    from db.store import Store

GATED = (ArmRole.BASE, ArmRole.SOURCE, ArmRole.MIXTURE)
Run = Callable[[Planned], None]


@dataclass(frozen=True, slots=True)
class Order:
    """One order and the gates that were passed through so far."""

    units: tuple[str, ...]
    gates: tuple[Gate, ...] = ()

    def accepted(self) -> tuple[str, ...]:
        """Return what joined the base mixture, in the order of acceptance."""
        return tuple(gate.unit for gate in self.gates if gate.accepted)

    def path(self) -> tuple[str, ...]:
        """Return the units of the next gate's arm: what was accepted, and the candidate."""
        return (*self.accepted(), self.units[len(self.gates)])


def run_gates(workspace: Workspace, request: RunRequest, orders: int, run: Run, say: Say) -> list[Order]:
    """Plan, run and judge gate after gate, all orders side by side; gates that are in the study's log already are not judged again.

    `run` gets each step's plan, stored already, and returns once nothing of it waits.

    Raises:
        UsageError: there are fewer than two units to accept.
        ProbeError, SourceError, StoreError: something cannot be used, or a gate's probes are not scored.
    """
    going = [Order(units) for units in gate_orders(_units(request), orders)]
    if len(going) < orders:
        say(f"These sources have {len(going)} orders, not {orders}.")
    for _ in going[0].units:
        planned = plan_run(workspace, replace(request, gates=tuple(order.path() for order in going)), say)
        store_plan(workspace, planned)
        run(planned)
        with workspace.open_store() as store:
            going = [_next_gate(store, request.study, order, _repeats(planned), say) for order in going]
    return going


def first_plan(workspace: Workspace, request: RunRequest, orders: int, say: Say) -> Planned:
    """Work out the first gates, which are all that is known before anything is trained; nothing is stored.

    Raises:
        UsageError, ProbeError, SourceError, StoreError: as `run_gates`.
    """
    first = tuple(Order(units).path() for units in gate_orders(_units(request), orders))
    return plan_run(workspace, replace(request, gates=first), say)


def disputed_units(orders: Sequence[Order]) -> tuple[str, ...]:
    """Return what some orders accepted and others did not."""
    return disputed([order.accepted() for order in orders])


def _units(request: RunRequest) -> list[str]:
    names = [*(name for name, _ in request.groups), *request.sources]
    if len(names) < 2:
        raise UsageError("gates need two sources or more, in the order to try them: probe run --sequential --base M --source S --source T.")
    return names


def _repeats(planned: Planned) -> int:
    return 1 + max(probe.repeat for probe in planned.plan.probes)


def _next_gate(store: Store, study: str, order: Order, repeats: int, say: Say) -> Order:
    """Take an order through its next gate, from the log if it is there."""
    number = len(order.gates) + 1
    path = order.path()
    for _, gate in recorded(Gate, GATES, store.notes(study)):
        same = (gate.order, gate.number, gate.arm, gate.repeats) == (order.units, number, path_name(path), repeats)
        if same:
            return replace(order, gates=(*order.gates, gate))
    gate = _judged(store, study, order, repeats)
    record(store, study, GATES, gate.sentence(), gate)
    say(gate.sentence())
    return replace(order, gates=(*order.gates, gate))


def _judged(store: Store, study: str, order: Order, repeats: int) -> Gate:
    path, level = order.path(), gate_levels([gate.accepted for gate in order.gates], len(order.units))
    arm, reference = path_name(path), path_name(path[:-1])
    curricula = {known.name: known.curriculum for known in store.arms(study)}
    before, with_it = (curricula[name].phases[0].mixture for name in (reference, arm))
    try:
        effect, verdict = _measured(store, study, arm, reference, level)
    except ValueError as error:
        raise ProbeError(f"the gate of {path[-1]} cannot be judged: {error}; see `probe status`.") from None
    after = with_it if verdict.value == "helps" else before
    return Gate(order.units, len(order.gates) + 1, path[-1], arm, reference, effect, verdict, level, repeats, before, after)


def _measured(store: Store, study: str, arm: str, reference: str, level: float) -> tuple[Estimate, Verdict]:
    """Compare a gate's arm with its reference overall, among all of the study's gates and added sources."""
    from probe.decide.levels import level_panels

    inputs = study_scores(store, known_study(store, study), GATED, Split.SELECTION)
    places = [k for k, known in enumerate(inputs.arms) if known.name == BASE or known.design is Design.ADD_ONE]
    names = [inputs.arms[k].name for k in places]
    parts = [benchmark.panel(places, []) for benchmark in inputs.benchmarks if benchmark.scored()]
    if not parts:
        raise ValueError("nothing is scored yet")
    trained = list(range(len(places)))
    overall = level_panels(parts, trained)[0].panel
    return judge_gate(overall, names.index(arm), names.index(reference), trained, level=level, interval=LEVEL)
