"""From a finished search and its confirmation to a manifest on disk and in the store."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.values import Arm, ManifestRecord, ProbeState, SourceRecord
from probe.code_version import code_version, package_versions
from probe.study.confirmation import CANDIDATE, ConfirmationPlan
from probe.study.curriculum import CurriculumChoice
from probe.study.decided import decided_curriculum
from probe.study.decontamination import study_draws
from probe.study.mixture_search import Search, tokens_per_row
from probe.study.ranking import illustration_only
from probe.study.registry import source_record
from probe.study.searched import searched_json
from probe.workspace import Workspace
from sources.canonical import content_hash
from sources.estimate import Estimate
from sources.images import IMAGE_POLICY

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.confirm import Confirmation
    from probe.decide.flat_optimum import FlatOptimum
    from probe.decide.surrogates import Choice
    from probe.manifest.document import BenchmarkEntry, EvidenceEntry, FidelityEntry, Manifest, OptimiserEntry, OutsideEntry, Provenance


def make_manifest(
    workspace: Workspace,
    store: Store,
    found: Search,
    plan: ConfirmationPlan,
    confirmed: Confirmation | None,
    orders: CurriculumChoice | None = None,
) -> Manifest:
    """Build the manifest of a search, or of the order that was chosen; without `confirmed` it claims nothing."""
    from probe.manifest.build import Decision, build_manifest
    from probe.manifest.counts import phase_counts
    from probe.manifest.document import BudgetEntry, ConfirmedGain

    orders = orders or CurriculumChoice()
    decided = decided_curriculum(found, orders.chosen)
    ranking = store.ranking(found.study.name)
    per_row = tokens_per_row(store, found.study, found.seen.sources)
    gains = None
    if confirmed is not None:
        gains = {name: ConfirmedGain(gain, confirmed.holds[name]) for name, gain in confirmed.gains.items()}
    decision = Decision(
        curriculum=decided.curriculum,
        counts=phase_counts(decided.curriculum, found.unit, found.budget, per_row),
        budget=BudgetEntry(found.unit.value, found.budget),
        weights=decided.weights,
        baselines=decided.baselines,
        predicted=decided.predicted,
        confirmed=gains,
        optimiser=_optimiser(store, found, orders),
        evidence=_evidence(store, found, plan, orders),
        sampling_seed=found.request.seed,
        warnings=(
            *found.notes,
            *orders.notes,
            *(_same_as_candidate(plan.arms) if orders.chosen is None else decided.notes()),
            *_earlier_looks(plan if confirmed else None),
            *_losses(confirmed),
        ),
        outside=_outside(store, found, confirmed),
        fidelity=_fidelity(store, found),
    )
    return build_manifest(
        decision,
        study=found.study,
        metric=ranking.metric if ranking else found.objective.metric,
        objective_metric=found.objective.metric,
        illustration_only=illustration_only(store, found.study),
        sources=_source_records(workspace, store, found),
        benchmarks=_benchmarks(store, found),
        capabilities=found.objective.capabilities(),
        image_policy=IMAGE_POLICY,
        provenance=_provenance(),
        effects=ranking.effects if ranking else (),
        effect_seeds=Counter(p.arm for p in store.probes(found.study.name) if p.state is ProbeState.DONE),
        tokens_per_row=per_row,
        level=found.request.level,
        noise_floor=ranking.noise_floor if ranking and math.isfinite(ranking.noise_floor) else None,
        reference=ranking.reference if ranking else "",
    )


def _provenance() -> Provenance:
    from probe.manifest.build import HOW_TO_VERIFY
    from probe.manifest.document import Provenance

    code = code_version()
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Provenance(code.version, now, code.commit, code.dirty, packages=package_versions(), verify=HOW_TO_VERIFY)


def _source_records(workspace: Workspace, store: Store, found: Search) -> list[SourceRecord]:
    """Return the sources as the study draws from them: where it is clean of benchmarks, without the rows that hold their items."""
    records = {record.spec.slug: record for record in store.sources()}
    known = [slug for slug in found.seen.sources if slug in records]
    if not found.study.clean_of:
        return [records[slug] for slug in known]
    draws = study_draws(store, found.study, workspace.indexes)
    return [source_record((pool := draws.pool(slug)).spec, pool) for slug in known]


def keep_manifest(workspace: Workspace, store: Store, doc: Manifest) -> Path:
    """Write a manifest and its card into the workspace and the store; return its file.

    Where the same decision was made before, that one stays.
    """
    from probe.manifest.write import manifest_json, parse_manifest, write_card, write_manifest

    known = store.manifest(doc.hash)
    if known is not None:
        doc = parse_manifest(known.json)
    write_card(doc, workspace.manifests)
    path = write_manifest(doc, workspace.manifests)
    if known is not None:
        return path
    store.put_manifest(ManifestRecord(doc.hash, doc.study.name, manifest_json(doc), doc.provenance.created_at))
    return path


def _optimiser(store: Store, found: Search, orders: CurriculumChoice) -> OptimiserEntry:
    from probe.manifest.document import OptimiserEntry

    request = found.request
    parameters: dict[str, Any] = {
        **request.constraints.plain(),
        "trials": request.trials,
        "surrogate": surrogate_json(found.surrogate),
        "flat_optimum": flat_json(found.flat),
        "searched": searched_json(store, found),
    }
    if found.merging is not None:
        parameters["merged"] = found.merging.as_json()
    if orders.tested:
        parameters["curriculum"] = orders.plain()
    digest = content_hash([found.seen.arms, found.seen.weights.tolist(), found.fitted.values.tolist(), found.fitted.noise.tolist()])
    return OptimiserEntry(found.surrogate.name, parameters, request.seed, len(found.seen.arms), digest)


def flat_json(flat: FlatOptimum) -> dict[str, Any]:
    """Return how far one can move from the optimum at no measurable loss."""
    loss = flat.simplest_loss
    return {
        "measurable_loss": flat.loss,
        "seeds": flat.seeds,
        "ranges": {slug: {"low": low, "high": high} for slug, (low, high) in flat.ranges.items()},
        "moves": {slug: {"low": low, "high": high} for slug, (low, high) in flat.moves.items()},
        "simplest": {
            "weights": dict(flat.simplest),
            "predicted_loss": {"value": loss.value, "low": loss.low, "high": loss.high},
            "moved": flat.moved,
        },
    }


def surrogate_json(choice: Choice) -> dict[str, Any]:
    """Return which surrogates were used, and how well they predict held-out runs."""

    def figure(estimate: Estimate | None) -> dict[str, float] | None:
        return None if estimate is None else {"value": estimate.value, "low": estimate.low, "high": estimate.high}

    return {
        "name": choice.name,
        "shares": dict(choice.shares),
        "bad_tails_raised": choice.raised,
        "runs": choice.runs,
        "held_out": {"spearman": figure(choice.spearman), "r2": figure(choice.r2)},
        "families": {name: figure(spearman) for name, spearman in choice.families.items()},
    }


def _evidence(store: Store, found: Search, plan: ConfirmationPlan, orders: CurriculumChoice) -> EvidenceEntry:
    from probe.manifest.document import EvidenceEntry

    confirming = {arm.name for arm in plan.arms.values()}
    searched = {*found.seen.arms, *(name for order in orders.tested for name in (order.name, order.reference))}
    probes = store.probes(found.study.name)
    return EvidenceEntry(
        search=tuple(sorted({p.training_id for p in probes if p.arm in searched})),
        confirmation=tuple(sorted({p.training_id for p in probes if p.arm in confirming and p.repeat in plan.repeats()})),
        earlier_confirmations=plan.earlier,
    )


def _benchmarks(store: Store, found: Search) -> list[BenchmarkEntry]:
    from probe.manifest.build import benchmark_entry

    terms = {term.benchmark: term for term in found.objective.terms}
    records = [r for r in store.study_benchmarks(found.study.name) if r.spec.name in terms]
    return [benchmark_entry(r, terms[r.spec.name].weight, terms[r.spec.name].unit) for r in records]


def _outside(store: Store, found: Search, confirmed: Confirmation | None) -> tuple[OutsideEntry, ...]:
    from probe.manifest.document import OutsideEntry, WatchedGain

    records = {record.spec.name: record for record in store.study_benchmarks(found.study.name)}
    return tuple(
        OutsideEntry(
            one.benchmark,
            records[one.benchmark].spec.capability,
            records[one.benchmark].fingerprint,
            one.metric,
            {name: WatchedGain(gain, one.lost[name]) for name, gain in one.gains.items()},
        )
        for one in (confirmed.outside if confirmed else ())
    )


def _fidelity(store: Store, found: Search) -> FidelityEntry | None:
    """Return how well the proxy agrees with full scale; None where no full-scale result is recorded."""
    from probe.manifest.document import FidelityEntry
    from probe.study.fidelity import fidelity

    known = fidelity(store, found.study.name)
    if not known.outcomes:
        return None
    one = known.overall
    return FidelityEntry(known.outcomes, one.pairs if one else 0, known.said, one.agreement if one else None, one.rank if one else None)


def _losses(confirmed: Confirmation | None) -> Iterator[str]:
    for one in confirmed.outside if confirmed else ():
        if lost := [name for name, is_lost in one.lost.items() if is_lost]:
            worst = min((one.gains[name] for name in lost), key=lambda gain: gain.value)
            yield (
                f"on {one.benchmark}, which the objective does not hold, the mixture is worse than {', '.join(lost)} beyond doubt "
                f"(by up to {-worst.value:.3f} [{-worst.high:.3f}, {-worst.low:.3f}] {one.metric}): weigh that before training"
            )


def _earlier_looks(plan: ConfirmationPlan | None) -> Iterator[str]:
    if plan is not None and plan.earlier:
        times = "once" if plan.earlier == 1 else f"{plan.earlier} times"
        yield f"the confirmation items were looked at {times} before, for other mixtures: the more often, the less a gain on them proves"


def _same_as_candidate(arms: Mapping[str, Arm]) -> tuple[str, ...]:
    same = [name for name, arm in arms.items() if name != CANDIDATE and arm.curriculum == arms[CANDIDATE].curriculum]
    return tuple(f"the chosen mixture is the baseline {name!r} itself, so there is no gain to confirm against it" for name in same)
