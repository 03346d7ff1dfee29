"""Where probes run: this machine's cores and GPUs, asked without importing torch."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from probe.errors import ProbeError, UsageError


@dataclass(frozen=True, slots=True)
class Place:
    """What one worker may use: a device, and of the machine's GPUs those of `visible` alone, where it is not empty."""

    device: str | None
    visible: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        """Return what the worker's environment says of it."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.visible)} if self.visible else {}


def places(device: str | None, gpus_per_probe: int = 1) -> list[Place]:
    """Return all places for workers: one a GPU, or one a group of GPUs where a proxy is sharded; else the one device."""
    if gpus_per_probe > 1:
        names = _gpu_names()
        groups = [tuple(names[at : at + gpus_per_probe]) for at in range(0, len(names) - gpus_per_probe + 1, gpus_per_probe)]
        return [Place("cuda", group) for group in groups]
    gpus = visible_gpus() if device in (None, "cuda") else 0
    return [Place(f"cuda:{i}") for i in range(gpus)] if gpus > 1 else [Place(device)]


def check_device(device: str | None) -> None:
    """Refuse a device that this machine has not, before anything is planned for it.

    Raises:
        UsageError: it is no name of a device.
        ProbeError: there is no such GPU.
    """
    if device in (None, "cpu"):
        return
    named = re.fullmatch(r"cuda(?::(\d+))?", device or "")
    if named is None:
        raise UsageError(f"--device {device} is no device: give cpu, cuda, or cuda:1 for one GPU of several.")
    number = int(named[1] or 0)
    if number >= visible_gpus() and number >= (present := _torch_gpus()):
        there = f"{present} here, counted from cuda:0" if present else "none here"
        raise ProbeError(f"--device {device}: there is no such GPU ({there}); leave --device out, or see `probe doctor`.")


def _torch_gpus() -> int:
    """Return how many GPUs torch finds: asked only where the driver lists too few, because importing it takes seconds."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def check_sharding(device: str | None, gpus_per_probe: int) -> None:
    """Refuse to shard a proxy over GPUs that are not there.

    Raises:
        UsageError: a device was named that is not all GPUs.
        ProbeError: there are fewer GPUs than a probe is to have.
    """
    if gpus_per_probe == 1:
        return
    if device not in (None, "cuda"):
        raise UsageError(f"--gpus-per-probe {gpus_per_probe} needs several GPUs: leave --device {device} out.")
    if visible_gpus() < gpus_per_probe:
        raise ProbeError(f"--gpus-per-probe {gpus_per_probe}: this machine shows {visible_gpus()} GPUs; ask for as many, or leave it out.")


def default_workers(device: str | None, gpus_per_probe: int = 1) -> int:
    """Return one worker a usable core on a CPU, one a visible GPU (or group of GPUs) on GPUs."""
    if gpus_per_probe > 1:
        return len(places(device, gpus_per_probe))
    if device not in (None, "cuda"):
        return 1 if device and device.startswith("cuda") else usable_cores()
    return visible_gpus() or (1 if device else usable_cores())


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> int:
    """Return how many NVIDIA GPUs this process may use, without importing torch."""
    return len(_gpu_names())


def _gpu_names() -> list[str]:
    """Return the GPUs this process may use as CUDA_VISIBLE_DEVICES names them."""
    folder = Path("/proc/driver/nvidia/gpus")
    present = len(list(folder.iterdir())) if folder.is_dir() else 0
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return [str(i) for i in range(present)]
    return [name.strip() for name in allowed.split(",") if name.strip()][:present]
