"""The manifest as values: a decision, frozen. No path and no host name is in it, so it says what to train on and never where it lies.

    doc = read_manifest(Path(".probe/manifests/main-3f0c9d1a77e2.json"))
    doc.phases[0].counts            # {"easy-vqa/colour": 7000, "easy-vqa/shape": 3000}: the numbers an exporter translates
    doc.confirmed["uniform"].gain   # Estimate(value=0.04, stderr=0.01, low=0.02, high=0.06, n=450)
    doc.hash                        # of everything but `provenance`

`schema.json` beside this file is the same document for everybody else; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from probe.manifest.typed_json import newer, to_plain
from sources.canonical import plain_hash
from sources.estimate import Estimate
from sources.mixture import equal_shares
from sources.spec import Licence

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who wrote the document and when, with which packages, and how it is verified: recorded, never hashed."""

    version: str
    created_at: str = ""
    commit: str = ""
    dirty: bool = False
    tool: str = "vlm-source-probe"
    packages: Mapping[str, str] | None = newer(None)
    verify: str = newer("")


@dataclass(frozen=True, slots=True)
class StudyEntry:
    """The question that was asked: what a source's effect is measured against, in which metric, at which interval level."""

    name: str
    revision: int
    metric: str
    reference: str = ""
    level: float = 0.90
    noise_floor: float | None = None
    clean_of: tuple[str, ...] = newer(())  # benchmarks; rows that hold one of their items are excluded as `contaminated`


@dataclass(frozen=True, slots=True)
class ProxyEntry:
    """The model that the decision was made on, and how it was trained."""

    name: str
    family: str
    weights_hash: str
    recipe: Mapping[str, Any]
    illustration_only: bool = False


@dataclass(frozen=True, slots=True)
class ReaderEntry:
    """The format reader that made samples of the bytes."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class DrawEntry:
    """How a streamed source's rows were drawn: at most so many of a split, by a seed, of the files that a name or pattern chooses."""

    split: str
    rows: int
    seed: int
    file: str = ""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A source: what it is, under which terms, what of it is used and what was found about it.

    `rows` is the sum of its counts over all phases, `share` that over all rows, `repeat` that over its usable rows (epochs).
    `fingerprint` hashes the data files, `content` what its usable rows say and show, images included; empty where nobody looked.
    `available` are all rows that were read, usable or excluded, null for a part of a source; `contaminated` those of them that hold an
    item of a benchmark that the study is clean of, null where nobody looked; `effect_seeds` the seeds behind the effect.
    `drawn` is of a streamed source, `part` of a sub-source; `part_of` is the source that it is a part of, empty where it was added
    under another name.
    """

    slug: str
    format: str
    reader: ReaderEntry
    fingerprint: str
    usable: int
    rows: int
    share: float
    repeat: float
    licence: Licence
    hub_id: str = ""
    subset: str = ""
    revision: str = ""
    excluded: Mapping[str, int] | None = None
    content: str = ""
    tokens: int | None = None
    effect: Estimate | None = None
    tier: int | None = None
    verdict: str | None = None
    verdict_from: str = ""
    drawn: DrawEntry | None = newer(None)
    part_of: str = newer("")
    part: str = newer("")
    available: int | None = newer(None)
    contaminated: int | None = newer(None)
    effect_seeds: int | None = newer(None)


@dataclass(frozen=True, slots=True)
class PhaseEntry:
    """A part of the budget: its share, weights over sources in the budget's unit, and the rows they resolve to.

    With `restarts` the learning rate's schedule starts again with this phase, as it did when the order was tested; without, one
    schedule runs on from the phase before.
    """

    name: str
    share: float
    weights: Mapping[str, float]
    counts: Mapping[str, int]
    restarts: bool = newer(False)


@dataclass(frozen=True, slots=True)
class BudgetEntry:
    """What the counts spend; `unit` is `tokens` or `samples`."""

    unit: str
    amount: int


@dataclass(frozen=True, slots=True)
class BenchmarkEntry:
    """A benchmark of the objective; `weight` is its share of it, `unit` what its scores are divided by before they are summed."""

    name: str
    capability: str
    fingerprint: str
    weight: float
    selection_items: int
    confirmation_items: int
    prompt_form: str = "text"
    split_digest: str = ""
    unit: float = 1.0


@dataclass(frozen=True, slots=True)
class ObjectiveEntry:
    """What was maximised: searched on one split, claimed on the other. All gains are in `metric`."""

    metric: str
    benchmarks: tuple[BenchmarkEntry, ...]
    capabilities: Mapping[str, float]
    search_split: str = "selection"
    claim_split: str = "confirmation"


@dataclass(frozen=True, slots=True)
class OptimiserEntry:
    """How the weights were found; `observations_digest` hashes what it was fitted to."""

    name: str
    parameters: Mapping[str, Any]
    seed: int
    observations: int
    observations_digest: str


@dataclass(frozen=True, slots=True)
class ConfirmedGain:
    """A gain on confirmation items with fresh seeds; `held` says whether the claim survived its test."""

    gain: Estimate
    held: bool


@dataclass(frozen=True, slots=True)
class WatchedGain:
    """A gain on a benchmark outside the objective; `lost` says whether the mixture is worse there beyond doubt."""

    gain: Estimate
    lost: bool


@dataclass(frozen=True, slots=True)
class OutsideEntry:
    """A benchmark outside the objective, and the gains on its confirmation items with the claim's seeds; no part of the claim."""

    name: str
    capability: str
    fingerprint: str
    metric: str
    gains: Mapping[str, WatchedGain]


