"""Both scales of `decisions.py`: the bundled proxy with adapters, and a language model of another initialisation, trained whole.

The full-scale model: language model and connector begin at random weights of another seed and are taught by the bundled proxy's own
lessons, fewer of them and in another order; the vision tower, which neither a probe nor a full-scale run trains, is the proxy's. A
full-scale run sees `FACTOR` times the rows of a probe.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from proxy_training.jobs import EngineSettings, ProxySpec, Scope

FACTOR = 20
SEED = 77
SLOTS = 4
PROXY, FULL = "proxy", "full"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything: rows of a probe, items a task, lessons of the full-scale model, runs, and worlds beside the main one."""

    samples: int = 320
    items: int = 240
    rows_share: float = 1.0
    lessons: int = 1200
    seeds: int = 3
    verdict_seeds: int = 6  # of the base mixture and of each source added to it, on the proxy
    swarm: int = 66
    random: int = 64
    fitted: int = 10  # of the random mixtures, trained on the proxy for the surrogate
    held_out: int = 40  # the next ones, with `seeds` repeats
    top: int = 8
    more_worlds: int = 4
    more_seeds: int = 2  # of a source at full scale in the other worlds

    @property
    def full_samples(self) -> int:
        return FACTOR * self.samples


QUICK = Sizes(
    samples=16,
    items=40,
    rows_share=0.1,
    lessons=40,
    seeds=2,
    verdict_seeds=2,
    swarm=8,
    random=6,
    fitted=4,
    held_out=2,
    top=1,
    more_worlds=0,
    more_seeds=2,
)


def build_full(out: Path, steps: int, seed: int = SEED) -> Path:
    """Train the full-scale model if it is not there yet, going on from the last checkpoint; return its folder."""
    from transformers import AutoTokenizer, Idefics3ForConditionalGeneration

    from proxy_training.bundled import TINY_FOLDER
    from proxy_training.bundled.architecture import TinyShape, make_model
    from proxy_training.bundled.packing import Packer
    from proxy_training.bundled.recipe import export_tiny
    from proxy_training.bundled.training import Schedule, train

    if out.exists():
        return out
    shape, tokenizer = TinyShape(), AutoTokenizer.from_pretrained(TINY_FOLDER, trust_remote_code=False)
    model = make_model(tokenizer, shape, seed)
    tiny = Idefics3ForConditionalGeneration.from_pretrained(TINY_FOLDER, trust_remote_code=False)
    model.model.vision_model.load_state_dict(tiny.model.vision_model.state_dict())
    model.model.vision_model.requires_grad_(False)
    plan = Schedule(steps=steps, warm_up=min(100, steps // 4))
    out.parent.mkdir(parents=True, exist_ok=True)
    state = out.parent / f".{out.name}-{steps}.pt"
    train(model, Packer(tokenizer, shape.image_tokens, plan.length), plan, seed, state, 50, _say)
    export_tiny(out, model, tokenizer, plan, seed, steps, 0)
    state.unlink(missing_ok=True)
    return out


def proxy_of(scale: str, model: Path) -> ProxySpec:
    """Return the model of a scale with its recipe; the proxy's was settled by a small grid on mixtures of world 0."""
    from proxy_training.proxies import proxy_spec

    if scale == PROXY:
        tiny = proxy_spec("tiny")
        return replace(tiny, recipe=replace(tiny.recipe, learning_rate=2e-3, batch_size=1, warmup_steps=16))
    spec = proxy_spec(str(model))
    recipe = replace(spec.recipe, scope=Scope.FULL_LANGUAGE, learning_rate=1e-3, batch_size=16, warmup_steps=20, max_length=512)
    return replace(spec, name="full", recipe=recipe)


def engine_of(proxy: ProxySpec, features: Path) -> Any:
    from proxy_training.engine import Engine

    return Engine(proxy, proxy.recipe, features, EngineSettings("cpu", slots=SLOTS))


def _say(step: int, steps: int, losses: dict[str, float]) -> None:
    print(f"full-scale model: lesson {step} of {steps}, mean loss {sum(losses.values()) / len(losses):.2f}", file=sys.stderr)
