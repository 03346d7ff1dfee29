"""The decision as one page for people without access to the store."""

from probe.report.facts import ReportFacts, decision_facts, study_facts
from probe.report.markdown import report_markdown
from probe.report.page import report_html

__all__ = ["ReportFacts", "decision_facts", "report_html", "report_markdown", "study_facts"]
