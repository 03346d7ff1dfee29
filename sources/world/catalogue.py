"""The world's built-in sources and held-out benchmarks, by name."""

from __future__ import annotations

from sources.benchmark import BenchmarkSpec, Item
from sources.problems import SourceError
from sources.sample import ImageRef
from sources.spec import Licence, SourceSpec
from sources.world.captions import CaptionLength
from sources.world.drawing import scene_png
from sources.world.options import ALL, WorldOptions, parse_options
from sources.world.questions import Skill
from sources.world.rows import make_row

CAPABILITIES = {
    Skill.COLOUR: "recognition",
    Skill.SHAPE: "recognition",
    Skill.SIZE: "recognition",
    Skill.COUNT: "counting-and-space",
    Skill.RELATION: "counting-and-space",
    Skill.PRESENCE: "hallucination",
    Skill.WORD: "ocr",
    Skill.CHART: "charts",
}
_LICENCE = Licence("Apache-2.0", "Apache-2.0", "made by this project's own code")
_ITEMS = "300"


def world_source_specs() -> tuple[SourceSpec, ...]:
    """Return the built-in sources: one a skill, one a caption length, and `world/all`, questions of every skill."""
    skills = [_source(f"world/{skill.value}", ("skill", skill.value)) for skill in Skill]
    captions = [_source(f"world/caption-{length.value}", ("captions", length.value)) for length in CaptionLength]
    return (*skills, *captions, _source("world/all", ("skill", ALL)))


def world_benchmark_specs() -> tuple[BenchmarkSpec, ...]:
    """Return the built-in benchmarks: one a skill, over scenes that no source has."""
    return tuple(
        BenchmarkSpec(f"world/{skill.value}", CAPABILITIES[skill], "world", options=(("rows", _ITEMS), ("skill", skill.value)))
        for skill in Skill
    )


def capability_of(spec: SourceSpec) -> str:
    """Return the capability that a world source's questions are about; empty for captions, several capabilities, or another format."""
    topics = parse_options(spec.unviewed().options).topics if spec.format == "world" else ()
    found = {CAPABILITIES[topic] if isinstance(topic, Skill) else "" for topic in topics}
    return found.pop() if len(found) == 1 else ""


def world_items(spec: BenchmarkSpec) -> tuple[Item, ...]:
    """Make a world benchmark's items, each with an image of its own (of `per_image` items) and its choices as texts.

    Raises:
        SourceError: an option is unknown or has a value that is not allowed, or asks for captions.
    """
    options = parse_options(spec.options).held_out()
    if any(isinstance(topic, CaptionLength) for topic in options.topics):
        raise SourceError(f"a world benchmark asks questions, so {spec.name!r} cannot have captions; give it a skill")
    return tuple(item for number in range(options.rows) for item in _items(options, number))


def _items(options: WorldOptions, number: int) -> list[Item]:
    row = make_row(options, number)
    images = (ImageRef(data=scene_png(row.shown)),)
    return [
        Item(f"{options.seed}-{number}-{turn}", images, question.text, question.choices, question.answer, row.topic.value)
        for turn, question in enumerate(row.questions)
    ]


def _source(slug: str, option: tuple[str, str]) -> SourceSpec:
    return SourceSpec(slug, "world", licence=_LICENCE, options=tuple(sorted((option, ("rows", "2000")))))
