"""Rules, a team's own scorers and text-only benchmarks, as users meet them: from `add` to `rank`, on the bundled proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from probe.workspace import Workspace

RUN = ("run", "--source", "mine", "--samples", "320", "--seeds", "1", "--workers", "1", "--device", "cpu")


@pytest.fixture
def texts(tmp_path):
    """Twenty questions without an image, in the layout that has an image column and leaves it empty."""
    lines = [f"{n}\t\twhich of two is {'red' if n % 2 else 'blue'} {n}?\tred\tblue\t{'AB'[(n + 1) % 2]}" for n in range(20)]
    path = tmp_path / "texts.tsv"
    path.write_text("\n".join(["index\timage\tquestion\tA\tB\tanswer", *lines]) + "\n")
    return path


@pytest.fixture
def own(tmp_path):
    """A scorer in a module that writes down who imports it."""
    path = tmp_path / "own.py"
    path.write_text("open('imported', 'a').write('x')\ndef same(item, answer): return float(answer == item['answer'])\n")
    return path


def add(probe, name, path, *words):
    ended = probe("benchmarks", "add", name, "--path", path, *words)
    assert ended.code == 0, ended.err
    return ended.out


def test_how_it_is_scored_is_told_and_kept(probe, vqa, tsv, texts):
    assert "scored by generated answers, by the rule vqa" in add(probe, "vqa", vqa)
    assert "scored by likelihood" in add(probe, "likely", tsv)
    assert "scored by generated answers, by the rule multiple-choice" in add(probe, "written", tsv, "--scoring", "generate")
    assert "scored by generated answers, by the rule anls" in add(probe, "anls", vqa, "--rule", "anls")
    out = add(probe, "texts", texts, "--capability", "text-only")
    assert "20 items on 20 texts, chance 0.500" in out
    assert "20 items have no image: text-only" in out
    rows = {row["name"]: row for row in probe("benchmarks", "list", "--json").json()}
    assert {name: (rows[name]["scoring"], rows[name]["rule"], rows[name]["choices"]) for name in ("vqa", "likely", "written", "anls")} == {
        "vqa": ("generate", "vqa", "text"),
        "likely": ("likelihood", "", "text"),
        "written": ("generate", "multiple-choice", "letter"),
        "anls": ("generate", "anls", "text"),
    }
    found = probe("benchmarks", "check", "texts", "--json").json()
    assert (found["text_only"], found["scored_by"]) == (20, "likelihood")


def test_too_few_annotators_are_told(probe, tmp_path):
    (tmp_path / "few.tsv").write_text("question\tanswer\n" + "".join(f"Q{n}?\t['a', 'b']\n" for n in range(20)))
    assert "20 items have fewer than 4 annotators" in add(probe, "few", tmp_path / "few.tsv", "--rule", "vqa")


def test_a_study_ranks_by_what_is_written(probe, mine, vqa, texts, tsv):
    """Trained on naming colours, the proxy writes them: eight of ten annotators agree, so each answer scores 1."""
    add(probe, "vqa", vqa, "--instruction", "", "--answer-tokens", "4")
    add(probe, "texts", texts, "--capability", "text-only")
    assert probe(*RUN).code == 0
    found = probe("rank", "--json").json()["sources"][0]["benchmarks"]
    assert found["vqa"]["metric"] == "generated"
    assert found["vqa"]["accuracy"] > 0.9
    assert found["vqa"]["parsed"] > 0.9
    assert found["texts"]["metric"] == "right_probability"
    assert "parsed" not in found["texts"]
    assert "Answers to vqa that could be read: at least" in probe("rank").out
    (adapter,) = [path for path in (mine_adapters()) if path.is_dir()]
    rows = {r["benchmark"]: r for r in probe("eval", "--proxy", "tiny", "--adapter", adapter, "--device", "cpu", "--json").json()}
    assert rows["vqa"]["generated"]["value"] > 0.9
    assert rows["vqa"]["parsed"]["value"] > 0.9
    assert rows["texts"]["generated"] is None
    plain = probe("eval", "--proxy", "tiny", "--benchmark", "texts", "--device", "cpu", "--json").json()[0]
    both = probe("eval", "--proxy", "tiny", "--benchmark", "texts", "--generate", "--device", "cpu", "--json").json()[0]
    assert plain["accuracy"] == both["accuracy"]
    assert "generated" not in plain
    assert both["parsed"] is not None


def mine_adapters():
    return sorted(Path(".probe/adapters").iterdir())


def test_an_edited_scorer_scores_again_and_a_broken_one_costs_its_own_scores(probe, mine, tsv, own, tmp_path):
    (tmp_path / "program.py").write_text(
        "import json, sys\nfor line in sys.stdin:\n    print(json.dumps({'id': json.loads(line)['id'], 'score': 0.25}))\n"
    )
    add(probe, "likely", tsv)
    add(probe, "own", tsv, "--scorer", "own:same", "--answer-tokens", "4")
    add(probe, "program", tsv, "--scorer-command", "python program.py", "--answer-tokens", "4")
    imports = len((tmp_path / "imported").read_text())
    assert imports == 1, "tried once, on two items"
    for words in (("list",), ("show", "own"), ("check", "own")):
        assert probe("benchmarks", *words).code == 0
    assert len((tmp_path / "imported").read_text()) == imports
    assert probe(*RUN).code == 0
    first = accuracies(probe)
    assert first["program"] == 0.25
    assert first["own"] > 0.5

    own.write_text("def same(item, answer): return 0.125\n")
    assert "its scorer changed" in probe("benchmarks", "check", "own").out
    again = probe("run", "--source", "mine", "--workers", "1", "--device", "cpu")
    assert "Scoring 1 saved adapters on own, training nothing" in again.err
    second = accuracies(probe)
    assert second == {**first, "own": 0.125}

    own.write_text("def same(item, answer): return 1 / 0\n")
    broken = probe("run", "--source", "mine", "--workers", "1", "--device", "cpu")
    assert broken.code == 1
    assert "benchmark own: the scorer 'own:same' ended with code 1: ZeroDivisionError: division by zero" in broken.err
    assert {name: value for name, value in accuracies(probe).items() if name != "own"} == {"likely": first["likely"], "program": 0.25}

    own.write_text("def same(item, answer): return 0.125\n")
    assert probe("run", "--source", "mine", "--workers", "1", "--device", "cpu").code == 0
    assert accuracies(probe) == second


def test_a_new_study_is_planned_after_its_scorer_was_edited(probe, mine, tsv, own):
    """What a source is kept clean of are a benchmark's items, which are the same whatever judges the answers."""
    add(probe, "own", tsv, "--scorer", "own:same", "--answer-tokens", "4")
    for number, body in enumerate(("0.25", "0.5")):
        own.write_text(f"def same(item, answer): return {body}\n")
        ended = probe(*RUN, "--study", f"study{number}")
        assert ended.code == 0, ended.err
        found = probe("rank", "--study", f"study{number}", "--json").json()["sources"][0]["benchmarks"]
        assert found["own"]["accuracy"] == float(body)
        with Workspace(Path(".probe")).open_store() as store:
            assert store.study(f"study{number}").clean_of == ("own",)
    assert len(list(Path(".probe/indexes").glob("contamination-*.json"))) == 1, "found once, whatever the scorer is"
    tsv.write_text(tsv.read_text().replace("which color", "what color"))
    assert "Benchmark own cannot be read as it was" in probe(*RUN, "--study", "study2", "--dry-run").err


