"""A proxy with its adapter as a VLMEvalKit model: all prompts of a benchmark answered in our batches, then handed out one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlmeval.vlm.base import BaseModel

from proxy_training.engine import Engine
from proxy_training.jobs import EngineSettings, EvalSet, Job, Progress, Scope, Training
from proxy_training.proxies import proxy_spec
from sources.benchmark import BenchmarkSpec, Item
from sources.sample import ImageRef, Role, Turn

Message = Sequence[Mapping[str, str]]  # VLMEvalKit's: parts in order, each `type` (image, text) and `value` (a file, or the text)
CHUNK = 256  # prompts between two lines of progress


class Speaker:
    """Answers prompts with one loaded proxy and adapter, greedily."""

    def __init__(self, proxy: str, adapter: Path | None, scope: Scope, features: Path, settings: EngineSettings, most: int) -> None:
        """Load the proxy.

        Raises:
            ProxyError: it cannot be loaded.
        """
        spec = proxy_spec(proxy)
        recipe = replace(spec.recipe, scope=scope)
        self.engine = Engine(spec, recipe, features, settings)
        self.job = Job(Training(spec, recipe, (), 0), (), adapter)
        self.most = most

    def answer(self, prompts: Sequence[tuple[Turn, tuple[ImageRef, ...]]], progress: Progress | None = None) -> list[str]:
        """Return what the model says to each prompt; nothing where an image cannot be loaded or the prompt cannot be encoded."""
        answers = [""] * len(prompts)
        for start in range(0, len(prompts), CHUNK):
            chunk = prompts[start : start + CHUNK]
            rows = self.engine.preparation.prompt_rows(chunk)
            for number, text in self.engine.reference.generate_rows(self._job_with(chunk), rows, self.most).items():
                answers[start + number] = text
            if progress:
                progress("answers", min(start + CHUNK, len(prompts)), len(prompts))
        return answers

    def _job_with(self, prompts: Sequence[tuple[Turn, tuple[ImageRef, ...]]]) -> Job:
        """Return the job with the prompts' images, where back ends look for them."""
        items = tuple(Item("", images, "", (), "") for _, images in prompts)
        return replace(self.job, benchmarks=(EvalSet(BenchmarkSpec("prompts", ""), "", items),))


class ProxyModel(BaseModel):  # type: ignore[misc]
    """What VLMEvalKit asks. With `prompts`, the text of each row is ours (by its index) instead of the benchmark's."""

    INTERLEAVE = True

    def __init__(self, speaker: Speaker, images: Path, prompts: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.speaker = speaker
        self.images = images
        self.prompts = prompts
        self._answers: dict[str, str] = {}

    def use_custom_prompt(self, dataset: str) -> bool:
        """Say whether `build_prompt` is ours."""
        return self.prompts is not None

    def build_prompt(self, line: Any, dataset: str) -> list[dict[str, str]]:
        """Return the images of a row and our text."""
        parts = [{"type": "image", "value": path} for path in self.dump_image(line, dataset)]
        return [*parts, {"type": "text", "value": (self.prompts or {})[str(line["index"])]}]

    def answer_ahead(self, dataset: Any, progress: Progress) -> None:
        """Answer every row of a benchmark in batches, so that VLMEvalKit's loop over them finds each answer ready."""
        self.set_dump_image(dataset.dump_image)
        name = dataset.dataset_name
        ours = self.use_custom_prompt(name)
        messages = []
        for number in range(len(dataset)):
            line = dataset.data.iloc[number]
            messages.append(self.build_prompt(line, name) if ours else dataset.build_prompt(line))
            progress("prompts", number + 1, len(dataset))
        answers = self.speaker.answer([self._prompt(message) for message in messages], progress)
        self._answers = {repr(message): answer for message, answer in zip(messages, answers, strict=True)}

    def generate(self, message: Any, dataset: str | None = None) -> str:
        """Answer one message, as it is: VLMEvalKit's own preparation takes a text that names a file, or is a URL, for an image."""
        return self.generate_inner(message, dataset)

    def generate_inner(self, message: Message, dataset: str | None = None) -> str:
        """Answer one message."""
        if (known := self._answers.get(repr(message))) is not None:
            return known
        return self.speaker.answer([self._prompt(message)])[0]

    def _prompt(self, message: Message) -> tuple[Turn, tuple[ImageRef, ...]]:
        parts, images = list[str | int](), list[ImageRef]()
        for part in message:
            if part["type"] == "image":
                parts.append(len(images))
                images.append(self._ref(part["value"]))
            elif parts and isinstance(parts[-1], str):
                parts[-1] += part["value"]
            else:
                parts.append(part["value"])
        return Turn(Role.USER, tuple(parts)), tuple(images)

    def _ref(self, path: str) -> ImageRef:
        return ImageRef(path=Path(path).resolve().relative_to(self.images.resolve()).as_posix(), root=str(self.images.resolve()))
