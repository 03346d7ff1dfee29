"""What the pages read: values of one store, opened read-only for every read, so that no page holds a connection."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from dashboard.decorators import kept_values
from db.errors import StoreError
from db.values import Arm, BenchmarkRecord, ManifestRecord, ProbeRecord, Ranking, SourceRecord, StudyProgress, StudyRecord
from probe.study.fidelity import kept_sentence
from probe.study.proxy_quality import ProxyQuality
from probe.study.study_quality import StudyQuality
from probe.workspace import Workspace

Stamp = tuple[int | float, ...]
Qualities = tuple[tuple[StudyQuality, ProxyQuality | None], ...]
POSTGRES_SECONDS = 5  # how old a cached value may be where a change of the database cannot be seen from outside


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store holds of one study at one revision, and what is registered beside it."""

    study: StudyRecord
    arms: tuple[Arm, ...]
    ranking: Ranking | None
    benchmarks: tuple[BenchmarkRecord, ...]
    sources: tuple[SourceRecord, ...]
    manifests: tuple[ManifestRecord, ...]
    fidelity: str = ""  # the sentence on how well the proxy agrees with full scale

    def ranking_is_old(self) -> bool:
        """Say whether probes finished after the ranking was computed."""
        return self.ranking is not None and self.study.revision > self.ranking.revision


@dataclass(frozen=True, slots=True)
class Runs:
    """Where a study's probes stand just now."""

    progress: StudyProgress
    probes: tuple[ProbeRecord, ...]
    revision: int


def workspace() -> Workspace:
    """Return the workspace that was given after `--`, else by PROBE_WORKSPACE and PROBE_DB_URL, else `.probe`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--workspace", default=os.environ.get("PROBE_WORKSPACE") or ".probe")
    parser.add_argument("--db", default=os.environ.get("PROBE_DB_URL", ""))
    known, _ = parser.parse_known_args(sys.argv[1:])
    return Workspace(Path(known.workspace), known.db)


def study_names() -> tuple[str, ...]:
    """Return the studies, newest first; a store that is missing or cannot be read is said once and counts as empty."""
    place = workspace()
    if not place.exists():
        return ()
    try:
        return _study_names(place, _stamp(place))
    except StoreError as error:
        st.error("The store cannot be read:")
        st.text(str(error))
        return ()


def registered_sources() -> tuple[SourceRecord, ...]:
    """Return every registered source, also where there is no study."""
    place = workspace()
    return _sources(place, _stamp(place)) if place.exists() else ()


def snapshot(study: str) -> Snapshot:
    """Return a study as it is now, from the cache while the database has not changed."""
    place = workspace()
    return _snapshot(place, _stamp(place), study)


def runs(study: str) -> Runs:
    """Return a study's probes, always fresh: a running probe changes without a new revision."""
    with workspace().open_store(read_only=True) as store:
        record = store.study(study)
        return Runs(store.progress(study), store.probes(study), record.revision if record else 0)


def qualities(view: Snapshot) -> Qualities:
    """Return what is known of the quality of a study's scored benchmarks, as `probe benchmarks check` and `probe rank` tell it."""
    place = workspace()
    return _qualities(place, view.study.name, view.study.revision, _files_stamp(place.quality.glob("*.json")))


def _stamp(place: Workspace) -> Stamp:
    if place.db_url:
        return (int(time.time() / POSTGRES_SECONDS),)
    return _files_stamp((Path(place.database), Path(place.database + "-wal")))


def _files_stamp(files: Iterable[Path]) -> Stamp:
    stats = [file.stat() for file in sorted(files) if file.exists()]
    return tuple(number for stat in stats for number in (stat.st_ino, stat.st_size, stat.st_mtime_ns))


@kept_values(entries=64)
def _study_names(place: Workspace, stamp: Stamp) -> tuple[str, ...]:
    with place.open_store(read_only=True) as store:
        return tuple(record.name for record in reversed(store.studies()))


@kept_values(entries=64)
def _sources(place: Workspace, stamp: Stamp) -> tuple[SourceRecord, ...]:
    with place.open_store(read_only=True) as store:
        return store.sources()


@kept_values(entries=64)
def _snapshot(place: Workspace, stamp: Stamp, study: str) -> Snapshot:
    with place.open_store(read_only=True) as store:
        record = store.study(study)
        if record is None:
            raise StoreError(f"there is no study {study!r}: see `probe studies list`")
        return Snapshot(
            record,
            store.arms(study),
            store.ranking(study),
            store.study_benchmarks(study),
            store.sources(),
            store.manifests(study),
            kept_sentence(store, record),
        )


@kept_values(entries=16, says="Reading the scores ...")
def _qualities(place: Workspace, study: str, revision: int, kept: Stamp) -> Qualities:
    from probe.study.study_quality import known_quality

    with place.open_store(read_only=True) as store:
        return known_quality(store, study, place.quality)
