"""The tutorial, run as it stands: every `sh` block in order in an empty folder, every `text` block compared with what was printed."""

import re

import pytest
from commands_in_docs import ROOT, blocks
from running_documents import Shell, Step

TUTORIAL = ROOT / "docs/tutorial.md"
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?%?")
NEAR, NEAR_PERCENT, NEAR_ROWS = 0.012, 4.0, 0.06  # other processors round otherwise, and a training and a flat optimum carry that on


def near(expected, printed):
    """Say whether two numbers are the same up to the rounding of another processor; small counts must be equal."""
    if expected == printed:
        return True
    a, b = (float(text.replace(",", "").rstrip("%")) for text in (expected, printed))
    if expected.endswith("%"):
        return abs(a - b) <= NEAR_PERCENT
    return abs(a - b) <= NEAR if "." in expected else min(a, b) >= 100 and abs(a - b) <= NEAR_ROWS * a


def same_line(expected, printed):
    """Say whether a line is the printed one: words equal, numbers near."""
    if NUMBER.sub("#", " ".join(expected.split())) != NUMBER.sub("#", " ".join(printed.split())):
        return False
    return all(map(near, NUMBER.findall(expected), NUMBER.findall(printed)))


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    shell = Shell(here)
    printed, compared = [], 0
    for block in blocks(TUTORIAL):
        where = f"{block.document}:{block.line}"
        if block.language == "sh" and not block.not_run:
            printed = shell.run(Step(where, block.text)).splitlines()
        elif block.language == "text":
            missing = [line for line in block.text.splitlines() if line.strip() not in ("", "...")]
            missing = [line for line in missing if not any(same_line(line, other) for other in printed)]
            assert not missing, f"{where} was not printed:\n{chr(10).join(missing)}\nbut:\n{chr(10).join(printed)}"
            compared += 1
    assert compared >= 4
    assert (here / "decision.html").stat().st_size > 10_000
    assert (here / "train/dataset_info.json").exists()


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a  +0.100 [+0.05, +0.15]", "a +0.105 [+0.05, +0.14]", True),
        ("a  +0.100", "a  +0.200", False),
        ("3 probes", "4 probes", False),
        ("a  73.7% [10%, 93%]   737", "a 72.9% [12%, 92%] 729", True),
        ("a  73.7% [10%, 93%]   737", "a 60.9% [12%, 92%] 609", False),
        ("3 probes", "3 arms", False),
    ],
)
def test_lines_are_compared_by_words_and_numbers(expected, printed, same):
    assert same_line(expected, printed) is same