@dataclass(frozen=True, slots=True)
class FidelityEntry:
    """How often the proxy and recorded full-scale results order two mixtures alike.

    `said` is the sentence that is shown everywhere; `agreement` and `rank` (Kendall's tau) are null with too few results.
    """

    outcomes: int
    pairs: int
    said: str
    agreement: Estimate | None = None
    rank: Estimate | None = None


@dataclass(frozen=True, slots=True)
class EvidenceEntry:
    """Training ids that the decision rests on, and those that confirmed it.

    `earlier_confirmations` counts the mixtures that were confirmed on the same items before.
    """

    search: tuple[str, ...]
    confirmation: tuple[str, ...] = ()
    earlier_confirmations: int = 0


@dataclass(frozen=True, slots=True)
class LicenceFlag:
    """A member that someone has to look at before training, and why."""

    source: str
    licence: str
    reason: str


@dataclass(frozen=True, slots=True)
class LicenceSummary:
    """The conjunction of all members' licences as one SPDX expression, and the members to look at."""

    expression: str
    flagged: tuple[LicenceFlag, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """The decision. `confirmed` is null until it was confirmed; only it is a claim.

    `weights` are shares of the whole budget by source with intervals over `n` draws of the fitted surface; gains and baselines are keyed by
    the baseline's name. A phase's counts are drawn with `sampling_seed`.
    """

    study: StudyEntry
    proxy: ProxyEntry
    budget: BudgetEntry
    phases: tuple[PhaseEntry, ...]
    sources: tuple[SourceEntry, ...]
    weights: Mapping[str, Estimate]
    baselines: Mapping[str, Mapping[str, float]]
    predicted: Mapping[str, Estimate]
    confirmed: Mapping[str, ConfirmedGain] | None
    objective: ObjectiveEntry
    optimiser: OptimiserEntry
    evidence: EvidenceEntry
    image_policy: Any
    licences: LicenceSummary
    provenance: Provenance
    warnings: tuple[str, ...] = ()
    sampling_seed: int = 0
    outside: tuple[OutsideEntry, ...] = newer(())
    fidelity: FidelityEntry | None = newer(None)
    schema_version: int = SCHEMA_VERSION

    @cached_property
    def hash(self) -> str:
        """The identity: 128-bit hash of the canonical JSON of everything but `provenance`."""
        return plain_hash({name: value for name, value in self.plain().items() if name != "provenance"})

    def plain(self) -> dict[str, Any]:
        """Return the document as JSON values; newer fields only where they say something, so that older manifests keep their hashes."""
        return to_plain(self)

    def source(self, slug: str) -> SourceEntry:
        """Return one source's entry.

        Raises:
            KeyError: it is not in the manifest.
        """
        for entry in self.sources:
            if entry.slug == slug:
                return entry
        raise KeyError(f"the manifest has no source {slug!r}")

    def same_as(self) -> tuple[str, ...]:
        """Return the baselines that are this mixture itself, so that nothing can be gained over them."""
        own = self.shares()
        compared = self.confirmed or {}
        return tuple(
            name for name, shares in self.baselines.items() if len(self.phases) == 1 and name not in compared and equal_shares(own, shares)
        )

    def beats_all(self) -> bool:
        """Say whether the confirmed claim is that of a gain over every baseline."""
        return bool(self.confirmed) and not self.same_as() and all(gain.held for gain in (self.confirmed or {}).values())

    def shares(self) -> dict[str, float]:
        """Return the share of the whole budget of each source that a phase uses."""
        totals: dict[str, float] = {}
        for phase in self.phases:
            for slug, weight in phase.weights.items():
                totals[slug] = totals.get(slug, 0.0) + phase.share * weight
        return totals

    def rows(self) -> dict[str, int]:
        """Return each source's rows over all phases."""
        totals: dict[str, int] = {}
        for phase in self.phases:
            for slug, count in phase.counts.items():
                totals[slug] = totals.get(slug, 0) + count
        return totals
