"""What is known of a source, as frames."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from db.values import SourceRecord
from probe.decide.scaling.study_curves import StudyCurve
from probe.study.overlap_files import BENCHMARK, INSIDE, KeptOverlap
from sources.estimate import Estimate
from sources.problems import RowError, SourceError
from sources.sample import Role, Sample
from sources.sampling import SourcePool

MOST_LOOKED_AT = 300
MOST_EXAMPLES = 5


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


def overlap_frame(found: Sequence[KeptOverlap]) -> pd.DataFrame:
    """Return one row a comparison, those that share most first: shares of the source's rows, or how many a benchmark's items cost it."""
    first = sorted(found, key=lambda one: -_most(one))
    rows = [
        {
            "with": "itself" if one.kind == INSIDE else one.other,
            "what": "its own rows" if one.kind == INSIDE else one.kind,
            "rows looked at": one.rows,
            "by image": _share(one.by_image),
            "by long text": _share(one.by_text),
            "by image and text": _share(one.by_both),
            "rows left out": str(one.left_out) if one.kind == BENCHMARK else "",
        }
        for one in first
    ]
    return pd.DataFrame(rows)


def overlap_examples(found: Sequence[KeptOverlap]) -> list[str]:
    """Return a few rows that are in two places."""
    return [line for one in found for line in one.examples[:1]][:MOST_EXAMPLES]


def _most(one: KeptOverlap) -> float:
    shares = [share.value for share in (one.by_image, one.by_text, one.by_both) if share is not None]
    return max(one.left_out / max(one.rows, 1), *shares, 0.0)


def _share(share: Estimate | None) -> str:
    return "" if share is None else f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"


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
