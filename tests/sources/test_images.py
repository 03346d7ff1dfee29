from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from making_sources import pixel_bomb, png, text_bomb
from PIL import Image, ImageFile

from sources.images import IMAGE_POLICY, ImagePolicy, check_image, decode_image, image_facts, load_image, read_image_bytes
from sources.problems import Problem, RowError
from sources.sample import ImageRef
from tests.writing_files import encoded, write


def problem_of(ref: ImageRef) -> Problem:
    with pytest.raises(RowError) as caught:
        load_image(ref)
    return caught.value.problem


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_transposed_as_pillow_says(orientation: int) -> None:
    from PIL import ImageOps

    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 40, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image, "PNG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(np.asarray(decode_image(data)), np.asarray(expected))
    assert image_facts(ImageRef(data=data)).rotated == (orientation != 1)


def test_a_jpeg_turned_by_exif_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_image(encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif)).size == (20, 40)


def test_transparency_is_white() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert decode_image(encoded(clear, "PNG")).getpixel((0, 0)) == (255, 255, 255)
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert decode_image(encoded(half, "PNG")).getpixel((0, 0)) == (127, 127, 127)
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert decode_image(encoded(palette, "PNG", transparency=1)).getpixel((0, 0)) == (255, 255, 255)
    assert decode_image(encoded(palette, "PNG", transparency=b"\xff\x00")).getpixel((0, 0)) == (255, 255, 255)
    assert decode_image(encoded(palette, "PNG")).getpixel((0, 0)) == (10, 20, 30)
    assert decode_image(encoded(Image.new("LA", (4, 4), (0, 0)), "PNG")).getpixel((0, 0)) == (255, 255, 255)


def test_16_bit_grey_keeps_its_upper_bits() -> None:
    deep = Image.fromarray(np.full((4, 4), 0x8040, np.uint16))
    for format_ in ("PNG", "TIFF"):
        assert decode_image(encoded(deep, format_)).getpixel((0, 0)) == (128, 128, 128)


