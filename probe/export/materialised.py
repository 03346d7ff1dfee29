"""`jsonl`: the mixture as files for any trainer, one seeded shuffled JSONL a phase, rows drawn to the manifest's exact counts.

OUT/phase-1.jsonl   {"messages": [{"role": "user", "content": "<image>\\nWhat is this?"}, ...], "images": ["images/3f/3f0c....jpg"],
                     "source": "llava-665k/coco", "id": "000000033471"}
OUT/images/         each image once, named by its hash
OUT/README.md, MIXTURE.md, manifest.json
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from probe.export.conversation import inexpressible
from probe.export.drawn_rows import DrawnRows, draw_rows, requested_counts
from probe.export.image_store import ImageStore
from probe.export.record_files import count_sources, export_warnings, write_companions, write_records
from probe.export.report import ExportOptions, ExportReport, chosen_seed, refuse_other_shares, row_shares
from probe.export.staging import staged
from probe.manifest.document import Manifest
from sources.sampling import SourcePool, training_order

NOTES = (
    "One JSON Lines file a phase, already drawn to the counts above and shuffled: train on the files in order, each once, without any",
    "weighting of the trainer's own. Image paths are relative to this folder; the k-th `<image>` stands for the k-th image.",
)


def export(
    doc: Manifest, pools: Mapping[str, SourcePool], out: Path, *, options: ExportOptions | None = None, seed: int | None = None
) -> ExportReport:
    """Write one file a phase.

    Raises:
        ExportError: see `probe.export.registry.Export`.
    """
    options = options or ExportOptions()
    seed = chosen_seed(doc, options, seed)
    requested = requested_counts(doc)
    with staged(out) as folder:
        drawn = draw_rows(doc, pools, options, seed, inexpressible)
        refuse_other_shares(requested, drawn.counts(), options.tolerance)
        images = ImageStore(folder, options.images)
        realised = _write_phases(folder, drawn, images, seed)
        refuse_other_shares(requested, realised, options.tolerance)
        report = ExportReport(
            trainer="jsonl",
            seed=seed,
            mode=options.mode,
            files=(*(f"{phase}.jsonl" for phase in requested), "README.md", "MIXTURE.md", "manifest.json"),
            requested=row_shares(requested),
            realised=row_shares(realised),
            requested_counts=requested,
            counts=realised,
            excluded=drawn.excluded,
            warnings=export_warnings(doc, options, images, drawn.excluded, pools),
            commands=tuple(
                f"# train on {phase}.jsonl" + (", from where the phase before ended" if i else "") for i, phase in enumerate(requested)
            ),
        )
        write_companions(folder, doc, report, NOTES)
    return report


def _write_phases(folder: Path, drawn: DrawnRows, images: ImageStore, seed: int) -> dict[str, dict[str, int]]:
    realised = {}
    for phase, sources in drawn.phases.items():
        path = folder / f"{phase}.jsonl"
        write_records(path, training_order(tuple(row for rows in sources.values() for row in rows), seed), images)
        realised[phase] = count_sources(path)
    return realised
