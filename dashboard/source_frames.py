"""What is known of a source, as frames."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from db.values import SourceRecord
from probe.decide.scaling.study_curves import StudyCurve
from sources.problems import RowError, SourceError
from sources.sample import Role, Sample
from sources.sampling import SourcePool

MOST_LOOKED_AT = 300


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


def curve_frame(curve: StudyCurve) -> pd.DataFrame:
    """Return one row a size: trained, then forecast, each with its interval."""
    rows = [("trained", *point) for point in curve.points] + [("forecast", *point) for point in curve.forecasts]
    return pd.DataFrame(
        [
            {"size": size, "kind": kind, "value": score.value, "low": score.low, "high": score.high, "stderr": score.stderr, "n": score.n}
            for kind, size, score in rows
        ]
    )


def spread_frame(pool: SourcePool, numbers: Sequence[int]) -> pd.DataFrame:
    """Return images, turns and lengths of at most `MOST_LOOKED_AT` rows; those that cannot be read any more are left out."""
    rows = [spread_of(sample) for sample in (_sample(pool, number) for number in numbers[:MOST_LOOKED_AT]) if sample is not None]
    return pd.DataFrame(rows)


def spread_of(sample: Sample) -> dict[str, int]:
    """Return what a row's histograms count."""
    asked = sum(len(part) for turn in sample.turns if turn.role is not Role.ASSISTANT for part in turn.parts if isinstance(part, str))
    told = sum(len(part) for turn in sample.turns if turn.role is Role.ASSISTANT for part in turn.parts if isinstance(part, str))
    return {"images": len(sample.images), "turns": len(sample.turns), "characters asked": asked, "characters answered": told}


def _sample(pool: SourcePool, number: int) -> Sample | None:
    try:
        return pool.sample(number)
    except (SourceError, RowError):
        return None
