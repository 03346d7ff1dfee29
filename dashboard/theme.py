"""Colours: Okabe and Ito's, told apart by colour-blind eyes (https://jfly.uni-koeln.de/color/), for a light and a dark ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from PIL.Image import Image

BLUE, SKY, GREEN, ORANGE, VERMILLION, PURPLE = "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7"
YELLOW, GREY = "#F0E442", "#7A8793"


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one ground. `low`, `middle`, `high` are a diverging scale's ends and centre, `third` is for a third series."""

    ink: str
    muted: str
    faint: str
    ground: str
    main: str
    second: str
    good: str
    bad: str
    low: str
    middle: str
    high: str
    third: str
    ramp: tuple[str, ...]  # of a scale from little to much
    series: tuple[str, ...] = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, GREY)


LIGHT_RAMP, DARK_RAMP = ("#D9E4EC", "#56A3CF", "#003A5C"), ("#2F4A5E", "#3D9BD6", "#D8F0FF")
LIGHT = Palette(
    "#1F2933",
    "#6B7785",
    "#E4E8EC",
    "#FFFFFF",
    BLUE,
    ORANGE,
    BLUE,
    VERMILLION,
    "#D55E00",
    "#F4F5F6",
    "#0072B2",
    GREEN,
    ("#D9E4EC", "#56A3CF", "#003A5C"),
)
DARK = Palette(
    "#E8ECF0",
    "#98A3AF",
    "#2A323B",
    "#181715",
    SKY,
    ORANGE,
    SKY,
    "#F0813A",
    "#D9651F",
    "#20272F",
    "#3D9BD6",
    GREEN,
    ("#2F4A5E", "#3D9BD6", "#D8F0FF"),
)


def palette() -> Palette:
    """Return the colours of the ground that the browser shows."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def favicon() -> Image:
    """Return the tab's picture, two bars and an interval, drawn here: Streamlit would fetch an emoji or a symbol from elsewhere."""
    from PIL import Image, ImageDraw

    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for top, right, colour in ((8, 58, BLUE), (26, 44, SKY), (44, 26, ORANGE)):
        draw.rounded_rectangle((6, top, right, top + 12), 4, fill=colour)
    return image
