"""An export as frames: what a manifest asks for, what a trial of it would give, and the files."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboard.export_trial import Trial
from probe.cli.output import bytes_text
from probe.manifest import Manifest


def requested_frame(doc: Manifest) -> pd.DataFrame:
    """Return one row a phase and source: its share of the phase's rows and its rows."""
    rows = []
    for number, phase in enumerate(doc.phases, start=1):
        total = sum(phase.counts.values()) or 1
        for slug, count in sorted(phase.counts.items(), key=lambda item: (-item[1], item[0])):
            if count:
                rows.append({"phase": f"phase-{number}", "source": slug, "requested": count / total, "rows": count})
    return pd.DataFrame(rows, columns=["phase", "source", "requested", "rows"])


def realised_frame(report: dict[str, Any]) -> pd.DataFrame:
    """Return one row a phase and source: requested and realised share of the phase's rows, and the rows that would be trained on."""
    rows = []
    for phase, wanted in report["requested_counts"].items():
        got = report["counts"].get(phase, {})
        asked, realised = sum(wanted.values()) or 1, sum(got.values()) or 1
        for slug, count in sorted(wanted.items(), key=lambda item: (-item[1], item[0])):
            share = got.get(slug, 0) / realised
            row = {"phase": phase, "source": slug, "requested": count / asked, "realised": share, "off by": share - count / asked}
            rows.append(row | {"rows": got.get(slug, 0)})
    return pd.DataFrame(rows, columns=["phase", "source", "requested", "realised", "off by", "rows"])


def files_frame(trial: Trial) -> pd.DataFrame:
    """Return one row a file that would be written, and whether the download holds it."""
    return pd.DataFrame(
        [
            {"file": file.name, "size": bytes_text(file.size), "in the download": "yes" if file.inside else "no: too large"}
            for file in trial.files
        ]
    )


def excluded_sentences(report: dict[str, Any]) -> list[str]:
    """Return what the trainer's format cannot hold, a sentence a source and reason."""
    return [f"{slug}: {rows:,} rows excluded: {reason}" for slug, reasons in report["excluded"].items() for reason, rows in reasons.items()]
