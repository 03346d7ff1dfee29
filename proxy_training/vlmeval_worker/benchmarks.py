"""VLMEvalKit's benchmarks: fetching a table as published, and opening one of ours under a benchmark's name and rules."""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proxy_training.vlmeval_worker.kit import KitError, class_of, work_in


def fetch(name: str, folder: Path, others: Sequence[Path]) -> dict[str, str]:
    """Return where the table of a benchmark lies as it was published, downloading it into `folder` where it is in none of `others`.

    Raises:
        KitError: there is no such benchmark, a file of its name is another one, or it cannot be downloaded.
    """
    from vlmeval.smp import download_file

    kind = class_of(name)
    url, published = kind.DATASET_URL.get(name, ""), kind.DATASET_MD5.get(name, "")
    for place in (folder, *others):
        if (table := place / f"{name}.tsv").is_file():
            _check(table, published)
            return {"table": str(_with_questions(name, table, folder)), "url": url}
    cure = f"put the published file there yourself, as {folder / name}.tsv" + (f" (MD5 {published})" if published else "")
    if not url.startswith("http") or not url.endswith(".tsv"):
        raise KitError(f"{name} is not published as one TSV: {cure}")
    work_in(folder)
    table = folder / f"{name}.tsv"
    try:
        download_file(url, str(table))
    except Exception as error:
        raise KitError(f"{name} cannot be downloaded from {url}: {cure}") from error
    _check(table, published)
    return {"table": str(_with_questions(name, table, folder)), "url": url}


def _with_questions(name: str, table: Path, folder: Path) -> Path:
    """Return a table that asks; VLMEvalKit's class writes the question itself where all rows have the same (captions)."""
    with table.open(encoding="utf-8-sig", errors="replace") as file:
        if "question" in file.readline().rstrip("\r\n").replace('"', "").split("\t"):
            return table
    asking = folder / f"{name}-asking.tsv"
    with tempfile.TemporaryDirectory(dir=folder) as run:
        (Path(run) / table.name).symlink_to(table.absolute())
        data = open_table(name, Path(run)).data
        data.to_csv(f"{run}/asking.tsv", sep="\t", index=False, quoting=csv.QUOTE_ALL)
        os.replace(f"{run}/asking.tsv", asking)
        work_in(folder)
    return asking


def _check(table: Path, published: str) -> None:
    if not published:
        return
    with table.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != published:
        raise KitError(
            f"{table} is not the published file (MD5 {found}, published {published}): remove it to fetch it again, "
            f"or register it as your own with --path {table} --vlmeval {table.stem}"
        )


def open_table(name: str, folder: Path) -> Any:
    """Return VLMEvalKit's object of a benchmark, over `folder/NAME.tsv` whatever that holds; everything is written to `folder`.

    Raises:
        KitError: there is no such benchmark, or its class cannot read the table.
    """
    from vlmeval.dataset import build_dataset

    kind = class_of(name)
    work_in(folder)
    kind.DATASET_MD5[name] = None  # else another table than the published one is thrown away and downloaded
    try:
        return build_dataset(name)
    except (KeyError, ValueError, AssertionError, NotImplementedError, SyntaxError) as error:
        raise KitError(f"VLMEvalKit cannot read the table as {name} ({type(error).__name__}: {error}); see its columns") from error


def supported() -> dict[str, str]:
    """Return the type (`MCQ`, `Y/N`, `VQA`, ...) of every image and text benchmark, by name."""
    from vlmeval.dataset import IMAGE_DATASET, TEXT_DATASET

    return {name: str(getattr(kind, "TYPE", "")) for kind in (*IMAGE_DATASET, *TEXT_DATASET) for name in kind.supported_datasets()}
