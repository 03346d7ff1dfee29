import csv
import io
import json

import pytest


def test_add_prints_what_was_found_and_what_to_do_next(probe, llava, images):
    ended = probe("sources", "add", "mine", "--path", llava, "--images", images)
    assert ended.code == 0
    assert "llava, 40 of 42 rows usable" in ended.out
    assert "excluded 1 missing_image: row 40" in ended.out
    assert "excluded 1 no_answer: row 41" in ended.out
    assert "probe run --source mine" in ended.out


def test_a_forgotten_image_folder_is_said_where_text_rows_hide_it(probe, tmp_path):
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    asked = [{"from": "human", "value": "<image>Hi"}, {"from": "gpt", "value": "Hello"}]
    rows = [{"conversations": turns}] + [{"image": f"coco/{n}.jpg", "conversations": asked} for n in range(2)]
    (tmp_path / "x.json").write_text(json.dumps(rows))
    ended = probe("sources", "add", "mine", "--path", tmp_path / "x.json")
    assert ended.code == 0
    assert f"they were looked for in {tmp_path}; give their folder with --images and --replace" in ended.out


def test_paths_are_stored_absolute_and_licences_in_their_normal_spelling(probe, llava, images):
    probe("sources", "add", "mine", "--path", "data.jsonl", "--images", "images", "--licence", "cc-by-4.0", "--terms", "be kind")
    shown = probe("sources", "show", "mine", "--json").json()
    assert (shown["path"], shown["images"]) == (str(llava), str(images))
    assert (shown["licence_declared"], shown["licence_concluded"], shown["terms"]) == ("CC-BY-4.0", "NOASSERTION", "be kind")


def test_format_is_found_in_the_data(probe, tsv):
    probe("sources", "add", "table", "--path", tsv)
    assert probe("sources", "show", "table", "--json").json()["format"] == "tsv"


def test_generated_sources_need_no_path(probe):
    ended = probe("sources", "add", "colours", "--format", "world", "--option", "skill=colour", "--option", "rows=30")
    assert ended.code == 0, ended.err
    assert "30 of 30 rows usable" in ended.out


def test_the_catalogue_fills_in_what_is_left_out(probe, llava, images):
    assert probe("sources", "add", "sharegpt4v", "--path", llava, "--images", images).code == 0
    shown = probe("sources", "show", "sharegpt4v", "--json").json()
    assert shown["licence_declared"] == "CC-BY-NC-4.0"
    assert shown["hub_id"] == "Lin-Chen/ShareGPT4V"


def test_list_shows_registered_then_built_in_then_catalogue(probe, mine):
    rows = probe("sources", "list", "--json").json()
    kinds = [row["kind"] for row in rows]
    assert kinds == sorted(kinds, key=["registered", "built-in", "catalogue"].index)
    assert {"slug", "kind", "format", "usable", "excluded", "licence"} <= set(rows[0])
    assert (rows[0]["slug"], rows[0]["usable"], rows[0]["excluded"], rows[0]["licence"]) == ("mine", 40, 2, "CC-BY-4.0")
    assert {"easy-vqa/colour", "world/colour", "sharegpt4v"} <= {row["slug"] for row in rows}


def test_list_as_csv_has_the_same_rows(probe, mine):
    rows = list(csv.DictReader(io.StringIO(probe("sources", "list", "--csv").out)))
    assert rows[0]["slug"] == "mine"
    assert len(rows) == len(probe("sources", "list", "--json").json())


def test_list_creates_no_workspace(probe, tmp_path):
    assert probe("sources", "list").code == 0
    assert not (tmp_path / ".probe").exists()


def test_check_reports_problems_tokens_and_licence(probe, mine):
    ended = probe("sources", "check", mine)
    assert ended.code == 0
    for words in ("40 of 42 rows usable", "missing_image: row 40", "tokens a row under tiny: ", "duplicates: 0 rows", "CC-BY-4.0"):
        assert words in ended.out
    report = probe("sources", "check", mine, "--json").json()
    assert (report["usable"], report["rows"], report["distinct_images"]) == (40, 42, 40)
    assert report["tokens_per_row"]["n"] == 40


