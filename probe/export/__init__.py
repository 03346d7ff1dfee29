"""Exports: a manifest's counts translated into what a trainer executes, one module a trainer."""

from probe.export.registry import Export, exporter_names, find_exporter
from probe.export.report import SHARE_TOLERANCE, ExportError, ExportOptions, ExportReport, Images, Mode

__all__ = [
    "SHARE_TOLERANCE",
    "Export",
    "ExportError",
    "ExportOptions",
    "ExportReport",
    "Images",
    "Mode",
    "exporter_names",
    "find_exporter",
]
