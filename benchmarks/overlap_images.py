"""Images for `benchmarks/overlap.py`, made from a seed: scenes, mosaics of photographs, pages, charts; and the copies planted of them."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

Pixels = NDArray[np.float64]
WORDS = Path(__file__).read_text(encoding="utf-8").lower().replace("_", " ").split()  # this file's own
EASY_COLOURS = ("#ff0000", "#00ff00", "#0000ff", "#ffff00", "#a52a2a", "#000000", "#008080", "#808080")


def rng_of(*parts: int) -> np.random.Generator:
    return np.random.default_rng(list(parts))


def scene(seed: int) -> Image.Image:
    """Cloudy noise of a random slope, lit from one side, with objects of other noise in front: as rough as photographs are."""
    rng = rng_of(1, seed)
    width, height = (int(n) for n in rng.integers(180, 420, 2))
    canvas = _noise(rng, height, width)
    for _ in range(int(rng.integers(3, 9))):
        mask = np.asarray(_blob(rng, width, height), np.float64)[..., None] / 255
        canvas = canvas * (1 - mask) + _noise(rng, height, width) * mask
    light = 0.75 + 0.25 * np.cos(np.linspace(0, math.pi * rng.uniform(0.3, 1.2), width) + rng.uniform(0, 6))
    return Image.fromarray(np.clip(canvas * light[None, :, None], 0, 255).astype(np.uint8))


def _noise(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Noise whose amplitude falls with frequency, as in photographs about by its inverse; a colour map and a little of a second one."""
    side = 128
    frequency = np.hypot(np.fft.fftfreq(side)[:, None] * side, np.fft.rfftfreq(side)[None] * side)
    fall = np.maximum(frequency, 1.0) ** -rng.uniform(0.6, 1.4)
    pattern, other = (_scaled(np.fft.irfft2(np.fft.rfft2(rng.normal(size=(side, side))) * fall, s=(side, side))) for _ in range(2))
    low, high = rng.uniform(0, 160, 3), rng.uniform(90, 255, 3)
    colours = low + (high - low) * pattern[..., None] + rng.normal(0, 25, 3) * (other[..., None] - 0.5)
    image = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float64)


def _scaled(values: Pixels) -> Pixels:
    return (values - values.min()) / max(1e-9, float(values.max() - values.min()))


def _blob(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    mask = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(mask)
    x, y, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.08, 0.35) * width
    if rng.random() < 0.4:
        draw.ellipse([x - size, y - size * rng.uniform(0.4, 1), x + size, y + size], fill=255)
    else:
        angles = np.sort(rng.uniform(0, 2 * math.pi, int(rng.integers(3, 9))))
        reach = size * rng.uniform(0.4, 1, len(angles))
        draw.polygon([(x + r * math.cos(a), y + r * math.sin(a)) for r, a in zip(reach, angles, strict=True)], fill=255)
    return mask


