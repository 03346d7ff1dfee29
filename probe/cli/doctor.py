"""`probe doctor`: what this machine, workspace and configuration can and cannot do."""

from __future__ import annotations

import enum
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from probe import DISTRIBUTION
from probe.cli.output import bytes_text, listing_options, print_listing
from probe.workspace import Workspace
from sources.counted import counted

PACKAGES = ("torch", "transformers", "peft", "accelerate", "datasets", "sqlalchemy", "optuna", "streamlit", "pillow", "numpy")
FAIL_BYTES, WARN_BYTES = 500e6, 5e9
# Runs in a process of its own: a broken torch must not take the doctor with it.
_ASK_TORCH = """
import json, os, torch
cuda = torch.cuda.is_available()
bf16 = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
print(json.dumps({
    "version": torch.__version__, "built_for": torch.version.cuda or "", "threads": torch.get_num_threads(),
    "devices": [f"{torch.cuda.get_device_name(i)}, {torch.cuda.mem_get_info(i)[1] / 1e9:.0f} GB" for i in range(torch.cuda.device_count())]
    if cuda else [],
    "cuda_bf16": bool(cuda and torch.cuda.is_bf16_supported()), "mps": torch.backends.mps.is_available(),
    "cpu": torch.backends.cpu.get_cpu_capability(), "cpu_bf16": bool(bf16 and bf16()),
}))
"""


