"""What the pages read: values of one store, opened read-only for every read, so that no page holds a transaction."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from dashboard.decorators import kept_values
from db.errors import StoreError
from db.store import Store
from db.values import (
    Arm,
    ArmCost,
    ArmLabel,
    BenchmarkRecord,
    Design,
    EffectRow,
    ManifestRecord,
    PairRow,
    ProbeRecord,
    ProbeState,
    Ranking,
    SourceRecord,
    StudyProgress,
    StudyRecord,
)
from probe.decide.levels import CAPABILITY, OVERALL
from probe.decide.order_slopes import OrderSlope
from probe.decide.ranking import places as ranking_places
from probe.decide.scaling.study_curves import StudyCurve
from probe.study.fidelity import kept_sentence
from probe.study.overlap_files import KeptOverlap, kept_overlaps
from probe.study.proxy_quality import ProxyQuality
from probe.study.study_quality import StudyQuality
from probe.workspace import Workspace

Stamp = tuple[int | float, ...]
Qualities = tuple[tuple[StudyQuality, ProxyQuality | None], ...]
FRESH_SECONDS = 1
MOST_PROBES = 1_000  # in a table; a CSV holds all
POSTGRES_SECONDS = 5  # how old a cached value may be where a change of the database cannot be seen from outside


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store holds of one study at one revision, and what is registered beside it.

    The ranking has the effects overall and by capability, or none where a page shows none; those on benchmarks, the pairs and the arms'
    curricula are read where they are shown.
    """

    study: StudyRecord
    arms: tuple[ArmLabel, ...]
    ranking: Ranking | None
    benchmarks: tuple[BenchmarkRecord, ...]
    sources: tuple[SourceRecord, ...]
    manifests: tuple[ManifestRecord, ...]
    fidelity: str = ""  # the sentence on how well the proxy agrees with full scale

    def ranking_is_old(self) -> bool:
        """Say whether probes finished after the ranking was computed."""
        return self.ranking is not None and self.study.revision > self.ranking.revision


@dataclass(frozen=True, slots=True)
class Standing:
    """How many probes of a study stand where just now."""

    progress: StudyProgress
    revision: int


@dataclass(frozen=True, slots=True)
class Runs:
    """Where a study's probes stand just now: the first `MOST_PROBES` of those in the state that is looked at, and all that failed."""

    progress: StudyProgress
    probes: tuple[ProbeRecord, ...]
    failed: tuple[ProbeRecord, ...] = ()


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


def snapshot(study: str, effects: bool = True) -> Snapshot:
    """Return a study as it is now, from the cache while the database has not changed; without `effects`, its ranking has none."""
    place = workspace()
    return _snapshot(place, _stamp(place), study, effects)


def standing(study: str) -> Standing:
    """Return a study's progress as it is now: a running probe changes without a new revision."""
    place = workspace()
    return _standing(place, _stamp(place, FRESH_SECONDS), study)


def runs(study: str, state: ProbeState | None = None) -> Runs:
    """Return a study's probes as they are now, those of one state or of all."""
    place = workspace()
    stamp = _stamp(place, FRESH_SECONDS)
    progress = _standing(place, stamp, study).progress
    failed = _probes(place, stamp, study, ProbeState.FAILED, None) if progress.failed else ()
    return Runs(progress, _probes(place, stamp, study, state, MOST_PROBES), failed)


def all_probes(study: str, state: ProbeState | None = None) -> tuple[ProbeRecord, ...]:
    """Return every probe of a study, or those of one state."""
    place = workspace()
    return _probes(place, _stamp(place, FRESH_SECONDS), study, state, None)


def whole_arms(view: Snapshot, names: Iterable[str]) -> tuple[Arm, ...]:
    """Return those of a study's arms that are named, with their curricula."""
    place = workspace()
    return _whole_arms(place, _stamp(place), view.study.name, tuple(sorted(names)))


def design_sources(view: Snapshot) -> Mapping[Design, tuple[str, ...]]:
    """Return the sources that the arms of each design train on."""
    place = workspace()
    return _design_sources(place, _stamp(place), view.study.name)


