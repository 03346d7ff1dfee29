"""What the store takes and returns: frozen values, never rows or sessions."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from proxy_training.jobs import ProxySpec, Recipe
from sources.benchmark import BenchmarkSpec, PromptForm, Split
from sources.estimate import Estimate
from sources.mixture import Curriculum, Mixture
from sources.spec import SourceSpec

SPLIT_CODES = {Split.SELECTION: 0, Split.CONFIRMATION: 1}  # in `BenchmarkRecord.splits`


class ProbeState(enum.StrEnum):
    """Where a probe stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Design(enum.StrEnum):
    """How a study asks."""

    SOLO = "solo"
    ADD_ONE = "add-one"
    LEAVE_ONE_OUT = "leave-one-out"
    HALVING = "halving"
    LADDER = "ladder"
    SWARM = "swarm"
    PHASES = "phases"


class ArmRole(enum.StrEnum):
    """What an arm is for."""

    UNTRAINED = "untrained"  # the proxy as it is; the reference of solo
    BASE = "base"  # the study's base mixture; the reference of add-one
    SOURCE = "source"  # one source alone (solo), or the base with a share of it (add-one)
    MIXTURE = "mixture"  # a swarm point
    CONFIRM = "confirm"  # a candidate or a baseline, trained with fresh seeds


class BudgetUnit(enum.StrEnum):
    """In what all arms of a study are equal."""

    TOKENS = "tokens"
    SAMPLES = "samples"


