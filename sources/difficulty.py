"""Pools by difficulty: which rows of a source's index lie between two ranks of an order of difficulty.

    option   difficulty=3f0c9d1a...:1/3          the first of three equal parts of that order, the easiest first
    file     difficulty-3f0c9d1a...              keys of the judged rows, the easiest first, beside the source's index

The order is named by its hash, so an option says what its pool holds. Rows are named by their content: broken rows, or another order of
the source's file, change nothing, and a row that was never judged is in no pool.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sources.canonical import hash_bytes
from sources.problems import SourceError
from sources.spec import SourceSpec
from sources.whole_files import write_whole

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sources.columns import Array
    from sources.row_index import RowIndex

OPTION = "difficulty"
MOST_POOLS = 100
_FORM = re.compile(r"([0-9a-f]{32}):([1-9]\d?\d?)/([1-9]\d?\d?)")
_TERCILES = ("easy", "medium", "hard")


def pool_names(pools: int) -> tuple[str, ...]:
    """Return what the pools of a source are called, the easiest first."""
    return _TERCILES if pools == len(_TERCILES) else tuple(f"difficulty-{k}" for k in range(1, pools + 1))


def pool_specs(spec: SourceSpec, order: str, pools: int) -> tuple[SourceSpec, ...]:
    """Return a source's pools under an order as sources of their own, the easiest first: `slug/easy`, ..."""
    from dataclasses import replace

    names = pool_names(pools)
    return tuple(replace(spec.with_option(OPTION, f"{order}:{k}/{pools}"), slug=f"{spec.slug}/{name}") for k, name in enumerate(names, 1))


def pool_place(spec: SourceSpec) -> tuple[str, int, int]:
    """Return a pool's order, its place in it (from 1) and how many pools there are.

    Raises:
        SourceError: the option is written otherwise.
    """
    found = _FORM.fullmatch(spec.option(OPTION))
    place, pools = (int(found[2]), int(found[3])) if found else (0, 0)
    if found is None or not place <= pools <= MOST_POOLS:
        raise SourceError(
            f"The option difficulty={spec.option(OPTION)!r} is none that `probe sources difficulty` wrote; make the pools anew"
        )
    return found[1], place, pools


def keep_order(folder: Path, keys: Array) -> str:
    """Keep an order of rows, given as their keys (`sources.columns.HASH`) from the easiest on; return its name."""
    name = hash_bytes(keys.tobytes())
    file = _file(folder, name)
    if not file.exists():
        write_whole(file, lambda target: target.write_bytes(keys.tobytes()))
    return name


def bounds(rows: int, place: int, pools: int) -> tuple[int, int]:
    """Return the ranks from which and up to which a pool goes; pools differ by one row at most."""
    return rows * (place - 1) // pools, rows * place // pools


def in_pool(spec: SourceSpec, index: RowIndex) -> npt.NDArray[np.bool_]:
    """Say of each usable row of an index whether a pool holds it.

    Raises:
        SourceError: the order is not here, or the option is none.
    """
    import numpy as np

    from sources.columns import HASH, column

    order, place, pools = pool_place(spec)
    file = _file(index.folder.parent, order)
    if not file.exists():
        whole = spec.slug.rpartition("/")[0]
        raise SourceError(f"What is easy and what is hard in {whole} is not known here; run `probe sources difficulty {whole}`")
    keys = column(file, HASH)
    low, high = bounds(len(keys), place, pools)
    return np.isin(index.keys.column, keys[low:high])


def _file(folder: Path, order: str) -> Path:
    return folder / f"difficulty-{order}"
