"""The report as one HTML file: no script, no font, nothing from elsewhere. Jinja escapes everything that comes from data."""

from __future__ import annotations

import math
import shlex
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from probe.cli.output import interval, moment_text, number
from probe.manifest import mixture_terms
from probe.report.axis import Axis, axis_over, ends
from probe.report.facts import ReportFacts
from probe.report.rows import EffectTable, HeatTable, effect_tables, gain_rows, main_gain, share_rows
from probe.report.words import baseline_words, decision_words, flag_lines, signed
from probe.study.recorded_notes import shown_text
from sources.estimate import Estimate

if TYPE_CHECKING:
    from jinja2 import Environment


def report_html(facts: ReportFacts, made: str) -> str:
    """Return the page; `made` is when, in words."""
    return _environment().get_template("page.html.jinja").render(_values(facts, made))


def _values(facts: ReportFacts, made: str) -> dict[str, Any]:
    doc = facts.decision
    tables = effect_tables(facts)
    shares = share_rows(doc) if doc else []
    gains = gain_rows(doc) if doc else []
    widths = [width for row in shares for width in (row.share, row.current or 0.0)]
    return {
        "facts": facts,
        "doc": doc,
        "made": made,
        "css": resources.files("probe.report").joinpath("page.css").read_text(encoding="utf-8"),
        "words": decision_words(doc) if doc else ("No decision yet.", "This study has not searched its mixture."),
        "main_gain": main_gain(doc) if doc else None,
        "shares": shares,
        "share_axis": axis_over([*widths, *ends(row.interval for row in shares if row.interval)], most=1.0),
        "gains": gains,
        "gain_axis": axis_over(ends(row.gain for row in gains)),
        "terms": mixture_terms(doc) if doc else None,
        "flags": flag_lines(doc) if doc else [],
        "tables": [(table, _effect_axis(table)) for table in tables],
        "warnings": _warnings(facts),
        "notes": [(note.author or "nobody named", moment_text(note.created_at), shown_text(note)) for note in reversed(facts.notes)],
        "shell_study": shlex.quote(facts.study),
        "hours": facts.progress.cpu_s / 3600 if facts.progress else None,
    }


def _effect_axis(table: EffectTable) -> Axis:
    return axis_over(ends(line.effect for line in table.lines))


def _warnings(facts: ReportFacts) -> list[str]:
    found = [*(facts.decision.warnings if facts.decision else ()), *(facts.ranking.warnings if facts.ranking else ())]
    if facts.ranking_is_old:
        found.append("Probes have finished since the ranking below was computed.")
    return list(dict.fromkeys(found))


def _cell_style(cell: Estimate, table: HeatTable) -> str:
    """Return a cell's colour: blue for better, vermillion for worse, as strong as the effect is large; text stays readable on it."""
    if not math.isfinite(cell.value):
        return ""
    strength = min(1.0, abs(cell.value) / table.reach)
    colour = "0, 114, 178" if cell.value > 0 else "213, 94, 0"
    return f"background-color: rgba({colour}, {0.05 + 0.57 * strength:.2f})"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("probe.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"interval": interval, "number": number, "cell_style": _cell_style, "words": baseline_words, "signed": signed}
    return made
