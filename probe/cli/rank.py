"""`probe rank`: sources with effects, intervals and tiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from probe.cli.output import estimate_json, interval, listing_options, number, print_json, print_listing, say
from probe.errors import ProbeError
from probe.workspace import Workspace

if TYPE_CHECKING:
    from db.store import Store
    from db.values import EffectRow, Ranking

ParseRates = dict[tuple[str, str], float]  # by arm and benchmark


@click.command()
@click.option("--study", default="main", show_default=True, help="The study to rank.")
@click.option("--capability", default=None, help="Rank by one capability instead of all.")
@click.option("--level", default=0.90, show_default=True, type=click.FloatRange(0.5, 0.999), help="Level of the intervals.")
@click.option("--margin", default=None, type=float, help="Effects within it are `neutral`.  [default: one repeat's deviation]")
@listing_options
@click.pass_obj
def command(workspace: Workspace, study: str, capability: str | None, level: float, margin: float | None, form: str) -> None:
    """Rank a study's sources: effects against the reference with intervals, tiers, verdicts.

    Pages and manifests keep showing the ranking with the default level and margin.
    """
    show_ranking(workspace, study, form, capability=capability, level=level, margin=margin)


def show_ranking(
    workspace: Workspace,
    study: str,
    form: str,
    *,
    capability: str | None = None,
    level: float | None = None,
    margin: float | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Print a study's ranking with all that is told beside it; `level` and `margin` are the default ones unless given.

    The default ranking is kept for pages and manifests. `more` goes into the JSON.

    Raises:
        ProbeError: there is no such study or capability, or nothing to compare yet.
    """
    from probe.cli.order_slopes import slope_lines, slopes_json
    from probe.cli.recipe_check import kept_json, kept_line
    from probe.study.fidelity import fidelity, fidelity_json, fidelity_lines
    from probe.study.ranking import LEVEL, computed_ranking, not_new_sources, parse_rates, rank

    with workspace.look() as store:
        asked = LEVEL if level is None else level
        default = asked == LEVEL and margin is None
        kept = workspace.quality
        ranking = rank(store, study, kept) if default else computed_ranking(store, study, level=asked, margin=margin, quality=kept)
        not_new, parsed = not_new_sources(store, study), parse_rates(store, study)
        quality = study_qualities(store, study, kept) if form == "json" else {}
        slopes = slopes_json(store, study) if form == "json" else slope_lines(store, study)
        agreed = fidelity(store, study)
        recipe = kept_json(store, study) if form == "json" else kept_line(store, study)
    if form == "json":
        beside = {"benchmark_quality": quality, "order_slopes": slopes, "fidelity": fidelity_json(agreed), "recipe_check": recipe}
        print_json(ranking_json(ranking, capability, not_new, parsed) | beside | dict(more or {}))
        return
    print_ranking(ranking, capability, form, parsed)
    if form == "table":
        for told in (*slopes, *fidelity_lines(agreed), *filter(None, [recipe])):
            say(str(told))


def study_qualities(store: Store, study: str, kept: Path) -> dict[str, Any]:
    """Return each scored benchmark's quality: what the study's probes show, and what is kept of its proxy, or null."""
    from probe.cli.benchmark_quality import proxy_json, study_json
    from probe.study.study_quality import known_quality

    return {
        shown.benchmark: {"study": study_json(shown), "proxy": proxy_json(of_proxy) if of_proxy else None}
        for shown, of_proxy in known_quality(store, study, kept)
    }


def rows_at(ranking: Ranking, capability: str | None) -> list[EffectRow]:
    """Return the rows of the overall level or of one capability, best first.

    Raises:
        ProbeError: no such capability was scored.
    """
    from probe.decide.ranking import best_first

    if capability is None:
        return list(best_first(ranking))
    rows = list(best_first(ranking, "capability", capability))
    if not rows:
        known = sorted({row.name for row in ranking.effects if row.level == "capability"})
        raise ProbeError(f"there is no capability {capability!r} in this study; it has {', '.join(known)}.")
    return rows


def print_ranking(ranking: Ranking, capability: str | None, form: str, parsed: ParseRates | None = None) -> None:
    """Print the ranking for people, or as CSV; `parsed` is what `parse_rates` found."""
    rows = rows_at(ranking, capability)
    capabilities = list(dict.fromkeys(row.name for row in ranking.effects if row.level == "capability"))
    effects = {(row.arm, row.level, row.name): row for row in ranking.effects}
    twice = len({row.source for row in rows}) < len(rows)  # probed in two designs: their arms tell them apart
    places, listing = _places(ranking, rows), []
    for row in rows:
        line: dict[str, Any] = {
            "tier": row.tier,
            "rank": _shown(places.get(row.arm)),
            "source": row.arm if twice else row.source,
            "effect": interval(row.effect),
        }
        line["accuracy"] = round(row.accuracy, 3)
        if any(r.verdict for r in rows):
            line["verdict"] = _verdict(row)
        if capability is None:
            for name in capabilities:
                cell = effects.get((row.arm, "capability", name))
                line[name] = interval(cell.effect if cell else None, 2)
        listing.append(line)
    if form == "table":
        scope = f"capability {capability}" if capability else "all capabilities"
        metric = rows[0].metric if rows else ranking.metric
        say(
            f"Study {ranking.study} on proxy {ranking.proxy}: effect on {metric} against {ranking.reference}, {scope}; "
            f"{ranking.level:.0%} intervals. Different tiers: told apart; rank: the places a source may have.\n"
        )
    print_listing(listing, form, empty="No source has been scored yet: probe run --source S.")
    if form == "table":
        say(
            f"\nNoise floor {number(ranking.noise_floor)}; "
            f"smallest effect this study could see {number(ranking.minimum_detectable_effect)}."
        )
        for told in _parse_lines(parsed or {}):
            say(told)
        for warning in ranking.warnings:
            say(f"Note: {warning}")
        if ranking.illustration_only:
            say("Results of the bundled proxy on your own data are an illustration, not evidence: use a real VLM with --proxy.")


