"""Run a team's scorer on generated answers: JSON lines in, JSON lines out, in a process that cannot take ours down.

in    {"id": "17", "question": "What colour is it?", "answer": "red", "answers": [], "choices": ["red", "blue"], "category": "",
       "prediction": "It is red."}
out   {"id": "17", "score": 1.0}          one line an item, in any order; "parsed": false says that the answer could not be read
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sources.benchmark import InHouseScorer, Item
from sources.in_house import entry_child
from sources.in_house.version import command_words, source_file
from sources.problems import SourceError

Floats = NDArray[np.float32]
_SHOWN_CHARS = 200  # of what a scorer said or gave


def in_house_scores(scorer: InHouseScorer, items: Sequence[Item], predictions: Mapping[int, str]) -> tuple[Floats, Floats]:
    """Return scores and readability, both [items], by a team's scorer; NaN where an item has no prediction.

    Raises:
        SourceError: it cannot be started, fails, takes too long, or gives something other than one score in 0..1 for each item.
    """
    scores, parsed = np.full(len(items), np.nan, np.float32), np.full(len(items), np.nan, np.float32)
    if not predictions:
        return scores, parsed
    numbers = {items[number].id: number for number in predictions}
    asked = "".join(json.dumps(_question(items[number], text), ensure_ascii=False) + "\n" for number, text in predictions.items())
    for identity, (score, readable) in _read(_run(scorer, asked), scorer, numbers).items():
        scores[numbers[identity]], parsed[numbers[identity]] = score, readable
    return scores, parsed


def _question(item: Item, prediction: str) -> dict[str, Any]:
    return {
        "id": item.id,
        "question": item.question,
        "answer": item.answer,
        "answers": item.answers,
        "choices": item.choices,
        "category": item.category,
        "prediction": prediction,
    }


def _name(scorer: InHouseScorer) -> str:
    return f"the scorer {scorer.entry_point or scorer.command!r}"


def _words(scorer: InHouseScorer) -> list[str]:
    if not scorer.entry_point:
        return command_words(scorer)
    source_file(scorer)  # a clear sentence where it is gone
    return [sys.executable, "-P", str(Path(entry_child.__file__)), scorer.folder, scorer.entry_point]


def _run(scorer: InHouseScorer, asked: str) -> str:
    """Return what a scorer writes; its whole process group is ended where it takes too long."""
    pipe = subprocess.PIPE
    try:  # a session of its own, so that Ctrl-C here does not make its scores fail
        process = subprocess.Popen(_words(scorer), stdin=pipe, stdout=pipe, stderr=pipe, cwd=scorer.folder or None, start_new_session=True)
    except OSError as error:
        raise SourceError(f"{_name(scorer)} cannot be started ({error.strerror or error})") from error
    with process:
        try:
            out, said = process.communicate(asked.encode(), timeout=scorer.timeout_s)
        except subprocess.TimeoutExpired:
            raise SourceError(f"{_name(scorer)} took longer than {scorer.timeout_s:g} s; give it more with --scorer-timeout") from None
        finally:
            _end(process)
    if process.returncode != 0:
        lines = said.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        raise SourceError(f"{_name(scorer)} ended with code {process.returncode}: {lines[-1][:_SHOWN_CHARS]}")
    return out.decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a scorer with all that it started and left behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _read(out: str, scorer: InHouseScorer, numbers: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for line in filter(str.strip, out.split("\n")):
        identity, score, parsed = _line(line, scorer)
        if identity not in numbers or identity in found:
            which = "twice" if identity in found else "which it was not given"
            raise SourceError(f"{_name(scorer)} scored the item {identity!r}, {which}; it must give one line for each that it takes")
        found[identity] = (score, parsed)
    if missing := [identity for identity in numbers if identity not in found]:
        raise SourceError(f"{_name(scorer)} gave {len(found)} scores for {len(numbers)} items; the first without one is {missing[0]!r}")
    return found


def _line(line: str, scorer: InHouseScorer) -> tuple[str, float, float]:
    try:
        given = json.loads(line)
        identity, score = str(given["id"]), given["score"]
        parsed = given.get("parsed", True)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SourceError(f'{_name(scorer)} wrote a line that is no {{"id", "score"}}: {line[:_SHOWN_CHARS]!r}') from None
    if not isinstance(score, (int, float)) or not isinstance(parsed, (bool, int)) or not math.isfinite(score) or not 0 <= score <= 1:
        raise SourceError(f"{_name(scorer)} gave item {identity!r} the score {score!r:.50}; a score is a number from 0 to 1")
    return identity, float(score), float(bool(parsed))
