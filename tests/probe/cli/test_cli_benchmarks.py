import pytest


def test_add_tells_items_and_splits(probe, tsv):
    ended = probe("benchmarks", "add", "bench", "--path", tsv, "--capability", "recognition", "--choices", "letter")
    assert ended.code == 0
    assert "20 items on 20 images, chance 0.333" in ended.out
    assert "excluded 1 no_answer" in ended.out
    shown = probe("benchmarks", "show", "bench", "--json").json()
    assert shown["selection"] + shown["confirmation"] == 20
    assert (shown["capability"], shown["choices"]) == ("recognition", "letter")


def test_check_tells_balance_duplicates_and_images(probe, bench):
    found = probe("benchmarks", "check", bench, "--json").json()
    assert found["choices"] == {"3": 20}
    assert sum(found["answers"].values()) == sum(found["places"].values()) == 20
    assert (found["duplicates"], found["undecodable"], found["changed"]) == (0, {}, False)
    text = probe("benchmarks", "check", bench).out
    assert "20 items usable" in text
    assert "for confirmation" in text


def test_check_of_a_built_in_one(probe):
    assert probe("benchmarks", "check", "world/colour").code == 0


def test_a_changed_file_is_told(probe, bench, tsv):
    tsv.write_text(tsv.read_text().replace("which color has this?", "which color?"))
    assert "changed since it was registered" in probe("benchmarks", "check", bench).out


def test_list(probe, bench):
    rows = probe("benchmarks", "list", "--json").json()
    assert (rows[0]["name"], rows[0]["kind"], rows[0]["items"]) == ("bench", "registered", 20)
    assert "easy-vqa/colour" in {row["name"] for row in rows}


def test_a_study_is_told_how_to_score_a_new_one(probe, study, tsv):
    ended = probe("benchmarks", "add", "later", "--path", tsv)
    assert "probe run --study main --benchmark later" in ended.out


def test_remove(probe, bench):
    assert probe("benchmarks", "remove", bench).code == 0
    assert "no benchmark 'bench'" in probe("benchmarks", "remove", bench).err


def test_one_in_use_is_not_removed(probe, study):
    assert "used by study 'main'" in probe("benchmarks", "remove", "bench").err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("add", "b", "--path", "none.tsv"), 1, "cannot be read"),
        (("add", "b", "--path", "empty.tsv"), 1, "0 rows"),
        (("add", "b", "--path", "data.txt"), 1, "no VLMEvalKit TSV"),
        (("add", "easy-vqa/colour", "--path", "bench.tsv"), 1, "is built in"),
        (("add", "b"), 2, "--path"),
        (("add", "b", "--path", "bench.tsv", "--choices", "numbers"), 2, "numbers"),
        (("show", "easy-vqa/color"), 1, "did you mean 'easy-vqa/colour'?"),
    ],
)
def test_mistakes_end_in_one_sentence(probe, tmp_path, tsv, words, code, sentence):
    (tmp_path / "empty.tsv").write_text("")
    (tmp_path / "data.txt").write_text("hello\nworld\n")
    ended = probe("benchmarks", *words)
    assert (ended.code, sentence in ended.err) == (code, True), ended.err


def test_items_on_one_image_are_counted_once(probe, tmp_path, tsv):
    header, *lines = tsv.read_text().splitlines()
    more = [f"{100 + n}\t0\twhich of these is it?\tred\tblue\tgreen\tA" for n in range(3)]
    tsv.write_text("\n".join([header, *lines, *more]) + "\n")
    assert "23 items on 20 images" in probe("benchmarks", "add", "bench", "--path", tsv).out
