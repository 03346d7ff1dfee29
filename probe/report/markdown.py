"""The report as Markdown: the decision's data card, and what the store knows beside it."""

from __future__ import annotations

from collections.abc import Iterator

from probe.cli.output import interval, moment_text
from probe.manifest.markdown import escaped, mixture_markdown
from probe.report.facts import ReportFacts
from probe.report.rows import effect_tables
from probe.report.words import decision_words
from probe.study.recorded_notes import shown_text


def report_markdown(facts: ReportFacts, made: str) -> str:
    """Return the report; text from outside is escaped, so it stays text. `made` is when, in words."""
    return "\n".join([*_head(facts, made), *_effects(facts), *_cost(facts), *_notes(facts), *_decision(facts)]) + "\n"


def _head(facts: ReportFacts, made: str) -> Iterator[str]:
    yield f"# What to train on: study {escaped(facts.study)}"
    yield ""
    strong, rest = decision_words(facts.decision) if facts.decision else ("No decision yet.", "This study has not searched its mixture.")
    yield f"**{strong}** {escaped(rest)} Made {made}."
    if facts.illustration_only:
        yield from ("", "> **Illustration, not evidence:** this was measured on the bundled proxy.")
    for warning in facts.ranking.warnings if facts.ranking else ():
        yield from ("", f"> **Warning.** {escaped(warning)}")


def _effects(facts: ReportFacts) -> Iterator[str]:
    for table in effect_tables(facts):
        yield from ("", f"## Which sources help: {escaped(table.question)}", "")
        yield from ("| source | tier | effect | verdict |", "|---|---:|---|---|")
        for line in table.lines:
            tier = "-" if line.tier is None else line.tier
            yield f"| {escaped(line.source)} | {tier} | {interval(line.effect)} | {escaped(line.verdict)} |"


def _cost(facts: ReportFacts) -> Iterator[str]:
    if facts.progress:
        yield from ("", "## Cost and agreement", "")
        yield f"{facts.progress.done:,} probes done, {facts.progress.failed:,} failed, {facts.progress.cpu_s / 3600:.3g} CPU hours."
    if facts.fidelity:
        yield from ("", escaped(facts.fidelity))


def _notes(facts: ReportFacts) -> Iterator[str]:
    if facts.notes:
        yield from ("", "## Who decided what, and why", "")
    for note in reversed(facts.notes):
        yield f"- {escaped(note.author or 'nobody named')}, {moment_text(note.created_at)} UTC: {escaped(shown_text(note))}"


def _decision(facts: ReportFacts) -> Iterator[str]:
    if facts.decision:
        yield ""
        yield mixture_markdown(facts.decision).replace("\n#", "\n##").replace("# ", "## ", 1).rstrip()
