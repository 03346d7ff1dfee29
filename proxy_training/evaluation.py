"""Scores per item, by one batched forward: every choice of a question rides in one row behind the shared prompt.

A row is `prompt choice_1 choice_2 ...`; a mask lets each choice see the prompt and itself alone, and position ids restart
behind the prompt, so that one forward gives what one forward a choice would (tested). Batches are laid out by the items
alone, never by the model, so that equal weights give equal scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from proxy_training.chat import ChatEncoder, Encoded
from proxy_training.families.base import LoadedBase
from proxy_training.jobs import METRICS, EvalSet, ItemScores
from sources.answer_rules.scoring import generated_scores
from sources.benchmark import BenchmarkSpec, Item, PromptForm
from sources.problems import RowError, SourceError
from sources.sample import Role, Turn

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LETTER_INSTRUCTION = "Answer with the option's letter from the given choices directly."
TOKENS_PER_BATCH = 8192


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item as one row: the prompt, then each candidate's tokens (its end token is scored, never fed)."""

    item: int
    prompt: NDArray[np.int32]
    candidates: tuple[NDArray[np.int32], ...]  # with the end token
    images: tuple[str, ...]
    both_ways: bool = False  # the prompt's tokens see each other in both directions

    def width(self) -> int:
        """Return how many tokens the row feeds."""
        return len(self.prompt) + sum(len(candidate) - 1 for candidate in self.candidates)


@dataclass(frozen=True, slots=True)
class EvalBatch:
    """Rows ready to run. Entry i scores `targets[i]` behind hidden state `predictors[i]` for candidate `owners[i]`."""

    input_ids: Tensor  # [rows, tokens]
    position_ids: Tensor  # [rows, tokens]
    allowed: Tensor  # [rows, 1, tokens, tokens] bool
    images: tuple[str, ...]
    predictors: Tensor
    targets: Tensor
    owners: Tensor  # global candidate number
    n_tokens: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A benchmark laid out for one model: its batches, and where each item's candidates stand."""

    batches: tuple[EvalBatch, ...]
    starts: NDArray[np.int64]  # [items + 1] first candidate of each item
    lengths: NDArray[np.int64]  # [candidates] scored tokens
    unscored: tuple[int, ...]


def item_turns(spec: BenchmarkSpec, item: Item) -> tuple[Turn, tuple[str, ...]]:
    """Return the user's turn of an item and the candidate answers, in the benchmark's prompt form."""
    question = item.question
    candidates = item.choices or (item.answer,)
    if spec.prompt_form is PromptForm.LETTER and item.choices:
        listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, item.choices, strict=False))
        question = f"{question}\n{listed}\n{LETTER_INSTRUCTION}"
        candidates = tuple(LETTERS[: len(item.choices)])
    elif spec.generates and spec.instruction:
        question = f"{question}\n{spec.instruction}"
    return Turn(Role.USER, (*range(len(item.images)), question)), candidates


def encode_item(
    encoder: ChatEncoder, spec: BenchmarkSpec, number: int, item: Item, images: Sequence[str], expansions: Sequence[str]
) -> ItemRow:
    """Encode an item: what all candidates' conversations begin with is the prompt."""
    turn, answers = item_turns(spec, item)
    encoded = [encoder.encode((turn, Turn(Role.ASSISTANT, (answer,))), expansions) for answer in answers]
    shared = _shared_prompt(encoded)
    candidates = tuple(e.input_ids[shared : int(np.flatnonzero(e.is_label)[-1]) + 1] for e in encoded)
    return ItemRow(number, encoded[0].input_ids[:shared], candidates, tuple(images), both_ways=encoded[0].both_ways == shared)


def encode_prompt(encoder: ChatEncoder, number: int, turn: Turn, images: Sequence[str], expansions: Sequence[str]) -> ItemRow:
    """Encode a question to generate from; its one candidate is the end token, and no answer decides how the prompt is cut."""
    ended = encoder.encode((turn, Turn(Role.ASSISTANT, ("A",))), expansions)
    end = int(np.flatnonzero(ended.is_label)[-1])
    opened = encoder.encode_prompt((turn,), expansions)
    both_ways = 0 < opened.both_ways == len(opened.input_ids)
    return ItemRow(number, opened.input_ids, (ended.input_ids[end : end + 1],), tuple(images), both_ways=both_ways)


def _shared_prompt(encoded: Sequence[Encoded]) -> int:
    shared = min(int(np.flatnonzero(e.is_label)[0]) for e in encoded)
    if any(not np.array_equal(e.input_ids[:shared], encoded[0].input_ids[:shared]) for e in encoded):
        raise ValueError("the chat template puts something that depends on the answer before the answer")
    return shared


def lay_out(rows: Sequence[ItemRow], n_items: int, base: LoadedBase) -> Layout:
    """Sort rows by width and cut them into batches of at most `TOKENS_PER_BATCH` padded tokens."""
    starts, lengths = number_candidates(rows, n_items)
    batches, chunk = [], list[ItemRow]()
    for row in sorted(rows, key=lambda r: (r.width(), r.item)):
        if chunk and (len(chunk) + 1) * row.width() > TOKENS_PER_BATCH:
            batches.append(_batch(chunk, starts, base))
            chunk = []
        chunk.append(row)
    if chunk:
        batches.append(_batch(chunk, starts, base))
    return Layout(tuple(batches), starts, lengths, unscored_items(rows, n_items))


