"""Pools of a source by difficulty, as a proxy judges it: its own mean loss per answer token before any training.

Losses are kept in the workspace, a file for every `ROWS_AT_ONCE` rows, under a name that hashes what was judged by what: the rows'
content, the proxy's weights, precision and longest row, and the image policy. So an interrupted judging goes on where it was, and other
numbers of pools cost nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from probe.errors import ProbeError
from probe.study.model_scores import quiet
from probe.workspace import Workspace
from proxy_training.jobs import EngineSettings, ProxySpec
from sources.canonical import content_hash, hash_bytes
from sources.difficulty import OPTION, bounds, keep_order, pool_names, pool_specs
from sources.images import IMAGE_POLICY
from sources.problems import Problem
from sources.sampling import DrawnRow, SourcePool
from sources.subsources import find_subsource
from sources.whole_files import write_whole_text

if TYPE_CHECKING:
    from db.store import Store
    from proxy_training.engine import Engine
    from proxy_training.row_losses import Judged
    from sources.spec import SourceSpec

VERSION = 1  # raised when the same rows and proxy would give other losses
ROWS_AT_ONCE = 512
SEED = 0  # of the rows that are judged, where not all are
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as it was registered: rows and their losses in nats per answer token."""

    source: str
    rows: int
    mean: float
    low: float  # of the easiest row
    high: float


@dataclass(frozen=True, slots=True)
class Difficulty:
    """What was judged, by what, the rows that have no loss by problem, and the pools, the easiest first."""

    source: str
    proxy: str
    judged: int
    excluded: tuple[tuple[str, int], ...]
    pools: tuple[Pool, ...]


def make_pools(
    workspace: Workspace,
    slug: str,
    proxy: ProxySpec,
    pools: int = 3,
    rows: int | None = None,
    settings: EngineSettings | None = None,
    progress: Progress | None = None,
) -> Difficulty:
    """Judge a source's rows, all or so many drawn at random, and register its parts of equal size from the easiest to the hardest.

    Raises:
        ProbeError: it is such a part itself, too few rows have a loss, or a study used other pools of these names.
        SourceError: it cannot be used.
    """
    from probe.study.registry import find_source

    with workspace.look() as store:
        spec = find_source(store, slug)
    if spec.option(OPTION):
        raise ProbeError(f"{spec.slug} is a pool by difficulty already: judge {spec.slug.rpartition('/')[0]}.")
    pool = SourcePool.open(spec, workspace.indexes)
    _refuse_namesakes(pool, pools)
    numbers = np.asarray(pool.some_numbers(rows or pool.usable, SEED))
    keys = np.asarray(pool.index.keys.column)[np.searchsorted(pool.index.numbers, numbers)]
    judged = _judge(workspace, pool, proxy, numbers, hash_bytes(keys.tobytes()), settings or EngineSettings(), progress)
    excluded = Counter(one.value for one in judged if isinstance(one, Problem))
    losses = np.array([np.nan if isinstance(one, Problem) else one for one in judged])
    order = np.lexsort((keys, losses))[: int(np.isfinite(losses).sum())]  # what has no loss comes last
    if len(order) < pools:
        raise ProbeError(
            f"only {len(order)} of {len(losses)} rows of {spec.slug} have a loss ({_counts(excluded)}), too few for {pools} pools."
        )
    made = pool_specs(spec, keep_order(workspace.indexes, keys[order]), pools)
    with workspace.open_store() as store:
        _register(store, pool, made)
    return Difficulty(spec.slug, proxy.name, len(order), tuple(sorted(excluded.items())), tuple(_pools(made, losses[order])))


def _pools(specs: Sequence[SourceSpec], losses: NDArray[np.float64]) -> Iterator[Pool]:
    for k, spec in enumerate(specs, 1):
        low, high = bounds(len(losses), k, len(specs))
        own = losses[low:high]
        yield Pool(spec.slug, len(own), float(own.mean()), float(own[0]), float(own[-1]))


def _refuse_namesakes(pool: SourcePool, pools: int) -> None:
    for name in pool_names(pools):
        if find_subsource(name, list(pool.subsources)) is not None:
            raise ProbeError(f"{pool.spec.slug} has a sub-source called {name!r}, the name of a pool: take another number of --pools.")


def _register(store: Store, whole: SourcePool, specs: Sequence[SourceSpec]) -> None:
    """Register all pools in place of what had their names, or none."""
    from probe.study.registry import source_record

    records = [source_record(spec, whole.view(spec)) for spec in specs]
    for record in records:
        slug, known = record.spec.slug, store.source(record.spec.slug)
        users = store.studies_using(slug)
        if known and users and known.content != record.content:
            raise ProbeError(f"study {users[0]!r} used {slug!r} with other rows: judge with the proxy, the rows and the --pools of then.")
        if known and not known.spec.option(OPTION):
            raise ProbeError(f"{slug!r} is another source already: take another number of --pools.")
    for record in records:
        store.put_source(record)


def _judge(
    workspace: Workspace,
    pool: SourcePool,
    proxy: ProxySpec,
    numbers: NDArray[np.int64],
    rows_hash: str,
    settings: EngineSettings,
    progress: Progress | None,
) -> list[Judged]:
    """Return the loss of each row, or why it has none; what was judged before is read."""
    judged_by = [VERSION, rows_hash, proxy.weights_hash, proxy.recipe.precision, proxy.recipe.max_length, proxy.image_limit, IMAGE_POLICY]
    folder = workspace.difficulty / content_hash(judged_by)
    engine: Engine | None = None
    found: list[Judged] = []
    for start in range(0, len(numbers), ROWS_AT_ONCE):
        part, file = numbers[start : start + ROWS_AT_ONCE].tolist(), folder / f"{start // ROWS_AT_ONCE:06d}.json"
        kept = _kept(file, len(part))
        if kept is None:
            with quiet():
                engine = engine or _engine(workspace, proxy, settings)
                kept = _losses(engine, pool, part)
            write_whole_text(file, json.dumps([one.value if isinstance(one, Problem) else one for one in kept]) + "\n")
        found += kept
        if progress:
            progress(len(found), len(numbers))
    return found


def _engine(workspace: Workspace, proxy: ProxySpec, settings: EngineSettings) -> Engine:
    from proxy_training.engine import Engine

    return Engine(proxy, proxy.recipe, workspace.features, settings)


def _losses(engine: Engine, pool: SourcePool, numbers: Sequence[int]) -> list[Judged]:
    from proxy_training.row_losses import row_losses

    return row_losses(engine, [DrawnRow(pool.spec.slug, number, pool.sample(number), "") for number in numbers])


def _kept(file: Path, rows: int) -> list[Judged] | None:
    """Return what a file holds; None where it is not there or is not of so many rows: they are judged again then."""
    try:
        entries = json.loads(file.read_text("utf-8"))
        found = [Problem(one) if isinstance(one, str) else float(one) for one in entries]
    except (OSError, ValueError, TypeError):
        return None
    return found if len(found) == rows else None


def _counts(excluded: Counter[str]) -> str:
    return ", ".join(f"{n} {problem}" for problem, n in sorted(excluded.items())) or "no row is excluded"