def _parse_lines(parsed: ParseRates) -> Iterator[str]:
    """Say of each benchmark with generated answers how many of them could be read, over its arms."""
    for benchmark in dict.fromkeys(name for _, name in parsed):
        rates = {arm: rate for (arm, name), rate in parsed.items() if name == benchmark}
        fewest = min(rates, key=lambda arm: rates[arm])
        yield f"Answers to {benchmark} that could be read: at least {rates[fewest]:.0%} of every arm's (fewest: {fewest})."


def ranking_json(ranking: Ranking, capability: str | None, not_new: Mapping[str, str], parsed: ParseRates | None = None) -> dict[str, Any]:
    """Return the object that others script against.

    `not_new` says of sources why they are not new to the proxy, `parsed` is what `parse_rates` found.
    """
    level, name = ("overall", "overall") if capability is None else ("capability", capability)
    rows = rows_at(ranking, capability)
    places = _places(ranking, rows)
    sources = [
        _source_json(ranking, row, parsed or {}) | {"rank": _place_json(places.get(row.arm)), "not_new_to_proxy": not_new.get(row.source)}
        for row in rows
    ]
    pairs = [
        {
            "a": pair.a_source,
            "b": pair.b_source,
            "a_arm": pair.a,
            "b_arm": pair.b,
            "difference": estimate_json(pair.difference),
            "decided": pair.decided,
            "same": pair.same,
        }
        for pair in ranking.pairs
        if (pair.level, pair.name) == (level, name)
    ]
    return {
        "study": ranking.study,
        "revision": ranking.revision,
        "proxy": ranking.proxy,
        "reference": ranking.reference,
        "metric": rows[0].metric if rows else ranking.metric,
        "level": ranking.level,
        "noise_floor": ranking.noise_floor,
        "minimum_detectable_effect": ranking.minimum_detectable_effect,
        "illustration_only": ranking.illustration_only,
        "sources": sources,
        "pairs": pairs,
        "warnings": list(ranking.warnings),
    }


def _source_json(ranking: Ranking, row: EffectRow, parsed: ParseRates) -> dict[str, Any]:
    from probe.decide.wording import verdict_means

    def level_map(level: str) -> dict[str, Any]:
        rows = [r for r in ranking.effects if r.arm == row.arm and r.level == level]
        return {r.name: {**(estimate_json(r.effect) or {}), "metric": r.metric, "accuracy": r.accuracy, "tier": r.tier} for r in rows}

    benchmarks = level_map("benchmark")
    for name, found in benchmarks.items():
        if (row.arm, name) in parsed:
            found["parsed"] = parsed[row.arm, name]
    return {
        "source": row.source,
        "arm": row.arm,
        "effect": estimate_json(row.effect),
        "accuracy": row.accuracy,
        "tier": row.tier,
        "verdict": row.verdict.value if row.verdict else None,
        "verdict_from": row.verdict_from or None,
        "verdict_means": verdict_means(row) or None,
        "seeds_to_decide": row.seeds_to_decide,
        "capabilities": level_map("capability"),
        "benchmarks": benchmarks,
    }


def _places(ranking: Ranking, rows: Sequence[EffectRow]) -> dict[str, tuple[int, int]]:
    """Return the places that each arm of a level may have among those of its design, where the design has tiers."""
    from probe.decide.tiers import ranks

    tiered = [row for row in rows if row.tier is not None]
    found: dict[str, tuple[int, int]] = {}
    for design in {row.verdict_from for row in tiered}:
        arms = {row.arm: row for row in tiered if row.verdict_from == design}
        pairs = [p for p in ranking.pairs if p.decided and p.a in arms and (p.level, p.name) == (arms[p.a].level, arms[p.a].name)]
        found |= ranks(arms, [(p.a, p.b) if p.difference.value > 0 else (p.b, p.a) for p in pairs])
    return found


def _shown(place: tuple[int, int] | None) -> str:
    return "-" if place is None else "-".join(str(end) for end in dict.fromkeys(place))


def _place_json(place: tuple[int, int] | None) -> dict[str, int] | None:
    return None if place is None else {"low": place[0], "high": place[1]}


def _verdict(row: EffectRow) -> str:
    from probe.decide.wording import verdict_means

    if row.verdict is None:
        return "-"
    if row.verdict_from != "add-one" and (meaning := verdict_means(row)):
        return f"{row.verdict.value}: {meaning}"
    if row.seeds_to_decide:
        return f"{row.verdict.value} ({row.seeds_to_decide} more seeds)"
    return row.verdict.value
