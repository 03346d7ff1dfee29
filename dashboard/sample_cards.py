"""One row as a card: bounded images beside its turns. Text is text: a `<script>` or a markdown link is shown letter by letter."""

from __future__ import annotations

import io
from collections.abc import Sequence

import streamlit as st

from sources.images import load_image
from sources.problems import RowError, SourceError
from sources.sample import ImageRef, Sample, Turn
from sources.sampling import SourcePool

THUMBNAIL = 384  # pixels of the long side
SMALLEST = 192  # smaller images are enlarged to it, in whole steps
MOST_IMAGES = 4
MOST_TURNS = 8
MOST_CHARACTERS = 1500


def show_page(pool: SourcePool, numbers: Sequence[int]) -> None:
    """Place rows in two columns."""
    columns = st.columns(2)
    for place, number in enumerate(numbers):
        with columns[place % 2], st.container(border=True):
            _show_row(pool, number)


def _show_row(pool: SourcePool, number: int) -> None:
    try:
        sample = pool.sample(number)
    except SourceError as error:
        st.text(str(error))
        return
    st.caption(f"Row {number:,}")
    left, right = st.columns([2, 3]) if sample.images else (None, st.container())
    if left is not None:
        with left:
            _show_images(sample)
    with right:
        for turn in sample.turns[:MOST_TURNS]:
            st.caption(turn.role.value.capitalize())
            st.text(turn_text(turn))
        if len(sample.turns) > MOST_TURNS:
            st.caption(f"and {len(sample.turns) - MOST_TURNS} more turns")


def turn_text(turn: Turn) -> str:
    """Return a turn as one text, bounded; where an image stands, its number stands in corner brackets."""
    text = "".join(part if isinstance(part, str) else f"\u27e6image {part + 1}\u27e7 " for part in turn.parts).strip()
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} ... ({len(text):,} characters)"


def _show_images(sample: Sample) -> None:
    for place, ref in enumerate(sample.images[:MOST_IMAGES]):
        found = thumbnail(ref)
        if isinstance(found, bytes):
            st.image(found, alt=f"image {place + 1} of this row")
        else:
            st.text(f"Image {place + 1} cannot be shown: {found}")
    if len(sample.images) > MOST_IMAGES:
        st.caption(f"and {len(sample.images) - MOST_IMAGES} more images")


def thumbnail(ref: ImageRef) -> bytes | str:
    """Return a bounded PNG of an image, or why it cannot be shown."""
    from PIL import Image

    try:
        image = load_image(ref)
    except RowError as error:
        return error.problem.value.replace("_", " ")
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    if max(image.size) * 2 <= SMALLEST:
        steps = SMALLEST // max(image.size)
        image = image.resize((image.width * steps, image.height * steps), Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
