from __future__ import annotations

from pathlib import Path

import pytest
from making_sources import good_rows, llava, llava_source, pair, png
from PIL import Image

from sources.answer_types import answer_choices
from sources.benchmark_data import read_benchmark
from sources.canonical import hash_bytes
from sources.check import Example, Spread, check_source
from sources.fingerprint import fingerprint
from sources.images import read_image_bytes
from sources.problems import Problem, SourceError
from sources.sampling import SourcePool
from sources.spec import Licence, SourceSpec
from sources.split import Holdout, split_holdout
from tests.writing_files import encoded, write, write_json, write_parquet


def test_report_finds_what_was_planted(tmp_path: Path) -> None:
    rows = good_rows(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 8
    write(tmp_path / "coco" / "turned.jpg", encoded(Image.new("RGB", (40, 30)), "JPEG", exif=exif))
    write(tmp_path / "coco" / "really_png.jpg", png(90, (30, 30)))
    write(tmp_path / "coco" / "copy.png", png(1))
    rows += [
        pair(f"coco/{name}", number) for number, name in enumerate(("turned.jpg", "really_png.jpg", "copy.png", "gone.png", "gone.png"))
    ]
    rows += [rows[0], llava(["coco/1.png", "coco/2.png"], "<image><image>")]
    spec = SourceSpec("mine", "llava", str(write_json(tmp_path / "x.json", rows)), licence=Licence("MIT", "MIT"))
    report = check_source(spec, lambda sample: None if sample.subsource == "text" else 10 * len(sample.images))
    assert (report.rows, report.usable) == (55, 53)
    assert [(entry.problem, entry.count) for entry in report.excluded] == [(Problem.MISSING_IMAGE, 2)]
    assert report.excluded[0].examples == tuple(Example(number, "coco/gone.png: No such file or directory") for number in (51, 52))
    assert report.subsources == (("coco", 28), ("sam", 13), ("text", 12))
    assert (report.distinct_images, report.duplicate_images, report.duplicate_rows) == (14, 1, 1)
    assert (report.rotated_images, report.extension_mismatches) == (1, 1)
    assert report.images_per_row == Spread(0, 1, (40 + 2) / 53, 1, 2, 53)
    assert report.tokens_per_row == Spread(10, 10, pytest.approx(420 / 41), 10, 20, 41)
    assert report.too_long == 12
    assert len(report.warnings) == 6
    assert not any("licence" in warning for warning in report.warnings)
    assert any("licence" in warning for warning in check_source(llava_source(Path(spec.path))).warnings)


@pytest.mark.parametrize("inline", [False, True])
def test_report_of_a_source_with_very_many_images(inline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number}.png" for number in range(40)]
    bytes_of = {name: png(number, (40, 40)) for number, name in enumerate(names)}
    cut = png(99, (64, 64))
    bytes_of["cut.png"] = next(cut[:n] for n in range(700, 5000) if hash_bytes(cut[:n]) < min(map(hash_bytes, bytes_of.values())))
    bytes_of["copy.png"] = bytes_of["3.png"]
    for name, data in bytes_of.items():
        write(tmp_path / name, data)
    if inline:
        rows = [chat_row(number, {"bytes": data, "path": name}) for number, (name, data) in enumerate(bytes_of.items())]
        spec = SourceSpec("mine", "parquet", str(write_parquet(tmp_path / "x.parquet", rows)))
    else:
        spec = llava_source(write_json(tmp_path / "x.json", [pair(name, number) for number, name in enumerate(bytes_of)]))
    monkeypatch.setattr("sources.indexing.FULL_DECODE_IMAGES", 10)
    report = check_source(spec)
    assert (report.rows, report.usable, report.distinct_images) == (42, 41, 40)
    assert [(entry.problem, entry.count) for entry in report.excluded] == [(Problem.UNDECODABLE_IMAGE, 1)]
    assert report.duplicate_images == (0 if inline else 1), "by another name: inside a record an image has none"
    assert report.undecoded_images == 31
    assert 0 < report.images_looked_at < 40
    assert any("31 images only the header" in warning for warning in report.warnings)


def chat_row(number: int, image: dict[str, object]) -> dict[str, object]:
    turns = [{"role": "user", "content": f"<image>Question {number}?"}, {"role": "assistant", "content": f"Answer {number}"}]
    return {"messages": turns, "images": [image]}


def images_of(spec: SourceSpec) -> set[str]:
    return {hash_bytes(read_image_bytes(ref)) for _, sample in SourcePool.open(spec).numbered_samples() for ref in sample.images}


def held_images(made: Holdout) -> set[str]:
    items = [item for spec in made.benchmarks for item in read_benchmark(spec).items]
    return {hash_bytes(read_image_bytes(ref)) for item in items for ref in item.images}


def linked_source(tmp_path: Path) -> SourceSpec:
    """Rows that share images in every way: by path, by bytes under two names, and through rows of two images."""
    rows = good_rows(tmp_path, n_images=40, per_image=2)
    for image in range(0, 40, 4):
        write(tmp_path / "copies" / f"{image}.png", png(image))
        rows.append(pair(f"copies/{image}.png", 9000 + image))
    name = "sam/3.png", "coco/4.png", "coco/5.png"
    rows += [llava([name[0], name[1]], "<image><image>both"), llava([name[1], name[2]], "<image><image>both")]
    return llava_source(write_json(tmp_path / "x.json", rows))


@pytest.mark.parametrize("seed", range(4))
def test_training_never_sees_a_held_out_image(seed: int, tmp_path: Path) -> None:
    spec = linked_source(tmp_path)
    made = split_holdout(spec, tmp_path / "out", fraction=0.3, seed=seed)
    held = held_images(made)
    assert held
    assert not held & images_of(made.training)
    assert held | images_of(made.training) == images_of(spec)
    assert made.rows_held_out + made.rows_left == SourcePool.open(spec).usable == 132
    assert sum(made.items) == made.rows_held_out


def test_number_of_rows_is_reached_with_whole_groups(tmp_path: Path) -> None:
    spec = linked_source(tmp_path)
    made = split_holdout(spec, tmp_path / "out", n=20)
    assert 20 <= made.rows_held_out <= 30
    assert split_holdout(spec, tmp_path / "out2", n=20).training == made.training
    for wrong in ({}, {"n": 3, "fraction": 0.1}, {"n": 132}, {"fraction": 0.0}, {"fraction": 1.0}):
        with pytest.raises(SourceError):
            split_holdout(spec, tmp_path / "out3", **wrong)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="already split"):
        split_holdout(made.training, tmp_path / "out4", n=3)


