"""What is known of benchmarks' quality, as frames: by a study's probes, and by its proxy with and without the image."""

from __future__ import annotations

import pandas as pd

from dashboard.frames import metric_text
from dashboard.reading import Qualities, Snapshot
from probe.cli.output import interval
from probe.study.proxy_quality import ProxyQuality
from probe.study.study_quality import StudyQuality
from sources.estimate import Estimate

UNKNOWN = "unknown"
NOTHING_WRITTEN = "no written answers"


def shown_by_probes(view: Snapshot, found: Qualities) -> pd.DataFrame:
    """Return one row a scored benchmark: what every probe gets right or wrong, signal to noise, agreement with written answers."""
    kinds = {record.spec.name: record.spec.capability for record in view.benchmarks}
    return pd.DataFrame([_by_probes(shown, kinds.get(shown.benchmark, "")) for shown, _ in found])


def _by_probes(shown: StudyQuality, capability: str) -> dict[str, object]:
    items = shown.informative
    agreement = [f"{metric_text(metric)} {_text(tau, 2)}" for metric, tau in shown.agreement]
    return {
        "benchmark": shown.benchmark,
        "capability": capability,
        "metric": metric_text(shown.metric),
        "probes": shown.probes,
        "every probe right": _text(items.all_right if items else None),
        "every probe wrong": _text(items.all_wrong if items else None),
        "tells probes apart": _text(items.informative if items else None),
        "signal to noise": _text(shown.signal_to_noise, 2),
        "rank agreement": "; ".join(agreement) or NOTHING_WRITTEN,
    }


def signal_frame(view: Snapshot, found: Qualities) -> pd.DataFrame:
    """Return one row a benchmark whose signal to noise is known, with its interval, the clearest first."""
    kinds = {record.spec.name: record.spec.capability for record in view.benchmarks}
    rows = [
        {"benchmark": shown.benchmark, "capability": kinds.get(shown.benchmark, ""), "value": one.value, "low": one.low, "high": one.high}
        for shown, _ in found
        if (one := shown.signal_to_noise) is not None
    ]
    frame = pd.DataFrame(rows)
    return frame.sort_values(["value", "benchmark"], ascending=[False, True], ignore_index=True) if rows else frame


def without_image_frame(found: Qualities) -> pd.DataFrame:
    """Return one row a benchmark and way of answering: with the image, without it, and by guessing."""
    rows: list[dict[str, object]] = []
    for _, kept in found:
        if kept is None or kept.need is None:
            continue
        of = {"benchmark": kept.benchmark, "metric": metric_text(kept.metric)}
        for kind, one in (("with image", kept.need.with_image), ("without image", kept.need.without_image)):
            rows.append(of | {"kind": kind, "value": one.value, "low": one.low, "high": one.high})
        rows.append(of | {"kind": "guessing", "value": kept.chance, "low": None, "high": None})
    return pd.DataFrame(rows)


def shown_by_proxy(found: Qualities) -> pd.DataFrame:
    """Return one row a benchmark that was checked on the study's proxy: scores without the image, and the letter prior."""
    return pd.DataFrame([_by_proxy(kept) for _, kept in found if kept is not None])


def _by_proxy(kept: ProxyQuality) -> dict[str, object]:
    need, letters = kept.need, kept.letters
    return {
        "benchmark": kept.benchmark,
        "items": kept.items,
        "metric": metric_text(kept.metric),
        "chance": round(kept.chance, 3),
        "with image": _text(need.with_image if need else None),
        "without image": _text(need.without_image if need else None),
        "kept without image": _text(need.explained if need else None),
        "by question alone": _text(kept.by_question),
        "follows the letter": _text(letters.follows) if letters else "no letters",
        "file minus rotated": interval(letters.difference, 3) if letters else "no letters",
    }


def not_checked(found: Qualities) -> list[str]:
    """Return the scored benchmarks that were not checked on the study's proxy."""
    return [shown.benchmark for shown, kept in found if kept is None]


def _text(estimate: Estimate | None, digits: int = 3) -> str:
    return interval(estimate, digits, signed=False) if estimate else UNKNOWN
