"""`probe optimize`: search the mixture, confirm it, write a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from probe.cli.confirmation_options import against_of, confirmation_options, fidelity_entry_json, fidelity_line, outside_json, outside_lines
from probe.cli.mixture_questions import answer_front, answer_suggest, flat_lines
from probe.cli.optimize_options import constraint_options, constraints_of, parse_weights, question, question_options
from probe.cli.output import counting, estimate_json, interval, print_json, print_table, say
from probe.errors import ProbeError, UsageError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.confirm import Confirmation
    from probe.manifest.document import Manifest
    from probe.study.mixture_search import OptimizeRequest
    from proxy_training.jobs import EngineSettings


@click.command()
@click.option("--study", default="main", show_default=True, help="The study to decide on.")
@click.option("--source", "sources", multiple=True, metavar="S", help="Mix these alone.  [default: all that the study trained]")
@click.option("--samples", type=click.IntRange(1), default=None, help="Budget of the full-scale run, in rows.  [default: the study's]")
@click.option("--tokens", type=click.IntRange(1), default=None, help="Budget of the full-scale run, in tokens.")
@click.option("--objective", default="", metavar="C=W,...", help="Weights of capabilities.  [default: equal]")
@constraint_options
@question_options
@click.option("--trials", type=click.IntRange(10), default=150, show_default=True, help="Optuna trials on the fitted surface.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the search.")
@click.option("--seeds", type=click.IntRange(1, 64), default=3, show_default=True, help="Fresh seeds of the confirmation.")
@click.option(
    "--merged/--no-merged",
    default=None,
    help="Score weighted sums of the single-source adapters, without training, for the surrogate.  [default: where all are there]",
)
@click.option(
    "--curriculum/--no-curriculum", default=None, help="Choose among tested orders of phases.  [default: where a phases study was run]"
)
@click.option("--no-confirm", is_flag=True, help="Search only: the manifest then makes no claim.")
@confirmation_options
@click.option("--workers", type=click.IntRange(1), default=None, help="Processes.  [default: one a core, or one a GPU]")
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...; found by itself.")
@click.option("--gpus-per-probe", type=click.IntRange(1, 64), default=1, show_default=True, help="More: shard a proxy too big for one GPU.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    workspace: Workspace,
    /,
    as_json: bool,
    workers: int | None,
    device: str | None,
    gpus_per_probe: int,
    merged: bool | None,
    **options: Any,
) -> None:
    """Search the mixture on what a study trained, confirm it with fresh seeds, and write the manifest; or suggest what to train next."""
    from probe.cli.recipe_check import kept_json, kept_line
    from probe.study.devices import check_device, check_sharding
    from proxy_training.jobs import EngineSettings

    check_device(device)
    check_sharding(device, gpus_per_probe)
    workspace.check_writable()
    settings, asked, request = EngineSettings(device, gpus_per_probe=gpus_per_probe), question(options), _request(options)
    if asked == "suggest":
        answer_suggest(workspace, request, options["suggest"], options["train"], workers, settings, as_json)
    elif asked == "front":
        answer_front(workspace, request, options["front"], as_json)
    else:
        doc, path, _ = optimize(workspace, request, workers, settings, merged)
        with workspace.open_store() as store:
            recipe = kept_json(store, request.study) if as_json else kept_line(store, request.study)
        if as_json:
            print_json(optimize_json(doc, path) | {"recipe_check": recipe})
        else:
            print_decision(doc, path, str(recipe))


def optimize(
    workspace: Workspace, request: OptimizeRequest, workers: int | None, settings: EngineSettings, merged: bool | None = None
) -> tuple[Manifest, Path, Confirmation | None]:
    """Search, train the confirmation, and keep the manifest; what was confirmed before is reused. `merged` as in `merger`."""
    from probe.cli.run import run_waiting
    from probe.manifest.write import manifest_json
    from probe.study.confirmation import confirmation, confirmation_plan, order_confirmation, order_gain, plan_confirmation
    from probe.study.curriculum import study_choice
    from probe.study.decision import keep_manifest, make_manifest
    from probe.study.devices import default_workers
    from probe.study.merged_search import merger
    from probe.study.mixture_search import search
    from probe.study.streaming import bring_here

    def tell(line: str) -> None:
        say(line, err=True)

    with workspace.open_store() as store:
        with counting("merged adapters") as show:
            found = search(store, request, merge=merger(workspace, settings, merged, tell, show))
        tell(f"Searched the mixtures of {len(found.seen.sources)} sources on {len(found.seen.arms)} trained ones.")
        if found.merging:
            tell(found.merging.sentence())
        for note in found.notes:
            tell(f"Note: {note}")
    bring_here(workspace, found.seen.sources, tell, counting)
    with workspace.open_store() as store:
        _rank(store, request.study, workspace.quality, tell)
        orders = study_choice(store, found)
        if orders.candidate:
            tell(f"An order of phases helps: {orders.candidate.text()}; it is confirmed beside the best static mixture.")
        plan = confirmation_plan(store, found, orders.candidate.curriculum if orders.candidate else None)
        manifest_json(
            make_manifest(workspace, store, found, plan, None, orders)
        )  # whatever keeps it from being written is said before the confirmation
        if request.confirm:
            cost = plan_confirmation(workspace, store, found, plan, tell)
    if request.confirm:
        processes = workers or default_workers(settings.device, settings.gpus_per_probe)
        tell(f"Confirming on the items that were set aside: {cost.sentence(processes)}.")
        if unscored := run_waiting(workspace, request.study, workers, settings):
            raise ProbeError(unscored)
    with workspace.open_store() as store:
        _rank(store, request.study, workspace.quality, tell)  # again, because the confirmation raised the study's revision
        gain = order_gain(store, found, plan) if request.confirm else None
        orders = orders.confirmed_by(gain)
        if gain and orders.chosen:
            confirmed: Confirmation | None = order_confirmation(store, found, plan, gain)
        else:
            confirmed = confirmation(store, found, plan) if request.confirm else None
        doc = make_manifest(workspace, store, found, plan, confirmed, orders)
        return doc, keep_manifest(workspace, store, doc), confirmed


def _rank(store: Store, study: str, quality: Path, tell: Callable[[str], None]) -> None:
    """Bring the ranking up to date, whose effects the manifest carries; a study that has none yet can be decided on without."""
    from probe.study.ranking import rank

    if not any(arm.role.value == "source" for arm in store.arms(study)):
        return
    try:
        rank(store, study, quality)
    except ProbeError as error:
        tell(f"Note: the manifest carries no effects of single sources: {error}")


def print_decision(doc: Manifest, path: Path, recipe: str = "") -> None:
    """Print a decision for people; `recipe` is what a check of the study's recipe said."""
    from probe.manifest.show import claim_text

    counts = doc.rows()
    rows = [
        [slug, interval_of_share(weight.value, weight.low, weight.high), f"{counts.get(slug, 0):,}"]
        for slug, weight in sorted(doc.weights.items(), key=lambda pair: -pair[1].value)
    ]
    print_table(["source", "share", "rows"], rows)
    if line := surrogate_line(doc):
        say(f"\n{line}")
    for line in flat_lines(doc) if len(doc.phases) == 1 else _phase_lines(doc):
        say(line)
    if orders := doc.optimiser.parameters.get("curriculum"):
        say(f"Curriculum: {orders['why']}")
    say(f"\nGains in {doc.objective.metric}:")
    same = doc.same_as()
    for name, title in _baselines(doc).items():
        if name in same:
            say(f"Gain against {title:<21} none: the chosen mixture is this baseline itself.")
            continue
        estimate, claim = doc.predicted[name], (doc.confirmed or {}).get(name)
        confirmed = f"confirmed {interval(claim.gain)}{'' if claim.held else ', not beyond doubt'}" if claim else "not confirmed"
        say(f"Gain against {title:<21} predicted {interval(estimate)}; {confirmed}.")
    if doc.confirmed:
        say(f"{claim_text(doc).capitalize()}.")
    for line in outside_lines(doc):
        say(line)
    say(fidelity_line(doc))
    if recipe:
        say(recipe)
    for warning in doc.warnings:
        say(f"Note: {warning}")
    say(f"\nManifest: {path}")
    say(f"Export it with: probe export {path} --trainer llamafactory --out DIR")


