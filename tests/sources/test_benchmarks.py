from __future__ import annotations

import base64
import csv
import io
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making_sources import png

from sources.benchmark import BenchmarkSpec, InHouseScorer, PromptForm, Scoring, same_items
from sources.benchmark_data import BenchmarkData, read_benchmark
from sources.formats.tsv import read_table
from sources.formats.tsv_lines import TsvLines
from sources.problems import Problem, SourceError
from sources.sample import ImageRef
from tests.writing_files import write, write_tsv

PNG = base64.b64encode(png(0, (32, 32))).decode()
OTHER = base64.b64encode(png(1, (32, 32))).decode()


def line(index: int, **more: str) -> dict[str, str]:
    return {"index": str(index), "image": PNG, "question": f"Q{index}?", "A": "red", "B": "blue", "C": "", "answer": "A", **more}


def read(path: Path, lines: list[dict[str, str]], **options: str) -> BenchmarkData:
    return read_benchmark(BenchmarkSpec("b", "k", "tsv", str(write_tsv(path / "b.tsv", lines)), options=tuple(options.items())))


def test_letters_texts_references_and_lists(tmp_path: Path) -> None:
    items = read(
        tmp_path,
        [line(1), line(2, image="1", answer="blue"), line(3, image=repr([OTHER, "1"]), answer="BLUE"), line(4, image="[]")],
    ).items
    assert [item.answer for item in items] == ["red", "blue", "blue", "red"]
    assert items[0].choices == ("red", "blue")
    assert items[1].images == items[0].images == (ImageRef(data=png(0, (32, 32))),)
    assert [ref.data for ref in items[2].images] == [png(1, (32, 32)), png(0, (32, 32))]
    assert items[3].images == ()


def test_bad_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    bad = [
        (line(2, answer="nan"), Problem.NO_ANSWER),
        (line(3, answer=""), Problem.NO_ANSWER),
        (line(4, answer="D"), Problem.MALFORMED),
        (line(5, B="red"), Problem.MALFORMED),
        (line(6, question=" "), Problem.MALFORMED),
        (line(7, image="999"), Problem.MISSING_IMAGE),
        (line(8, image="8"), Problem.MISSING_IMAGE),
        (line(9, image=""), Problem.MISSING_IMAGE),
        (line(10, image="x" * 101), Problem.UNDECODABLE_IMAGE),
        (line(11, image=base64.b64encode(b"nothing" * 30).decode()), Problem.UNDECODABLE_IMAGE),
        (line(12, image="[" * 500), Problem.MALFORMED),
    ]
    data = read(tmp_path, [line(1), *(entry for entry, _ in bad)])
    assert [item.id for item in data.items] == ["1"]
    assert sum(data.excluded.values()) == len(bad)
    assert {problem: data.excluded[problem] for _, problem in bad} == {p: sum(q is p for _, q in bad) for _, p in bad}


def test_yes_no_hint_and_free_text(tmp_path: Path) -> None:
    def asked(index: int, answer: str) -> dict[str, str]:
        return {"index": str(index), "question": "Is it?", "hint": "Look.", "answer": answer}

    items = read(tmp_path, [asked(1, "yes"), asked(2, "No")]).items
    assert [(item.choices, item.answer) for item in items] == [(("Yes", "No"), "Yes"), (("Yes", "No"), "No")]
    assert items[0].question == "Look.\nIs it?"
    free = read(tmp_path, [asked(1, "yes"), asked(2, "a cat")]).items
    assert [(item.choices, item.answer) for item in free] == [((), "yes"), ((), "a cat")]


def test_image_path_is_kept_inside_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "i" / "a.png", png(0))
    asked = {"question": "Q", "answer": "x"}
    data = read(tmp_path, [{"index": "1", "image_path": "i/a.png", **asked}, {"index": "2", "image_path": "/etc/passwd", **asked}])
    assert [item.images for item in data.items] == [(ImageRef(path="i/a.png", root=str(tmp_path)),)]
    assert data.excluded == {Problem.UNSAFE_PATH: 1}


def test_huge_fields_are_read_and_the_csv_limit_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    write(tmp_path / "big.png", png(2, (300, 300)))
    big = base64.b64encode(png(2, (300, 300))).decode()
    assert len(big) > before
    assert len(read(tmp_path, [line(1, image=big)]).items) == 1
    assert csv.field_size_limit() == before