class State(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor: what was looked at, how it stands, and the cure where it does not stand well."""

    check: str
    state: State
    detail: str
    cure: str = ""


@click.command()
@listing_options
@click.pass_obj
def command(workspace: Workspace, form: str) -> None:
    """Check this machine, workspace and configuration; exit code 1 when something cannot work."""
    found = list(examine(workspace))
    rows = [{"check": f.check, "state": f.state.value, "detail": f.detail, "cure": f.cure} for f in found]
    if form == "table":
        for finding in found:
            cure = f"; {finding.cure}" if finding.cure else ""
            click.echo(f"{finding.state.value:<4}  {finding.check}: {finding.detail}{cure}")
    else:
        print_listing(rows, form, empty="")
    if any(finding.state is State.FAIL for finding in found):
        sys.exit(1)


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Look at everything, quick things first."""
    yield _python()
    yield from _packages()
    yield from _device()
    yield _threads()
    yield _disk(workspace)
    yield _file_system(workspace)
    yield _database(workspace)
    yield _proxy()
    yield _easy_vqa()
    yield _torchvision()
    yield _vlmeval()


def _python() -> Finding:
    version = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", State.OK, version)  # an older one than the tested range could not have imported this


def _packages() -> Iterator[Finding]:
    ranges = tested_ranges()
    for name in PACKAGES:
        yield _package(name, ranges.get(name))


def tested_ranges() -> dict[str, Any]:
    """Return the version ranges that this distribution asks for, by package (`packaging.specifiers.SpecifierSet`)."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    try:
        parsed = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:
        return {}
    return {one.name.lower(): one.specifier for one in parsed if one.marker is None}


def _package(name: str, tested: Any) -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(name, State.FAIL, "not installed", f"pip install {DISTRIBUTION}")
    if tested is None or tested.contains(found, prereleases=True):
        return Finding(name, State.OK, found)
    return Finding(name, State.WARN, f"{found}, tested is {tested}", f"pip install '{name}{tested}'")


def _device() -> Iterator[Finding]:
    asked = subprocess.run([sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, timeout=120, check=False)
    if asked.returncode:
        reason = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
        yield Finding("device", State.FAIL, f"torch cannot be imported ({reason})", "install it again with the constraints file")
        return
    torch = json.loads(asked.stdout.strip().splitlines()[-1])
    yield _accelerator(torch)
    where = f"CPU ({torch['cpu']})"
    if torch["devices"]:
        yield Finding("bf16", State.OK, "on the GPU" if torch["cuda_bf16"] else "not on this GPU: use --precision fp32")
    elif torch["cpu_bf16"]:
        yield Finding("bf16", State.OK, f"{where} computes in bf16")
    else:
        yield Finding("bf16", State.OK, f"{where} has no bf16: fp32, the default, is faster here")


def _accelerator(torch: dict[str, Any]) -> Finding:
    if torch["devices"]:
        return Finding("device", State.OK, "; ".join(torch["devices"]))
    driver = _driver()
    if driver and not torch["built_for"]:
        cure = "install a CUDA build of torch (README, GPU)"
        return Finding("device", State.WARN, f"an NVIDIA driver {driver} is here, but torch {torch['version']} is built for CPUs", cure)
    if driver:
        cure = f"update the driver to one for CUDA {torch['built_for']}, or install a torch built for an older CUDA"
        return Finding("device", State.WARN, f"torch {torch['version']} finds no GPU with driver {driver}", cure)
    return Finding("device", State.OK, "CPU (no GPU found): enough for the bundled proxy, slow for larger ones")


def _driver() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    try:
        asked = subprocess.run(
            [tool, "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip().splitlines()[0] if asked.returncode == 0 and asked.stdout.strip() else ""


def _threads() -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return Finding("cores", State.OK, f"{usable} usable" + (f", OMP_NUM_THREADS={asked}" if asked else "") + "; one worker a core")


def _disk(workspace: Workspace) -> Finding:
    place = _existing(workspace.root)
    free = shutil.disk_usage(place).free
    detail = f"{bytes_text(free)} free at {place}"
    if not os.access(place, os.W_OK):
        return Finding("disk", State.FAIL, f"{place} cannot be written", "choose another place with --workspace")
    if free < FAIL_BYTES:
        return Finding("disk", State.FAIL, detail, "free some with `probe clean`, or choose another place with --workspace")
    if free < WARN_BYTES:
        return Finding("disk", State.WARN, detail, "features of many images take gigabytes; `probe clean` frees what nothing needs")
    return Finding("disk", State.OK, detail)


def _existing(path: Path) -> Path:
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def _file_system(workspace: Workspace) -> Finding:
    from db.mounts import network_file_system

    if workspace.db_url:
        return Finding("file system", State.OK, "the database is at --db")
    kind = network_file_system(workspace.root.absolute())
    if kind:
        return Finding("file system", State.FAIL, f"{workspace.root} is on {kind}, where SQLite loses data", "use a local disk or --db")
    return Finding("file system", State.OK, f"{workspace.root} is local")


def _database(workspace: Workspace) -> Finding:
    if not workspace.exists():
        return Finding("workspace", State.OK, f"{workspace.root} is empty; the first command fills it")
    from db.errors import StoreError

    try:
        with workspace.open_store() as store:
            sources, benchmarks = counted(len(store.sources()), "source"), counted(len(store.benchmarks()), "benchmark")
            studies = counted(len(store.studies()), "study", "studies")
    except StoreError as error:
        return Finding("workspace", State.FAIL, str(error))
    return Finding("workspace", State.OK, f"{sources}, {benchmarks}, {studies} registered")


def _proxy() -> Finding:
    from proxy_training.families.registry import ProxyError
    from proxy_training.proxies import proxy_spec

    try:
        return Finding("proxy tiny", State.OK, f"weights {proxy_spec('tiny').weights_hash[:12]}")
    except (ProxyError, OSError) as error:
        return Finding("proxy tiny", State.FAIL, str(error), f"install {DISTRIBUTION} again")


def _easy_vqa() -> Finding:
    from probe.study.registry import easy_vqa_installed

    if easy_vqa_installed():
        return Finding("easy-vqa", State.OK, "installed: `probe demo` can run")
    return Finding("easy-vqa", State.WARN, "not installed: `probe demo` needs it", f"pip install '{DISTRIBUTION}[demo]'")


def _torchvision() -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding("torchvision", State.OK, f"{version('torchvision')}, not used")
    except PackageNotFoundError:
        return Finding("torchvision", State.OK, "absent, not needed")


def _vlmeval() -> Finding:
    from probe.vlmeval.environment import VARIABLE, check_environment, eval_python

    python = eval_python()
    if python is None and os.environ.get(VARIABLE):
        return Finding("vlmevalkit", State.WARN, f"{VARIABLE} names no interpreter", "name one, or build the environment with `make eval`")
    if python is None:
        return Finding("vlmevalkit", State.OK, "absent: `make eval` builds its environment, which only --scorer vlmeval needs")
    works, detail = check_environment(python)
    if works:
        return Finding("vlmevalkit", State.OK, detail)
    return Finding("vlmevalkit", State.WARN, f"{python} {detail}", "build the environment again with `make eval`")
