"""`SourceSpec`: what a candidate data set is called, where it lies and under which terms."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sources.subsources import subsource_slug

# Options that choose among a source's rows; the rows themselves are read in the same way with and without them.
VIEW_OPTIONS = ("difficulty", "holdout", "subsource")


@dataclass(frozen=True, slots=True)
class Licence:
    """What a source may be used for: SPDX expressions as declared and as concluded, provider terms in words."""

    declared: str = "NOASSERTION"
    concluded: str = "NOASSERTION"
    terms: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """Where a source is drawn from that is not on this machine, and how: from `url`, or from the hub where that is empty.

    `file` chooses among the files (a name or a pattern), `rows` bounds the draw and `seed` decides it. `version` hashes the names,
    sizes and versions of the files behind a URL; on the hub the spec's `revision` says what they are. `images` is the URL of a folder
    that image paths start from. `fixed` says that nothing of this is still to be found out.
    """

    url: str = ""
    file: str = ""
    split: str = "train"
    rows: int = 0
    seed: int = 0
    images: str = ""
    version: str = ""
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A candidate source or a named part of one.

    `slug` is the name used everywhere (`llava-665k/ocr_vqa`). `path` is a file or folder, or empty for sources that are
    made (`format="world"`) or come in a package (`format="easy-vqa"`); `options` are their parameters, sorted by name.
    Where `stream` is given, `path` is the folder that its drawn rows were written to.
    """

    slug: str
    format: str
    path: str = ""
    image_root: str = ""
    licence: Licence = Licence()
    hub_id: str = ""
    subset: str = ""
    revision: str = ""
    options: tuple[tuple[str, str], ...] = ()
    stream: Stream | None = None

    def option(self, name: str, default: str = "") -> str:
        """Return one option's value."""
        return dict(self.options).get(name, default)

    def with_option(self, name: str, value: str) -> SourceSpec:
        """Return the same source with one option set."""
        return replace(self, options=tuple(sorted({**dict(self.options), name: value}.items())))

    def unviewed(self) -> SourceSpec:
        """Return the same source without the options that choose among its rows."""
        return replace(self, options=tuple(option for option in self.options if option[0] not in VIEW_OPTIONS))

    def part(self, subsource: str) -> SourceSpec:
        """Return one sub-source, given by its name or slug, as a source of its own: `slug/subsource`."""
        name = subsource_slug(subsource)
        return replace(self.with_option("subsource", name), slug=f"{self.slug}/{name}")