def _phase_lines(doc: Manifest) -> Iterator[str]:
    for phase in doc.phases:
        held = ", ".join(f"{slug} {rows:,}" for slug, rows in sorted(phase.counts.items()))
        yield f"{phase.name}: {phase.share:.1%} of the budget, rows of {held}."


def surrogate_line(doc: Manifest) -> str:
    """Say what the search believed and how well it predicts held-out runs; empty for a manifest that does not know."""
    used = doc.optimiser.parameters.get("surrogate")
    if not isinstance(used, Mapping):
        return ""
    shares = ", ".join(f"{name} {share:.0%}" for name, share in used["shares"].items())
    figures = [(title, used["held_out"][key]) for key, title in (("spearman", "rank correlation"), ("r2", "R2"))]
    told = [f"{title} {f['value']:.2f} [{f['low']:.2f}, {f['high']:.2f}]" for title, f in figures if f]
    held_out = f"on held-out runs {', '.join(told)}" if told else "how well it predicts held-out runs cannot be told"
    tails = "; the worst runs count as bad, not as how bad" if used["bad_tails_raised"] else ""
    return f"Surrogate of {used['runs']} runs: {shares}; {held_out}{tails}."


def _baselines(doc: Manifest) -> dict[str, str]:
    """Return the baselines to show with their titles; those of one mixture are shown once: `base (= proportional)`."""
    from sources.mixture import equal_shares

    groups: list[list[str]] = []
    for name in doc.predicted:
        shares = doc.baselines.get(name, {name: 1.0})
        group = next((g for g in groups if equal_shares(shares, doc.baselines.get(g[0], {g[0]: 1.0}))), None)
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    return {group[0]: group[0] + (f" (= {', '.join(group[1:])})" if group[1:] else "") for group in groups}