def seeds(view: Snapshot) -> Mapping[Design, int]:
    """Return the seeds that an arm of each design has at most."""
    place = workspace()
    return _seeds(place, _stamp(place), view.study.name)


def arm_costs(view: Snapshot) -> tuple[ArmCost, ...]:
    """Return what a study's arms cost."""
    place = workspace()
    return _arm_costs(place, _stamp(place), view.study.name)


def effects(view: Snapshot, levels: tuple[str, ...], arms: Iterable[str]) -> tuple[EffectRow, ...]:
    """Return the ranking's effects of some arms at some levels."""
    place = workspace()
    return _effects(place, _stamp(place), view.study.name, levels, tuple(arms)) if view.ranking else ()


def pairs(view: Snapshot, level: tuple[str, str], arms: Iterable[str]) -> tuple[PairRow, ...]:
    """Return the ranking's differences between some arms at one level."""
    place = workspace()
    return _pairs(place, _stamp(place), view.study.name, level, tuple(arms)) if view.ranking else ()


def places(view: Snapshot, level: tuple[str, str]) -> Mapping[str, tuple[int, int]]:
    """Return the places that each arm may have at one level, as `probe rank` tells them."""
    if view.ranking is None:
        return {}
    place = workspace()
    rows = [row for row in view.ranking.effects if (row.level, row.name) == level]
    return ranking_places(rows, _decided_counts(place, _stamp(place), view.study.name, level))


def curve(view: Snapshot, source: str, level: tuple[str, str]) -> StudyCurve | str:
    """Return how a source's score grows with size at one level, as `probe curve` tells it, or the sentence that says why not."""
    return _curve(workspace(), view.study.name, view.study.revision, source, level)


def qualities(view: Snapshot) -> Qualities:
    """Return what is known of the quality of a study's scored benchmarks, as `probe benchmarks check` and `probe rank` tell it."""
    place = workspace()
    ranked = view.ranking.revision if view.ranking else None
    return _qualities(place, view.study.name, view.study.revision, ranked, _files_stamp(place.quality.glob("*.json")))


def overlaps(source: str) -> tuple[KeptOverlap, ...]:
    """Return what `probe sources overlap` found of a source, where the data are still the same."""
    place = workspace()
    return _overlaps(place, _stamp(place), _files_stamp([place.overlaps]), source)


def order_slopes(view: Snapshot) -> tuple[OrderSlope, ...]:
    """Return how each order's gain changes with size, as `probe rank` tells it."""
    place = workspace()
    return _order_slopes(place, view.study.name, view.study.revision)


def _stamp(place: Workspace, seconds: int = POSTGRES_SECONDS) -> Stamp:
    if place.db_url:
        return (int(time.time() / seconds),)
    return _files_stamp((Path(place.database), Path(place.database + "-wal")))


def _files_stamp(files: Iterable[Path]) -> Stamp:
    stats = [file.stat() for file in sorted(files) if file.exists()]
    return tuple(number for stat in stats for number in (stat.st_ino, stat.st_size, stat.st_mtime_ns))


def _opened(place: Workspace) -> Store:
    """Open the store for one read; connections to a server are kept for the next one, which is most of what a small read takes."""
    if place.db_url:
        _reader(place)
    return place.open_store(read_only=True)


@kept_values(entries=4, ends=Store.close)
def _reader(place: Workspace) -> Store:
    """Return a reader that stays open: all readers of a process share an engine, whose connections end with its last reader."""
    return place.open_store(read_only=True)


@kept_values(entries=64)
def _study_names(place: Workspace, stamp: Stamp) -> tuple[str, ...]:
    with _opened(place) as store:
        return tuple(record.name for record in reversed(store.studies()))


@kept_values(entries=64)
def _sources(place: Workspace, stamp: Stamp) -> tuple[SourceRecord, ...]:
    with _opened(place) as store:
        return store.sources()