def test_bad_utf8_and_ragged_lines_cost_themselves(tmp_path: Path) -> None:
    text = b"index\tquestion\tanswer\n1\tfine\tx\n2\t\xff\ty\n3\tshort\n4\tfine\tz\n"
    data = read_benchmark(BenchmarkSpec("b", "k", "tsv", str(write(tmp_path / "b", text))))
    assert [item.id for item in data.items] == ["1", "4"]
    assert data.excluded == {Problem.BAD_ENCODING: 1, Problem.MALFORMED: 1}


def test_split_and_number_of_items(tmp_path: Path) -> None:
    lines = [line(n, split="dev" if n % 2 else "test", question=f"Q{n}") for n in range(20)]
    assert [item.id for item in read(tmp_path, lines, split="dev").items] == [str(n) for n in range(1, 20, 2)]
    few = read(tmp_path, lines, items="5").items
    assert len(few) == 5
    assert read(tmp_path, lines, items="5").items == few


def test_fingerprint_is_what_is_asked_not_where_it_lies(tmp_path: Path) -> None:
    first = read(tmp_path / "a", [line(1), line(2)])
    assert read(tmp_path / "b", [line(1), line(2)]).fingerprint == first.fingerprint
    assert read(tmp_path / "c", [line(1), line(2, answer="B")]).fingerprint != first.fingerprint
    assert read(tmp_path / "d", [line(1), line(2, image=OTHER)]).fingerprint != first.fingerprint
    spec = BenchmarkSpec("b", "k", "tsv", str(tmp_path / "a" / "b.tsv"))
    assert read_benchmark(replace(spec, prompt_form=PromptForm.LETTER)).fingerprint != first.fingerprint


def test_repeated_index_gets_its_own_id(tmp_path: Path) -> None:
    assert [item.id for item in read(tmp_path, [line(1), line(1)]).items] == ["1", "1#1"]


def test_unusable_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="0 rows"):
        read_benchmark(BenchmarkSpec("b", "k", "tsv", str(write(tmp_path / "x", b"question\tanswer\n"))))
    with pytest.raises(SourceError, match="columns question and answer"):
        read_benchmark(BenchmarkSpec("b", "k", "tsv", str(write(tmp_path / "y", b"a,b\n1,2\n"))))
    with pytest.raises(SourceError, match="There is nothing at"):
        read_benchmark(BenchmarkSpec("b", "k", "tsv", str(tmp_path / "none")))
    with pytest.raises(SourceError, match="No item"):
        read(tmp_path, [line(1, answer="")])


