"""What is known of a source, as frames."""

from __future__ import annotations

import pandas as pd

from db.values import SourceRecord


def exclusions_frame(record: SourceRecord) -> pd.DataFrame:
    """Return excluded rows by class of problem, most frequent first."""
    rows = sorted(((name, count) for name, count in record.excluded if count), key=lambda row: (-row[1], row[0]))
    return pd.DataFrame(rows, columns=["problem", "rows"]).replace({"problem": {name: name.replace("_", " ") for name, _ in rows}})


def place_frame(record: SourceRecord) -> pd.DataFrame:
    """Return where a source lies and how it is known, as label and text; what is not stated is left out."""
    spec = record.spec
    known = {
        "slug": spec.slug,
        "path": spec.path,
        "image root": spec.image_root,
        "hub": spec.hub_id,
        "subset": spec.subset,
        "options": ", ".join(f"{name}={value}" for name, value in spec.options),
        "fingerprint": record.fingerprint,
        "registered": record.added_at,
    }
    return pd.DataFrame([(name, text) for name, text in known.items() if text], columns=["what", "is"])
