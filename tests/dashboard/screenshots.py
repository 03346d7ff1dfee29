"""Takes the pictures of `docs/dashboard.md`: every page of a study, whole.

    cd FOLDER && python .../tests/dashboard/screenshots.py WORKSPACE STUDY OUT [--link manifest=HASH] [--width 1280] [--dark]

Commands on the pages name the workspace unless it is `.probe` in the folder that this is run in. Ends with 1 where the browser's console
has an error. Pictures are cut at 4,000 pixels and have 256 colours.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.append(str(Path(__file__).resolve().parent))

from browser import DRAWN, opened_browser, served, watched
from PIL import Image

from dashboard.navigation import PAGES

HEIGHT, MOST = 900, 4000


def main() -> int:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("study")
    parser.add_argument("out", type=Path)
    parser.add_argument("--link", default="", help="more of each page's link, such as manifest=H or a=H&b=H")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--dark", action="store_true")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with served(asked.workspace) as address, opened_browser() as browser:
        shape = {"width": asked.width, "height": HEIGHT}
        tab = browser.new_context(viewport=shape, color_scheme="dark" if asked.dark else "light").new_page()
        errors = watched(tab)
        for place, path in enumerate(PAGES):
            name = Path(path).stem
            tab.goto(f"{address}/{name if place else ''}?study={asked.study}&{asked.link}")
            _keep(tab, asked.width, asked.out / f"{name}.png")
    print(*errors, sep="\n", file=sys.stderr)
    return int(bool(errors))


def _keep(tab: Any, width: int, file: Path) -> None:
    tab.wait_for_function(DRAWN, arg="", timeout=180_000)
    tab.wait_for_timeout(500)
    whole = tab.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    tab.set_viewport_size({"width": width, "height": min(whole + 20, MOST)})
    tab.wait_for_timeout(1000)
    picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    picture.quantize(256, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE).save(file, optimize=True)
    tab.set_viewport_size({"width": width, "height": HEIGHT})


if __name__ == "__main__":
    sys.exit(main())
