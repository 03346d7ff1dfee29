"""A new study from what a run asks, and what a run may not change of a study that is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from db.values import ArmRole, BudgetUnit, Design, StudyRecord
from probe.errors import ProbeError, UsageError
from probe.study.request import RunRequest
from proxy_training.jobs import ProxySpec, Recipe
from proxy_training.proxies import proxy_spec, proxy_warning
from sources.mixture import Mixture

if TYPE_CHECKING:
    from db.store import Store

DEFAULT_ADD_SHARE = 0.2
DEFAULT_SEEDS = 3


def new_study(request: RunRequest) -> tuple[StudyRecord, tuple[str, ...]]:
    """Return a new study, whose base mixture is still empty where the user gave none, and what to know of it: what was chosen and why.

    Raises:
        UsageError: no source is named, or the budget is none.
    """
    if not request.named() and request.base is None:
        raise UsageError("name at least one source: probe run --source S.")
    proxy = proxy_spec(request.proxy or "tiny")
    unit, budget = _budget(request, proxy)
    recipe, note = _recipe(request, proxy)
    study = StudyRecord(
        name=request.study,
        proxy=proxy,
        recipe=recipe,
        base=request.base or Mixture(()),
        base_given=request.base is not None,
        budget_unit=unit,
        budget=budget,
        add_share=DEFAULT_ADD_SHARE if request.add_share is None else request.add_share,
    )
    return study, tuple(filter(None, (proxy_warning(proxy), note)))


def _recipe(request: RunRequest, proxy: ProxySpec) -> tuple[Recipe, str]:
    """Return a new study's recipe; where nobody named its precision, as a measurement proposes, with the reason."""
    from proxy_training.precision import propose_precision

    changes = dict(request.recipe_changes)
    if proxy.fixed_precision or "precision" in changes:
        return replace(proxy.recipe, **changes), ""
    proposal = propose_precision(Path(proxy.path), request.device)
    note = f"Precision {proposal.precision.value}, as measured: {proposal.reason}. Fixed for this study; --precision chooses another."
    return replace(proxy.recipe, **changes | {"precision": proposal.precision}), note


def _budget(request: RunRequest, proxy: ProxySpec) -> tuple[BudgetUnit, int]:
    if request.samples is not None and request.tokens is not None:
        raise UsageError("give --samples or --tokens, not both.")
    if request.samples is not None:
        unit, budget = BudgetUnit.SAMPLES, request.samples
    elif request.tokens is not None or proxy.default_tokens:
        unit, budget = BudgetUnit.TOKENS, proxy.default_tokens if request.tokens is None else request.tokens
    else:
        unit, budget = BudgetUnit.SAMPLES, proxy.default_samples
    if budget <= 0:
        raise UsageError(f"a budget of {budget} {unit.value} trains nothing: give --samples or --tokens of at least 1.")
    return unit, budget


def check_same(study: StudyRecord, request: RunRequest) -> None:
    """Refuse options that contradict a study that exists already.

    Raises:
        ProbeError: one does.
    """
    differing = []
    if request.proxy is not None and proxy_spec(request.proxy).weights_hash != study.proxy.weights_hash:
        differing.append(f"proxy {study.proxy.name}")
    if request.samples is not None and (study.budget_unit, study.budget) != (BudgetUnit.SAMPLES, request.samples):
        differing.append(f"budget of {study.budget} {study.budget_unit.value}")
    if request.tokens is not None and (study.budget_unit, study.budget) != (BudgetUnit.TOKENS, request.tokens):
        differing.append(f"budget of {study.budget} {study.budget_unit.value}")
    if request.add_share is not None and request.add_share != study.add_share:
        differing.append(f"add-one share of {study.add_share:g}")
    if request.base is not None and request.base != study.base:
        differing.append("base mixture")
    if request.recipe_changes and replace(study.recipe, **dict(request.recipe_changes)) != study.recipe:
        differing.append("recipe")
    if request.keep_contaminated and study.clean_of:
        differing.append("rule for contaminated rows (they are excluded)")
    if differing:
        raise ProbeError(f"study {study.name!r} has another {' and '.join(differing)}: use another --study, or leave those options out.")


def design_of(study: StudyRecord, request: RunRequest) -> Design:
    """Return the design asked for; by default add-one where the user gave a base mixture, else solo."""
    return request.design or (Design.ADD_ONE if study.base_given else Design.SOLO)


def own_seeds(store: Store, known: StudyRecord | None, design: Design) -> int:
    """Return how many repeats a study has of a design, else of what it trained; three for a new one.

    Where seeds go to open questions, those of the first look: more of them are not for every arm.
    """
    if known is None:
        return DEFAULT_SEEDS
    if known.looks:
        return known.looks[0]
    designs_of = {arm.name: arm.design for arm in store.arms(known.name) if arm.role not in (ArmRole.UNTRAINED, ArmRole.CONFIRM)}
    repeats = [(designs_of[probe.arm], probe.repeat + 1) for probe in store.probes(known.name) if probe.arm in designs_of]
    own = [count for of, count in repeats if of is design]
    return max(own or [count for _, count in repeats], default=DEFAULT_SEEDS)
