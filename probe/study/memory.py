"""Whether a plan fits into this machine's memory and disk: what it needs, against what is free, before anything is loaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from probe.errors import ProbeError
from proxy_training.families.registry import GENERIC
from proxy_training.jobs import Backend, EngineSettings, ProxySpec, Recipe, Training
from proxy_training.memory import MemoryNeed, Step, feature_bytes, memory_need
from sources.sample import Role
from sources.sampling import DrawnRow

CHARACTERS_A_TOKEN = 3  # of an answer, at least; what a label costs is its logits
PROCESS_BYTES = 600_000_000  # of a worker beside its tensors: Python, torch and transformers
ALLOWANCE = 1.25  # times what is worked out, before it is said to fit


@dataclass(frozen=True, slots=True)
class Fit:
    """What the processes of a run need and what there is, in bytes."""

    need: MemoryNeed  # of one process
    processes: int
    free: int  # for all of them together; 0: not known
    where: str  # "GPU memory" or "memory"
    features: int  # on disk
    free_disk: int

    @property
    def peak(self) -> int:
        """Return the peak of one process, on a CPU with what is not tensors."""
        return self.need.total + (0 if self.where == "GPU memory" else PROCESS_BYTES)

    def sentence(self) -> str:
        """Return what a dry run prints of it."""
        need = self.need
        several = f" each of {self.processes} processes" if self.processes > 1 else ""
        return (
            f"About {_size(self.peak)} of {self.where}{several} at the peak: weights {_size(need.weights)}, adapters with their optimiser "
            f"{_size(need.adapters)}, activations of the largest step {_size(need.activations)}; {_size(self.free)} are free. "
            f"Image features take up to {_size(self.features)} on disk ({_size(self.free_disk)} free)."
        )

    def warning(self) -> str:
        """Return why it may not fit, with the cure; nothing where it does."""
        if self.free and self.peak * self.processes * ALLOWANCE > self.free:
            return (
                f"This may not fit: {self.processes} x {_size(self.peak)} of {_size(self.free)} {self.where}; "
                "use fewer --workers, --slots 1, or a smaller proxy."
            )
        if self.features > self.free_disk:
            return f"The image features may not fit on the disk ({_size(self.features)} of {_size(self.free_disk)}): give --cache-limit."
        return ""


def check_fit(
    proxy: ProxySpec,
    recipe: Recipe,
    training: Training | None,
    tokens_of: Callable[[DrawnRow], float],
    image_tokens: int,
    processes: int,
    settings: EngineSettings,
    features: Path,
) -> Fit:
    """Work out a plan's memory.

    Args:
        proxy: the model.
        recipe: of the study.
        training: one of the plan's; None where nothing is trained.
        tokens_of: counts a row's tokens.
        image_tokens: of all images whose features will be kept.
        processes: workers at once.
        settings: device, back end and slots.
        features: folder of the feature store.

    Raises:
        ProbeError: the weights alone do not fit.
    """
    folder = Path(proxy.path)
    stacked = settings.backend is not Backend.REFERENCE and proxy.family != GENERIC
    step = largest_step(training, recipe.batch_size, tokens_of)
    need = memory_need(folder, recipe, step, settings.slots or 1, stacked=stacked)
    free, where = free_memory(settings.device, settings.gpus_per_probe)
    on_gpu = where == "GPU memory"
    together = 1 if on_gpu else processes  # a worker has a GPU, or group of GPUs, of its own
    kept = 0 if proxy.family == GENERIC else feature_bytes(folder, recipe.precision, image_tokens)
    existing = next(path for path in (features, *features.absolute().parents) if path.exists())
    fit = Fit(need, together, free, where, min(kept, settings.cache_limit or kept), shutil.disk_usage(existing).free)
    if free and need.weights * together > free:
        raise ProbeError(
            f"{proxy.name} does not fit: its weights in {recipe.precision.value} take {_size(need.weights)} in each of {together} "
            f"process{'es' if together > 1 else ''}, and {_size(free)} of {where} are free; use fewer --workers, --precision bf16, "
            "more --gpus-per-probe, or a smaller proxy."
        )
    return fit


def largest_step(training: Training | None, batch_size: int, tokens_of: Callable[[DrawnRow], float]) -> Step:
    """Return the largest step of a training, with padding."""
    steps = [
        stage.rows[at : at + batch_size] for stage in (training.stages if training else ()) for at in range(0, len(stage.rows), batch_size)
    ]
    tokens = width = labels = 0
    for rows in steps:
        longest = int(max(tokens_of(row) for row in rows))
        width, tokens = max(width, longest), max(tokens, longest * len(rows))
        labels = max(labels, sum(_answer_tokens(row) for row in rows))
    return Step(tokens, width, min(labels, tokens))


def _answer_tokens(row: DrawnRow) -> int:
    answers = [part for turn in row.sample.turns if turn.role is Role.ASSISTANT for part in turn.parts if isinstance(part, str)]
    return sum(1 + len(answer) // CHARACTERS_A_TOKEN for answer in answers)


def free_memory(device: str | None, gpus: int = 1) -> tuple[int, str]:
    """Return the free bytes where a worker computes, and what they are: of a GPU, or of this machine within its limits; 0: not known."""
    import torch

    if device != "cpu" and torch.cuda.is_available():
        numbers = [torch.device(device).index] if device and ":" in device else list(range(max(1, gpus)))
        return sum(torch.cuda.mem_get_info(number)[0] for number in numbers), "GPU memory"
    return min([_available(), *_cgroup_limits()]), "memory"


def _available() -> int:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _cgroup_limits() -> Sequence[int]:
    """Return what a container leaves to this process."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = ((folder / f"memory.{name}").read_text("ascii").strip() for name in ("max", "current"))
        return [] if limit == "max" else [int(limit) - int(used)]
    except (OSError, ValueError):
        return []


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
