"""Benchmark images that probes train on: scores there are not held out, and the user must know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from db.values import Arm, BenchmarkRecord
from probe.study.draws import Draws
from probe.study.items import BenchmarkReader
from sources.problems import SourceError


def shared_images(draws: Draws, arms: Sequence[Arm], benchmarks: Sequence[BenchmarkRecord], reader: BenchmarkReader) -> list[str]:
    """Return a sentence for every source and benchmark that share images, by their bytes, in what the arms' first repeat draws."""
    drawn = _drawn_images(draws, arms)
    found = []
    for record in benchmarks:
        images = _benchmark_images(record, reader)
        for slug, hashes in drawn.items():
            if shared := len(images & hashes):
                found.append(
                    f"{slug}: {shared:,} of the {len(images):,} images of benchmark {record.spec.name} are among what its probes train on, "
                    "so scores there are not held out; leave the benchmark out, or split the data once (`probe sources split`) "
                    "and add it under one name only."
                )
    return found


def _drawn_images(draws: Draws, arms: Iterable[Arm]) -> dict[str, set[str]]:
    drawn: dict[str, set[str]] = {}
    for arm in arms:
        if not arm.curriculum.phases:
            continue
        try:
            stages = draws.draw(arm.curriculum, 0).training.stages
        except SourceError:  # of an arm that is trained already: its data need not be here any more
            continue
        for stage in stages:
            for row in stage.rows:
                index = draws.pool(row.source).index
                drawn.setdefault(row.source, set()).update(index.image_hash(ref) for ref in row.sample.images)
    return drawn


def _benchmark_images(record: BenchmarkRecord, reader: BenchmarkReader) -> set[str]:
    """Return the hashes of a benchmark's images; none where it cannot be read any more, which is told where it is scored."""
    try:
        return reader.read(record.spec).image_digests()
    except SourceError:
        return set()
