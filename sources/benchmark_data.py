"""Read a benchmark, of whatever format, into items; count what is left out; and say what it holds in one hash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sources.benchmark import BenchmarkSpec, Item
from sources.canonical import content_hash
from sources.images import check_image, image_digest
from sources.ordering import seeded_key
from sources.problems import Problem, RowError, SourceError
from sources.sample import ImageRef

MOST_EXAMPLES = 3  # of each class of problem


@dataclass(frozen=True, slots=True)
class BenchmarkData:
    """Items in their fixed order, how many were left out and why, and the hash of what is asked and answered.

    Where answers are generated, the hash of how they are scored follows it behind a dash: `same_items` compares what stands before.
    `digests` holds the hash of each image's bytes by the image's identity.
    """

    items: tuple[Item, ...]
    excluded: Counter[Problem] = field(default_factory=Counter)
    fingerprint: str = ""
    examples: tuple[tuple[Problem, int, str], ...] = ()  # of what was left out: the class, the item's number from 0, what was found
    digests: Mapping[str, str] = field(default_factory=dict)

    def image_digests(self) -> set[str]:
        """Return the hashes of the items' images."""
        return {self.digests[ref.identity()] for item in self.items for ref in item.images}


def read_benchmark(spec: BenchmarkSpec) -> BenchmarkData:
    """Return a benchmark's items. Images are checked to their headers; one that fails later is an unscored item.

    Options: `items` (at most so many), `seed` (of which), and for a TSV `split` (only lines whose column says so).

    Raises:
        SourceError: it cannot be used at all, or no item is usable.
    """
    digests: dict[str, str] = {}
    excluded: Counter[Problem] = Counter()
    items: list[Item] = []
    examples: list[tuple[Problem, int, str]] = []
    for number, item in enumerate(_items(spec)):
        try:
            for ref in item.images if isinstance(item, Item) else ():
                _check(ref, digests)
            items.append(_or_raise(item))
        except RowError as error:
            excluded[error.problem] += 1
            if excluded[error.problem] <= MOST_EXAMPLES:
                examples.append((error.problem, number, error.detail))
    if not items:
        counts = ", ".join(f"{count} {problem.value}" for problem, count in excluded.most_common())
        raise SourceError(f"No item of the benchmark {spec.name} is usable ({counts or 'it has none'}); check its file and image folder")
    chosen = _drawn(_with_own_ids(items), spec)
    return BenchmarkData(tuple(chosen), excluded, _fingerprint(spec, chosen, digests), tuple(examples), digests)


def _or_raise(item: Item | RowError) -> Item:
    if isinstance(item, RowError):
        raise item
    return item


def _check(ref: ImageRef, digests: dict[str, str]) -> None:
    identity = ref.identity()
    if identity not in digests:
        check_image(ref, decode=False)
        digests[identity] = image_digest(ref)


def _items(spec: BenchmarkSpec) -> Iterable[Item | RowError]:
    if spec.format == "tsv":
        return _tsv_items(spec)
    if spec.format == "easy-vqa":
        from sources.easy_vqa import easy_vqa_items

        return easy_vqa_items(spec)
    if spec.format == "world":
        from importlib import import_module

        items: Iterable[Item] = import_module("sources.world").world_items(spec)
        return items
    raise SourceError(f"There is no benchmark format {spec.format!r}; known are tsv, easy-vqa and world")


def _tsv_items(spec: BenchmarkSpec) -> Iterator[Item | RowError]:
    from sources.formats.tsv import read_table

    if not Path(spec.path).exists():
        command = f"probe benchmarks add {spec.name} --path FILE.tsv"
        raise SourceError(f"There is nothing at {spec.path}; put it back, or give the TSV file: `{command}` with the options of before")
    table = read_table(Path(spec.path), spec.image_root)
    split = spec.option("split")
    for number in range(len(table.lines)):
        if split and (line := table.lines[number]) is not None and line.get("split") != split:
            continue
        try:
            yield table.item(number)
        except RowError as error:
            yield error


def _with_own_ids(items: list[Item]) -> list[Item]:
    seen: Counter[str] = Counter()
    named = []
    for item in items:
        named.append(replace(item, id=f"{item.id}#{seen[item.id]}") if seen[item.id] else item)
        seen[item.id] += 1
    return named


def _drawn(items: list[Item], spec: BenchmarkSpec) -> list[Item]:
    wanted, seed = _whole_number(spec, "items"), _whole_number(spec, "seed")
    if not 0 < wanted < len(items):
        return items
    ranked = sorted(items, key=lambda item: (seeded_key(seed, "benchmark", item.image_group()), item.id))
    chosen = {item.id for item in ranked[:wanted]}
    return [item for item in items if item.id in chosen]


def _whole_number(spec: BenchmarkSpec, option: str) -> int:
    try:
        return int(spec.option(option, "0"))
    except ValueError as error:
        raise SourceError(f"The option {option}={spec.option(option)!r} of {spec.name} is not a whole number") from error


def _fingerprint(spec: BenchmarkSpec, items: list[Item], digests: dict[str, str]) -> str:
    asked = [_asked(item, digests) for item in items]
    held = content_hash([spec.prompt_form, asked])
    if not spec.generates:
        return held
    from sources.answer_rules.scoring import scoring_identity

    return f"{held}-{scoring_identity(spec, items)}"


def _asked(item: Item, digests: dict[str, str]) -> list[Any]:
    answers = [item.answers] if item.answers else []
    return [item.id, item.question, item.choices, item.answer, [digests[ref.identity()] for ref in item.images], *answers]
