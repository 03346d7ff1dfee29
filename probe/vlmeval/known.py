"""VLMEvalKit's benchmarks that we know how to use: capability, rule, licence where its publisher states one."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from probe.errors import ProbeError
from sources.benchmark import BenchmarkSpec

OPTION = "vlmeval"  # of a benchmark's spec: the name by whose rules VLMEvalKit scores it


@dataclass(frozen=True, slots=True)
class KnownBenchmark:
    """One benchmark of VLMEvalKit. With `rule` `judge` a language model scores the answers; every other rule works offline."""

    name: str
    capability: str
    rule: str
    licence: str = ""
    homepage: str = ""

    @property
    def needs_judge(self) -> bool:
        """Say whether a language model scores the answers."""
        return self.rule == "judge"

    @property
    def our_rule(self) -> str:
        """Return the name of our own answer rule that scores alike; empty where VLMEvalKit alone can."""
        from sources.answer_rules.registry import RULES

        return self.rule if self.rule in RULES else ""


@cache
def known_benchmarks() -> dict[str, KnownBenchmark]:
    """Return the table, by name, in its order."""
    rows = tomllib.loads((Path(__file__).parent / "benchmarks.toml").read_text(encoding="utf-8"))["benchmark"]
    return {row["name"]: KnownBenchmark(**row) for row in rows}


def find_known(name: str) -> KnownBenchmark:
    """Return one benchmark.

    Raises:
        ProbeError: we do not know it.
    """
    found = known_benchmarks().get(name)
    if found is None:
        near = difflib.get_close_matches(name, known_benchmarks(), n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise ProbeError(f"no benchmark of VLMEvalKit is known as {name!r}{meant}; see `probe benchmarks list --vlmeval`.")
    return found


def kit_name(spec: BenchmarkSpec) -> str:
    """Return by whose rules VLMEvalKit scores a benchmark.

    Raises:
        ProbeError: nobody said.
    """
    name = spec.option(OPTION)
    if not name:
        raise ProbeError(
            f"nobody said by which of VLMEvalKit's rules {spec.name} is scored: add it with `probe benchmarks add --vlmeval NAME`, "
            "your own table with `probe benchmarks add NAME --path FILE.tsv --vlmeval NAME`."
        )
    return name
