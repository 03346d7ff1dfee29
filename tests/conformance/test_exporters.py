"""Real sources of very different sizes through every exporter."""

import dataclasses
import functools
import io
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from probe.export import ExportError, ExportOptions, Images, Mode, exporter_names, find_exporter
from probe.export.exporter import safe_names
from probe.manifest import read_manifest
from sources.formats.registry import open_rows
from sources.images import load_image, read_image_bytes
from tests.conformance.small_world import HOSTILE, PHASES, SIZES, TEXT_ONLY, TOTALS, manifest_for, open_pools, write_source
from tests.conformance.trained_rows import trained_rows

NOT_NATIVE = {"jsonl", "webdataset", "llamafactory-v1", "vila"}  # these have no way of repeating rows


@pytest.fixture(params=[name for name in exporter_names() if name not in TEXT_ONLY])
def trainer(request):
    return request.param


@pytest.fixture
def export(trainer):
    return find_exporter(trainer)


@pytest.fixture(scope="module")
def exports(doc, pools, tmp_path_factory):
    """Each trainer's export of the small world, written once for the tests that only read it."""

    @functools.cache
    def exported(trainer):
        out = tmp_path_factory.mktemp("exports") / "out"
        return find_exporter(trainer)(doc, pools, out), out

    return exported


def words(text):
    return text.replace("<image>", " ").split()