@kept_values(entries=64)
def _snapshot(place: Workspace, stamp: Stamp, study: str, effects: bool) -> Snapshot:
    with _opened(place) as store:
        record = store.study(study)
        if record is None:
            raise StoreError(f"there is no study {study!r}: see `probe studies list`")
        return Snapshot(
            record,
            store.arm_labels(study),
            store.ranking(study, (OVERALL, CAPABILITY) if effects else (), pairs=False),
            store.study_benchmarks(study),
            store.sources(),
            store.manifests(study),
            kept_sentence(store, record),
        )


@kept_values(entries=16, says="Reading the scores of the orders ...")
def _order_slopes(place: Workspace, study: str, revision: int) -> tuple[OrderSlope, ...]:
    from probe.study.orders import study_slopes

    with _opened(place) as store:
        return study_slopes(store, study)


@kept_values(entries=16, says="Reading the scores ...")
def _qualities(place: Workspace, study: str, revision: int, ranked: int | None, kept: Stamp) -> Qualities:
    from probe.study.study_quality import known_quality

    with _opened(place) as store:
        return known_quality(store, study, place.quality, ranked)


@kept_values(entries=16)
def _overlaps(place: Workspace, stamp: Stamp, kept: Stamp, source: str) -> tuple[KeptOverlap, ...]:
    with _opened(place) as store:
        sources = {record.spec.slug: record.fingerprint for record in store.sources()}
        return kept_overlaps(place.overlaps, source, sources, {record.spec.name: record.fingerprint for record in store.benchmarks()})


@kept_values(entries=16)
def _standing(place: Workspace, stamp: Stamp, study: str) -> Standing:
    with _opened(place) as store:
        record = store.study(study)
        return Standing(store.progress(study), record.revision if record else 0)


@kept_values(entries=4)
def _probes(place: Workspace, stamp: Stamp, study: str, state: ProbeState | None, most: int | None) -> tuple[ProbeRecord, ...]:
    with _opened(place) as store:
        return store.probes(study, state, most)


@kept_values(entries=16)
def _seeds(place: Workspace, stamp: Stamp, study: str) -> Mapping[Design, int]:
    with _opened(place) as store:
        return store.seeds(study)


@kept_values(entries=16)
def _whole_arms(place: Workspace, stamp: Stamp, study: str, names: tuple[str, ...]) -> tuple[Arm, ...]:
    with _opened(place) as store:
        return store.arms(study, names=names) if names else ()


@kept_values(entries=16)
def _design_sources(place: Workspace, stamp: Stamp, study: str) -> Mapping[Design, tuple[str, ...]]:
    with _opened(place) as store:
        return store.design_sources(study)


@kept_values(entries=16)
def _arm_costs(place: Workspace, stamp: Stamp, study: str) -> tuple[ArmCost, ...]:
    with _opened(place) as store:
        return store.arm_costs(study)


@kept_values(entries=32)
def _effects(place: Workspace, stamp: Stamp, study: str, levels: tuple[str, ...], arms: tuple[str, ...]) -> tuple[EffectRow, ...]:
    with _opened(place) as store:
        return store.effects(study, levels, arms)


@kept_values(entries=16)
def _pairs(place: Workspace, stamp: Stamp, study: str, level: tuple[str, str], arms: tuple[str, ...]) -> tuple[PairRow, ...]:
    with _opened(place) as store:
        return store.pairs(study, level, arms)


@kept_values(entries=32)
def _decided_counts(place: Workspace, stamp: Stamp, study: str, level: tuple[str, str]) -> dict[str, tuple[int, int]]:
    with _opened(place) as store:
        return store.decided_counts(study, level)


@kept_values(entries=32, says="Reading the scores of its sizes ...")
def _curve(place: Workspace, study: str, revision: int, source: str, level: tuple[str, str]) -> StudyCurve | str:
    from probe.errors import ProbeError
    from probe.study.curves import curves

    with _opened(place) as store:
        try:
            return next(iter(curves(store, study, [source], wanted=level)), "nothing is scored at several sizes yet")
        except ProbeError as error:
            return str(error)
