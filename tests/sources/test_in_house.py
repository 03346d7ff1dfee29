"""A team's own scorers: what they give is taken, and whatever is wrong with them is one sentence."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from sources.benchmark import InHouseScorer, Item
from sources.in_house.running import in_house_scores
from sources.in_house.version import scorer_version
from sources.problems import SourceError

ITEMS = [Item(f"i{n}", (), f"How many? {n}", (), str(n), "count", (str(n), "n")) for n in range(3)]
SAID = {0: "0", 2: "five\t“5”\n\u2028!"}


def function(folder: Path, body: str, name: str = "score") -> InHouseScorer:
    (folder / "own.py").write_text(f"def {name}(item, answer):\n    {body}\n")
    return InHouseScorer(f"own:{name}", folder=str(folder))


def program(folder: Path, body: str, timeout_s: float = 60.0) -> InHouseScorer:
    (folder / "own.py").write_text(f"import json, sys\nasked = [json.loads(line) for line in sys.stdin]\n{body}\n")
    return InHouseScorer(command="python own.py", folder=str(folder), timeout_s=timeout_s)


def test_a_function_gets_the_item_and_the_answer(tmp_path: Path) -> None:
    body = (
        "print(item); assert answer == item['prediction'] and item['category'] == 'count' and item['answers'][1] == 'n'"
        "; return answer == item['answer']"
    )
    scores, parsed = in_house_scores(function(tmp_path, body), ITEMS, SAID)
    np.testing.assert_array_equal(scores, [1, np.nan, 0])
    np.testing.assert_array_equal(parsed, [1, np.nan, 1])


def test_a_function_may_say_that_an_answer_could_not_be_read(tmp_path: Path) -> None:
    scorer = function(tmp_path, "return {'score': 0.25, 'parsed': answer.isdigit(), 'why': 'because'}")
    scores, parsed = in_house_scores(scorer, ITEMS, SAID)
    np.testing.assert_array_equal(scores, np.array([0.25, np.nan, 0.25], np.float32))
    np.testing.assert_array_equal(parsed, [1, np.nan, 0])


def test_a_function_of_a_package_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "team" / "eval").mkdir(parents=True)
    (tmp_path / "team" / "__init__.py").write_text("")
    (tmp_path / "team" / "eval" / "ours.py").write_text("import numpy\ndef f(item, answer):\n    return numpy.float32(0.5)\n")
    for entry in ("team.eval.ours:f", "team/eval/ours.py:f"):
        scores, _ = in_house_scores(InHouseScorer(entry, folder=str(tmp_path)), ITEMS, {1: ""})
        assert scores[1] == 0.5


def test_a_program_takes_and_gives_lines_in_any_order(tmp_path: Path) -> None:
    body = "[print(json.dumps({'id': r['id'], 'score': float(r['prediction'] == r['answer'])})) for r in reversed(asked)]"
    scores, parsed = in_house_scores(program(tmp_path, body), ITEMS, SAID)
    np.testing.assert_array_equal(scores, [1, np.nan, 0])
    np.testing.assert_array_equal(parsed, [1, np.nan, 1])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("raise RuntimeError('no model of ours')", "ended with code 1: RuntimeError: no model of ours"),
        ("return float('nan')", "the score nan; a score is a number from 0 to 1"),
        ("return 1.5", "gave item 'i0' the score 1.5; a score"),
        ("return 'good'", "the score 'good'; a score"),
        ("return None", "the score None; a score"),
        ("import os; os._exit(0)", "gave 0 scores for 2 items; the first without one is 'i0'"),
        ("import os; os.kill(os.getpid(), 9)", "ended with code -9"),
    ],
)
def test_what_is_wrong_with_a_function_is_told(tmp_path: Path, body: str, sentence: str) -> None:
    with pytest.raises(SourceError) as told:
        in_house_scores(function(tmp_path, body), ITEMS, SAID)
    assert sentence in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("print('hello')", "wrote a line that is no"),
        ("print('[1]')", "wrote a line that is no"),
        ("print(json.dumps({'id': 'i0', 'score': 1}))", "gave 1 scores for 2 items; the first without one is 'i2'"),
        ("[print(json.dumps({'id': 'i0', 'score': 1})) for r in asked]", "scored the item 'i0', twice"),
        ("[print(json.dumps({'id': 'i1', 'score': 1})) for r in asked]", "scored the item 'i1', which it was not given"),
        ("sys.exit(3)", "ended with code 3: it said nothing"),
    ],
)
def test_what_is_wrong_with_a_program_is_told(tmp_path: Path, body: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=r"^the scorer 'python own.py' ") as told:
        in_house_scores(program(tmp_path, body), ITEMS, SAID)
    assert sentence in str(told.value)


def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    body = (
        "import subprocess, time, os\nchild = subprocess.Popen(['sleep', '600'])\nopen('pid', 'w').write(str(child.pid))\ntime.sleep(600)"
    )
    with pytest.raises(SourceError, match=r"took longer than 2 s; give it more with --scorer-timeout"):
        in_house_scores(program(tmp_path, body, timeout_s=2), ITEMS, SAID)
    child = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not _runs(child):
            return
        time.sleep(0.05)
    pytest.fail("what the scorer started is still there")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"  # ended, and nobody has asked how


@pytest.mark.parametrize(
    ("scorer", "sentence"),
    [
        (InHouseScorer("score"), "not of the form"),
        (InHouseScorer("nowhere.at.all:f"), "no module 'nowhere.at.all'"),
        (InHouseScorer("nowhere.py:f"), "no module 'nowhere.py'"),
        (InHouseScorer(command="no-such-program"), "cannot be started"),
        (InHouseScorer(command="'open"), "mend its quotes"),
    ],
)
def test_a_scorer_that_is_not_there(tmp_path: Path, scorer: InHouseScorer, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        in_house_scores(InHouseScorer(scorer.entry_point, scorer.command, str(tmp_path)), ITEMS, SAID)


def test_the_version_is_what_the_file_says_and_nothing_runs_to_find_it(tmp_path: Path) -> None:
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "__init__.py").write_text(trap)
    (tmp_path / "team" / "own.py").write_text(f"{trap}def f(item, answer): return 1\n")
    (tmp_path / "own.sh").write_text("#!/bin/sh\ncat\n")
    scorers = [
        InHouseScorer("team.own:f", folder=str(tmp_path)),
        InHouseScorer(command="python team/own.py --strict", folder=str(tmp_path)),
        InHouseScorer(command="./own.sh", folder=str(tmp_path)),
    ]
    before = [scorer_version(scorer) for scorer in scorers]
    assert before == [scorer_version(scorer) for scorer in scorers]
    assert scorer_version(InHouseScorer(command="python team/own.py", folder=str(tmp_path))) != before[1]
    for file in ("team/own.py", "own.sh"):
        (tmp_path / file).write_text((tmp_path / file).read_text() + "# changed\n")
    assert all(scorer_version(scorer) != old for scorer, old in zip(scorers, before, strict=True))
    assert not (tmp_path / "ran").exists()


def test_the_version_is_not_where_it_lies(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert scorer_version(function(tmp_path / "a", "return 1")) == scorer_version(function(tmp_path / "b", "return 1"))