COLUMNS = ["index", "question", "A", "B", "answer"]
words = st.text(st.sampled_from('ab "\n.'), min_size=1, max_size=12)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=6))
def test_quoted_cells_that_go_over_lines_are_read_as_csv_reads_them(texts: list[tuple[str, str]]) -> None:
    written = io.StringIO()
    writer = csv.writer(written, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([number, question, a, "other", "B"] for number, (question, a) in enumerate(texts))
    with tempfile.TemporaryDirectory() as folder:
        table = read_table(write(Path(folder) / "t.tsv", b"\xef\xbb\xbf" + written.getvalue().encode()))
        assert [(line["question"], line["A"]) for line in table.lines if line] == texts
        assert [table.lines[number] for number in range(len(texts))] == list(table.lines)


@given(st.sets(st.integers(0, 19), min_size=1, max_size=4), st.sampled_from(['"What', 'What"', '"What"', '""What', '"']))
def test_a_stray_quote_costs_its_own_row_at_most(broken: set[int], start: str) -> None:
    lines = ["\t".join(COLUMNS)]
    lines += [f"{n}\t{start if n in broken else 'What'} {n}?\tred\tblue\tA" for n in range(20)]
    with tempfile.TemporaryDirectory() as folder:
        table = read_table(write(Path(folder) / "t.tsv", "\n".join(lines).encode()))
        assert len(table.lines) == 20
        assert [line["index"] for line in table.lines if line and int(line["index"]) not in broken] == [
            str(n) for n in range(20) if n not in broken
        ]


CELLS = st.lists(st.sampled_from(["a", "é", "\udcff", '"', '""', "\t", "\n", "\r\n", "\r", "\u2028", " "]), max_size=40).map("".join)


@given(CELLS)
@settings(max_examples=300)
def test_a_line_that_is_fetched_is_what_passed_by(body: str) -> None:
    """Any bytes: quotes that close nowhere, every kind of line end, and what is no UTF-8."""
    passed: list[Mapping[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = f"question\tanswer\n{body}".encode("utf-8", "surrogateescape")
        lines = TsvLines(write(Path(folder) / "t.tsv", data), passed.append)
        assert [line for line in lines if line] == passed


def test_hostile_quotes_take_linear_time(tmp_path: Path) -> None:
    began = time.process_time()
    for body in (b'1\t"a\n' * 100_000, b'1\t"\n' + b'""\n' * 200_000, b'1\t"' + b"a\n" * 400_000, b'"' * 1_000_000):
        read_table(write(tmp_path / "t.tsv", b"question\tanswer\nq\ta\n" + body))
    assert time.process_time() - began < 20


def test_what_was_left_out_is_shown_with_its_number(tmp_path: Path) -> None:
    data = read(tmp_path, [line(1), line(2, answer="D"), line(3, A="", B="", answer="B"), line(4, image="999")])
    assert data.examples == (
        (Problem.MALFORMED, 1, "the answer 'D' is none of the choices"),
        (Problem.MALFORMED, 2, "the answer is B, and there are no choices"),
        (Problem.MISSING_IMAGE, 3, "no row '999' to take the image from"),
    )


def test_lists_of_answers_are_those_of_annotators(tmp_path: Path) -> None:
    def asked(index: int, answer: str, **more: str) -> dict[str, str]:
        return {"index": str(index), "image": PNG, "question": "Q?", "answer": answer, **more}

    cells = ["['red', 'blue', 'blue']", '["7", 7.5]', "[no list", "[]", "one"]
    lists = read(tmp_path, [asked(number, cell) for number, cell in enumerate(cells)])
    assert [(item.answer, item.answers) for item in lists.items] == [
        ("blue", ("red", "blue", "blue")),
        ("7", ("7", "7.5")),
        ("[no list", ()),
        ("one", ()),
    ]
    assert lists.excluded == {Problem.NO_ANSWER: 1}
    assert lists.items[3].accepted() == ("one",)
    vizwiz = [{"index": "1", "question": "Q?", "answers": "['a', 'b', 'b']"}]
    assert [item.answer for item in read(tmp_path / "v", vizwiz).items] == ["b"]
    both = read(tmp_path / "w", [asked(1, "b", answers="['a', 'c']")]).items
    assert both[0].answers == ("a", "c")


def test_without_any_image_the_questions_are_text_only(tmp_path: Path) -> None:
    assert [item.images for item in read(tmp_path, [line(1, image=""), line(2, image="")]).items] == [(), ()]
    mixed = read(tmp_path / "mixed", [line(1), line(2, image="")])
    assert mixed.excluded == {Problem.MISSING_IMAGE: 1}


def test_how_it_is_scored_is_a_part_of_the_fingerprint_of_its_own(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "b.tsv", [line(1), line(2)])
    (tmp_path / "own.py").write_text("def f(item, answer): return 1\n")
    likely = BenchmarkSpec("b", "k", "tsv", str(path))
    written = replace(likely, scoring=Scoring.GENERATE)
    ours = replace(written, scorer=InHouseScorer("own:f", folder=str(tmp_path)))
    changes = [
        likely,
        written,
        replace(written, rule="circular"),
        replace(written, instruction="Briefly."),
        replace(written, answer_tokens=4),
        ours,
    ]
    prints = [read_benchmark(spec).fingerprint for spec in changes]
    assert len(set(prints)) == len(prints)
    assert {fingerprint.partition("-")[0] for fingerprint in prints} == {prints[0]}
    assert read_benchmark(replace(written, rule="multiple-choice")).fingerprint == prints[1], "the rule that the items ask for"
    (tmp_path / "own.py").write_text("def f(item, answer): return 0\n")
    edited = read_benchmark(ours).fingerprint
    assert edited != prints[-1]
    assert same_items(edited, prints[-1])
    assert not same_items(edited, prints[0])


def test_a_likelihood_benchmark_keeps_its_identity(tmp_path: Path) -> None:
    """Frozen before answers could be generated: stored scores are found under it."""
    assert read(tmp_path, [line(1), line(2, answer="B")]).fingerprint == "42bcb5a83e2988438ea3b9c2e6dd5aaa"