def test_check_brings_the_registered_counts_up_to_date(probe, mine, images):
    (images / "0.png").unlink()
    assert probe("sources", "check", mine).code == 0
    shown = probe("sources", "show", mine, "--json").json()
    assert (shown["usable"], shown["excluded"]) == (39, "missing_image=2 no_answer=1")


def test_check_leaves_what_a_study_used(probe, study, llava):
    before = probe("sources", "show", "mine", "--json").json()
    llava.write_text("".join(llava.read_text().splitlines(keepends=True)[:20]))
    assert "is not what study 'main' used" in probe("sources", "check", "mine").out
    assert probe("sources", "show", "mine", "--json").json() == before


def test_remove(probe, mine):
    assert probe("sources", "remove", mine).code == 0
    ended = probe("sources", "remove", mine)
    assert (ended.code, ended.err.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("add", "a", "--path", "none.json"), 1, "There is nothing at"),
        (("add", "a", "--path", "empty.json"), 1, "is empty (0 bytes)"),
        (("add", "a", "--path", "data.jsonl", "--images", "nowhere"), 1, "there is no folder nowhere"),
        (("add", "a", "--path", "data.jsonl", "--format", "lava"), 1, "did you mean 'llava'?"),
        (("add", "easy-vqa/all", "--path", "data.jsonl"), 2, "are built in"),
        (("add", "world/mine", "--path", "data.jsonl"), 2, "are built in"),
        (("add", "world", "--path", "data.jsonl"), 2, "are built in"),
        (("add", "a"), 2, "--path"),
        (("add", "a b", "--path", "data.jsonl"), 2, "is no name"),
        (("add", "base", "--path", "data.jsonl"), 2, "studies use themselves"),
        (("add", "a", "--path", "data.jsonl", "--licence", "Creative"), 2, "CC-BY-4.0"),
        (("add", "a", "--path", "data.jsonl", "--option", "skill"), 2, "name=value"),
        (("add", "a", "--path", "data.jsonl", "--option", "min_ratings=3"), 2, "llava takes no option"),
        (("add", "sharegpt4v(coco)/a b", "--path", "data.jsonl"), 2, "for example sharegpt4v-coco/a-b"),
        (("show", "shargpt4v"), 1, "did you mean 'sharegpt4v'?"),
        (("check", "sharegpt4v"), 1, "probe sources add sharegpt4v"),
        (("split", "sharegpt4v", "--holdout", "1.5"), 2, "--holdout"),
        (("remove", "a"), 1, "no source"),
    ],
)
def test_mistakes_end_in_one_sentence(probe, tmp_path, llava, words, code, sentence):
    (tmp_path / "empty.json").write_text("")
    ended = probe("sources", *words)
    assert ended.code == code
    assert sentence in ended.err
    assert "Traceback" not in ended.err
    assert len([line for line in ended.err.splitlines() if line.startswith("Error")]) == 1


def test_a_source_of_a_study_is_neither_removed_nor_replaced_by_other_rows(probe, study, llava, images):
    assert "used by study 'main'" in probe("sources", "remove", "mine").err
    same = probe("sources", "add", "mine", "--path", llava, "--images", images)
    assert same.code == 0
    llava.write_text("".join(llava.read_text().splitlines(keepends=True)[:20]))
    other = probe("sources", "add", "mine", "--path", llava, "--images", images)
    assert other.code == 1
    assert "under another name" in other.err


def test_hostile_text_in_the_data_does_not_reach_the_terminal(probe, tmp_path, llava, images):
    turns = '[{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a"}]'
    row = f'{{"id": "1", "image": "\\u001b[2J\\ud800.png", "conversations": {turns}}}\n'
    llava.write_text(llava.read_text() + row)
    probe("sources", "add", "mine", "--path", llava, "--images", images)
    for words in ((), ("--json",)):
        ended = probe("sources", "check", "mine", *words)
        assert ended.code == 0
        assert "\x1b" not in ended.out
