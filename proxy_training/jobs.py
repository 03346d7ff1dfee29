"""Jobs and results: what the engine is asked and what it answers. Torch-free, and it knows no database.

A job is one training (a list of stages, each a list of rows in training order) and the benchmarks to score it on. A
training without stages is the untrained proxy.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sources.benchmark import BenchmarkSpec, Item
from sources.canonical import content_hash
from sources.sampling import DrawnRow

# Raised only when a golden test of training changes: the same job would then give other weights.
TRAINING_SEMANTICS = 1
# Raised only when a golden test of scoring changes: the same adapter would then get other item scores.
SCORER_VERSION = 1


Progress = Callable[[str, int, int], None]  # what, done, of


def part_of(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    """Return the progress of one part of a job."""
    return None if progress is None else lambda done, of: progress(what, done, of)


class Scope(enum.StrEnum):
    """Which weights a probe trains."""

    LORA_LANGUAGE = "lora-language"
    LORA_ALL = "lora-all"  # language model, connector and vision tower; no image features can be kept
    FULL_LANGUAGE = "full-language"


class Backend(enum.StrEnum):
    """What runs a job."""

    AUTO = "auto"  # the stack where it can, else the reference
    STACK = "stack"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How a machine runs jobs; nothing of it changes what comes out."""

    device: str | None = None  # cpu, cuda, cuda:1, ...; None: what is there
    backend: Backend = Backend.AUTO
    slots: int | None = None  # probes at once; None: measured
    cache_limit: int | None = None  # bytes that image features may take on disk; None: no limit
    gpus_per_probe: int = 1  # more: the base is sharded over all GPUs that are visible, for one too big for a GPU


ANY_ENGINE = EngineSettings()


class Precision(enum.StrEnum):
    """The type of the frozen base's weights and activations; adapters and losses stay in fp32."""

    FP32 = "fp32"
    BF16 = "bf16"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a probe trains. AdamW with a linear decay to zero after `warmup_steps`, over all stages or (`Training.restarts`) in each."""

    scope: Scope = Scope.LORA_LANGUAGE
    rank: int = 8
    alpha: float = 16.0
    learning_rate: float = 2e-3
    batch_size: int = 16
    warmup_steps: int = 0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    adam_betas: tuple[float, float] = (0.9, 0.999)
    max_length: int = 512  # tokens of a row; a longer row is excluded, never cut
    precision: Precision = Precision.FP32
    dora: bool = False  # weight-decomposed adapters, by the reference back end


def why_not_merged(recipe: Recipe) -> str:
    """Return why what a recipe trains cannot be merged; empty where it can."""
    if recipe.dora:
        return "weight-decomposed adapters (DoRA) have no weighted sum: their changes are not products that add up"
    if recipe.scope is Scope.LORA_ALL:
        return "adapters of the vision tower are not merged: each mixture would need image features of its own"
    return ""


@dataclass(frozen=True, slots=True)
class ProxySpec:
    """A base model: its name, the folder it loads from, the hash of its weights, and its family."""

    name: str
    path: str
    weights_hash: str
    family: str
    recipe: Recipe = Recipe()
    image_limit: int = 0  # how large images may become, in the family's unit (`families.limits`); 0: as the folder says
    default_samples: int = 1920  # budget of a probe of a study that names none, unless `default_tokens` is given
    default_tokens: int = 0
    fixed_precision: bool = False  # the recipe's holds on every machine; else a new study's is measured where it begins
    illustration_only: bool = False  # results on a user's own data are "illustration, not evidence"


@dataclass(frozen=True, slots=True)
class Stage:
    """Rows in training order; step t takes the t-th `batch_size` of them, the last step what is left."""

    rows: tuple[DrawnRow, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """One proxy trained on stages of rows with one seed; with `restarts` the learning rate's schedule starts again at every stage."""

    proxy: ProxySpec
    recipe: Recipe
    stages: tuple[Stage, ...]
    seed: int
    restarts: bool = False

    def training_id(self) -> str:
        """Return the identity of what is learned: drawn rows in order, recipe, proxy weights, image policy, semantics."""
        rows = content_hash([[row.digest for row in stage.rows] for stage in self.stages])
        restarts = self.restarts and len(self.stages) > 1
        return training_id(self.proxy.weights_hash, self.recipe, rows if self.stages else "", self.seed if self.stages else 0, restarts)