def test_new_rows_move_no_held_out_image_back(tmp_path: Path) -> None:
    spec = linked_source(tmp_path)
    made = split_holdout(spec, tmp_path / "out", fraction=0.3)
    held = held_images(made)
    import json

    path = Path(spec.path)
    for number in range(300, 320):
        write(tmp_path / f"{number}.png", png(number))
    path.write_text(json.dumps(json.loads(path.read_text()) + [pair(f"{number}.png", number) for number in range(300, 320)]))
    assert not held & images_of(made.training)


def test_closed_answers_become_choices_of_their_type(tmp_path: Path) -> None:
    colours, shapes = ("red", "blue"), ("circle", "square")
    rows = []
    for image in range(30):
        write(tmp_path / f"{image}.png", png(image, (24, 24)))
        rows.append(llava(f"{image}.png", "<image>\nWhat colour?", colours[image % 2]))
        rows.append(llava(f"{image}.png", "<image>\nWhat shape?", shapes[image % 3 == 0]))
        rows.append(llava(f"{image}.png", "<image>\nDescribe it.", f"A long description of picture number {image}."))
    spec = llava_source(write_json(tmp_path / "x.json", rows))
    made = split_holdout(spec, tmp_path / "out", fraction=0.4)
    closed, free = (read_benchmark(benchmark).items for benchmark in made.benchmarks)
    assert [benchmark.capability for benchmark in made.benchmarks] == ["in-domain"] * 2
    assert {(item.question, item.choices) for item in closed} == {("What colour?", ("blue", "red")), ("What shape?", ("circle", "square"))}
    assert {item.question for item in free} == {"Describe it."}
    for item in (*closed, *free):
        (image,) = (n for n in range(30) if item.images[0].data == png(n, (24, 24)))
        assert item.answer in (colours[image % 2], shapes[image % 3 == 0], f"A long description of picture number {image}.")


def test_answer_types() -> None:
    pairs = [("q1", "yes"), ("q2", "no"), ("c", "red"), ("c", "blue")]
    assert answer_choices(pairs) == [("no", "yes")] * 2 + [("blue", "red")] * 2
    many = [("what?", f"thing {n}") for n in range(27)]
    assert answer_choices(many) == [()] * 27
    assert answer_choices([("q", "a rather long answer, in words"), ("q", "x")]) == [(), ()]
    assert answer_choices([("q", "same")]) == [()]


def test_fingerprint_is_content_not_place(tmp_path: Path) -> None:
    records = [llava(None, "Hi")]
    first = fingerprint(llava_source(write_json(tmp_path / "a" / "x.json", records)))
    assert fingerprint(llava_source(write_json(tmp_path / "b" / "y.json", records), tmp_path)) == first
    assert fingerprint(llava_source(write_json(tmp_path / "b" / "y.json", records * 2))) != first
    assert fingerprint(SourceSpec("w", "world", options=(("seed", "1"),))) != fingerprint(
        SourceSpec("w", "world", options=(("seed", "2"),))
    )
    with pytest.raises(SourceError, match="--path"):
        fingerprint(SourceSpec("s", "llava", str(tmp_path / "none")))