class Verdict(enum.StrEnum):
    """What add-one says of a source."""

    HELPS = "helps"
    HURTS = "hurts"
    NEUTRAL = "neutral"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A registered source and what its last index found."""

    spec: SourceSpec
    fingerprint: str
    usable: int
    excluded: tuple[tuple[str, int], ...] = ()  # problem -> rows
    content: str = ""  # hash of the usable rows' texts and images
    added_at: str = ""


@dataclass(frozen=True, slots=True)
class BenchmarkRecord:
    """A registered benchmark; `groups[item]` numbers its image cluster, `splits[item]` is 0 for selection and 1 for confirmation."""

    spec: BenchmarkSpec
    fingerprint: str
    n_items: int
    groups: NDArray[np.int32]
    splits: NDArray[np.int8]
    chance: float = 0.0  # mean of 1 / number of choices
    added_at: str = ""


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A named question, frozen once it has probes."""

    name: str
    proxy: ProxySpec
    recipe: Recipe
    base: Mixture
    base_given: bool
    budget_unit: BudgetUnit
    budget: int
    add_share: float = 0.2  # the stated share of the source in an add-one arm
    created_at: str = ""
    revision: int = 0  # raised whenever a probe of the study finishes or an arm or benchmark is added
    clean_of: tuple[str, ...] = ()  # benchmarks whose items are not drawn; rows that hold one are excluded
    looks: tuple[int, ...] = ()  # numbers of seeds at which it is decided; empty: once, with all the seeds that there are


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing compared in a study."""

    name: str  # unique in the study: the slug for a source, `base`, `untrained`, `swarm-1f3a9c02`, `confirm/uniform/1f3a9c`
    role: ArmRole
    design: Design | None
    curriculum: Curriculum  # without phases for the untrained proxy
    source: str = ""


@dataclass(frozen=True, slots=True)
class ArmLabel:
    """An arm without its curriculum, which is most of what an arm takes to read."""

    name: str
    role: ArmRole
    design: Design | None
    source: str


@dataclass(frozen=True, slots=True)
class PlannedProbe:
    """An arm's repeat and the training that answers it."""

    arm: str
    repeat: int  # seeds are paired by repeat
    seed: int
    training_id: str
    rows: int = 0
    tokens: int = 0
    overlap: float = 0.0  # share of its rows that another repeat's draw is expected to hold too; 1 where the source is used up


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What a run adds to the store, all of it or nothing: what it reads, the study, and the study's new arms and probes."""

    study: StudyRecord
    sources: tuple[SourceRecord, ...]
    benchmarks: tuple[BenchmarkRecord, ...]  # all that the study will read
    arms: tuple[Arm, ...]
    probes: tuple[PlannedProbe, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease on one training: only its holder may finish it. `fence` is raised at every claim."""

    training_id: str
    owner: str
    fence: int
    study: str
    arm: str
    seed: int
    trained: bool  # the adapter exists already; only evaluations are missing
    missing: tuple[str, ...]  # benchmarks to score, by name


@dataclass(frozen=True, slots=True)
class ProbeRecord:
    """One probe as the Runs page shows it."""

    study: str
    arm: str
    role: ArmRole
    repeat: int
    seed: int
    training_id: str
    state: ProbeState
    attempts: int
    train_cpu_s: float
    eval_cpu_s: float
    wall_s: float  # of both
    rows: int
    tokens: int
    overlap: float
    error: str = ""
    owner: str = ""
    started_at: str = ""
    finished_at: str = ""
    commit: str = ""  # of the program that trained it, or its version


@dataclass(frozen=True, slots=True)
class ArmCost:
    """What an arm's `probes` trained probes cost together in CPU seconds, and the mean of the rows and tokens that they trained on."""

    arm: str
    probes: int
    train_cpu_s: float
    eval_cpu_s: float
    rows: float
    tokens: float

    @property
    def cpu_s(self) -> float:
        """Return training and scoring together."""
        return self.train_cpu_s + self.eval_cpu_s


@dataclass(frozen=True, slots=True)
class BenchmarkScores:
    """Scores of a study's arms on one benchmark: `values[metric, arm, repeat, item]`, NaN where a probe is not done."""

    benchmark: BenchmarkRecord
    arms: tuple[Arm, ...]
    repeats: tuple[int, ...]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MeanScore:
    """The mean of one metric of one probe over the `n` scored items of a benchmark's split."""

    arm: str
    repeat: int
    benchmark: str
    split: Split
    metric: str
    mean: float
    n: int


@dataclass(frozen=True, slots=True)
class EffectRow:
    """A materialised estimate: an arm's effect against the study's reference at one level.

    `level` is `overall`, `capability` or `benchmark`, `name` which one; `metric` is what the effect is measured in there, `source` what
    the arm probes; `accuracy` is the arm's own mean accuracy.
    """

    arm: str
    role: ArmRole
    level: str
    name: str
    effect: Estimate
    accuracy: float
    tier: int | None = None
    verdict: Verdict | None = None
    verdict_from: str = ""
    seeds_to_decide: int | None = None
    source: str = ""
    metric: str = ""


@dataclass(frozen=True, slots=True)
class PairRow:
    """The difference a - b between two arms at one level, in the level's metric; `a_source` and `b_source` are what the arms probe."""

    level: str
    name: str
    a: str
    b: str
    difference: Estimate
    decided: bool
    a_source: str = ""
    b_source: str = ""
    same: bool = False  # shown to differ by less than the margin


@dataclass(frozen=True, slots=True)
class Ranking:
    """Everything that `probe rank` says of a study at one revision."""

    study: str
    revision: int
    proxy: str
    reference: str
    metric: str
    level: float
    noise_floor: float
    minimum_detectable_effect: float
    illustration_only: bool
    effects: tuple[EffectRow, ...]
    pairs: tuple[PairRow, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ManifestRecord:
    """A manifest as canonical JSON under its hash."""

    hash: str
    study: str
    json: str
    created_at: str = ""


@dataclass(frozen=True, slots=True)
class OutcomeScore:
    """What a full-scale run scored, 0..1 and higher is better; `level` is `benchmark`, `capability` or `overall`, NaN an unknown error."""

    level: str
    name: str
    value: float
    stderr: float = math.nan


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result of full-scale training on a mixture that a study decided on or could have; `seeds` runs are behind its scores."""

    study: str
    name: str  # unique in the study
    curriculum: Curriculum
    scores: tuple[OutcomeScore, ...]
    seeds: int = 1
    manifest: str = ""  # hash of the manifest that it was trained on; empty where none was
    note: str = ""
    created_at: str = ""


@dataclass(frozen=True, slots=True)
class KeptFidelity:
    """How well a study's proxy agrees with its outcomes, as JSON of whoever computed it; `digest` says from what."""

    study: str
    digest: str
    json: str


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote or decided about a study."""

    study: str
    text: str
    author: str = ""
    created_at: str = ""


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """How many probes of a study stand where, and what the finished ones cost together."""

    study: str
    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    unscored: int = 0  # of the failed: trained, and only some benchmark could not be scored
    cpu_s: float = 0.0
    wall_s: float = 0.0
    mean_probe_cpu_s: float = 0.0
    last_error: str = field(default="")

    def probes(self, state: ProbeState | None = None) -> int:
        """Return how many probes are in a state, or in any."""
        counts = {
            ProbeState.WAITING: self.waiting,
            ProbeState.RUNNING: self.running,
            ProbeState.DONE: self.done,
            ProbeState.FAILED: self.failed,
        }
        return sum(counts.values()) if state is None else counts[state]


__all__ = [
    "SPLIT_CODES",
    "Arm",
    "ArmCost",
    "ArmLabel",
    "ArmRole",
    "BenchmarkRecord",
    "BenchmarkScores",
    "BenchmarkSpec",
    "BudgetUnit",
    "Claim",
    "Design",
    "EffectRow",
    "KeptFidelity",
    "ManifestRecord",
    "MeanScore",
    "Note",
    "Outcome",
    "OutcomeScore",
    "PairRow",
    "PlannedProbe",
    "ProbeRecord",
    "ProbeState",
    "PromptForm",
    "Ranking",
    "SourceRecord",
    "Split",
    "StudyPlan",
    "StudyProgress",
    "StudyRecord",
    "Verdict",
]
