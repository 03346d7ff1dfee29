"""From rows and items to what a back end runs: image keys, features on disk, token ids; each row and item encoded once."""

from __future__ import annotations

from collections.abc import Sequence

from proxy_training.batches import Example
from proxy_training.chat import ChatEncoder
from proxy_training.evaluation import ItemRow, encode_item, encode_prompt, item_turns
from proxy_training.features import CROWD, ImageStore
from proxy_training.jobs import EvalSet, Job, Progress, Recipe, Stage, part_of
from sources.canonical import hash_bytes
from sources.images import read_image_bytes
from sources.problems import Problem, RowError
from sources.sample import ImageRef, Sample, Turn

KEPT_EXAMPLES = 200_000


class Preparation:
    """Encodes for one proxy."""

    def __init__(self, encoder: ChatEncoder, features: ImageStore) -> None:
        self.encoder = encoder
        self.features = features
        self._image_keys: dict[tuple[str, str], str] = {}
        self._examples: dict[str, Example] = {}
        self._item_rows: dict[str, list[ItemRow]] = {}
        self._question_rows: dict[str, list[ItemRow]] = {}

    def image_key(self, ref: ImageRef) -> str:
        """Return the hash of an image's bytes.

        Raises:
            RowError: the file cannot be read.
        """
        if ref.path is None:
            return ref.identity()
        place = (str(ref.root or ""), ref.path)
        if place not in self._image_keys:
            self._image_keys[place] = hash_bytes(read_image_bytes(ref))
        return self._image_keys[place]

    def keys(self, images: Sequence[ImageRef]) -> tuple[str, ...]:
        """Return the features' keys of a row's images; "" for one whose file cannot be read."""
        mark = CROWD if len(images) > 1 and self.features.base.crowd_differs else ""
        found = []
        for ref in images:
            try:
                found.append(self.image_key(ref) + mark)
            except RowError:
                found.append("")
        return tuple(found)

    def refs(self, job: Job) -> dict[str, ImageRef]:
        """Return where all readable images of a job are, of its rows and its items, by key."""
        samples = [row.sample.images for stage in job.training.stages for row in stage.rows]
        items = [item.images for benchmark in job.benchmarks for item in benchmark.items]
        every = {key: ref for images in (*samples, *items) for key, ref in zip(self.keys(images), images, strict=True)}
        return {key: ref for key, ref in every.items() if key}

    def ensure_images(self, job: Job, progress: Progress | None = None) -> None:
        """Compute the features of all images that a job trains on.

        Raises:
            RowError: an image of a drawn row cannot be loaded.
        """
        wanted: dict[str, ImageRef] = {}
        for stage in job.training.stages if job.adapter is None else ():
            for row in stage.rows:
                for ref in row.sample.images:
                    self.image_key(ref)  # raises where the file is gone
                wanted |= zip(self.keys(row.sample.images), row.sample.images, strict=True)
        failed = self.features.ensure(wanted, part_of(progress, "images"))
        if failed:
            key, error = next(iter(failed.items()))
            raise RowError(error.problem, f"{error.detail} ({len(failed)} drawn images cannot be loaded, first {wanted[key].identity()})")

    def prepare_images(self, samples: Sequence[Sample]) -> list[Problem | None]:
        """Compute the features of rows' images; return for each row what is wrong with its images, None where nothing is."""
        keys = [self.keys(sample.images) for sample in samples]
        wanted = {key: ref for sample, own in zip(samples, keys, strict=True) for key, ref in zip(own, sample.images, strict=True) if key}
        failed = {key: error.problem for key, error in self.features.ensure(wanted).items()} | {"": Problem.MISSING_IMAGE}
        return [next((failed[key] for key in own if key in failed), None) for own in keys]

    def stages(self, stages: Sequence[Stage], recipe: Recipe) -> list[list[Example]]:
        """Encode stages of rows.

        Raises:
            ValueError: a row is longer than the recipe allows.
        """
        return [self._stage(stage, recipe) for stage in stages]

    def _stage(self, stage: Stage, recipe: Recipe) -> list[Example]:
        examples = []
        for row in stage.rows:
            if row.digest not in self._examples:
                if len(self._examples) >= KEPT_EXAMPLES:
                    self._examples.clear()
                self._examples[row.digest] = self.example(row.sample)
            example = self._examples[row.digest]
            if len(example.encoded.input_ids) > recipe.max_length:
                raise ValueError(f"row {row.number} of {row.source} is longer than {recipe.max_length} tokens")
            examples.append(example)
        return examples

    def example(self, sample: Sample) -> Example:
        """Encode one conversation, whose images are ready."""
        keys = self.keys(sample.images)
        return Example(self.encoder.encode(sample.turns, [self.features.expansion(key) for key in keys]), keys)

    def item_rows(self, benchmark: EvalSet) -> list[ItemRow]:
        """Encode a benchmark's items, without those whose images cannot be loaded."""
        if benchmark.fingerprint not in self._item_rows:
            self._item_rows[benchmark.fingerprint] = self._encode_items(benchmark)
        return self._item_rows[benchmark.fingerprint]

    def question_rows(self, benchmark: EvalSet) -> list[ItemRow]:
        """Encode a benchmark's questions to generate from, without those whose images cannot be loaded."""
        if benchmark.fingerprint not in self._question_rows:
            prompts = [(item_turns(benchmark.spec, item)[0], item.images) for item in benchmark.items]
            self._question_rows[benchmark.fingerprint] = self.prompt_rows(prompts)
        return self._question_rows[benchmark.fingerprint]

    def prompt_rows(self, prompts: Sequence[tuple[Turn, Sequence[ImageRef]]]) -> list[ItemRow]:
        """Encode prompts to generate from, numbered from 0, without those whose images cannot be loaded."""
        rows = []
        for number, keys in self._usable([images for _, images in prompts]):
            expansions = [self.features.expansion(key) for key in keys]
            rows.append(encode_prompt(self.encoder, number, prompts[number][0], keys, expansions))
        return rows

    def _encode_items(self, benchmark: EvalSet) -> list[ItemRow]:
        rows = []
        for number, keys in self._usable([item.images for item in benchmark.items]):
            expansions = [self.features.expansion(key) for key in keys]
            rows.append(encode_item(self.encoder, benchmark.spec, number, benchmark.items[number], keys, expansions))
        return rows

    def _usable(self, images: Sequence[Sequence[ImageRef]]) -> list[tuple[int, tuple[str, ...]]]:
        """Compute the features of images and return the keys of each sequence that has all of its own, with its number."""
        keys = [self.keys(own) for own in images]
        places = [pair for own, found in zip(images, keys, strict=True) for pair in zip(found, own, strict=True)]
        failed = self.features.ensure({key: ref for key, ref in places if key})
        return [(number, own) for number, own in enumerate(keys) if all(key and key not in failed for key in own)]