def number_candidates(rows: Sequence[ItemRow], n_items: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each item's first candidate number [items + 1], and each candidate's scored tokens [candidates]."""
    counts = np.zeros(n_items, np.int64)
    for row in rows:
        counts[row.item] = len(row.candidates)
    starts = np.concatenate([[0], np.cumsum(counts)])
    lengths = np.zeros(int(starts[-1]), np.int64)
    for row in rows:
        for c, candidate in enumerate(row.candidates):
            lengths[starts[row.item] + c] = len(candidate)
    return starts, lengths


def score_each(
    benchmarks: Sequence[EvalSet], score: Callable[[EvalSet], ItemScores]
) -> tuple[tuple[ItemScores, ...], tuple[tuple[str, str], ...]]:
    """Score benchmarks one after another; return the scores, and each benchmark that could not be scored with the reason."""
    scores, unscored = list[ItemScores](), list[tuple[str, str]]()
    for benchmark in benchmarks:
        try:
            scores.append(score(benchmark))
        except (RowError, SourceError, ValueError) as error:
            unscored.append((benchmark.spec.name, str(error)))
    return tuple(scores), tuple(unscored)


def unscored_items(rows: Sequence[ItemRow], n_items: int) -> tuple[int, ...]:
    """Return the items that have no row."""
    scored = {row.item for row in rows}
    return tuple(i for i in range(n_items) if i not in scored)


def _batch(rows: Sequence[ItemRow], starts: NDArray[np.int64], base: LoadedBase) -> EvalBatch:
    width = max(row.width() for row in rows)
    ids = np.full((len(rows), width), base.pad_token_id, np.int64)
    positions = np.zeros((len(rows), width), np.int64)
    allowed = np.zeros((len(rows), 1, width, width), bool)
    allowed[:, 0] = np.eye(width, dtype=bool)  # padding sees itself: a row of the softmax must not be empty
    predictors, targets, owners = list[int](), list[int](), list[int]()
    for r, row in enumerate(rows):
        p = len(row.prompt)
        ids[r, :p] = row.prompt
        positions[r, :p] = np.arange(p)
        allowed[r, 0, :p, :p] = True if row.both_ways else np.tri(p, dtype=bool)
        at = p
        for c, candidate in enumerate(row.candidates):
            fed = len(candidate) - 1
            ids[r, at : at + fed] = candidate[:-1]
            positions[r, at : at + fed] = p + np.arange(fed)
            allowed[r, 0, at : at + fed, :p] = True
            allowed[r, 0, at : at + fed, at : at + fed] = np.tri(fed, dtype=bool)
            predictors += [r * width + p - 1] + [r * width + at + i for i in range(fed)]
            targets += candidate.tolist()
            owners += [int(starts[row.item]) + c] * len(candidate)
            at += fed
    return EvalBatch(
        input_ids=torch.from_numpy(ids).to(base.device),
        position_ids=torch.from_numpy(positions).to(base.device),
        allowed=torch.from_numpy(allowed).to(base.device),
        images=tuple(key for row in rows for key in row.images),
        predictors=torch.tensor(predictors, device=base.device),
        targets=torch.tensor(targets, device=base.device),
        owners=torch.tensor(owners, device=base.device),
        n_tokens=sum(row.width() for row in rows),
    )


@torch.no_grad()
def candidate_log_probabilities(base: LoadedBase, image_features: Callable[[Sequence[str]], Tensor], layout: Layout) -> NDArray[np.float64]:
    """Return for each candidate the summed log-probability of all its tokens and the end token [candidates], in nats."""
    sums = torch.zeros(len(layout.lengths), dtype=torch.float64, device=base.device)
    for batch in layout.batches:
        hidden = base.hidden(batch.input_ids, image_features(batch.images), batch.allowed, batch.position_ids)
        scored = base.logits(hidden.reshape(-1, hidden.shape[-1])[batch.predictors])
        picked = scored.gather(1, batch.targets[:, None])[:, 0] - scored.logsumexp(-1)
        sums.index_add_(0, batch.owners, picked.double())
    return sums.cpu().numpy()


def item_scores(
    benchmark: EvalSet, starts: NDArray[np.int64], lengths: NDArray[np.int64], log_probabilities: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Turn candidates' log-probabilities into scores `[metric, item]` in the order of `METRICS`; NaN where one does not apply."""
    values = np.full((len(METRICS), len(benchmark.items)), np.nan, np.float32)
    for i, item in enumerate(benchmark.items):
        start, stop = starts[i], starts[i + 1]
        if start == stop:
            continue
        sums, tokens = log_probabilities[start:stop], lengths[start:stop]
        if item.choices:
            right = item.choices.index(item.answer)
            values[0, i] = _softmax(sums)[right]
            values[1, i] = _softmax(sums / tokens)[right]
            values[2, i] = float(np.argmax(sums) == right)
        else:
            values[3, i] = -sums[0] / np.log(2) / max(1, len(item.answer.encode("utf-8")))
    return values


def add_generated(benchmark: EvalSet, values: NDArray[np.float32], texts: Mapping[int, str]) -> None:
    """Write into `values[metric, item]` what the benchmark's rule or scorer says of generated answers by item number.

    Space around an answer is the tokenizer's, not the model's: it is taken off.

    Raises:
        SourceError: the team's scorer failed.
    """
    scores, parsed = generated_scores(benchmark.spec, benchmark.items, {number: text.strip() for number, text in texts.items()})
    values[METRICS.index("generated")], values[METRICS.index("parsed")] = scores, parsed


def _softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(x - x.max())
    return e / e.sum()  # type: ignore[no-any-return]
