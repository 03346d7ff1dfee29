"""How the engine ran a study's probes: on which back end, how many at once and why, how often it used each image, what it held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from db.values import ProbeState

if TYPE_CHECKING:
    from db.values import ProbeRecord
    from proxy_training.jobs import Cost


@dataclass(frozen=True, slots=True)
class EngineUse:
    """Of the trained probes of a study; times are means of CPU seconds a probe."""

    probes: int
    backend: str  # of most
    slots: int
    why: str
    train_cpu_s: float
    eval_cpu_s: float
    image_uses: int  # in training and in scoring
    images_encoded: int  # through the tower
    peak_gpu_bytes: int

    def sentence(self) -> str:
        """Return what a run prints of it."""
        at_once = f"{self.slots} at once in a process" if self.slots > 1 else "one at a time in a process"
        parts = [
            f"{self.probes} probe{'s' * (self.probes > 1)} on the {self.backend} back end, {at_once}"
            + (f" ({self.why})" if self.why else "")
        ]
        parts.append(f"{self.train_cpu_s:.1f} + {self.eval_cpu_s:.1f} CPU-seconds each to train and to score")
        if self.image_uses:
            parts.append(f"images used {self.image_uses:,} times, {self.images_encoded:,} of them computed{_reuse(self)}")
        if self.peak_gpu_bytes:
            parts.append(f"at most {self.peak_gpu_bytes / 1e9:.1f} GB of GPU memory")
        return "; ".join(parts) + "."


def _reuse(use: EngineUse) -> str:
    return f" (reuse {use.image_uses / use.images_encoded:.1f})" if use.images_encoded else " (all were kept from before)"


def engine_use(probes: Sequence[ProbeRecord], costs: Mapping[str, Cost]) -> EngineUse | None:
    """Return how a study's finished trainings were run, each counted once; None where there is none. `costs` go by training id."""
    every = {probe.training_id: costs[probe.training_id] for probe in probes if probe.state is ProbeState.DONE}
    trained = {probe.training_id: costs[probe.training_id] for probe in probes if probe.state is ProbeState.DONE and probe.rows}
    if not trained:
        return None
    backend, slots, why = Counter(_how(cost) for cost in trained.values()).most_common(1)[0][0]
    return EngineUse(
        len(trained),
        backend,
        slots,
        why,
        train_cpu_s=fmean(cost.train_cpu_s for cost in trained.values()),
        eval_cpu_s=fmean(cost.eval_cpu_s for cost in trained.values()),
        image_uses=sum(cost.image_uses + cost.images_scored for cost in every.values()),
        images_encoded=sum(cost.images_encoded for cost in every.values()),
        peak_gpu_bytes=max(cost.peak_gpu_bytes for cost in every.values()),
    )


def _how(cost: Cost) -> tuple[str, int, str]:
    return cost.backend, cost.slots, cost.why
