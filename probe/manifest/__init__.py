"""Manifests: a decision about what to train on, frozen, checked and hashed."""

from probe.manifest.build import Decision, benchmark_entry, build_manifest
from probe.manifest.counts import phase_counts
from probe.manifest.diff import Difference, ManifestDiff, diff_manifests
from probe.manifest.document import (
    SCHEMA_VERSION,
    BenchmarkEntry,
    BudgetEntry,
    ConfirmedGain,
    DrawEntry,
    EvidenceEntry,
    FidelityEntry,
    LicenceFlag,
    LicenceSummary,
    Manifest,
    ObjectiveEntry,
    OptimiserEntry,
    OutsideEntry,
    PhaseEntry,
    Provenance,
    ProxyEntry,
    ReaderEntry,
    SourceEntry,
    StudyEntry,
    WatchedGain,
)
from probe.manifest.licences import LicenceError, effective_licence, flag_member, normalise_licence, summarise_licences
from probe.manifest.markdown import mixture_markdown
from probe.manifest.rows import RowsNow, rows_now
from probe.manifest.show import manifest_lines
from probe.manifest.show_diff import diff_lines, value_text
from probe.manifest.terms import MixtureTerms, mixture_terms
from probe.manifest.verify import Finding, VerifyReport, verify_manifest
from probe.manifest.write import ManifestError, manifest_json, manifest_schema, parse_manifest, read_manifest, write_card, write_manifest

__all__ = [
    "SCHEMA_VERSION",
    "BenchmarkEntry",
    "BudgetEntry",
    "ConfirmedGain",
    "Decision",
    "Difference",
    "DrawEntry",
    "EvidenceEntry",
    "FidelityEntry",
    "Finding",
    "LicenceError",
    "LicenceFlag",
    "LicenceSummary",
    "Manifest",
    "ManifestDiff",
    "ManifestError",
    "MixtureTerms",
    "ObjectiveEntry",
    "OptimiserEntry",
    "OutsideEntry",
    "PhaseEntry",
    "Provenance",
    "ProxyEntry",
    "ReaderEntry",
    "RowsNow",
    "SourceEntry",
    "StudyEntry",
    "VerifyReport",
    "WatchedGain",
    "benchmark_entry",
    "build_manifest",
    "diff_lines",
    "diff_manifests",
    "effective_licence",
    "flag_member",
    "manifest_json",
    "manifest_lines",
    "manifest_schema",
    "mixture_markdown",
    "mixture_terms",
    "normalise_licence",
    "parse_manifest",
    "phase_counts",
    "read_manifest",
    "rows_now",
    "summarise_licences",
    "value_text",
    "verify_manifest",
    "write_card",
    "write_manifest",
]