def mosaic(seed: int, folder: str = "") -> Image.Image:
    """Four to nine pieces of photographs side by side, as many sites and slides show them."""
    rng = rng_of(2, seed)
    photos = photographs(folder)
    columns, rows = (int(n) for n in rng.integers(2, 4, 2))
    width, height = (int(n) for n in rng.integers(200, 420, 2))
    canvas = Image.new("RGB", (width, height))
    for column in range(columns):
        for row in range(rows):
            box = (width * column // columns, height * row // rows, width * (column + 1) // columns, height * (row + 1) // rows)
            canvas.paste(_piece(rng, photos, (box[2] - box[0], box[3] - box[1])), box)
    return canvas


def _piece(rng: np.random.Generator, photos: Sequence[Image.Image], size: tuple[int, int]) -> Image.Image:
    photo = photos[int(rng.integers(len(photos)))]
    side = rng.uniform(0.15, 0.6) * min(photo.size)
    left, top = rng.uniform(0, photo.width - side), rng.uniform(0, photo.height - side)
    piece = photo.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return ImageOps.mirror(piece) if rng.random() < 0.5 else piece


@cache
def photographs(folder: str = "") -> tuple[Image.Image, ...]:
    """The photographs that scikit-learn brings, or all images of a folder."""
    if not folder:
        from sklearn.datasets import load_sample_images

        return tuple(Image.fromarray(pixels) for pixels in load_sample_images().images)
    files = [file for file in sorted(Path(folder).rglob("*")) if file.suffix.lower() in (".jpg", ".jpeg", ".png")]
    images = [Image.open(file).convert("RGB") for file in files]
    return tuple(image for image in images if min(image.size) >= 200)


def page(seed: int) -> Image.Image:
    """A page of text: margins, sizes and line lengths are those of a few templates, the words are its own."""
    rng = rng_of(3, seed)
    width, height = ((340, 440), (420, 320), (300, 420))[int(rng.integers(3))]
    size, margin = int(rng.integers(9, 16)), int(rng.choice([16, 24, 32]))
    image = Image.new("RGB", (width, height), "white" if rng.random() < 0.7 else (250, 246, 235))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    y = margin
    if rng.random() < 0.6:
        draw.text((margin, y), _words(rng, 4).title(), fill="black", font=ImageFont.load_default(size + 6))
        y += size + 14
    while y < height - margin - size:
        end = rng.random() < 0.15
        line = _words(rng, 20)
        line = line[: int((width - 2 * margin) * (rng.uniform(0.2, 0.9) if end else 1.0) / (0.5 * size))]
        draw.text((margin, y), line, fill="black", font=font)
        y += int(size * 1.3) * (2 if end else 1)
    return image


def chart(seed: int) -> Image.Image:
    """A bar or line chart in one of few templates: same axes and grid, other values and names."""
    rng = rng_of(4, seed)
    image = Image.new("RGB", (400, 300), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    for line in range(6):
        draw.line([(45, 40 + 42 * line), (385, 40 + 42 * line)], fill=(215, 215, 215))
        draw.text((10, 34 + 42 * line), str(100 - 20 * line), fill="black", font=font)
    draw.line([(45, 40), (45, 250), (385, 250)], fill="black")
    draw.text((60, 12), _words(rng, 5).title(), fill="black", font=ImageFont.load_default(15))
    count = int(rng.integers(4, 11))
    values = rng.uniform(5, 200, count)
    colour = tuple(int(n) for n in ((66, 133, 244), (219, 68, 55), (15, 157, 88), (80, 80, 80))[int(rng.integers(4))])
    step = 330 / count
    if rng.random() < 0.6:
        for i, value in enumerate(values):
            draw.rectangle([52 + step * i, 250 - value, 52 + step * (i + 0.7), 250], fill=colour)
    else:
        draw.line([(60 + step * i, 250 - value) for i, value in enumerate(values)], fill=colour, width=3)
    for i in range(count):
        draw.text((52 + step * i, 256), _words(rng, 1)[:6], fill="black", font=font)
    return image


def like_easy(seed: int) -> Image.Image:
    """One shape of one of easy-VQA's eight colours on one of its light grounds, in its sizes: as that set's images look, by its pixels."""
    rng = rng_of(5, seed)
    image = Image.new("RGB", (64, 64), tuple(int(n) for n in rng.integers(230, 256, 3)))
    draw, colour = ImageDraw.Draw(image), EASY_COLOURS[int(rng.integers(8))]
    width, height = (int(n) for n in rng.integers(10, 35, 2))
    shape = int(rng.integers(3))
    if shape == 0:
        height = width
    left, top = int(rng.integers(0, 64 - width)), int(rng.integers(0, 64 - height))
    box = (left, top, left + width - 1, top + height - 1)
    if shape == 0:
        draw.ellipse(box, fill=colour)
    elif shape == 1:
        draw.rectangle(box, fill=colour)
    else:
        draw.polygon([(left + width / 2, top), (left, top + height - 1), (left + width - 1, top + height - 1)], fill=colour)
    return image


def _words(rng: np.random.Generator, count: int) -> str:
    return " ".join(WORDS[int(i)] for i in rng.integers(len(WORDS), size=count))


def exact(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image


def reencoded(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    kind = int(rng.integers(4))
    if kind == 3:
        return _through(image, "PNG")
    return _through(image, ("JPEG", "JPEG", "WEBP")[kind], quality=int(rng.integers(30, 91)))


def resized(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    factor = math.exp(rng.uniform(math.log(0.5), math.log(2)))
    how = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)[int(rng.integers(3))]
    size = tuple(max(8, round(side * factor)) for side in image.size)
    return _through(image.resize(size, how), "JPEG", quality=int(rng.integers(60, 96)))


def cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Up to a tenth of the width or height off at each of the four sides, each drawn on its own."""
    left, top, right, bottom = rng.uniform(0, 0.1, 4)
    box = (round(left * image.width), round(top * image.height), round((1 - right) * image.width), round((1 - bottom) * image.height))
    return _through(image.crop(box), "JPEG", quality=int(rng.integers(60, 96)))


def recoloured(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image, np.float64) / 255
    kind = int(rng.integers(5))
    if kind == 0:
        changed = Image.fromarray((255 * pixels ** math.exp(rng.uniform(math.log(0.5), math.log(2)))).astype(np.uint8))
    elif kind == 1:
        changed = ImageEnhance.Brightness(image).enhance(rng.uniform(0.6, 1.5))
    elif kind == 2:
        changed = ImageEnhance.Color(image).enhance(rng.uniform(0.2, 2.0))
    elif kind == 3:
        changed = Image.fromarray(np.clip(255 * pixels * rng.uniform(0.7, 1.2, 3), 0, 255).astype(np.uint8))
    else:
        changed = image.convert("L").convert("RGB")
    return _through(changed, "JPEG", quality=int(rng.integers(60, 96)))


COPIES: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "exact": exact,
    "re-encoded": reencoded,
    "resized": resized,
    "cropped": cropped,
    "recoloured": recoloured,
}


def _through(image: Image.Image, form: str, **options: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return Image.open(buffer).convert("RGB")
