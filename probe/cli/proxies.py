"""`probe proxies`: list and show base models; build the bundled one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from probe.cli import recipe_check
from probe.cli.output import bytes_text, counting, listing_options, print_fields, print_listing, say

if TYPE_CHECKING:
    from proxy_training.presets import Preset

COLUMNS = ("name", "family", "parameters", "images", "max_length", "default_budget", "here")


@click.group()
def command() -> None:
    """List, show and check base models; build the bundled one."""


command.add_command(recipe_check.check)


@command.command("list")
@listing_options
def list_(form: str) -> None:
    """List the proxies known by name; nothing is downloaded."""
    from proxy_training.presets import presets

    rows = [proxy_fields("tiny") | {"images": "64 x 64 pixels", "here": "bundled"}, *(preset_fields(p) for p in presets().values())]
    print_listing(rows, form, empty="No proxy is known.", columns=COLUMNS if form == "table" else None)
    if form == "table":
        say("A preset's settings and reasons: probe proxies show NAME. From a folder: --proxy NAME@FOLDER.")
        say("Any other model that transformers loads as image-text-to-text: --proxy FOLDER, or --proxy hf:ORG/NAME.")


@command.command()
@click.argument("name")
@listing_options
def show(name: str, form: str) -> None:
    """Show a proxy by name or folder: its weights, recipe, budget and what its base has seen; a preset with its reasons."""
    from proxy_training.presets import presets
    from proxy_training.proxies import cached_folder

    if name not in presets():
        return print_fields(proxy_fields(name), form)
    preset = presets()[name]
    fields = preset_fields(preset)
    if cached_folder(preset.hub_id):
        fields = proxy_fields(name) | fields
    elif form == "table":
        say(f"Not on this machine; a run downloads it, or: hf download {preset.hub_id}", err=True)
    return print_fields(fields | {f"why_{setting}": reason for setting, reason in preset.why}, form)


@command.group()
def build() -> None:
    """Build a bundled proxy from its recipe."""


@build.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("tiny"), show_default=True, help="Folder to write.")
@click.option("--steps", type=click.IntRange(1), default=None, help="Training steps.  [default: the recipe's]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the training.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, ...")
@click.option("--held-out-items", type=click.IntRange(0), default=400, show_default=True, help="Held-out questions a skill; 0: none.")
@click.option("--compiled", is_flag=True, help="Compile the layers: faster, needs a C++ compiler.")
@click.option("--resume/--afresh", default=True, show_default=True, help="Go on from an interrupted build.")
def tiny(out: Path, **options: Any) -> None:
    """Train the bundled proxy on the generated world and write its folder; the same command goes on where it was stopped."""
    from probe.study.devices import check_device
    from proxy_training.bundled.recipe import build_tiny

    check_device(options["device"])
    try:
        with counting("building tiny") as show_steps:
            report = build_tiny(out, progress=_told(show_steps), **options)
    except KeyboardInterrupt:
        say("Stopped; the same command goes on from the last checkpoint.", err=True)
        raise
    say(f"{report.folder}: {report.parameters:,} parameters, {report.steps:,} steps, weights {report.weights}")
    for skill, accuracy in report.held_out.items():
        say(f"  {skill}: right on {accuracy:.0%} of {options['held_out_items']} held-out questions")
    say(f"Use it with: probe run --source S --proxy {report.folder}")


def preset_fields(preset: Preset) -> dict[str, Any]:
    """Return what a preset says, without loading or fetching anything."""
    from proxy_training.families.limits import UNITS
    from proxy_training.proxies import cached_folder

    limit = f"at most {preset.image_limit:,} {UNITS[preset.family]}" if preset.image_limit else "the model's one size"
    return {
        "name": preset.name,
        "hub_id": preset.hub_id,
        "family": preset.family,
        "parameters": round(preset.billions * 1e9),
        "images": limit,
        "scope": preset.scope.value,
        "rank": preset.rank,
        "learning_rate": str(preset.learning_rate),
        "max_length": preset.max_length,
        "default_budget": f"{preset.default_tokens} tokens",
        "here": "yes" if cached_folder(preset.hub_id) else "no",
    }


def proxy_fields(name: str) -> dict[str, Any]:
    """Return what is known of a proxy.

    Raises:
        ProxyError: there is none, or it cannot be used.
    """
    from probe.study.novelty import trained_on
    from proxy_training.proxies import proxy_spec

    spec = proxy_spec(name)
    folder, recipe = Path(spec.path), spec.recipe
    card = json.loads((folder / "card.json").read_text("utf-8")) if (folder / "card.json").is_file() else {}
    return {
        "name": spec.name,
        "family": spec.family,
        "path": spec.path,
        "size": bytes_text(sum(file.stat().st_size for file in folder.glob("*.safetensors"))),
        "weights": spec.weights_hash,
        "scope": recipe.scope.value,
        "rank": recipe.rank,
        "learning_rate": str(recipe.learning_rate),
        "batch_size": recipe.batch_size,
        "max_length": recipe.max_length,
        "precision": recipe.precision.value,
        "default_budget": f"{spec.default_tokens} tokens" if spec.default_tokens else f"{spec.default_samples} samples",
        "illustration_only": spec.illustration_only,
        "trained_on": card.get("trained_on") or trained_on(spec),
        "parameters": card.get("parameters"),
        "image_limit": spec.image_limit,
        "held_out_accuracy": " ".join(f"{skill}={value:.2f}" for skill, value in card.get("held_out_accuracy", {}).items()),
    }


def _told(show_steps: Callable[[int, int], None]) -> Callable[[int, int, dict[str, float]], None]:
    def report(step: int, steps: int, losses: dict[str, float]) -> None:
        show_steps(step, steps)
        say(f"step {step}/{steps}: " + " ".join(f"{topic} {loss:.3f}" for topic, loss in losses.items()), err=True)

    return report
