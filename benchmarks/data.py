#!/usr/bin/env python3
"""Measure how fast sources are read, hashed and checked, format by format, and how much memory that takes.

    python benchmarks/data.py [--quick] [--json] [--rows 100000] [--repetitions 3] [--out data.jsonl] [--only llava,parquet]

Rows are generated: a question and an answer of their own, about one of 64 small JPEGs. Each arm is a process of its own with one
thread, all arms of a format interleaved in each repetition; figures are CPU-seconds of the work, without imports. `library` is a plain
loop over the format's usual library that touches each row (json.load, json.loads a line, `datasets` streamed, tarfile, csv.DictReader);
`read` gives samples, `hash` their identity too, `check` builds the whole index (every file's hash, every distinct image decoded).
Memory is the most that one process of a check holds at 100,000 and 1,000,000 rows, imports included, and by `--check-only --rows
10000000` at more: `mb` is all that was resident at once (the system's own high-water mark), `private_mb` what of it belongs to the
process alone (RssAnon), `mapped_mb` pages of mapped files, which the system takes back when it needs room (RssFile); both sampled every
20 ms, so a peak shorter than that can go unseen.
With --out, finished arms are kept and the
same command goes on.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
IMAGES = 64
ARMS = ("library", "read", "hash", "check")
FILES = {"llava": "data.json", "chat": "data.jsonl", "parquet": "data.parquet", "webdataset": "data.tar", "tsv": "data.tsv"}


def jpegs() -> list[bytes]:
    """Return the images: noise in blocks, so that each is real, small and another."""
    import numpy as np
    from PIL import Image

    made = []
    for seed in range(IMAGES):
        blocks = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(blocks).resize((48, 48)).save(buffer, "JPEG", quality=70)
        made.append(buffer.getvalue())
    return made


def texts(number: int) -> tuple[str, str]:
    return (
        f"What is number {number} in this picture, and what does it do there?",
        f"It is number {number}, which stands there as it always did.",
    )


def generate(form: str, rows: int, folder: Path) -> Path:
    """Write a source of so many rows, unless it is there."""
    path = folder / f"{form}-{rows}" / FILES[form]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name("partial")
        WRITERS[form](partial, rows)
        os.replace(partial, path)
    return path


def write_images(folder: Path) -> None:
    (folder / "images").mkdir(exist_ok=True)
    for number, data in enumerate(jpegs()):
        (folder / "images" / f"{number}.jpg").write_bytes(data)


def write_llava(path: Path, rows: int) -> None:
    write_images(path.parent)
    with path.open("w") as file:
        for number in range(rows):
            asked, answer = texts(number)
            turns = f'[{{"from": "human", "value": "<image>\\n{asked}"}}, {{"from": "gpt", "value": "{answer}"}}]'
            image = f'"image": "images/{number % IMAGES}.jpg", '
            file.write(f'{"," if number else "["}\n{{"id": "{number}", {image}"conversations": {turns}}}')
        file.write("]\n")


def write_chat(path: Path, rows: int) -> None:
    write_images(path.parent)
    with path.open("w") as file:
        for number in range(rows):
            asked, answer = texts(number)
            turns = f'[{{"role": "user", "content": "<image>{asked}"}}, {{"role": "assistant", "content": "{answer}"}}]'
            file.write(f'{{"messages": {turns}, "images": ["images/{number % IMAGES}.jpg"]}}\n')


def write_parquet(path: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images, writer = jpegs(), None
    for start in range(0, rows, 1000):
        numbers = range(start, min(rows, start + 1000))
        turns = [[dict(zip(("user", "assistant"), texts(number), strict=True))] for number in numbers]
        held = [[{"bytes": images[number % IMAGES], "path": None}] for number in numbers]
        table = pa.table({"images": held, "texts": turns, "source": ["made"] * len(numbers)})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def write_webdataset(path: Path, rows: int) -> None:
    images = jpegs()
    with tarfile.open(path, "w") as tar:
        for number in range(rows):
            asked, answer = texts(number)
            said = json.dumps({"question": asked, "answer": answer}).encode()
            for ending, data in (("jpg", images[number % IMAGES]), ("json", said)):
                info = tarfile.TarInfo(f"{number:08d}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            tar.members = []  # type: ignore[attr-defined]


def write_tsv(path: Path, rows: int) -> None:
    images = [base64.b64encode(data).decode() for data in jpegs()]
    with path.open("w") as file:
        file.write("index\timage\tquestion\tanswer\n")
        for number in range(rows):
            asked, answer = texts(number)
            file.write(f"{number}\t{images[number] if number < IMAGES else number % IMAGES}\t{asked}\t{answer}\n")


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "llava": write_llava,
    "chat": write_chat,
    "parquet": write_parquet,
    "webdataset": write_webdataset,
    "tsv": write_tsv,
}


def library_rows(form: str, path: Path) -> Iterator[Any]:
    """Walk the rows with the format's usual library."""
    if form == "llava":
        yield from json.loads(path.read_text())
    elif form == "chat":
        with path.open() as file:
            yield from map(json.loads, file)
    elif form == "parquet":
        from datasets import load_dataset

        yield from load_dataset("parquet", data_files=str(path), split="train", streaming=True)
    elif form == "webdataset":
        with tarfile.open(path) as tar:
            for member in tar:
                held = tar.extractfile(member)
                yield held.read() if held else b""
    else:
        import csv

        with path.open(newline="") as file:
            yield from csv.DictReader(file, delimiter="\t")


