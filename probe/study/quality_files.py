"""What proxies and studies showed of benchmarks, kept in the workspace: small JSON files, each whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from db.documents import to_document
from db.values import BenchmarkRecord
from probe.study.kept_files import read_kept
from probe.study.proxy_quality import ProxyQuality
from probe.study.study_quality import StudyQuality
from proxy_training.jobs import evaluation_id
from sources.canonical import content_hash
from sources.whole_files import write_whole_text

VERSION = 1  # raised when the same scores would give other numbers, or the document's fields change their meaning


def quality_file(folder: Path, weights_hash: str, fingerprint: str) -> Path:
    """Return where the quality of a benchmark on a proxy is kept; another benchmark, scorer or proxy has another file."""
    return folder / f"{content_hash([VERSION, weights_hash, evaluation_id(fingerprint)])}.json"


def keep_quality(folder: Path, found: ProxyQuality) -> Path:
    """Write what was found in place of what was kept before, and return the path."""
    path = quality_file(folder, found.weights_hash, found.fingerprint)
    write_whole_text(path, json.dumps(to_document(found), indent=1) + "\n")
    return path


def kept_quality(folder: Path, weights_hash: str, fingerprint: str) -> ProxyQuality | None:
    """Return what is kept; None where nothing is, or what is there cannot be read: it is measured again then."""
    return read_kept(ProxyQuality, quality_file(folder, weights_hash, fingerprint))


def kept_of_study(folder: Path, weights_hash: str, benchmarks: Sequence[BenchmarkRecord]) -> dict[str, ProxyQuality]:
    """Return what is kept of a study's benchmarks on its proxy, by name."""
    found = {record.spec.name: kept_quality(folder, weights_hash, record.fingerprint) for record in benchmarks}
    return {name: quality for name, quality in found.items() if quality is not None}


@dataclass(frozen=True, slots=True)
class KeptStudy:
    """What a study's probes showed of its benchmarks when the study was at `revision`."""

    study: str
    revision: int
    benchmarks: tuple[StudyQuality, ...]


def study_file(folder: Path, study: str) -> Path:
    """Return where a study's own view of its benchmarks is kept; that of the last ranking alone."""
    return folder / f"study-{content_hash([VERSION, study])}.json"


def keep_study_quality(folder: Path, study: str, revision: int, found: Sequence[StudyQuality]) -> Path:
    """Write what a study's probes showed in place of what was kept before, and return the path: pages then open no item scores."""
    path = study_file(folder, study)
    # `json` writes and reads NaN, the standard error of an interval that has none, which a document may not hold.
    write_whole_text(path, json.dumps(asdict(KeptStudy(study, revision, tuple(found)))) + "\n")
    return path


def kept_study_quality(folder: Path, study: str, revision: int) -> tuple[StudyQuality, ...] | None:
    """Return what is kept of a study at a revision; None where nothing is, or what is there cannot be read."""
    found = read_kept(KeptStudy, study_file(folder, study))
    return found.benchmarks if found is not None and (found.study, found.revision) == (study, revision) else None
