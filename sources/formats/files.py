"""Which files of a source hold its records: a file is itself, a folder is its parquet shards or the JSON files directly in it."""

from __future__ import annotations

from pathlib import Path

from sources.spec import SourceSpec

_JSON = (".json", ".jsonl", ".ndjson")
_ABOUT_DATA = ("dataset_info.json", "dataset_infos.json")  # of LLaMA-Factory and `datasets`: they name data files and hold no records


def parquet_files(path: Path) -> list[Path]:
    """Return a parquet file, or the shards below a folder, sorted by relative name; empty if there are none."""
    if path.is_file():
        return [path] if _is_parquet(path) else []
    found = (file for file in path.rglob("*.parquet") if file.is_file()) if path.is_dir() else ()
    return sorted(found, key=lambda file: file.relative_to(path).as_posix())


def json_files(path: Path) -> list[Path]:
    """Return the file itself, or the JSON files directly in a folder, sorted by name, without those that only describe others."""
    if path.is_file():
        return [path]
    found = (file for file in path.iterdir() if file.suffix.lower() in _JSON and file.is_file()) if path.is_dir() else ()
    return sorted(file for file in found if file.name not in _ABOUT_DATA)


def json_files_below(path: Path) -> list[Path]:
    """Return the JSON files of the first of a folder's own folders that holds some; empty if none does."""
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    return next((files for files in map(json_files, folders) if files), [])


def image_root(spec: SourceSpec) -> str:
    """Return the folder that image paths are relative to: the spec's, or the folder of the data."""
    path = Path(spec.path)
    return spec.image_root or str(path if path.is_dir() else path.parent)


def below_root(path: str, root: str) -> str:
    """Return a path relative to the image root where it is written absolutely (as ms-swift asks for) and lies below it, else as it is."""
    plain = path[len("file://") :] if path.startswith("file:///") else path
    prefix = root.rstrip("/") + "/"
    return plain[len(prefix) :] if root and plain.startswith("/") and plain.startswith(prefix) else path


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False