def one_arm(arm: str, form: str, path: Path, jobs: int) -> dict[str, Any]:
    """Do one arm in this process; return its CPU and wall seconds."""
    from sources.fingerprint import fingerprint
    from sources.formats.registry import open_rows
    from sources.sampling import SourcePool
    from sources.spec import SourceSpec

    spec = SourceSpec("bench", form, str(path))
    if arm == "library" and form == "parquet":
        import datasets  # noqa: F401
    cpu, wall, found = time.process_time(), time.monotonic(), {}
    if arm == "library":
        found["rows"] = sum(1 for _ in library_rows(form, path))
    elif arm == "check":
        cache = path.parent / "index"  # kept where this is interrupted, so that the same command goes on
        pool = SourcePool.open(spec, cache, heard() if jobs > 1 else None, jobs)
        found |= {"rows": pool.usable, "content": pool.content, "index_bytes": folder_bytes(cache)}
        shutil.rmtree(cache)
    else:
        fingerprint(spec) if arm == "hash" else None
        found["rows"] = 0
        for row in open_rows(spec):
            if row.sample is None:
                raise SystemExit(f"row {row.number}: {row.detail}")
            if arm == "hash":
                row.sample.text_digest()
                [ref.identity() for ref in row.sample.images]
            found["rows"] += 1
    return found | {"cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - wall}


def heard() -> Callable[[int, int], None]:
    last = [time.monotonic()]

    def show(done: int, total: int) -> None:
        if time.monotonic() - last[0] > 30:
            last[0] = time.monotonic()
            print(f"  {done:,} of {total:,}", file=sys.stderr, flush=True)

    return show


def folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def run_arm(arm: str, form: str, rows: int, folder: Path, jobs: int = 1) -> dict[str, Any]:
    """Run one arm in a process of its own; return what it says, with the most memory that a process of it held (MB)."""
    path = generate(form, rows, folder)
    print(f"  {form} {arm} {rows:,} ...", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--arm", arm, "--path", str(path), "--form", form, "--jobs", str(jobs)]
    with tempfile.TemporaryFile("w+") as out:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(HERE.parent)}
        process = subprocess.Popen(command, stdout=out, env=environment)
        most: Counter[str] = Counter()
        while not (waited := os.wait4(process.pid, os.WNOHANG))[0]:
            for one in family(process.pid):
                most |= held_by(one)
            time.sleep(0.02)
        _, status, used = waited
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed ({process.returncode})")
        said: dict[str, Any] = json.loads(out.read().strip().splitlines()[-1])
    said |= {"arm": arm, "form": form, "size": rows, "jobs": jobs, "cpu_all_s": used.ru_utime + used.ru_stime}
    return said | {name: most[kind] // 1024 for name, kind in (("private_mb", "RssAnon"), ("mapped_mb", "RssFile")) if most}


def family(pid: int) -> list[int]:
    """Return a process and its children, none where the system does not tell."""
    try:
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    except OSError:
        return []


def held_by(pid: int) -> Counter[str]:
    """Return the kinds of memory that a process holds now (kB); nothing of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return Counter()
    return Counter({line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssFile"))})


def summary(done: list[dict[str, Any]]) -> dict[str, Any]:
    speeds: dict[str, Any] = {}
    for form in FILES:
        timed = [one for one in done if one["form"] == form and one["kind"] == "speed"]
        if not timed:
            continue
        per_second = {arm: [one["rows_timed"] / one["cpu_s"] for one in timed if one["arm"] == arm] for arm in ARMS}
        speeds[form] = {arm: round(statistics.median(values)) for arm, values in per_second.items() if values}
        by_turn = {turn: {one["arm"]: one["cpu_s"] for one in timed if one["turn"] == turn} for turn in {one["turn"] for one in timed}}
        speeds[form]["vs_library"] = {
            arm: spread([turn[arm] / turn["library"] for turn in by_turn.values() if {arm, "library"} <= turn.keys()]) for arm in ARMS[1:]
        }
    memory = {
        form: {
            one["size"]: {name: one.get(name) for name in ("mb", "private_mb", "mapped_mb")}
            for one in done
            if one["form"] == form and one["kind"] == "memory"
        }
        for form in FILES
        if any(one["form"] == form and one["kind"] == "memory" for one in done)
    }
    return {"rows_per_cpu_second": speeds, "check_peak_mb": memory, "cores": os.cpu_count(), "load": os.getloadavg()[0]}


def spread(values: list[float]) -> dict[str, float] | None:
    """Return median, lowest and highest of how many times the library's CPU-seconds an arm took."""
    if not values:
        return None
    return {"median": round(statistics.median(values), 2), "low": round(min(values), 2), "high": round(max(values), 2)}


def plan(wanted: argparse.Namespace) -> Iterator[tuple[str, str, str, int, int]]:
    """Yield what is to be done: kind, format, arm, rows, repetition."""
    forms = wanted.only.split(",")
    for turn in range(wanted.repetitions or (1 if wanted.quick else 3)):
        for form in forms:
            yield from (("speed", form, arm, wanted.rows or (5_000 if wanted.quick else 50_000), turn) for arm in ARMS)
    if wanted.memory:
        for size in (10_000, 50_000) if wanted.quick else (100_000, 1_000_000):
            yield from (("memory", form, "check", size, 0) for form in forms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller, about a minute")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=None, help="rows of the timed sources, up to 10 million")
    parser.add_argument("--repetitions", type=int, default=None)
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--only", default=",".join(FILES), help="formats")
    parser.add_argument("--check-only", action="store_true", help="one check of --rows rows a format and nothing else")
    parser.add_argument("--jobs", type=int, default=1, help="processes of --check-only")
    parser.add_argument("--folder", type=Path, default=None, help="where the data is generated and left  [default: a temporary folder]")
    parser.add_argument("--out", type=Path, default=None, help="JSON lines of finished arms; the same command goes on")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--form", help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.arm:
        import resource

        said = one_arm(wanted.arm, wanted.form, wanted.path, wanted.jobs)
        most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        print(json.dumps(said | {"mb": most // 1024}))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = wanted.folder or Path(temporary)
        if wanted.check_only:
            for form in wanted.only.split(","):
                print(json.dumps(run_arm("check", form, wanted.rows or 100_000, folder, wanted.jobs)))
            return
        found = summary(measured(wanted, folder))
    if wanted.json:
        print(json.dumps(found, indent=1))
        return
    for form, speeds in found["rows_per_cpu_second"].items():
        print(f"{form:12}", json.dumps(speeds))
    for form, sizes in found["check_peak_mb"].items():
        print(f"{form:12}", "MB at rows:", json.dumps(sizes))


def measured(wanted: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    done = [json.loads(line) for line in wanted.out.read_text().splitlines()] if wanted.out and wanted.out.exists() else []
    have = {(one["kind"], one["form"], one["arm"], one["size"], one["turn"]) for one in done}
    for kind, form, arm, size, turn in plan(wanted):
        if (kind, form, arm, size, turn) in have:
            continue
        said = run_arm(arm, form, size, folder)
        done.append(said | {"kind": kind, "turn": turn, "rows_timed": size})
        if wanted.out:
            with wanted.out.open("a") as handle:
                handle.write(json.dumps(done[-1]) + "\n")
    return done


if __name__ == "__main__":
    main()