def accuracies(probe):
    found = probe("rank", "--json").json()["sources"][0]["benchmarks"]
    return {name: row["accuracy"] for name, row in found.items()}


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--rule", "anlss"), 1, "did you mean 'anls'?"),
        (("--rule", "yes-no"), 1, "needs answers that are yes or no"),
        (("--rule", "vqa", "--scorer", "own:same"), 2, "not both"),
        (("--scorer", "own:same", "--scorer-command", "cat"), 2, "not both"),
        (("--rule", "vqa", "--scoring", "likelihood"), 2, "leave --scoring likelihood out"),
        (("--scorer", "own"), 1, "not of the form"),
        (("--scorer", "own:missing"), 1, "has no attribute 'missing'"),
        (("--scorer", "nothing:f"), 1, "no module 'nothing'"),
        (("--scorer-command", "cat"), 1, "wrote a line that is no"),
        (("--scorer-command", "sleep 60", "--scorer-timeout", "0.2"), 1, "took longer than 0.2 s"),
    ],
)
def test_mistakes_end_in_one_sentence(probe, tsv, own, words, code, sentence):
    ended = probe("benchmarks", "add", "b", "--path", tsv, *words)
    assert (ended.code, sentence in ended.err) == (code, True), ended.err
    assert probe("benchmarks", "list", "--json").json()[0]["name"] != "b"


def test_circular_questions_count_whole(probe, circular):
    """Three rotations a question: chance is of all three, and the rows of a rotation carry no score of their own."""
    out = add(probe, "circular", circular, "--scoring", "generate", "--choices", "text")
    assert "by the rule circular" in out
    assert "chance 0.037" in out
    row = probe("eval", "--proxy", "tiny", "--benchmark", "circular", "--device", "cpu", "--json").json()[0]
    assert (row["items"], row["generated"]["n"], row["parsed"]["n"]) == (60, 20, 60)
