"""What a search saw, as frames: trained mixtures with their scores, predictions, the front, and what is as good as the mixture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dashboard.reading import Snapshot, whole_arms
from probe.manifest import Manifest
from sources.mixture import equal_shares

MOST_AXES = 10
MOST_LINES = 120
MOST_POINTS = 250
OTHERS, CHOSEN = "all others", "chosen mixture"


def searched(doc: Manifest) -> Mapping[str, Any] | None:
    """Return what a manifest keeps of its search; None for one that was written before that was kept."""
    found = doc.optimiser.parameters.get("searched")
    return found if isinstance(found, Mapping) else None


def trained_frame(doc: Manifest, view: Snapshot) -> pd.DataFrame:
    """Return one row a trained mixture, best first: its score with its interval, and its share of each source of the search.

    Of many mixtures the best half of `MOST_LINES` and as many of the rest, evenly by rank.
    """
    runs = _thinned(trained_runs(doc, view))
    arms = {arm.name: arm.curriculum.phases[0].mixture.weights() for arm in whole_arms(view, (run["arm"] for run in runs))}
    sources = _by_share(doc)
    return pd.DataFrame(
        [{"mixture": run["arm"], **_score(run["score"]), **{slug: arms[run["arm"]].get(slug, 0.0) for slug in sources}} for run in runs]
    )


def trained_runs(doc: Manifest, view: Snapshot) -> list[Mapping[str, Any]]:
    """Return what the search kept of each trained mixture that the study still has, best first."""
    known, here = searched(doc), {arm.name for arm in view.arms}
    runs = [run for run in (known["mixtures"] if known else ()) if run["arm"] in here]
    return sorted(runs, key=lambda run: (-run["score"]["value"], run["arm"]))


def lines_frame(doc: Manifest, trained: pd.DataFrame) -> pd.DataFrame:
    """Return one row a mixture and axis: the sources with the largest shares, and what all others have together."""
    sources = _by_share(doc)
    axes = sources[:MOST_AXES]
    rows = [_axes(axes, dict(zip(trained.columns, row, strict=True)), sources) for row in trained.itertuples(index=False, name=None)]
    shares = doc.shares()
    own = {slug: shares.get(slug, 0.0) for slug in sources}
    rows.append(_axes(axes, {"mixture": CHOSEN, "score": math.nan} | own, sources))
    return pd.DataFrame([line for lines in rows for line in lines])


def _axes(axes: Sequence[str], row: Mapping[str, Any], sources: Sequence[str]) -> list[dict[str, object]]:
    lines = [{"mixture": row["mixture"], "score": row["score"], "source": slug, "share": row[slug]} for slug in axes]
    if len(sources) > len(axes):
        rest = max(0.0, 1.0 - math.fsum(row[slug] for slug in axes))
        lines.append({"mixture": row["mixture"], "score": row["score"], "source": OTHERS, "share": rest})
    return lines


def _thinned(runs: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if len(runs) <= MOST_LINES:
        return runs
    best = MOST_LINES // 2
    step = (len(runs) - best) / (MOST_LINES - best)
    return [*runs[:best], *(runs[best + int(k * step)] for k in range(MOST_LINES - best))]


def triangle_frame(doc: Manifest, trained: pd.DataFrame) -> pd.DataFrame:
    """Return three sources' mixtures as points of a triangle with corners (0, 0), (1, 0) and (0.5, 0.87), the chosen one last."""
    a, b, c = _by_share(doc)
    shares = doc.shares()
    own = {"mixture": CHOSEN, "score": math.nan, **{slug: shares.get(slug, 0.0) for slug in (a, b, c)}}
    rows: list[dict[Any, Any]] = [*trained[["mixture", "score", a, b, c]].to_dict("records"), own]
    return pd.DataFrame([row | {"x": row[b] + row[c] / 2, "y": row[c] * math.sqrt(3) / 2} for row in rows])


def sources_of(doc: Manifest) -> list[str]:
    """Return the sources of the search, the largest share first."""
    return _by_share(doc)


def weights_frame(doc: Manifest) -> pd.DataFrame:
    """Return one row a source and mixture: the chosen one with its interval, and its baselines."""
    rows: list[dict[str, object]] = []
    chosen = doc.shares()
    for slug in _by_share(doc):
        one = doc.weights.get(slug)
        share = chosen.get(slug, 0.0)
        ends = {"low": one.low, "high": one.high} if one else {"low": share, "high": share}
        rows.append({"source": slug, "mixture": CHOSEN, "share": share} | ends)
        rows += [
            {"source": slug, "mixture": name, "share": shares.get(slug, 0.0), "low": None, "high": None}
            for name, shares in _baselines(doc).items()
        ]
    return pd.DataFrame(rows)


def _baselines(doc: Manifest) -> dict[str, Mapping[str, float]]:
    """Return base, uniform and proportional shares; those that are one mixture go by all their names."""
    groups: list[list[str]] = []
    for name in (name for name in ("base", "uniform", "proportional") if name in doc.baselines):
        same = next((group for group in groups if equal_shares(doc.baselines[name], doc.baselines[group[0]])), None)
        if same is None:
            groups.append([name])
        else:
            same.append(name)
    return {" = ".join(group): doc.baselines[group[0]] for group in groups}


