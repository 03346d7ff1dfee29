"""From a finished search and its confirmation to a manifest on disk and in the store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.values import Arm, ManifestRecord
from probe import DISTRIBUTION
from probe.study.optimise import CANDIDATE, Search, tokens_per_row
from probe.workspace import Workspace
from sources.canonical import content_hash
from sources.images import IMAGE_POLICY
from sources.mixture import Curriculum

if TYPE_CHECKING:
    from db.store import Store
    from probe.decide.confirm import Confirmation
    from probe.manifest.document import BenchmarkEntry, EvidenceEntry, Manifest, OptimiserEntry


def make_manifest(store: Store, found: Search, arms: Mapping[str, Arm], confirmed: Confirmation | None) -> Manifest:
    """Build the manifest of a search."""
    from probe.manifest.build import Decision, build_manifest
    from probe.manifest.counts import phase_counts
    from probe.manifest.document import BudgetEntry, ConfirmedGain, Provenance

    curriculum = Curriculum.static(found.mixture())
    ranking = store.ranking(found.study.name)
    per_row = tokens_per_row(store, found.study, found.seen.sources)
    gains = None
    if confirmed is not None:
        gains = {name: ConfirmedGain(gain, confirmed.holds[name]) for name, gain in confirmed.gains.items()}
    decision = Decision(
        curriculum=curriculum,
        counts=phase_counts(curriculum, found.unit, found.budget, per_row),
        budget=BudgetEntry(found.unit.value, found.budget),
        weights=found.optimum.weights,
        baselines=found.optimum.baselines,
        predicted=found.optimum.predicted_gain,
        confirmed=gains,
        optimiser=_optimiser(found),
        evidence=_evidence(store, found, arms),
        sampling_seed=found.request.seed,
        warnings=_same_as_candidate(arms),
    )
    records = {record.spec.slug: record for record in store.sources()}
    return build_manifest(
        decision,
        study=found.study,
        metric=ranking.metric if ranking else "right_probability",
        sources=[records[slug] for slug in found.seen.sources if slug in records],
        benchmarks=_benchmarks(store, found),
        capabilities=found.objective,
        image_policy=IMAGE_POLICY,
        provenance=Provenance(version(DISTRIBUTION), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())),
        effects=ranking.effects if ranking else (),
        tokens_per_row=per_row,
        level=found.request.level,
        noise_floor=ranking.noise_floor if ranking else None,
        reference=ranking.reference if ranking else "",
    )


def keep_manifest(workspace: Workspace, store: Store, doc: Manifest) -> Path:
    """Write a manifest into the workspace and the store; return its file."""
    from probe.manifest.write import manifest_json, write_manifest

    path = write_manifest(doc, workspace.manifests)
    store.put_manifest(ManifestRecord(doc.hash, doc.study.name, manifest_json(doc), doc.provenance.created_at))
    return path


def _optimiser(found: Search) -> OptimiserEntry:
    from probe.manifest.document import OptimiserEntry

    request = found.request
    parameters: dict[str, Any] = {
        "epoch_cap": request.epoch_cap,
        "trials": request.trials,
        "least": dict(request.least),
        "greatest": dict(request.greatest),
    }
    digest = content_hash([found.seen.arms, found.seen.weights.tolist(), found.seen.targets.tolist(), found.seen.noise.tolist()])
    return OptimiserEntry("gp-ard-sqrt-weights", parameters, request.seed, len(found.seen.arms), digest)


def _evidence(store: Store, found: Search, arms: Mapping[str, Arm]) -> EvidenceEntry:
    from probe.manifest.document import EvidenceEntry

    confirming = {arm.name for arm in arms.values()}
    probes = store.probes(found.study.name)
    return EvidenceEntry(
        search=tuple(sorted({p.training_id for p in probes if p.arm in found.seen.arms})),
        confirmation=tuple(sorted({p.training_id for p in probes if p.arm in confirming})),
    )


def _benchmarks(store: Store, found: Search) -> list[BenchmarkEntry]:
    from probe.manifest.build import benchmark_entry

    records = [r for r in store.study_benchmarks(found.study.name) if found.objective.get(r.spec.capability)]
    of_capability: dict[str, int] = {}
    for record in records:
        of_capability[record.spec.capability] = of_capability.get(record.spec.capability, 0) + 1
    return [benchmark_entry(r, found.objective[r.spec.capability] / of_capability[r.spec.capability]) for r in records]


def _same_as_candidate(arms: Mapping[str, Arm]) -> tuple[str, ...]:
    same = [name for name, arm in arms.items() if name != CANDIDATE and arm.curriculum == arms[CANDIDATE].curriculum]
    return tuple(f"the chosen mixture is the baseline {name!r} itself, so there is no gain to confirm against it" for name in same)