def training_id(weights_hash: str, recipe: Recipe, rows_hash: str, seed: int, restarts: bool = False) -> str:
    """Return a training's identity from its parts; an untrained proxy (`rows_hash == ""`) depends on no recipe but precision.

    Restarts are a part only where there are any, so that other trainings keep their identity.
    """
    from sources.images import IMAGE_POLICY  # here: images imports PIL, which job values alone do not need

    learned: Any = recipe if rows_hash else {"precision": recipe.precision}
    parts = [TRAINING_SEMANTICS, weights_hash, learned, rows_hash, seed, IMAGE_POLICY]
    return content_hash([*parts, "restarts"] if restarts else parts)


@dataclass(frozen=True, slots=True)
class EvalSet:
    """A benchmark's items, in their fixed order, with the fingerprint of all of them."""

    spec: BenchmarkSpec
    fingerprint: str
    items: tuple[Item, ...]


def evaluation_id(benchmark_fingerprint: str) -> str:
    """Return the part of an evaluation's identity that is not the training: benchmark and scorer."""
    return content_hash([SCORER_VERSION, benchmark_fingerprint])


def images_of(benchmarks: Sequence[EvalSet]) -> int:
    """Return how often scoring these uses an image."""
    return sum(len(item.images) for benchmark in benchmarks for item in benchmark.items)


@dataclass(frozen=True, slots=True)
class Job:
    """One training and what to score. With `adapter` given, it is loaded and nothing is trained."""

    training: Training
    benchmarks: tuple[EvalSet, ...]
    adapter: Path | None = None
    save_to: Path | None = None


# New ones go to the end: what was stored before lacks them, and is read with NaN in their place.
METRICS = ("right_probability", "right_probability_per_token", "accuracy", "bits_per_byte", "generated", "parsed")


@dataclass(frozen=True, slots=True)
class ItemScores:
    """Scores of one model on one benchmark, `values[metric, item]` in the order of `METRICS`; NaN where one does not apply.

    `right_probability` is the normalised probability of the right choice, `bits_per_byte` the answer's; see design, Scores. `generated`
    is the score in 0..1 of the answer that the model wrote, by the benchmark's rule, and `parsed` whether that answer could be read.
    """

    benchmark: str
    fingerprint: str
    values: NDArray[np.float32]
    n_items: int
    unscored: tuple[int, ...] = ()  # items whose image could not be loaded; their values are NaN
    # of every scored item's choices, or its one answer, in order [candidates], in nats; not stored
    log_probabilities: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job spent: CPU seconds of this process and wall seconds, in training and in scoring; and what it processed."""

    train_cpu_s: float = 0.0
    train_wall_s: float = 0.0
    eval_cpu_s: float = 0.0
    eval_wall_s: float = 0.0
    rows: int = 0
    tokens: int = 0
    flops: float = 0.0
    distinct_images: int = 0
    image_uses: int = 0
    images_scored: int = 0  # uses of images in scoring
    images_encoded: int = 0  # through processor and tower, to train or to score; all others were kept from before
    slots: int = 1  # probes that were trained at once
    backend: str = ""
    why: str = ""  # why so many slots, or why this back end
    peak_gpu_bytes: int = 0  # most that torch held on the GPU up to the end of this job; 0 on a CPU


@dataclass(frozen=True, slots=True)
class JobResult:
    """What came out. `failure` is empty when it worked; `losses[step]` is the mean loss over the step's label tokens.

    `unscored` are benchmarks of a job that worked which could not be scored, each with the reason.
    """

    training_id: str
    scores: tuple[ItemScores, ...] = ()
    losses: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    cost: Cost = Cost()
    failure: str = ""
    unscored: tuple[tuple[str, str], ...] = ()
