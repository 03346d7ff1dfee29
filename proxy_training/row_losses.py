"""What the untrained proxy loses on training rows: the mean cross-entropy per learned token of each row, in nats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from proxy_training.batches import Example, collate
from proxy_training.engine import Engine
from proxy_training.evaluation import TOKENS_PER_BATCH
from proxy_training.families.registry import GENERIC
from proxy_training.jobs import Job, Stage, Training
from sources.problems import Problem
from sources.sampling import DrawnRow

LABELS_AT_ONCE = 1024  # bounds the logits, which are as wide as the vocabulary
Judged = float | Problem  # a row's loss, or why it has none


def row_losses(engine: Engine, rows: Sequence[DrawnRow]) -> list[Judged]:
    """Return each row's loss; `TOO_LONG`, `NO_ANSWER` or the image's problem where it has none.

    Batches are laid out by the rows alone, so that the same rows give the same losses.
    """
    prepared = _prepared(engine, rows)
    found: list[Judged] = [one if isinstance(one, Problem) else np.nan for one in prepared]
    examples = {place: one for place, one in enumerate(prepared) if isinstance(one, Example)}
    engine.base.model.eval()
    for places in _batches(examples):
        losses = _losses(engine, [rows[place] for place in places], [examples[place] for place in places])
        for place, loss in zip(places, losses, strict=True):
            found[place] = loss
    return found


def _prepared(engine: Engine, rows: Sequence[DrawnRow]) -> list[Example | Problem]:
    """Make the rows' images ready and encode the rows."""
    preparation, most = engine.preparation, engine.recipe.max_length
    found: list[Example | Problem] = []
    failed = preparation.prepare_images([row.sample for row in rows])
    for row, problem in zip(rows, failed, strict=True):
        if problem is not None:
            found.append(problem)
            continue
        example = preparation.example(row.sample)
        if len(example.encoded.input_ids) > most:
            found.append(Problem.TOO_LONG)
        else:
            found.append(example if example.encoded.is_label[1:].any() else Problem.NO_ANSWER)
    return found


def _batches(examples: dict[int, Example]) -> Iterator[list[int]]:
    """Yield rows of about one length together, of at most `TOKENS_PER_BATCH` padded tokens."""
    places: list[int] = []
    for place in sorted(examples, key=lambda place: (len(examples[place].encoded.input_ids), place)):
        if places and (len(places) + 1) * len(examples[place].encoded.input_ids) > TOKENS_PER_BATCH:
            yield places
            places = []
        places.append(place)
    if places:
        yield places


@torch.no_grad()
def _losses(engine: Engine, rows: Sequence[DrawnRow], examples: Sequence[Example]) -> list[float]:
    if engine.proxy.family == GENERIC:  # it runs a row at a time
        loss_of = engine.reference.loss_of(Job(Training(engine.proxy, engine.recipe, (Stage(tuple(rows)),), 0), ()))
        return [float(loss_of([example])) for example in examples]
    base = engine.base
    batch = collate(examples, base.pad_token_id, base.device)
    hidden = base.hidden(batch.input_ids, engine.features.gather(batch.images), batch.allowed)
    hidden = hidden.reshape(-1, hidden.shape[-1])
    parts = zip(torch.split(batch.predictors, LABELS_AT_ONCE), torch.split(batch.targets, LABELS_AT_ONCE), strict=True)
    terms = torch.cat([F.cross_entropy(base.logits(hidden[places]), targets, reduction="none") for places, targets in parts])
    return _row_means(terms, batch.predictors // batch.input_ids.shape[1], len(examples))


def _row_means(terms: Tensor, owners: Tensor, rows: int) -> list[float]:
    sums = torch.zeros(rows, dtype=torch.float64, device=terms.device).index_add_(0, owners, terms.double())
    means: list[float] = (sums / torch.bincount(owners, minlength=rows)).tolist()
    return means