def held_out_frame(doc: Manifest) -> pd.DataFrame:
    """Return one row a held-out mixture: what it scored, what was predicted without it, and whether that lies in the interval.

    Of many mixtures `MOST_POINTS`, evenly by score.
    """
    runs = held_out_runs(doc)
    if len(runs) > MOST_POINTS:
        by_score = sorted(runs, key=lambda run: (run["score"]["value"], run["arm"]))
        runs = [by_score[round(k * (len(runs) - 1) / (MOST_POINTS - 1))] for k in range(MOST_POINTS)]
    return pd.DataFrame(
        [
            {
                "mixture": run["arm"],
                "scored": run["score"]["value"],
                "predicted": run["held_out"]["value"],
                "low": run["held_out"]["low"],
                "high": run["held_out"]["high"],
                "inside": run["held_out"]["low"] <= run["score"]["value"] <= run["held_out"]["high"],
            }
            for run in runs
        ]
    )


def held_out_runs(doc: Manifest) -> list[Mapping[str, Any]]:
    """Return what the search kept of each mixture that it predicted without having seen it."""
    known = searched(doc)
    return [run for run in (known["mixtures"] if known else ()) if run["held_out"]]


def held_out_facts(doc: Manifest) -> dict[str, str]:
    """Return how well the search predicts runs that it did not see, each figure with its interval."""
    used, known = doc.optimiser.parameters.get("surrogate"), searched(doc)
    figures = used["held_out"] if isinstance(used, Mapping) else {}
    facts = {title: _plain(figures.get(key)) for key, title in (("spearman", "Rank correlation"), ("r2", "R2"))}
    covered = known.get("coverage") if known else None
    if covered:
        told = f"{covered['value']:.0%} [{covered['low']:.0%}, {covered['high']:.0%}] of {covered['n']}"
        facts[f"Inside their {covered['promised']:.0%} interval"] = told
    return facts


def front_frame(doc: Manifest) -> tuple[str, pd.DataFrame]:
    """Return what the front's cost is, and one row a mixture of it, the cheapest first."""
    known = searched(doc)
    front: Mapping[str, Any] = known["front"] if known else {"cost": "", "points": ()}
    rows = [
        {
            "cost": point["cost"],
            "gain": point["gain"]["value"],
            "low": point["gain"]["low"],
            "high": point["gain"]["high"],
            "mixture": _shares_text(point["weights"]),
        }
        for point in front["points"]
    ]
    frame = pd.DataFrame(rows)
    return str(front["cost"]).replace("-", " "), frame.sort_values("cost", ignore_index=True) if rows else frame


def flat_frame(doc: Manifest) -> pd.DataFrame:
    """Return one row a source: its share, how far it can go with the others free, and by itself; empty where that is not known."""
    flat = doc.optimiser.parameters.get("flat_optimum")
    if not isinstance(flat, Mapping):
        return pd.DataFrame()
    rows, shares = [], doc.shares()
    for slug in _by_share(doc):
        if slug in flat["ranges"]:
            free, alone = flat["ranges"][slug], flat["moves"][slug]
            ends = {"low": free["low"], "high": free["high"], "low_alone": alone["low"], "high_alone": alone["high"]}
            simplest = flat["simplest"]["weights"].get(slug, 0.0)
            rows.append({"source": slug, "share": shares.get(slug, 0.0), "simplest": simplest} | ends)
    return pd.DataFrame(rows)


def merged_frame(doc: Manifest) -> pd.DataFrame:
    """Return one row a mixture that was both trained and merged: its score, and what merging predicts with the interval over seeds."""
    merged = doc.optimiser.parameters.get("merged")
    rows = merged.get("residuals", ()) if isinstance(merged, Mapping) else ()
    return pd.DataFrame(
        [
            {
                "mixture": row["mixture"],
                "scored": row["trained"],
                "predicted": row["predicted"],
                "low": _less(row["trained"], row["difference"]["high"]),
                "high": _less(row["trained"], row["difference"]["low"]),
                "inside": _holds_zero(row["difference"]),
            }
            for row in rows
        ]
    )


def merged_facts(doc: Manifest) -> dict[str, str]:
    """Return what merging adapters says, and how it agrees with training; empty where nothing was merged."""
    merged = doc.optimiser.parameters.get("merged")
    if not isinstance(merged, Mapping):
        return {}
    facts = {"Mixtures merged": f"{merged['mixtures']:,}", "On items": f"{merged['items']:,}"}
    facts["Order as in training (tau)"] = _plain(merged.get("order"))
    used = doc.optimiser.parameters.get("surrogate")
    if isinstance(used, Mapping):
        facts["Weight in the search"] = f"{used['shares'].get('merged-adapters', 0.0):.0%}"
    return facts


def _by_share(doc: Manifest) -> list[str]:
    slugs = list(dict.fromkeys([*doc.weights, *(entry.slug for entry in doc.sources)]))
    shares = doc.shares()
    return sorted(slugs, key=lambda slug: (-shares.get(slug, 0.0), slug))


def _score(score: Mapping[str, float]) -> dict[str, float | None]:
    return {"score": score["value"], "low": score.get("low"), "high": score.get("high")}


def _shares_text(weights: Mapping[str, float]) -> str:
    shown = sorted(((slug, share) for slug, share in weights.items() if share >= 0.005), key=lambda pair: -pair[1])
    more = f" and {len(shown) - 6} more" if len(shown) > 6 else ""
    return ", ".join(f"{slug} {share:.0%}" for slug, share in shown[:6]) + more


def _plain(figure: Mapping[str, float] | None) -> str:
    if not figure or figure.get("value") is None:
        return "cannot be told"
    return f"{figure['value']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]"


def _less(trained: float, difference: float | None) -> float | None:
    return None if difference is None else trained - difference


def _holds_zero(difference: Mapping[str, float | None]) -> bool:
    low, high = difference["low"], difference["high"]
    return low is None or high is None or low <= 0 <= high
