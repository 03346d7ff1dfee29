"""What two manifests do not agree on, as frames: shares beside each other, and each section's differences as texts."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from probe.manifest import Manifest, ManifestDiff
from probe.manifest.show_diff import side_texts

TITLES = {
    "budget": "Budget",
    "phases": "Phases and counts",
    "weights": "Shares, with their intervals",
    "confirmed": "Confirmed gains",
    "predicted": "Predicted gains",
    "outside": "Beside the objective",
    "warnings": "Warnings",
    "licences": "Licences",
    "sources": "Sources",
    "baselines": "Baselines",
    "objective": "Objective",
    "study": "Study",
    "proxy": "Proxy and recipe",
    "optimiser": "Optimiser",
    "evidence": "Evidence",
    "fidelity": "Agreement with full scale",
    "image_policy": "Image policy",
    "sampling_seed": "Seed of the draw",
    "schema_version": "Schema",
    "provenance": "Written by and when (no part of the decision)",
}
DETAILS = frozenset({"phases", "sources", "study", "proxy", "optimiser", "evidence", "image_policy", "sampling_seed", "provenance"})
NOTHING = "\u2013"


def newly_used(before: Manifest, after: Manifest) -> list[str]:
    """Return the sources that one manifest uses and another does not."""
    return [slug for slug, rows in after.rows().items() if rows and not before.rows().get(slug)]


def shares_frame(a: Manifest, b: Manifest) -> pd.DataFrame:
    """Return one row a source whose share of the budget differs: both shares with their intervals, and b minus a."""
    first, second = a.shares(), b.shares()
    rows = []
    for slug in dict.fromkeys((*second, *first)):
        one, two = first.get(slug, 0.0), second.get(slug, 0.0)
        if one != two:
            rows.append({"source": slug, "a": one, "b": two, "change": two - one, "rows a": _rows(a, slug), "rows b": _rows(b, slug)})
    columns = ["source", "a", "b", "change", "rows a", "rows b"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values("change", key=lambda change: -change.abs(), kind="stable", ignore_index=True)


def difference_frames(found: ManifestDiff, *, details: bool) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each section that differs, of the decision or of how it was come by: its title, and one row a difference."""
    for section in dict.fromkeys(one.section for one in found.differences if (one.section in DETAILS) == details):
        rows = []
        for one in found.section(section):
            a, b = side_texts(one)
            rows.append({"what": _where(one.path), "A": NOTHING if a is None else a, "B": NOTHING if b is None else b})
        yield TITLES.get(section, section.replace("_", " ")), pd.DataFrame(rows)


def _where(path: tuple[str, ...]) -> str:
    return " \u203a ".join(name.replace("_", " ") if depth else name for depth, name in enumerate(path[1:])) or "all of it"


def _rows(doc: Manifest, slug: str) -> int:
    return doc.rows().get(slug, 0)
