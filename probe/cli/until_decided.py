"""`probe run --until-decided`: look, give more seeds to what is open, look again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from probe.cli.output import say
from probe.errors import ProbeError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from probe.study.request import RunRequest
    from probe.study.run import Planned
    from proxy_training.jobs import EngineSettings


def plan_first_look(workspace: Workspace, request: RunRequest, options: dict[str, Any]) -> Planned:
    """Plan the first look's seeds, and say at which numbers of seeds is looked."""
    from db.values import Design
    from probe.study.run import plan_run
    from probe.study.until_decided import first_plan

    if request.design is Design.SWARM:
        return plan_run(workspace, request, lambda line: say(line, err=True))
    planned = first_plan(workspace, request, options["most_seeds"], lambda line: say(line, err=True))
    say(f"Looks at {', '.join(map(str, planned.plan.study.looks))} seeds; the level is spent over all of them.", err=True)
    return planned


def run_rounds(
    workspace: Workspace, study: str, workers: int | None, settings: EngineSettings, form: str, deadline: float | None, swarm: bool
) -> None:
    """Run rounds until nothing is open, of a study's arms or of its `swarm`, and print the ranking and how it ended.

    Raises:
        ProbeError: probes failed, or a benchmark could not be scored.
    """
    from probe.cli.run import print_study, run_waiting
    from probe.study.until_decided import decided_json, run_until_decided, run_until_flat

    unscored = ""

    def run() -> bool:
        nonlocal unscored
        unscored = run_waiting(workspace, study, workers, settings, deadline)
        return deadline is None or time.monotonic() < deadline

    found = (run_until_flat if swarm else run_until_decided)(workspace, study, run, lambda line: say(line, err=True))
    print_study(workspace, study, form, {"until_decided": decided_json(found)})
    if form != "json":
        say(found.sentence())
    if unscored:
        raise ProbeError(unscored)
