"""Which reader would read a source now."""

from __future__ import annotations

from probe.manifest.document import ReaderEntry
from sources.spec import SourceSpec


def current_reader(spec: SourceSpec) -> ReaderEntry:
    """Return the name and version of the reader of a source's format.

    Raises:
        SourceError: no such format.
    """
    from sources.formats.registry import find_reader  # here: plug-ins are looked up when a reader is first asked for

    reader = find_reader(spec.format)
    return ReaderEntry(reader.name, reader.version)