def test_cmyk_and_grey_become_rgb() -> None:
    assert decode_image(encoded(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "TIFF")).getpixel((0, 0)) == (255, 255, 255)
    assert decode_image(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG")).getpixel((0, 0)) == (255, 255, 255)
    for mode in ("L", "1"):
        assert decode_image(encoded(Image.new(mode, (4, 4), 1), "PNG")).mode == "RGB"


def test_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for format_ in ("GIF", "WEBP", "TIFF", "PNG"):
        more = {"lossless": True} if format_ == "WEBP" else {}
        data = encoded(frames[0], format_, save_all=True, append_images=frames[1:], **more)
        assert decode_image(data).getpixel((0, 0)) == (255, 0, 0), format_
        assert image_facts(ImageRef(data=data)).several_frames, format_
        assert not image_facts(ImageRef(data=encoded(frames[0], format_))).several_frames, format_


@pytest.mark.parametrize("size", [(300, 100), (100, 300), (3000, 1), (64, 64)])
def test_long_side_is_bounded_and_aspect_kept(size: tuple[int, int]) -> None:
    image = decode_image(encoded(Image.new("RGB", size), "PNG"), ImagePolicy(max_side=60))
    assert max(image.size) == 60
    assert abs(image.width * size[1] - image.height * size[0]) <= max(size)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_truncated_and_corrupt_images_are_undecodable(format_: str) -> None:
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)), format_)
    assert decode_image(whole).size == (64, 64)
    assert problem_of(ImageRef(data=whole[: len(whole) // 2])) is Problem.UNDECODABLE_IMAGE
    assert problem_of(ImageRef(data=whole[:9])) is Problem.UNDECODABLE_IMAGE


def test_hostile_bytes_never_raise_anything_else() -> None:
    chance = np.random.default_rng(1)
    for format_ in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"):
        whole = encoded(Image.fromarray(chance.integers(0, 255, (16, 16, 3), dtype=np.uint8)), format_)
        for _ in range(60):
            broken = bytearray(whole)
            for place in chance.integers(0, min(len(whole), 200), 4):
                broken[place] = chance.integers(256)
            try:
                image = decode_image(bytes(broken))
            except RowError:
                continue
            assert image.mode == "RGB"
            assert max(image.size) <= IMAGE_POLICY.max_side


@pytest.mark.parametrize(
    "data",
    [b"GARBAGE" * 9, b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.4"],
)
def test_other_formats_are_undecodable(data: bytes) -> None:
    assert problem_of(ImageRef(data=data)) is Problem.UNDECODABLE_IMAGE


def test_bombs_are_too_large() -> None:
    assert problem_of(ImageRef(data=pixel_bomb())) is Problem.IMAGE_TOO_LARGE
    assert problem_of(ImageRef(data=text_bomb())) is Problem.IMAGE_TOO_LARGE
    webp = b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (16_000).to_bytes(3, "little") * 2
    assert problem_of(ImageRef(data=webp)) is Problem.IMAGE_TOO_LARGE
    with pytest.raises(RowError, match="image_too_large"):
        read_image_bytes(ImageRef(data=b"x" * 101), ImagePolicy(max_file_bytes=100))


def test_files_and_paths(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root / "a" / "good.png", png(0))
    write(root / "empty.png", b"")
    write(tmp_path / "outside.png", png(1))
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    (root / "folder").symlink_to(tmp_path)
    (root / "within.png").symlink_to(root / "a" / "good.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    os.mkfifo(root / "pipe.png")
    expected = {
        "missing.png": Problem.MISSING_IMAGE,
        "a": Problem.MISSING_IMAGE,
        "": Problem.MISSING_IMAGE,
        "x" * 5000: Problem.MISSING_IMAGE,
        "\ud800.png": Problem.MISSING_IMAGE,
        "empty.png": Problem.EMPTY_IMAGE,
        "link.png": Problem.UNSAFE_PATH,
        "folder/outside.png": Problem.UNSAFE_PATH,
        "../outside.png": Problem.UNSAFE_PATH,
        "a/../a/good.png": Problem.UNSAFE_PATH,
        str(root / "a" / "good.png"): Problem.UNSAFE_PATH,
        "pipe.png": Problem.UNSAFE_PATH,
        "C:\\x.png": Problem.UNSAFE_PATH,
        "C:x.png": Problem.UNSAFE_PATH,
        "a\\good.png": Problem.UNSAFE_PATH,
        "a\0.png": Problem.UNSAFE_PATH,
        "http://example.org/a.png": Problem.REMOTE_IMAGE,
        "file:///etc/passwd": Problem.UNSAFE_PATH,
    }
    found = {path: problem_of(ImageRef(path=path, root=str(root))) for path in expected}
    assert found == expected
    assert problem_of(ImageRef(path="loop.png", root=str(root))) in (Problem.UNSAFE_PATH, Problem.MISSING_IMAGE)
    assert problem_of(ImageRef(path="null", root="/dev")) is Problem.UNSAFE_PATH
    for good in ("a/good.png", "./a/good.png", "within.png"):
        check_image(ImageRef(path=good, root=str(root)), decode=True)


def test_header_check_reads_no_pixels() -> None:
    whole = png(0, (64, 64))
    check_image(ImageRef(data=whole[: len(whole) // 2]), decode=False)


def test_extension_is_no_evidence(tmp_path: Path) -> None:
    write(tmp_path / "really_gif.jpg", encoded(Image.new("RGB", (4, 4)), "GIF"))
    facts = image_facts(ImageRef(path="really_gif.jpg", root=str(tmp_path)))
    assert (facts.format, facts.extension_mismatch) == ("GIF", True)
    assert load_image(ImageRef(path="really_gif.jpg", root=str(tmp_path))).size == (4, 4)


def test_no_global_flag_of_pillow_moves() -> None:
    import warnings

    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    for data in (png(0), pixel_bomb(), text_bomb(2)):
        with pytest.raises(RowError) if data != png(0) else _nothing():
            decode_image(data)
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)) == before


def _nothing() -> object:
    from contextlib import nullcontext

    return nullcontext()
