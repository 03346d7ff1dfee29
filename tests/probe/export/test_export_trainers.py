"""Real sources of very different sizes through every exporter."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from probe.export import ExportError, ExportOptions, Images, Mode, exporter_names, find_exporter
from probe.manifest import read_manifest
from probe.manifest.example import example_manifest
from sources.formats.registry import open_rows
from sources.images import IMAGE_POLICY, load_image, read_image_bytes
from sources.sampling import SourcePool
from sources.spec import SourceSpec

SIZES = {"big/web": 400, "mid/chart": 60, "tiny/ocr": 7, "text/chat": 30}
PHASES = ({"big/web": 150, "mid/chart": 90, "tiny/ocr": 33, "text/chat": 27}, {"big/web": 20, "mid/chart": 200, "tiny/ocr": 1})
TOTALS = {"big/web": 170, "mid/chart": 290, "tiny/ocr": 34, "text/chat": 27}


def conversation(number, slug, images):
    first = "<image>\n" * images if number % 2 else "Look: <image> " * images
    return [
        {"from": "human", "value": f"{first}What is {number} in {slug}? é😀"},
        {"from": "gpt", "value": f"Answer {number}.\nTwo lines."},
        *([{"from": "human", "value": "And then?"}, {"from": "gpt", "value": "Nothing."}] if number % 3 == 0 else []),
    ]


def write_source(root: Path, slug: str, size: int, poison=()) -> SourceSpec:
    folder = root / slug.replace("/", "-")
    (folder / "img").mkdir(parents=True)
    rows = []
    for number in range(size):
        images = 0 if slug.startswith("text") or (slug.startswith("big") and number % 10 < 3) else 2 if number % 7 == 3 else 1
        names = [f"img/{number}-{place}.png" for place in range(images)]
        for place, name in enumerate(names):
            Image.new("RGB", (4, 4), (number % 256, place * 100, len(slug))).save(folder / name)
        row = {"id": f"{slug}:{number}", "conversations": conversation(number, slug, images)}
        row |= {"image": names if images > 1 else names[0]} if images else {}
        if number in poison:
            row["conversations"][1]["value"] = poison[number]
        rows.append(row)
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SourceSpec(slug, "llava", str(folder / "data.jsonl"), str(folder))


def open_pools(specs):
    return {spec.slug: SourcePool.open(spec) for spec in specs}


def manifest_for(pools, phases=PHASES):
    usable = {slug: pool.usable for slug, pool in pools.items()}
    return example_manifest(phases, usable, {slug: pool.fingerprint for slug, pool in pools.items()}, IMAGE_POLICY)


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    return open_pools([write_source(root, slug, size) for slug, size in SIZES.items()])


@pytest.fixture(scope="module")
def doc(pools):
    return manifest_for(pools)


@pytest.fixture(params=exporter_names())
def export(request):
    return find_exporter(request.param)


def records(out, phase):
    files = [out / f"{phase}.jsonl"] if (out / f"{phase}.jsonl").exists() else sorted((out / phase).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_realised_rows_are_the_manifests_counts_up_and_down(export, doc, pools, tmp_path):
    report = export(doc, pools, tmp_path / "out")
    for number, counts in enumerate(PHASES, start=1):
        assert Counter(record["source"] for record in records(tmp_path / "out", f"phase-{number}")) == counts
    for slug, rows in TOTALS.items():
        assert report.realised[slug] == pytest.approx(rows / sum(TOTALS.values()), abs=0.005)
    assert report.realised == report.requested
    assert report.excluded == {}
    assert any("tiny/ocr is repeated: 4.9 epochs" in warning for warning in report.warnings)
    assert any("illustration, not evidence" in warning for warning in report.warnings)
    assert {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file() and "images" not in p.parts} == set(
        report.files
    )
    assert any(line.startswith("tiny/ocr") and "6.53%" in line for line in report.lines())
    assert read_manifest(tmp_path / "out" / "manifest.json") == doc


def test_every_row_is_used_before_one_is_used_again(export, doc, pools, tmp_path):
    export(doc, pools, tmp_path / "out")
    ids = Counter(record["id"] for number in (1, 2) for record in records(tmp_path / "out", f"phase-{number}"))
    for slug, rows in TOTALS.items():
        uses = [ids[f"{slug}:{number}"] for number in range(SIZES[slug])]
        assert max(uses) - min(uses) <= 1
        assert sum(uses) == rows


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(export, doc, pools, tmp_path):
    export(doc, pools, tmp_path / "a")
    export(doc, pools, tmp_path / "b")
    export(doc, pools, tmp_path / "c", seed=5)
    trees = [{p.relative_to(r): p.read_bytes() for p in r.rglob("*.jsonl")} for r in (tmp_path / "a", tmp_path / "b", tmp_path / "c")]
    assert trees[0] == trees[1] != trees[2]


def test_turns_and_images_round_trip_through_our_own_reader(export, doc, pools, tmp_path):
    export(doc, pools, tmp_path / "out")
    originals = {row.sample.id: row.sample for pool in pools.values() for row in open_rows(pool.spec)}
    files = list((tmp_path / "out").rglob("*.jsonl"))
    seen = 0
    for file in files:
        for row in open_rows(SourceSpec("x", "chat", str(file), str(tmp_path / "out"))):
            original = originals[row.sample.id]
            assert row.sample.turns == original.turns
            assert [read_image_bytes(ref) for ref in row.sample.images] == [read_image_bytes(ref) for ref in original.images]
            seen += 1
    assert seen == sum(TOTALS.values())


def test_rows_with_a_literal_placeholder_are_left_out_and_counted(export, tmp_path):
    poison = {1: "Write <image> there.", 4: "a <video> tag", 5: "fine", 9: "an <audio> tag"}
    pools = open_pools([write_source(tmp_path, "mid/chart", 12, poison)])
    report = export(manifest_for(pools, ({"mid/chart": 30},)), pools, tmp_path / "out")
    assert report.counts == {"phase-1": {"mid/chart": 30}}
    assert report.excluded == {"mid/chart": {"the text holds a literal <image>, <video> or <audio>": 3}}
    assert any("3 rows" in warning and "left out of the draw" in warning for warning in report.warnings)
    ids = {record["id"] for record in records(tmp_path / "out", "phase-1")}
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

        def draw(self, budget, seed, cost=None):
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


def test_once_never_repeats_even_when_the_tolerance_is_wide(export, doc, pools, tmp_path):
    report = export(doc, pools, tmp_path / "out", options=ExportOptions(mode=Mode.ONCE, tolerance=1.0))
    assert sum(phase.get("tiny/ocr", 0) for phase in report.counts.values()) == 7
    ids = Counter(record["id"] for number in (1, 2) for record in records(tmp_path / "out", f"phase-{number}"))
    assert max(ids.values()) == 1


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
    with pytest.raises(ExportError, match="tiny/ocr is not what the manifest was decided on: run `probe manifest verify`"):
        export(changed, pools, tmp_path / "out")
    report = export(changed, pools, tmp_path / "out", options=ExportOptions(changed_sources=True))
    assert any("its fingerprint is another" in warning for warning in report.warnings)


def test_images_are_stored_once_copied_linked_or_under_the_policy(export, tmp_path):
    spec = write_source(tmp_path / "data", "mid/chart", 3)
    upright = Image.new("RGB", (4, 8), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.save(Path(spec.image_root) / "img" / "0-0.png", format="JPEG", exif=exif)
    pools = open_pools([spec])
    doc = manifest_for(pools, ({"mid/chart": 9},))
    reports = {how: export(doc, pools, tmp_path / how.value, options=ExportOptions(images=how)) for how in Images}
    stored = {how: sorted(p for p in (tmp_path / how.value / "images").rglob("*") if p.is_file()) for how in Images}
    assert [len(files) for files in stored.values()] == [3, 3, 3]
    assert {p.stat().st_nlink for p in stored[Images.COPY]} == {1}
    assert {p.stat().st_nlink for p in stored[Images.LINK]} == {2}
    assert {p.suffix for p in stored[Images.POLICY]} == {".png"}
    assert {size_of(p) for p in stored[Images.POLICY]} == {(4, 4), (8, 4)}
    rotated = {how: [w for w in report.warnings if "1 images carry an EXIF rotation" in w] for how, report in reports.items()}
    assert [bool(found) for found in rotated.values()] == [True, True, False]
    assert load_image(pools["mid/chart"].draw(3, 0).rows[0].sample.images[0]).mode == "RGB"


def test_unknown_trainers_are_met_with_a_suggestion():
    with pytest.raises(ExportError, match="did you mean 'llamafactory'"):
        find_exporter("llama-factory")
    with pytest.raises(ExportError, match="'jsonl' serves any trainer"):
        find_exporter("zzz")


def size_of(path):
    with Image.open(path) as image:
        return image.size


def test_rows_with_an_answer_that_is_not_learned_are_left_out(tmp_path, export):
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
    assert not any("wrong" in file.read_text() for file in (tmp_path / "out").rglob("*.jsonl"))
