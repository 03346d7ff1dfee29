"""`jsonl`: the mixture as files for any trainer, one seeded shuffled JSONL a phase, rows drawn to the manifest's exact counts.

OUT/phase-1.jsonl   {"messages": [{"role": "user", "content": "<image>\\nWhat is this?"}, ...], "images": ["images/3f/3f0c....jpg"],
                     "source": "llava-665k/coco", "id": "000000033471"}
OUT/images/         each image once, named by its hash
OUT/README.md, MIXTURE.md, manifest.json
"""

from __future__ import annotations

from collections.abc import Iterable

from probe.export.exporter import Exporter, Work, Written, rows_written

NOTES = (
    "One JSON Lines file a phase, already drawn to the counts above and shuffled: train on the files in order, each once, without any",
    "weighting of the trainer's own. Image paths are relative to this folder; the k-th `<image>` stands for the k-th image.",
)


def write(work: Work) -> Written:
    """Write one file a phase."""
    for phase in work.phases:
        work.write_records(f"{phase}.jsonl", work.shuffled(phase))
    return Written(tuple(f"{phase}.jsonl" for phase in work.phases), phase_comments(work.phases, "{}.jsonl"))


def phase_comments(phases: Iterable[str], file: str) -> tuple[str, ...]:
    """Return what to do with each phase's file, as shell comments, because any trainer may follow."""
    names = [file.format(phase) for phase in phases]
    return tuple(f"# train on {name}" + (", from where the phase before ended" if i else "") for i, name in enumerate(names))


export = Exporter("jsonl", write, NOTES, rows_written)
