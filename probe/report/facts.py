"""What a report tells: a decision, and what the store knows of its study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from probe.manifest import Manifest, parse_manifest

if TYPE_CHECKING:
    from db.store import Store
    from db.values import Arm, BenchmarkRecord, Note, Ranking, StudyProgress


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """A study by name, its decision where there is one, and what is kept of it; nothing of a study that the store does not hold."""

    study: str
    decision: Manifest | None = None
    ranking: Ranking | None = None
    ranking_is_old: bool = False
    arms: tuple[Arm, ...] = ()
    benchmarks: tuple[BenchmarkRecord, ...] = ()
    notes: tuple[Note, ...] = ()
    progress: StudyProgress | None = None
    fidelity: str = ""  # the sentence on how well the proxy agrees with full scale

    @property
    def illustration_only(self) -> bool:
        """Say whether all of it was measured on the bundled proxy."""
        return bool((self.decision and self.decision.proxy.illustration_only) or (self.ranking and self.ranking.illustration_only))


def study_facts(store: Store, study: str) -> ReportFacts:
    """Return what is known of a study, with its newest decision.

    Raises:
        StoreError: there is no such study.
        ManifestError: its newest decision cannot be read.
    """
    progress = store.progress(study)  # says which studies there are
    kept = store.manifests(study)
    return _facts(store, study, parse_manifest(kept[0].json, f"manifest {kept[0].hash}") if kept else None, progress)


def decision_facts(store: Store | None, doc: Manifest) -> ReportFacts:
    """Return what is known of a decision; of its study only where this store holds it and made the decision."""
    study = doc.study.name
    ours = store is not None and store.study(study) is not None and store.manifest(doc.hash) is not None
    if store is None or not ours:
        return ReportFacts(study, doc, fidelity=doc.fidelity.said if doc.fidelity else "")
    return _facts(store, study, doc, store.progress(study))


def _facts(store: Store, name: str, doc: Manifest | None, progress: StudyProgress) -> ReportFacts:
    from probe.study.fidelity import kept_sentence

    study = store.study(name)
    assert study is not None
    ranking = store.ranking(name)
    return ReportFacts(
        name,
        doc,
        ranking,
        ranking is not None and study.revision > ranking.revision,
        store.arms(name),
        store.study_benchmarks(name),
        store.notes(name),
        progress,
        kept_sentence(store, study),
    )
