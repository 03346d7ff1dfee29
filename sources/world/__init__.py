"""The generated world: scenes of shapes, words and bar charts with known truth, captions, questions, benchmarks and planted defects.

Everything is made when asked for, from options and a seed, and is the same on every machine.
"""

from __future__ import annotations

from sources.world.captions import CaptionLength
from sources.world.catalogue import capability_of, world_benchmark_specs, world_items, world_source_specs
from sources.world.options import WorldOptions, parse_options
from sources.world.questions import Question, Skill
from sources.world.reader import WorldReader, WorldRows
from sources.world.rows import WorldRow, make_row
from sources.world.scene import Scene, SceneKind, make_scene

__all__ = [
    "CaptionLength",
    "Question",
    "Scene",
    "SceneKind",
    "Skill",
    "WorldOptions",
    "WorldReader",
    "WorldRow",
    "WorldRows",
    "capability_of",
    "make_row",
    "make_scene",
    "parse_options",
    "world_benchmark_specs",
    "world_items",
    "world_source_specs",
]
