"""Images: the only place that opens one, under one policy that is part of every probe's identity.

A path comes from a record that nobody here wrote, and so do the bytes behind it: `sources.image_bytes` keeps the path
inside its root and the file small, `_open` checks the header before a pixel is decoded, and whatever Pillow raises becomes
a `RowError` of one class. Pillow's process-wide switches (`MAX_IMAGE_PIXELS`, `LOAD_TRUNCATED_IMAGES`) are never touched.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, TypeVar

from sources.canonical import hash_bytes
from sources.image_bytes import bounded_bytes, bounded_file, safe_path
from sources.problems import Problem, RowError
from sources.sample import ImageRef

if TYPE_CHECKING:
    from PIL.Image import Image as ImageType
    from PIL.ImageFile import ImageFile

T = TypeVar("T")

_ORIENTATION = 0x0112
_EXTENSIONS = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif"),
    "PNG": ("png",),
    "GIF": ("gif",),
    "WEBP": ("webp",),
    "BMP": ("bmp",),
    "TIFF": ("tif", "tiff"),
}


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """How an image becomes pixels. `version` is raised when the same bytes would become other pixels."""

    version: int = 1
    exif: str = "transpose"
    background: str = "white"  # under transparency
    frame: str = "first"
    max_side: int = 2048  # pixels of the long side; larger images are scaled down, aspect ratio kept
    resample: str = "lanczos"
    max_pixels: int = 64_000_000  # below Pillow's own warning threshold, so that ours is the one that speaks
    max_file_bytes: int = 64 * 1024 * 1024


IMAGE_POLICY = ImagePolicy()


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a header says: size in pixels as stored, format, and what a check counts."""

    width: int
    height: int
    format: str
    rotated: bool  # EXIF asks for a turn or a flip
    extension_mismatch: bool  # the path's extension names another format
    several_frames: bool = False  # animated, or of several pages: the first is taken
    shown_otherwise: bool = False  # turned, transparent or deeper than 8 bits: a plain `convert("RGB")` gives another picture than ours


def load_image(ref: ImageRef, policy: ImagePolicy = IMAGE_POLICY) -> ImageType:
    """Return the image as RGB: EXIF transposed, on white, first frame, long side at most `policy.max_side`.

    Raises:
        RowError: missing, empty, undecodable, too large, or an unsafe path.
    """
    return decode_image(read_image_bytes(ref, policy), policy)


def decode_image(data: bytes, policy: ImagePolicy = IMAGE_POLICY) -> ImageType:
    """Return bytes as an RGB image under the policy.

    Raises:
        RowError: empty, undecodable or too large.
    """

    def decode() -> ImageType:
        with _open(io.BytesIO(data), policy) as image:
            image.load()
            return _fit(_upright(_on_white(image), image), policy.max_side)

    return _guarded(decode)


def read_image_bytes(ref: ImageRef, policy: ImagePolicy = IMAGE_POLICY) -> bytes:
    """Return the image's bytes as stored.

    Raises:
        RowError: missing, empty, too large, or an unsafe path.
    """
    return bounded_bytes(ref, policy.max_file_bytes)


def image_digest(ref: ImageRef, policy: ImagePolicy = IMAGE_POLICY) -> str:
    """Return the hash of the image's bytes: the same for a file and for the same bytes inside a record.

    Raises:
        RowError: the bytes cannot be read.
    """
    return hash_bytes(read_image_bytes(ref, policy))


def check_image(ref: ImageRef, decode: bool, policy: ImagePolicy = IMAGE_POLICY) -> None:
    """Check that an image can be used; `decode=False` reads no further than its header.

    Raises:
        RowError: it cannot.
    """
    if decode:
        load_image(ref, policy)
        return
    with bounded_file(ref, policy.max_file_bytes) as file:
        _guarded(lambda: _open(file, policy).close())


def image_facts(ref: ImageRef, policy: ImagePolicy = IMAGE_POLICY) -> ImageFacts:
    """Return what the header says, without decoding.

    Raises:
        RowError: the header cannot be read.
    """
    with bounded_file(ref, policy.max_file_bytes) as file:
        return _guarded(lambda: _facts(file, ref.path or "", policy))


def other_extensions(ref: ImageRef) -> tuple[str, ...]:
    """Return the names of the image files that lie where one is missing and differ from it in their extension alone."""
    try:
        missing = Path(safe_path(ref))
    except RowError:
        return ()
    endings = sorted(ending for endings in _EXTENSIONS.values() for ending in endings)
    return tuple(other.name for ending in endings if (other := missing.with_suffix(f".{ending}")) != missing and other.is_file())


