"""JSON records whose images are behind a URL: records drawn by seed, and only their images fetched."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from sources.formats.files import json_files
from sources.formats.json_records import JsonRecords
from sources.formats.registry import detect_format, open_rows
from sources.image_bytes import safe_path
from sources.images import IMAGE_POLICY
from sources.ordering import seeded_key
from sources.problems import RowError
from sources.remote.listing import file_system, reachable
from sources.remote.tasks import AT_ONCE, Progress
from sources.sample import ImageRef
from sources.spec import SourceSpec
from sources.whole_files import write_whole


def draw_with_images(whole: Path, data: Path, url: str, rows: int, seed: str, say: Any, progress: Progress | None = None) -> None:
    """Write `rows` records of the JSON files in `whole` to `data`, and the images that they name to the folder `images` beside it.

    An image that is not there stays missing, so that its row is counted as such.

    Raises:
        SourceError: the files cannot be read, or the images not be reached.
    """
    _write_records(whole, data / "drawn.jsonl", rows, seed)
    folder = data.parent / "images"
    folder.mkdir(exist_ok=True)
    paths = sorted(set(_image_paths(data, folder)))
    say(f"{len(paths):,} images are fetched from {url}")
    stop = threading.Event()
    with ThreadPoolExecutor(2 * AT_ONCE) as pool:
        try:
            for done, future in enumerate(as_completed([pool.submit(_fetch, url, path, folder, stop) for path in paths]), start=1):
                future.result()
                if progress:
                    progress(done, len(paths))
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _write_records(whole: Path, drawn: Path, rows: int, seed: str) -> None:
    if drawn.exists():
        return
    records = JsonRecords(json_files(whole))
    order = sorted(range(len(records)), key=lambda number: seeded_key(0, seed, number))
    temporary = drawn.with_name(f".{drawn.name}.partial")
    with temporary.open("w", encoding="utf-8") as out:
        for number in sorted(order[: rows or None]):
            record = records.get(number)
            # A record that is none stays one, so that it is counted.
            out.write(("{" if isinstance(record, RowError) else json.dumps(record)) + "\n")
    temporary.replace(drawn)


def _image_paths(data: Path, folder: Path) -> Iterator[str]:
    for row in open_rows(SourceSpec("drawn", detect_format(data), str(data), str(folder))):
        yield from (ref.path for ref in (row.sample.images if row.sample else ()) if ref.path)


def _fetch(url: str, path: str, folder: Path, stop: threading.Event) -> None:
    try:
        place = Path(safe_path(ImageRef(path=path, root=str(folder))))
    except RowError:
        return  # the index counts it as unsafe
    if place.exists() or stop.is_set():
        return
    fs, root = file_system(url)
    with reachable(url):
        try:
            content = fs.cat_file(f"{root.rstrip('/')}/{path}", start=0, end=IMAGE_POLICY.max_file_bytes + 1)
        except FileNotFoundError:
            return
    write_whole(place, lambda path: path.write_bytes(content))
