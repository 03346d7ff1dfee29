"""The registry of exporters: one module a trainer, imported when it is first asked for.

Third parties register a function like `probe.export.materialised:export` (an `Exporter`, or any `Export`) under the entry-point group
`vlm_source_probe.exporters`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from probe.export.report import ExportError, ExportOptions, ExportReport
from probe.manifest.document import Manifest

if TYPE_CHECKING:
    from sources.sampling import SourcePool

ENTRY_POINT_GROUP = "vlm_source_probe.exporters"

_TARGETS = {
    "jsonl": "probe.export.materialised:export",
    "webdataset": "probe.export.webdataset:export",
    "llamafactory": "probe.export.llamafactory:export",
    "llamafactory-v1": "probe.export.llamafactory_v1:export",
    "ms-swift": "probe.export.ms_swift:export",
    "trl": "probe.export.trl:export",
    "datasets": "probe.export.hf_datasets:export",
    "llava-next": "probe.export.llava_next:export",
    "vila": "probe.export.vila:export",
    "internvl": "probe.export.internvl:export",
    "energon": "probe.export.energon:export",
    "qwen-vl": "probe.export.qwen_vl:export",
    "axolotl": "probe.export.axolotl:export",
    "streaming": "probe.export.streaming:export",
    "nemo": "probe.export.nemo:export",
    "xtuner": "probe.export.xtuner:export",
    "open-instruct": "probe.export.open_instruct:export",
}


class Export(Protocol):
    """Writes a manifest's mixture for one trainer."""

    def __call__(
        self, doc: Manifest, pools: Mapping[str, SourcePool], out: Path, *, options: ExportOptions | None = None, seed: int | None = None
    ) -> ExportReport:
        """Write the files into `out`, whole or not at all; `seed` is the options', then the manifest's by default.

        Raises:
            ExportError: `out` is not empty, a source is missing, changed or too small, or the shares cannot be realised.
            SourceError: a source cannot be drawn from.
        """
        ...


def exporter_names() -> tuple[str, ...]:
    """Return every known trainer, ours first."""
    return tuple(_targets())


def find_exporter(trainer: str) -> Export:
    """Return a trainer's exporter.

    Raises:
        ExportError: no such trainer.
    """
    target = _targets().get(trainer)
    if target is None:
        close = difflib.get_close_matches(trainer, _targets(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(_targets())}; 'jsonl' serves any trainer"
        raise ExportError(f"There is no exporter for {trainer!r}; {hint}")
    module, _, attribute = target.partition(":")
    return cast(Export, getattr(import_module(module), attribute))


@cache
def _targets() -> dict[str, str]:
    from importlib.metadata import entry_points

    plugins = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return _TARGETS | {name: target for name, target in plugins.items() if name not in _TARGETS}
