"""Readers: one module per format, found through a lazy registry."""

from sources.formats.registry import ENTRY_POINT_GROUP, detect_format, find_reader, open_rows, reader_names

__all__ = ["ENTRY_POINT_GROUP", "detect_format", "find_reader", "open_rows", "reader_names"]