def _facts(file: BinaryIO, path: str, policy: ImagePolicy) -> ImageFacts:
    with _open(file, policy) as image:
        name = image.format or ""
        extension = path.rpartition(".")[2].lower() if "." in path else ""
        known = any(extension in extensions for extensions in _EXTENSIONS.values())
        mismatch = known and extension not in _EXTENSIONS[name]
        rotated = _orientation(image) > 1
        otherwise = rotated or image.mode.startswith(("I", "F")) or bool(image.has_transparency_data)
        several = bool(getattr(image, "is_animated", False))
        return ImageFacts(image.width, image.height, name, rotated, mismatch, several, otherwise)


def _guarded(action: Callable[[], T]) -> T:
    # Whatever a decoder raises on hostile bytes is a fact about the bytes; only running out of memory is not.
    from PIL import Image

    try:
        with _QUIET:
            return action()
    except (RowError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise RowError(Problem.IMAGE_TOO_LARGE, str(error)) from error
    except Exception as error:
        text = str(error)
        bomb = "too large" in text.lower() or "too much memory" in text.lower()  # Pillow's words for PNG text chunks
        raise RowError(Problem.IMAGE_TOO_LARGE if bomb else Problem.UNDECODABLE_IMAGE, text or type(error).__name__) from error


def _open(file: BinaryIO, policy: ImagePolicy) -> ImageFile:
    head = file.read(32)
    file.seek(0)
    image = _plugin(head, policy)(file)
    _check_pixels(image.width, image.height, policy)
    return image


def _plugin(head: bytes, policy: ImagePolicy) -> Callable[[BinaryIO], ImageFile]:
    # Formats by their first bytes, each with its own class: no other decoder (EPS, PSD, FITS, ...) is ever tried, and
    # `JpegImageFile` reads the first picture of a multi-picture JPEG.
    from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

    if head.startswith(b"\xff\xd8\xff"):
        return JpegImagePlugin.JpegImageFile
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImagePlugin.PngImageFile
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GifImagePlugin.GifImageFile
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        _check_pixels(*_webp_size(head), policy)  # its decoder allocates the canvas on opening
        return WebPImagePlugin.WebPImageFile
    if head.startswith(b"BM"):
        return BmpImagePlugin.BmpImageFile
    if head.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return TiffImagePlugin.TiffImageFile
    raise RowError(Problem.UNDECODABLE_IMAGE, "not JPEG, PNG, GIF, WEBP, BMP or TIFF")


def _webp_size(head: bytes) -> tuple[int, int]:
    # https://developers.google.com/speed/webp/docs/riff_container
    kind, body = head[12:16], head[20:30]
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


def _check_pixels(width: int, height: int, policy: ImagePolicy) -> None:
    if width < 1 or height < 1:
        raise RowError(Problem.UNDECODABLE_IMAGE, f"{width} x {height} pixels")
    if width * height > policy.max_pixels:
        raise RowError(Problem.IMAGE_TOO_LARGE, f"{width} x {height} pixels, at most {policy.max_pixels} are allowed")


def _on_white(image: ImageType) -> ImageType:
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255, 255)), rgba).convert("RGB")


def _eight_bits(image: ImageType) -> ImageType:
    # Pillow clips deeper grey images at 255, which turns a 16-bit scan white: keep their upper 8 bits instead.
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    peak = float(values.max())
    scale = 255.0 if image.mode == "F" and peak <= 1.0 else 1 / 256 if image.mode.startswith("I;16") or peak > 255 else 1.0
    return Image.fromarray(np.clip(np.floor(values * scale), 0, 255).astype(np.uint8))


def _orientation(image: ImageType) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken EXIF says nothing; the pixels may be fine
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: ImageType, stored: ImageType) -> ImageType:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    orientation = _orientation(stored)
    return pixels.transpose(turns[orientation]) if orientation > 1 else pixels


def _fit(image: ImageType, max_side: int) -> ImageType:
    from PIL.Image import Resampling

    long_side = max(image.size)
    if long_side <= max_side:
        return image
    width, height = (max(1, round(side * max_side / long_side)) for side in image.size)
    return image.resize((width, height), Resampling.LANCZOS)


class _Quiet:
    """Silences Pillow's warnings while any thread decodes; the first in saves the filters, the last out restores them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._saved = warnings.catch_warnings()

    def __enter__(self) -> Self:
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.simplefilter("ignore")
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._saved.__exit__(None, None, None)


_QUIET = _Quiet()
