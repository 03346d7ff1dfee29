"""The reference back end for a model of an unknown family: the processor and the model's own forward for every row, nothing kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from proxy_training.batches import Example
from proxy_training.evaluation import ItemRow, item_scores, number_candidates, unscored_items
from proxy_training.families.generic import GenericBase
from proxy_training.jobs import EvalSet, ItemScores, Job
from proxy_training.peft_backend import LossOf, PeftBackend
from proxy_training.preparation import Preparation
from sources.images import load_image
from sources.problems import RowError
from sources.sample import ImageRef


class ImageTexts:
    """In the place of a feature store: of each image only the text that stands for it, asked once a size."""

    def __init__(self, base: GenericBase) -> None:
        self.base: Any = base
        self.encoded = 0
        self._by_size: dict[tuple[int, int], str] = {}
        self._texts: dict[str, str] = {}

    def ensure(self, images: Mapping[str, ImageRef], progress: Callable[[int, int], None] | None = None) -> dict[str, RowError]:
        """Find the text of each image; return those (by key) that could not be loaded, with the reason."""
        failed: dict[str, RowError] = {}
        missing = [key for key in images if key not in self._texts]
        for done, key in enumerate(missing, 1):
            try:
                image = load_image(images[key])
            except RowError as error:
                failed[key] = error
                continue
            if image.size not in self._by_size:
                self._by_size[image.size] = self.base.process_image(image).expansion
            self._texts[key] = self._by_size[image.size]
            if progress:
                progress(done, len(missing))
        return failed

    def expansion(self, key: str) -> str:
        """Return the text that stands in an image's place."""
        return self._texts[key]

    def gather(self, keys: Sequence[str]) -> Tensor:
        """Refuse: there are no features."""
        raise NotImplementedError("the generic path keeps no features")


class GenericBackend(PeftBackend):
    """Runs one job after another, one row after another."""

    base: Any  # a GenericBase

    def __init__(self, base: GenericBase, preparation: Preparation) -> None:
        super().__init__(base, preparation)  # type: ignore[arg-type]

    def loss_of(self, job: Job) -> LossOf:
        """Return the mean cross-entropy over a step's label tokens, a row at a time."""
        refs = self.preparation.refs(job)

        def loss(examples: Sequence[Example]) -> Tensor:
            terms = []
            for example in examples:
                ids, is_label = example.encoded.input_ids, example.encoded.is_label.copy()
                is_label[:1] = False  # nothing predicts a row's first token
                places = torch.from_numpy(np.flatnonzero(is_label)).to(self.base.device)
                logits = self._logits(ids, example.images, refs)
                targets = torch.from_numpy(ids.astype(np.int64)).to(self.base.device)[places]
                terms.append(F.cross_entropy(logits[places - 1], targets, reduction="none"))
            return torch.cat(terms).mean()

        return loss

    def _logits(self, ids: NDArray[np.int32], keys: Sequence[str], refs: Mapping[str, ImageRef]) -> Tensor:
        logits: Tensor = self.base.row_logits(self._inputs(ids, keys, refs))
        return logits

    def _inputs(self, ids: NDArray[np.int32], keys: Sequence[str], refs: Mapping[str, ImageRef]) -> dict[str, Tensor]:
        images: list[Image.Image] = [load_image(refs[key]) for key in keys]
        expansions = [self.preparation.features.expansion(key) for key in keys]
        inputs: dict[str, Tensor] = self.base.row_inputs(torch.from_numpy(ids.astype(np.int64)), images, expansions)
        return inputs

    @torch.no_grad()
    def score(self, benchmark: EvalSet, job: Job) -> ItemScores:
        """Score a benchmark, each candidate as a row of its own."""
        refs, rows = self.preparation.refs(job), self.preparation.item_rows(benchmark)
        starts, lengths = number_candidates(rows, len(benchmark.items))
        sums = np.zeros(int(starts[-1]))
        self.base.model.eval()
        for row in rows:
            for number, candidate in enumerate(row.candidates):
                sums[starts[row.item] + number] = self._log_probability(row, candidate, refs)
        values = item_scores(benchmark, starts, lengths, sums)
        return self._item_scores(benchmark, job, values, unscored_items(rows, len(benchmark.items)), sums)

    def _log_probability(self, row: ItemRow, candidate: NDArray[np.int32], refs: Mapping[str, ImageRef]) -> float:
        logits = self._logits(np.concatenate([row.prompt, candidate[:-1]]), row.images, refs)[len(row.prompt) - 1 :]
        targets = torch.from_numpy(candidate.astype(np.int64)).to(logits.device)
        return float((logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1)).double().sum())

    @torch.no_grad()
    def answers(self, job: Job, rows: Sequence[ItemRow], most: int) -> dict[int, NDArray[np.int32]]:
        """Return for each row's item the tokens that the model's own greedy generation gives, without the end token."""
        refs = self.preparation.refs(job)
        found = {}
        for row in rows:
            end = int(row.candidates[0][-1])
            inputs = self._inputs(row.prompt, row.images, refs)
            out = self.base.model.generate(**inputs, max_new_tokens=most, do_sample=False, eos_token_id=end, pad_token_id=end)
            tokens = out[0, len(row.prompt) :].cpu().numpy().astype(np.int32)
            found[row.item] = tokens[: int(np.argmax(tokens == end))] if end in tokens else tokens
        return found