def tree(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def rows_of(trainer, out, phases=2):
    return [row for number in range(1, phases + 1) for row in trained_rows(trainer, out, f"phase-{number}")]


def counts_trained_on(trainer, out):
    return {f"phase-{number}": Counter(row.source for row in trained_rows(trainer, out, f"phase-{number}")) for number in (1, 2)}


def assert_shares_as_asked(trained):
    for phase, counts in zip(trained.values(), PHASES, strict=True):
        for slug, count in counts.items():
            assert phase[slug] / phase.total() == pytest.approx(count / sum(counts.values()), abs=0.005)


def test_what_is_trained_on_are_the_manifests_counts_up_and_down(trainer, exports):
    report, out = exports(trainer)
    trained = counts_trained_on(trainer, out)
    assert_shares_as_asked(trained)
    assert list(trained.values()) == [Counter(counts) for counts in PHASES]
    assert trained == report.counts
    assert report.realised == report.requested


def test_where_the_trainer_repeats_rows_its_own_arithmetic_gives_the_shares_or_the_export_is_refused(trainer, export, doc, pools, tmp_path):
    native = ExportOptions(mode=Mode.NATIVE)
    if trainer in NOT_NATIVE:
        with pytest.raises(ExportError, match="use mode exact"):
            export(doc, pools, tmp_path / "out", options=native)
        assert list(tmp_path.iterdir()) == []
        return
    report = export(doc, pools, tmp_path / "out", options=native)
    trained = counts_trained_on(trainer, tmp_path / "out")
    assert_shares_as_asked(trained)
    assert trained == report.counts


def test_the_report_and_the_files_beside_the_data(trainer, exports, doc):
    report, out = exports(trainer)
    assert report.excluded == {}
    assert any("tiny/ocr is repeated: 4.9 epochs" in warning for warning in report.warnings)
    assert any("illustration, not evidence" in warning for warning in report.warnings)
    written = {p.relative_to(out) for p in out.rglob("*") if p.is_file()}
    assert {p.as_posix() for p in written if p.parts[0] != "images"} == set(report.files)
    assert any(line.startswith("tiny/ocr") and "6.53%" in line for line in report.lines())
    assert read_manifest(out / "manifest.json") == doc
    orders = [max(int(number) for number in re.findall(r"phase-(\d)", command)) for command in report.commands if "phase-" in command]
    assert orders == sorted(orders)
    assert set(orders) == {1, 2}  # a command of a phase may name the one before, never a later one


def test_no_file_names_a_place_on_this_machine(trainer, exports, pools):
    report, out = exports(trainer)
    roots = [str(out.parent), *(pool.spec.image_root for pool in pools.values())]
    for file in report.files:
        assert not any(root.encode() in (out / file).read_bytes() for root in roots)


def test_every_row_is_used_before_one_is_used_again(trainer, exports):
    ids = Counter(row.id for row in rows_of(trainer, exports(trainer)[1]))
    for slug, rows in TOTALS.items():
        uses = [ids[f"{slug}:{number}"] for number in range(SIZES[slug])]
        assert max(uses) - min(uses) <= 1
        assert sum(uses) == rows


def test_the_same_seed_draws_the_same_rows_and_another_does_not(trainer, export, pools, tmp_path):
    phases = ({"big/web": 20, "tiny/ocr": 9},)
    doc = manifest_for({slug: pools[slug] for slug in phases[0]}, phases)
    export(doc, pools, tmp_path / "a")
    export(doc, pools, tmp_path / "b")
    export(doc, pools, tmp_path / "c", seed=5)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    drawn = [sorted(row.id for row in trained_rows(trainer, tmp_path / name, "phase-1")) for name in ("a", "b", "c")]
    assert drawn[0] == drawn[1] != drawn[2]


def test_turns_and_images_are_those_of_the_source(trainer, exports, pools):
    originals = {row.sample.id: row.sample for pool in pools.values() for row in open_rows(pool.spec)}
    trained = rows_of(trainer, exports(trainer)[1])
    for row in trained:
        original = originals[row.id]
        # where in its turn a lone image stands, some trainers decide themselves
        assert [(role, words(text)) for role, text in row.turns] == [(turn.role.value, words(turn.text)) for turn in original.turns]
        assert [text.count("<image>") for _, text in row.turns] == [len(turn.image_places) for turn in original.turns]
        assert list(row.images) == [read_image_bytes(ref) for ref in original.images]
    assert len(trained) == sum(TOTALS.values())


def test_rows_with_a_literal_placeholder_are_left_out_and_counted(trainer, export, tmp_path):
    poison = {1: "Write <image> there.", 4: "a <video> tag", 5: "fine", 9: "an <audio> tag"}
    pools = open_pools([write_source(tmp_path, "mid/chart", 12, poison)])
    report = export(manifest_for(pools, ({"mid/chart": 30},)), pools, tmp_path / "out")
    assert report.counts == {"phase-1": {"mid/chart": 30}}
    assert report.excluded == {"mid/chart": {"the text holds a literal <image>, <video> or <audio>": 3}}
    assert any("3 rows" in warning and "left out of the draw" in warning for warning in report.warnings)
    ids = {row.id for row in trained_rows(trainer, tmp_path / "out", "phase-1")}
    assert ids == {f"mid/chart:{number}" for number in range(12) if number not in (1, 4, 9)}


def test_a_source_without_a_readable_row_is_one_sentence_and_leaves_nothing(export, tmp_path):
    pools = open_pools([write_source(tmp_path / "data", "mid/chart", 3, dict.fromkeys(range(3), "<image>"))])
    with pytest.raises(ExportError, match=r"mid/chart has no row that this trainer can read \(3 rows: the text holds a literal"):
        export(manifest_for(pools, ({"mid/chart": 5},)), pools, tmp_path / "exports" / "out")
    assert list((tmp_path / "exports").iterdir()) == []


def test_a_failing_draw_leaves_nothing_behind(export, doc, pools, tmp_path):
    class Failing:
        fingerprint = pools["tiny/ocr"].fingerprint
        usable = 7

        def order(self, seed, rejected=None):
            raise RuntimeError("disk is gone")

    with pytest.raises(RuntimeError, match="disk is gone"):
        export(doc, {**pools, "tiny/ocr": Failing()}, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_goes_away_while_writing_leaves_nothing_behind(export, tmp_path):
    spec = write_source(tmp_path / "data", "mid/chart", 5)
    pools = open_pools([spec])
    for image in (Path(spec.image_root) / "img").iterdir():
        image.unlink()
    with pytest.raises(ExportError, match=r"an image of row \d of mid/chart cannot be read any more \(missing_image"):
        export(manifest_for(pools, ({"mid/chart": 5},)), pools, tmp_path / "exports" / "out")
    assert list((tmp_path / "exports").iterdir()) == []


def test_once_is_refused_where_shares_would_drift_and_the_cure_is_named(export, doc, pools, tmp_path):
    with pytest.raises(ExportError, match=r"would be .*% of phase-1 and the manifest asks for .*more than 0.50% away: use mode exact"):
        export(doc, pools, tmp_path / "out", options=ExportOptions(mode=Mode.ONCE))
    assert list(tmp_path.iterdir()) == []
    small = manifest_for(pools, ({"big/web": 100, "tiny/ocr": 7},))
    assert export(small, pools, tmp_path / "out", options=ExportOptions(mode=Mode.ONCE)).counts == {
        "phase-1": {"big/web": 100, "tiny/ocr": 7}
    }


def test_once_never_repeats_even_when_the_tolerance_is_wide(trainer, export, doc, pools, tmp_path):
    report = export(doc, pools, tmp_path / "out", options=ExportOptions(mode=Mode.ONCE, tolerance=1.0))
    assert sum(phase.get("tiny/ocr", 0) for phase in report.counts.values()) == 7
    ids = Counter(row.id for row in rows_of(trainer, tmp_path / "out"))
    assert max(ids.values()) == 1


@pytest.mark.parametrize("trainer", ["jsonl", "webdataset"])
def test_an_export_that_cannot_be_described_is_not_left_behind_whole(trainer, pools, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("probe.export.croissant.croissant", interrupted)
    doc = manifest_for({"tiny/ocr": pools["tiny/ocr"]}, ({"tiny/ocr": 5},))
    with pytest.raises(KeyboardInterrupt):
        find_exporter(trainer)(doc, pools, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_phase_of_the_right_shares_and_another_length_is_told(pools, tmp_path):
    doc = manifest_for({"tiny/ocr": pools["tiny/ocr"]}, ({"tiny/ocr": 33},))
    for mode, rows in ((Mode.ONCE, 7), (Mode.EXACT, 33)):
        report = find_exporter("jsonl")(doc, pools, tmp_path / mode.value, options=ExportOptions(mode=mode))
        assert report.counts == {"phase-1": {"tiny/ocr": rows}}
        said = [warning for warning in report.warnings if "phase-1 has" in warning]
        assert said == (["phase-1 has 7 rows and the manifest asks for 33: its shares hold, its length does not"] if rows == 7 else [])


def test_a_small_source_that_all_but_vanishes_within_the_tolerance_is_told(pools, tmp_path):
    one_row = write_source(tmp_path / "data", "mid/chart", 1)
    both = {**open_pools([one_row]), "big/web": pools["big/web"]}
    doc = manifest_for(both, ({"mid/chart": 3, "big/web": 400},))
    said = "mid/chart is 0.25% of phase-1 and the manifest asks for 0.74%: mode exact keeps it whole"
    for mode, told in ((Mode.ONCE, [said]), (Mode.EXACT, [])):
        report = find_exporter("jsonl")(doc, both, tmp_path / mode.value, options=ExportOptions(mode=mode))
        assert [warning for warning in report.warnings if "keeps it whole" in warning] == told


def test_phases_that_were_decided_under_one_schedule_are_told(pools, tmp_path):
    small = {slug: pools[slug] for slug in ("tiny/ocr", "text/chat")}
    doc = manifest_for(small, ({"tiny/ocr": 3, "text/chat": 1}, {"text/chat": 4}))
    restarted = dataclasses.replace(doc, phases=(doc.phases[0], dataclasses.replace(doc.phases[1], restarts=True)))
    static = manifest_for(small, ({"tiny/ocr": 3, "text/chat": 1},))
    for name, manifest, expected in (("one", doc, 1), ("two", restarted, 0), ("static", static, 0)):
        report = find_exporter("jsonl")(manifest, pools, tmp_path / name)
        assert len([warning for warning in report.warnings if "learning rate schedule" in warning]) == expected


def test_an_out_folder_with_something_in_it_is_refused(export, doc, pools, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(ExportError, match="is not an empty folder: give --out a new one"):
        export(doc, pools, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    export(doc, pools, tmp_path / "empty")
    assert (tmp_path / "empty" / "README.md").exists()


def test_missing_and_changed_sources_are_refused_with_a_cure(export, doc, pools, tmp_path):
    with pytest.raises(ExportError, match="source tiny/ocr is not registered here: add it with `probe sources add"):
        export(doc, {slug: pool for slug, pool in pools.items() if slug != "tiny/ocr"}, tmp_path / "out")
    other = dataclasses.replace(doc.source("tiny/ocr"), fingerprint="f" * 32)
    changed = dataclasses.replace(doc, sources=tuple(other if entry.slug == "tiny/ocr" else entry for entry in doc.sources))
    with pytest.raises(ExportError, match=r"tiny/ocr is not what the manifest was decided on \(its fingerprint is another\)"):
        export(changed, pools, tmp_path / "out")
    report = export(changed, pools, tmp_path / "out", options=ExportOptions(changed_sources=True))
    assert any("its fingerprint is another" in warning for warning in report.warnings)


def test_a_source_whose_pictures_changed_is_refused_though_its_file_did_not(export, tmp_path):
    spec = write_source(tmp_path / "data", "mid/chart", 5)
    before = open_pools([spec])
    doc = manifest_for(before, ({"mid/chart": 4},))
    entry = dataclasses.replace(doc.source("mid/chart"), content=before["mid/chart"].content)
    doc = dataclasses.replace(doc, sources=(entry,))
    next((Path(spec.image_root) / "img").iterdir()).unlink()
    now = open_pools([spec])
    with pytest.raises(
        ExportError, match=r"its rows say or show something else\): `probe manifest verify` names the rows; .* --changed-sources"
    ):
        export(doc, now, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    report = export(doc, now, tmp_path / "out", options=ExportOptions(changed_sources=True))
    assert any("its rows say or show something else" in warning for warning in report.warnings)


def picture(data):
    """Pixels as trainers read them."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes(), image.size


def write_odd_pictures(folder):
    """One picture that EXIF turns, one that is transparent, one of 16 bits, one that is none of this."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.new("RGB", (4, 8), "red")
    turned.paste("blue", (0, 0, 4, 4))
    turned.save(folder / "0-0.bmp", format="JPEG", exif=exif)
    Image.new("RGBA", (4, 8), (0, 0, 0, 0)).save(folder / "1-0.bmp", format="PNG")
    Image.new("I;16", (4, 8), 40000).save(folder / "2-0.bmp", format="PNG")


@pytest.mark.parametrize("how", list(Images))
def test_a_plain_reading_of_the_images_shows_what_the_proxy_saw(trainer, export, how, tmp_path):
    spec = write_source(tmp_path / "data", "mid/chart", 5)
    write_odd_pictures(Path(spec.image_root) / "img")
    originals = {row.sample.id: row.sample for row in open_rows(spec)}
    pools = open_pools([spec])
    report = export(manifest_for(pools, ({"mid/chart": 10},)), pools, tmp_path / "out", options=ExportOptions(images=how))
    for row in trained_rows(trainer, tmp_path / "out", "phase-1"):
        for data, ref in zip(row.images, originals[row.id].images, strict=True):
            shown = load_image(ref)
            assert picture(data) == (shown.tobytes(), shown.size)
    said = [warning for warning in report.warnings if "3 images that are turned by EXIF" in warning]
    assert len(said) == (how is not Images.POLICY)


@pytest.mark.parametrize(("how", "links", "ending"), [(Images.COPY, 1, ".bmp"), (Images.LINK, 2, ".bmp"), (Images.POLICY, 1, ".png")])
def test_images_are_stored_once_copied_linked_or_under_the_policy(how, links, ending, tmp_path):
    pools = open_pools([write_source(tmp_path / "data", "mid/chart", 3)])
    doc = manifest_for(pools, ({"mid/chart": 9},))
    find_exporter("jsonl")(doc, pools, tmp_path / "out", options=ExportOptions(images=how))
    stored = [path for path in (tmp_path / "out" / "images").rglob("*") if path.is_file()]
    assert [(path.stat().st_nlink, path.suffix) for path in stored] == [(links, ending)] * 3


def test_hostile_names_of_sources_stay_words(trainer, export, tmp_path):
    pools = open_pools([write_source(tmp_path / "data", slug, 5, folder_name=str(i)) for i, slug in enumerate((HOSTILE, "null", "a,b#1"))])
    doc = manifest_for(pools, ({slug: 4 + number for number, slug in enumerate(sorted(pools))},))
    report = export(doc, pools, tmp_path / "out")
    assert Counter(row.source for row in trained_rows(trainer, tmp_path / "out", "phase-1")) == report.counts["phase-1"] == doc.rows()
    assert not re.search(r"touch pwned|`|\n", "".join(report.commands))
    assert all(re.fullmatch(r"[A-Za-z0-9._/-]+", file) for file in report.files)


def test_names_of_files_are_safe_and_distinct():
    names = safe_names({"a/b", "a_b", "A/B", "x,y", "../z", "ü", "-rf", "w" * 300})
    assert len({name.lower() for name in names.values()}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{,90}", name) for name in names.values())


def test_unknown_trainers_are_met_with_a_suggestion():
    with pytest.raises(ExportError, match="did you mean 'llamafactory'"):
        find_exporter("llama-factory")
    with pytest.raises(ExportError, match="'jsonl' serves any trainer"):
        find_exporter("zzz")


def test_rows_with_an_answer_that_is_not_learned_are_left_out(trainer, export, tmp_path):
    spec = write_source(tmp_path, "big", 30)
    path = Path(spec.path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows[:10]:
        row["conversations"] += [{"from": "human", "value": "And?"}, {"from": "gpt", "value": "wrong", "loss": False}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pools = open_pools([spec])
    report = export(manifest_for(pools, [{"big": 25}]), pools, tmp_path / "out")
    assert sum(report.excluded["big"].values()) > 0
    assert all("not to be learned" in reason for reason in report.excluded["big"])
    assert not any("wrong" in text for row in trained_rows(trainer, tmp_path / "out", "phase-1") for _, text in row.turns)
