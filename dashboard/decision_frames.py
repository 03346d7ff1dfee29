"""What a manifest says, as frames: the mixture beside the current one, and what it gained."""

from __future__ import annotations

import pandas as pd

from dashboard.frames import interval_text
from dashboard.reading import Snapshot
from probe.manifest import Manifest, ManifestError, parse_manifest
from probe.manifest.markdown import escaped
from probe.report import rows as report_rows
from probe.report.words import baseline_words, decision_words
from sources.estimate import Estimate


def budget_text(doc: Manifest) -> str:
    """Return what the mixture would be trained for: its budget, and its rows where the budget counts something else."""
    rows = "" if doc.budget.unit == "samples" else f", {sum(doc.rows().values()):,} rows"
    return f"{doc.budget.amount:,} {doc.budget.unit}{rows}"


def read_decision(text: str) -> Manifest | str:
    """Return the manifest that the store keeps, or the sentence that says why it cannot be read."""
    try:
        return parse_manifest(text)
    except ManifestError as error:
        return str(error)


def mixture_frame(doc: Manifest, view: Snapshot) -> pd.DataFrame:
    """Return one row a source: its share of the budget with its interval, its rows, and its share of the current mixture."""
    shares = doc.shares()
    current = doc.baselines.get("base") or view.study.base.weights()
    rows = [
        {
            "source": entry.slug,
            "share": shares.get(entry.slug, 0.0),
            "low": doc.weights[entry.slug].low if entry.slug in doc.weights else None,
            "high": doc.weights[entry.slug].high if entry.slug in doc.weights else None,
            "current": current.get(entry.slug, 0.0),
            "rows": entry.rows,
            "epochs": round(entry.repeat, 2),
            "licence": entry.licence.concluded if entry.licence.concluded != "NOASSERTION" else entry.licence.declared,
        }
        for entry in doc.sources
    ]
    return pd.DataFrame(rows).sort_values(["share", "source"], ascending=[False, True], ignore_index=True)


def gains_frame(doc: Manifest) -> pd.DataFrame:
    """Return the gain against each baseline: confirmed where it was, and predicted."""
    confirmed = [_gain(name, "confirmed", gain.gain, "yes" if gain.held else "no") for name, gain in (doc.confirmed or {}).items()]
    return pd.DataFrame(confirmed + [_gain(name, "predicted", gain, "") for name, gain in doc.predicted.items()])


def outside_frame(doc: Manifest) -> pd.DataFrame:
    """Return one row a benchmark outside the objective and baseline, and whether the mixture is worse there beyond doubt."""
    return pd.DataFrame(
        [
            {
                "benchmark": entry.name,
                "capability": entry.capability,
                "against": baseline_words(name),
                "gain": interval_text(one.gain),
                "metric": entry.metric,
                "lost": "yes" if one.lost else "no",
            }
            for entry in doc.outside
            for name, one in entry.gains.items()
        ]
    )


def main_gain(doc: Manifest) -> tuple[str, str, str]:
    """Return what the headline says: confirmed or predicted, the gain with its interval, and against which baseline."""
    kind, found = "confirmed" if doc.confirmed else "predicted", report_rows.main_gain(doc)
    return (kind, interval_text(found.gain), baseline_words(found.against)) if found else (kind, "no baseline", "")


def headline(doc: Manifest) -> str:
    """Return the decision in one sentence of our own words, as Markdown."""
    strong, rest = decision_words(doc)
    return f"**{strong}** {escaped(rest)}"


def coverage_frame(view: Snapshot) -> pd.DataFrame:
    """Return one row a benchmark: what it is for, its items, and what guessing gets."""
    return pd.DataFrame(
        [
            {
                "capability": record.spec.capability,
                "benchmark": record.spec.name,
                "items to rank": int((record.splits == 0).sum()),
                "items to confirm": int((record.splits == 1).sum()),
                "guessing": f"{record.chance:.0%}" if record.chance else "free text",
            }
            for record in view.benchmarks
        ]
    )


def _gain(name: str, kind: str, gain: Estimate, held: str) -> dict[str, object]:
    interval = {"value": gain.value, "low": gain.low, "high": gain.high, "stderr": gain.stderr, "n": gain.n}
    return {"against": baseline_words(name), "kind": kind, "gain": interval_text(gain), "held": held, **interval}