def interval_of_share(value: float, low: float, high: float) -> str:
    """Return a share with its interval in percent."""
    return f"{value:6.1%} [{low:.0%}, {high:.0%}]"


def optimize_json(doc: Manifest, path: Path) -> dict[str, Any]:
    """Return the object that others script against."""
    confirmed = doc.confirmed or {}
    return {
        "manifest": str(path),
        "hash": doc.hash,
        "weights": {slug: {"value": w.value, "low": w.low, "high": w.high} for slug, w in doc.weights.items()},
        "counts": [dict(phase.counts) for phase in doc.phases],
        "predicted_gain": {name: estimate_json(gain) for name, gain in doc.predicted.items()},
        "surrogate": doc.optimiser.parameters.get("surrogate"),
        "flat_optimum": doc.optimiser.parameters.get("flat_optimum"),
        "merged": doc.optimiser.parameters.get("merged"),
        "curriculum": doc.optimiser.parameters.get("curriculum"),
        "metric": doc.objective.metric,
        "confirmed_gain": {name: {**(estimate_json(c.gain) or {}), "held": c.held} for name, c in confirmed.items()} or None,
        "beats_all": doc.beats_all() if confirmed else None,
        "outside": outside_json(doc),
        "fidelity": fidelity_entry_json(doc),
        "warnings": list(doc.warnings),
    }


def _request(options: dict[str, Any]) -> OptimizeRequest:
    from db.values import BudgetUnit
    from probe.study.mixture_search import OptimizeRequest

    if options["samples"] and options["tokens"]:
        raise UsageError("give --samples or --tokens, not both.")
    unit = BudgetUnit.SAMPLES if options["samples"] else BudgetUnit.TOKENS if options["tokens"] else None
    return OptimizeRequest(
        study=options["study"],
        sources=options["sources"],
        unit=unit,
        budget=options["samples"] or options["tokens"] or 0,
        objective=parse_weights("--objective", options["objective"]),
        constraints=constraints_of(options),
        trials=options["trials"],
        seed=options["seed"],
        seeds=options["seeds"],
        confirm=not options["no_confirm"],
        against=against_of(options),
        outside=tuple(options["outside"]),
        curriculum=options["curriculum"],
    )
