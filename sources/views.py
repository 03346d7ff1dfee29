"""Which rows of a source's index a pool holds: its sub-source, its part by difficulty, without held-out images or contaminated rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from sources.counted import counted
from sources.difficulty import OPTION, in_pool
from sources.formats.files import image_root
from sources.ordering import seeded_keys
from sources.problems import Problem, SourceError
from sources.spec import SourceSpec
from sources.subsources import find_subsource, no_subsource_message
from sources.whereabouts import add_command

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sources.row_index import RowIndex


def held_out(groups: Iterable[bytes], holdout: str) -> npt.NDArray[np.bool_]:
    """Say of each group of images whether an option `holdout=fraction:seed` keeps it out of training.

    Raises:
        SourceError: the option is not of that form.
    """
    import numpy as np

    fraction, _, seed = holdout.partition(":")
    try:
        below = math.ceil(float(fraction) * 2.0**64)
        keys = seeded_keys(int(seed or 0), ("holdout",), groups)
    except (ValueError, OverflowError) as error:
        raise SourceError(f"The option holdout={holdout!r} is not fraction:seed, such as 0.1:0") from error
    return np.full(len(keys), below > 0) if below <= 0 or below >= 2**64 else keys < np.uint64(below)


def without_rows(
    index: RowIndex, viewed: npt.NDArray[np.int64] | None, contaminated: Collection[int]
) -> tuple[npt.NDArray[np.int64] | None, list[int]]:
    """Return the places of a view without some rows, and the numbers of those rows that were in it, in order."""
    import numpy as np

    if not contaminated:
        return viewed, []
    places = np.arange(len(index.numbers)) if viewed is None else viewed
    numbers = np.asarray(index.numbers)[places]
    out = np.isin(numbers, np.fromiter(contaminated, np.int64, len(contaminated)))
    return (places[~out], numbers[out].tolist()) if out.any() else (viewed, [])


def viewed_rows(spec: SourceSpec, index: RowIndex) -> npt.NDArray[np.int64] | None:
    """Return the places of the rows that the view options choose; None for all.

    Raises:
        SourceError: an option is malformed, or names an order of difficulty that is not here.
    """
    import numpy as np

    wanted, holdout = dict(spec.options).get("subsource"), spec.option("holdout")
    judged = spec.option(OPTION)
    if wanted is None and not holdout and not judged:
        return None
    kept = np.ones(len(index.numbers), dtype=bool)
    if wanted is not None:
        part = find_subsource(wanted, index.names)
        kept &= index.strata == part if part is not None else False
    if holdout:
        kept &= ~held_out(index.groups, holdout)[index.group_of]
    if judged:
        kept &= in_pool(spec, index)
    return None if kept.all() else np.flatnonzero(kept)


def rows_of_part(spec: SourceSpec, index: RowIndex, excluded: Counter[Problem]) -> int:
    """Return how many rows the source has, or the part of it that is viewed: usable ones, also held-out ones, and those excluded."""
    import numpy as np

    wanted = dict(spec.options).get("subsource")
    if wanted is None:
        return index.total
    part = find_subsource(wanted, index.names)
    return excluded.total() + (int(np.count_nonzero(index.strata == part)) if part is not None else 0)


def subsource_counts(index: RowIndex, chosen: npt.NDArray[np.int64] | None) -> Counter[str]:
    """Return how many rows each sub-source has among the chosen ones; None chooses all."""
    import numpy as np

    from sources.columns import blocks

    counts = np.zeros(len(index.names), dtype=np.int64)
    for start, stop in blocks(len(index.strata) if chosen is None else len(chosen)):
        places = slice(start, stop) if chosen is None else chosen[start:stop]
        counts += np.bincount(index.strata[places], minlength=len(index.names))
    return Counter({name: count for name, count in zip(index.names, counts.tolist(), strict=True) if count})


def no_rows_message(spec: SourceSpec, index: RowIndex) -> str:
    """Return why a view of a source holds nothing, with the cure."""
    wanted = spec.option("subsource")
    if wanted and len(index.numbers) and find_subsource(wanted, index.names) is None:
        return no_subsource_message(spec.slug, wanted, index.names)
    if spec.option(OPTION) and len(index.numbers):
        whole = spec.slug.rpartition("/")[0]
        return f"No row of {spec.slug} is one that was judged: its data changed; run `probe sources difficulty {whole}` again"
    if len(index.numbers):
        return f"Every row of {spec.slug} is held out ({spec.option('holdout')}); hold out less"
    problem = next((most for most, _ in index.excluded.most_common(1)), None)
    seen = index.examples.get(problem, []) if problem else []
    example = f"; row {seen[0][0]}, for example: {seen[0][1] or problem}" if seen else ""
    cure = "check --path, --images and --format"
    if problem is Problem.MISSING_IMAGE and spec.path:
        cure = f"images were looked for in {image_root(spec)}: put them there, or give their folder: `{add_command(spec, images='DIR')}`"
    return f"No row of {spec.slug} is usable: {counted(index.total, 'row')}, {counts_text(index.excluded)}{example}; {cure}"


def all_contaminated_message(spec: SourceSpec, rows: int) -> str:
    """Return what to do about a source all of whose rows hold an item."""
    return f"Every usable row of {spec.slug} ({rows}) holds an item of a benchmark; leave that benchmark out, or say --keep-contaminated"


def counts_text(counts: Counter[Problem]) -> str:
    """Return problems with how often each was met, the most frequent first."""
    return ", ".join(f"{count} {problem.value}" for problem, count in counts.most_common()) or "none counted"
