"""`llamafactory`: LLaMA-Factory's data folder, one data set a phase and source, already drawn to the manifest's exact counts.

    OUT/dataset_info.json     formatting sharegpt, `num_samples` equal to the file's rows, so its own arithmetic changes nothing
    OUT/phase-1/colour.jsonl  {"messages": [...], "images": ["images/3f/3f0c....jpg"], ...}
    OUT/train-phase-1.yaml    dataset: ..., mix_strategy: concat, media_dir: .

Formats: LLaMA-Factory `data/README.md`, `src/llamafactory/data/parser.py`. Once `columns` or `tags` is given, every default
that it does not list becomes None there, so both are written out in full.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probe.export.conversation import inexpressible
from probe.export.drawn_rows import DrawnRows, draw_rows, requested_counts
from probe.export.image_store import ImageStore
from probe.export.record_files import count_sources, export_warnings, write_companions, write_records
from probe.export.report import ExportOptions, ExportReport, chosen_seed, refuse_other_shares, row_shares
from probe.export.staging import staged
from probe.manifest.document import Manifest
from sources.sampling import SourcePool

COLUMNS = {"messages": "messages", "images": "images"}
TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
NOTES = (
    "Run the commands in this folder (`dataset_dir` and `media_dir` are `.`), one phase after the other, each for one epoch. MODEL and",
    "TEMPLATE are the base model and its LLaMA-Factory template; a later phase of a LoRA training takes `adapter_name_or_path=` of the",
    "phase before and MODEL as before, as written; of a full fine-tuning it takes the phase before as `model_name_or_path=` instead.",
    "Leave `max_samples`, `interleave_probs` and `streaming` unset: each would change the mixture. Raise `cutoff_len` until no row is cut.",
)


def export(
    doc: Manifest, pools: Mapping[str, SourcePool], out: Path, *, options: ExportOptions | None = None, seed: int | None = None
) -> ExportReport:
    """Write `dataset_info.json`, one file a phase and source, and one YAML fragment a phase.

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
        datasets = _write_datasets(folder, drawn, images)
        realised = _realised(folder, datasets)
        refuse_other_shares(requested, realised, options.tolerance)
        fragments = _write_fragments(folder, datasets)
        report = ExportReport(
            trainer="llamafactory",
            seed=seed,
            mode=options.mode,
            files=(*_write_info(folder, datasets), *fragments, "README.md", "MIXTURE.md", "manifest.json"),
            requested=row_shares(requested),
            realised=row_shares(realised),
            requested_counts=requested,
            counts=realised,
            excluded=drawn.excluded,
            warnings=export_warnings(doc, options, images, drawn.excluded, pools),
            commands=_commands(fragments),
        )
        write_companions(folder, doc, report, NOTES)
    return report


def _write_datasets(folder: Path, drawn: DrawnRows, images: ImageStore) -> dict[str, dict[str, str]]:
    """Write every phase's files and return, by phase, data set name to file."""
    datasets: dict[str, dict[str, str]] = {}
    names = _file_names({slug for sources in drawn.phases.values() for slug in sources})
    for phase, sources in drawn.phases.items():
        (folder / phase).mkdir()
        datasets[phase] = {}
        for slug, rows in sources.items():
            file = f"{phase}/{names[slug]}.jsonl"
            write_records(folder / file, rows, images)
            datasets[phase][f"{phase}_{names[slug]}"] = file
    return datasets


def _file_names(slugs: set[str]) -> dict[str, str]:
    """Give each source a name that is safe in a path and in LLaMA-Factory's comma-separated list, and its own."""
    names: dict[str, str] = {}
    for slug in sorted(slugs):
        name = base = re.sub(r"[^A-Za-z0-9._-]+", "_", slug).strip("._-") or "source"
        number = 2
        while name.lower() in {other.lower() for other in names.values()}:  # some file systems fold case
            name, number = f"{base}-{number}", number + 1
        names[slug] = name
    return names


def _realised(folder: Path, datasets: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, int]]:
    realised: dict[str, dict[str, int]] = {}
    for phase, files in datasets.items():
        realised[phase] = {}
        for file in files.values():
            realised[phase] |= count_sources(folder / file)
    return realised


def _write_info(folder: Path, datasets: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    info: dict[str, Any] = {
        name: {
            "file_name": file,
            "formatting": "sharegpt",
            "num_samples": sum(count_sources(folder / file).values()),
            "columns": COLUMNS,
            "tags": TAGS,
        }
        for files in datasets.values()
        for name, file in files.items()
    }
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
    return ("dataset_info.json", *(entry["file_name"] for entry in info.values()))


def _write_fragments(folder: Path, datasets: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    for phase, files in datasets.items():
        lines = (
            "stage: sft",
            "do_train: true",
            "dataset_dir: .",
            "media_dir: .",
            f"dataset: {','.join(files)}",
            "mix_strategy: concat",
            "num_train_epochs: 1.0",
            "val_size: 0.0",
        )
        (folder / f"train-{phase}.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tuple(f"train-{phase}.yaml" for phase in datasets)


def _commands(fragments: tuple[str, ...]) -> tuple[str, ...]:
    commands = []
    for number, fragment in enumerate(fragments, start=1):
        before = f" adapter_name_or_path=output/phase-{number - 1}" if number > 1 else ""
        commands.append(
            f"llamafactory-cli train {fragment} model_name_or_path=MODEL template=TEMPLATE{before} output_dir=output/phase-{number}"
        )
    return tuple(commands)
