"""A workspace, small data in two formats, and the command line run in this process."""

import base64
import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from probe.cli.main import main

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 160, 0)}
ROWS = 40


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)


@pytest.fixture
def probe(tmp_path, monkeypatch, capsys):
    """Run one command in `tmp_path` and return how it ended."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["probe", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture
def images(tmp_path):
    """Forty images of one colour each, all different."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(ROWS):
        image = Image.new("RGB", (32, 32), COLOURS[colour_of(number)])
        image.putpixel((number % 32, number // 32), (number, number, number))
        image.save(folder / f"{number}.png")
    return folder


@pytest.fixture
def llava(tmp_path, images):
    """A LLaVA JSONL of forty good rows, one whose image is missing and one without an answer."""
    records = [_record(number, f"{number}.png", colour_of(number)) for number in range(ROWS)]
    records += [_record(40, "none.png", "red"), _record(41, "0.png", "")]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def tsv(tmp_path, images):
    """A TSV of twenty good questions and one without an answer."""
    lines = [["index", "image", "question", *"ABC", "answer"]]
    for number in range(20):
        lines.append([str(number), _base64(images / f"{number}.png"), "which color has this?", *COLOURS, _letter(colour_of(number))])
    lines.append(["20", "0", "which color has this?", *COLOURS, ""])
    path = tmp_path / "bench.tsv"
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    return path


@pytest.fixture
def vqa(tmp_path, images):
    """Twenty questions with the answers of ten annotators each, eight of whom see the colour."""
    answers = {colour: repr([colour] * 8 + ["grey"] * 2) for colour in COLOURS}
    lines = [f"{n}\t{_base64(images / f'{n}.png')}\twhat color is it?\t{answers[colour_of(n)]}" for n in range(20)]
    path = tmp_path / "vqa.tsv"
    path.write_text("\n".join(["index\timage\tquestion\tanswer", *lines]) + "\n")
    return path


@pytest.fixture
def circular(tmp_path, images):
    """Twenty questions in three rotations each, numbered as MMBench numbers them."""
    lines = ["index\timage\tquestion\tA\tB\tC\tanswer"]
    for n in range(20):
        for k in range(3):
            turned = [list(COLOURS)[(i + k) % 3] for i in range(3)]
            cell = _base64(images / f"{n}.png")
            lines.append("\t".join([str(n + k * 1_000_000), cell, "what color is it?", *turned, "ABC"[turned.index(colour_of(n))]]))
    path = tmp_path / "circular.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def mine(probe, llava, images):
    """The registered source `mine`."""
    assert probe("sources", "add", "mine", "--path", llava, "--images", images, "--licence", "cc-by-4.0").code == 0
    return "mine"


@pytest.fixture
def bench(probe, tsv):
    """The registered benchmark `bench`."""
    assert probe("benchmarks", "add", "bench", "--path", tsv, "--capability", "recognition").code == 0
    return "bench"


@pytest.fixture
def study(tmp_path, mine, bench):
    """The planned, untrained study `main` of `mine` on `bench`."""
    from probe.study.run import RunRequest, plan_run, store_plan
    from probe.workspace import Workspace

    workspace = Workspace(Path(".probe"))
    request = RunRequest((mine,), samples=16, seeds=1, benchmarks=(bench,))
    store_plan(workspace, plan_run(workspace, request, lambda line: None))
    return "main"


def colour_of(number):
    return random.Random(number).choice(list(COLOURS))


def _letter(colour):
    return "ABC"[list(COLOURS).index(colour)]


def _record(number, image, answer):
    turns = [{"from": "human", "value": "<image>\nwhat color is it?"}, {"from": "gpt", "value": answer}]
    return {"id": str(number), "image": image, "conversations": turns}


def _base64(path):
    return base64.b64encode(path.read_bytes()).decode()
