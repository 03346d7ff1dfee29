"""The one place that imports VLMEvalKit and mends what would harm: each mend is one function that says what it cures."""

from __future__ import annotations

import ast
import base64
import binascii
import logging
import os
import ssl
import string
import sys
import types
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Progress = Callable[[str, int, int], None]
DATA_FOLDER = "LMUData"  # the environment variable that VLMEvalKit reads
_TEXT = {"prediction", "answer", *string.ascii_uppercase}  # columns whose cells are text whatever they look like
_READY: list[bool] = []


class KitError(Exception):
    """VLMEvalKit cannot do what was asked; the message is one sentence with the cure."""


def prepare_kit(progress: Progress) -> None:
    """Import VLMEvalKit once, mended. `LMUData` must be set to an existing folder: else it would use one in the home folder silently."""
    if _READY:
        return
    os.environ |= {"PRED_FORMAT": "tsv", "EVAL_FORMAT": "csv"}  # its default, xlsx, loses control characters and is slow
    _bars_are_progress(progress)
    from proxy_training.vlmeval_worker.torchvision_operators import ensure_torchvision

    ensure_torchvision()
    checking = ssl._create_default_https_context
    import vlmeval
    import vlmeval.dataset
    import vlmeval.inference  # noqa: F401

    ssl._create_default_https_context = checking  # it switches certificate checks off, for the whole process
    logging.disable(logging.INFO)  # it logs the judge's key
    _only_literals()
    _images_as_they_came()
    _downloads_are_whole()
    _no_pool()
    _temporary_tables_here()
    _no_random_answer()
    _cells_stay_text()
    _READY.append(True)


def class_of(name: str) -> Any:
    """Return the VLMEvalKit class of a benchmark.

    Raises:
        KitError: it has none of that name.
    """
    from vlmeval.dataset import DATASET_CLASSES

    found = next((one for one in DATASET_CLASSES if name in one.supported_datasets()), None)
    if found is None:
        raise KitError(f"VLMEvalKit has no benchmark {name!r}; see probe benchmarks list --vlmeval")
    return found


def work_in(folder: Path) -> None:
    """Read data from, and write everything to, one folder from now on."""
    os.environ[DATA_FOLDER] = str(folder)
    os.chdir(folder)


def _modules() -> Iterable[types.ModuleType]:
    return [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "vlmeval" and module is not None]


def _replace(original: object, by: object) -> None:
    """Put `by` wherever a module of VLMEvalKit holds `original`."""
    for module in _modules():
        for name, value in list(vars(module).items()):
            if value is original:
                setattr(module, name, by)


def _bars_are_progress(progress: Progress) -> None:
    """Its bars (tqdm) become lines of progress: downloads, inference, evaluation."""
    from tqdm import std

    def display(bar: Any, *_: object, **__: object) -> None:
        if bar.total:
            progress(str(bar.desc or "evaluating").partition("/")[0].rstrip(": "), int(bar.n), int(bar.total))

    std.tqdm.display = display


def _only_literals() -> None:
    """It calls `eval` on cells of data files (indexes, answers, image lists): anything but a literal is refused as bad syntax."""

    def literal(text: Any, *_: object) -> Any:
        try:
            return ast.literal_eval(text)
        except (ValueError, TypeError, MemoryError, RecursionError) as error:
            raise SyntaxError("not a literal") from error

    for module in _modules():
        module.eval = literal  # type: ignore[attr-defined]


def _images_as_they_came() -> None:
    """It re-encodes images (JPEG once more, transparent on black) and writes them wherever a cell says: bytes stay, the folder too."""
    from vlmeval.smp import vlm

    def write(text: str, path: str, target_size: int = -1) -> None:
        images, target = (Path(os.environ[DATA_FOLDER]) / "images").resolve(), Path(path).resolve()
        if not target.is_relative_to(images):
            raise KitError(f"an image is to be written to {path}, out of the images' folder: mend image_path or index of this row")
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise KitError(f"the image for {target.name} is broken base64 ({error})") from error
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    _replace(vlm.decode_base64_to_image_file, write)


def _downloads_are_whole() -> None:
    """It downloads to the final name, so that a file cut off would be taken for whole: download beside it and rename."""
    from vlmeval.smp import file

    download = file.download_file

    def whole(url: str, filename: str | None = None) -> str:
        target = filename or url.split("/")[-1]
        part = f"{target}.{uuid.uuid4().hex[:8]}.part"
        try:
            download(url, part)
            os.replace(part, target)
        finally:
            Path(part).unlink(missing_ok=True)
        return target

    _replace(download, whole)


def _no_pool() -> None:
    """It opens pools of 16 processes and never closes them: rules are quick, and run here."""
    from vlmeval.dataset import image_vqa

    class Here:
        def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
            return [function(item) for item in items]

    image_vqa.mp = types.SimpleNamespace(Pool=lambda *_: Here())


def _temporary_tables_here() -> None:
    """It passes circular results through a file in /tmp named by the second, where another run's would be read: name it in our folder."""
    from vlmeval.dataset.utils import multiple_choice

    def name(*_: object) -> str:
        return str(os.path.relpath(Path(os.environ[DATA_FOLDER]).resolve() / uuid.uuid4().hex, Path("/tmp").resolve()))

    multiple_choice.timestr = name


def _no_random_answer() -> None:
    """Where a judge fails it draws a choice at random: such an answer is no choice (`Z`), and wrong."""
    from vlmeval.dataset.utils import multiple_choice

    multiple_choice.rd = types.SimpleNamespace(choice=lambda _: "Z")


def _cells_stay_text() -> None:
    """It reads tables with guessed types: `3` in a column with a gap becomes `3.0`, and a choice or an answer `None` nothing at all."""
    import pandas

    read: Any = pandas.read_csv

    def keeping(place: Any, *args: Any, **options: Any) -> Any:
        frame = read(place, *args, **options)
        if columns := [name for name in frame.columns if name in _TEXT]:
            written = read(place, *args, **{**options, "usecols": columns, "dtype": str, "keep_default_na": False})
            for name in columns:
                empty = (written[name] == "") & (name in string.ascii_uppercase)  # a choice that is not there
                frame[name] = written[name].where(~empty)
        return frame

    vars(pandas)["read_csv"] = keeping
