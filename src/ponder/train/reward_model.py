"""A process reward model: a checkpoint with a value for every step in place of its next character.

A Hugging Face `LlamaForTokenClassification` with one label. It learns, by cross-entropy with the shares as
soft labels, the chance that an answer will be right after each of its steps.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

from ponder.core import Shape
from ponder.engines.reward_folder import STEP_END, Row
from ponder.errors import InputError, TrainingDiverged
from ponder.flop import batch_flop, value_step_flop
from ponder.train.counted import count_flop
from ponder.train.models import PAD, VOCABULARY, Checkpoint, shape_of
from ponder.train.reward_paths import Marked
from ponder.train.state import Work
from ponder.train.supervised import Schedule

if TYPE_CHECKING:
    import torch

__all__ = ["Fitted", "encode", "fit_rewards", "new_reward_model", "reward_step_flop"]

_MEMORY = 0.98  # of the loss's running mean, a step
_TELL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """What became of it; see `supervised.Trained` for the fields."""

    work: Work
    loss: float
    counted_ratio: float


def new_reward_model(checkpoint: Checkpoint, seed: int) -> Any:
    """The checkpoint's trunk with a new head, which depends on `seed` alone."""
    import torch
    from transformers import LlamaForTokenClassification

    config = copy.deepcopy(checkpoint.model.config)
    config.num_labels = 1
    config.id2label, config.label2id = {0: "right"}, {"right": 0}
    config.classifier_dropout = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForTokenClassification(config).float()
    model.model.load_state_dict(checkpoint.model.model.state_dict())
    return model


def encode(marked: Marked, question_end: str) -> Row:
    """A reply as the model is shown it, every step with its end. Raises InputError."""
    text = marked.question + question_end + "".join(step + STEP_END for step in marked.steps)
    try:
        ids = tuple(VOCABULARY[letter] for letter in text)
    except KeyError as error:
        raise InputError(f"task: {text[:40]!r} has {error}, which is not in the alphabet.") from None
    places = tuple(place for place, letter in enumerate(text) if letter == STEP_END)
    return Row(ids, places[-len(marked.steps) :])


def reward_step_flop(shape: Shape, rows: int, length: int, *, trunk: bool) -> float:
    """Forward and backward over a padded batch; of the trunk only forward where the head alone learns."""
    if trunk:
        return float(value_step_flop(shape, rows, length))
    # The head's products: its output, and the gradient of its weights alone.
    return float(batch_flop(shape, rows, length, logits=0) + 2 * 2 * shape.d_model * rows * length)


def fit_rewards(
    model: Any,
    rows: Sequence[Row],
    worth: Sequence[Sequence[float]],
    plan: Schedule,
    *,
    seed: int,
    trunk: bool = True,
    watch: Callable[[Work], None] = lambda work: None,
) -> Fitted:
    """Train `model` in place until `plan.tokens` tokens are done; `worth` has a number for each row's places.

    `trunk` false leaves all but the head as it is. `watch` is told of the work now and then. Raises
    TrainingDiverged, InputError for no rows.
    """
    import torch

    if not rows:
        raise InputError("problems: no reply has a step to learn from; give more problems.")
    model.train()
    model.model.requires_grad_(trunk)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        learned, lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=plan.weight_decay
    )
    shape, began = shape_of(model.config), time.monotonic()
    told = began
    work, loss = Work(), math.nan
    ratio: float | None = None
    feed = _batches(rows, worth, plan.batch, seed)
    while work.tokens < plan.tokens:
        batch = next(feed)
        if ratio is None:
            ratio = _counted_ratio(model, shape, batch, trunk)
        value = _step(model, optimizer, learned, batch, plan.rate(work.tokens), plan.clip)
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"learning_rate: the loss became {value:g} at step {work.steps + 1}; lower "
                f"{plan.learning_rate:g}."
            )
        loss = value if math.isnan(loss) else _MEMORY * loss + (1 - _MEMORY) * value
        count, length = batch.ids.shape
        cost = reward_step_flop(shape, count, length, trunk=trunk)
        work = work + Work(1, count, batch.tokens, count * length, cost)
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            watch(replace(work, seconds=told - began))
    model.eval()
    assert ratio is not None
    return Fitted(replace(work, seconds=time.monotonic() - began), loss, ratio)


@dataclass(frozen=True, slots=True)
class _Batch:
    """`ids` [rows, length], padded on the right; `places` [S] are positions in the flattened batch whose
    targets are `targets` [S]."""

    ids: torch.Tensor
    places: torch.Tensor
    targets: torch.Tensor
    tokens: int


def _batches(
    rows: Sequence[Row], worth: Sequence[Sequence[float]], positions: int, seed: int
) -> Iterator[_Batch]:
    """Rows of like length together, again and again in another order."""
    order = sorted(range(len(rows)), key=lambda at: (len(rows[at].ids), at))
    groups: list[list[int]] = [[]]
    for at in order:
        if groups[-1] and (len(groups[-1]) + 1) * len(rows[at].ids) > positions:
            groups.append([])
        groups[-1].append(at)
    rng = Random(f"rewards/{seed}")
    while True:
        rng.shuffle(groups)
        for group in groups:
            yield _batch([rows[at] for at in group], [worth[at] for at in group])


def _batch(rows: Sequence[Row], worth: Sequence[Sequence[float]]) -> _Batch:
    import torch

    length = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + (PAD,) * (length - len(row.ids)) for row in rows])
    places = torch.tensor([line * length + place for line, row in enumerate(rows) for place in row.places])
    targets = torch.tensor([value for values in worth for value in values])
    return _Batch(ids, places, targets, sum(len(row.ids) for row in rows))


def _loss(model: Any, batch: _Batch) -> torch.Tensor:
    """Rows are padded on the right and attention is causal, so that no mask is needed."""
    import torch

    device = model.device
    logits = model(input_ids=batch.ids.to(device), use_cache=False).logits.flatten().float()
    told = logits.index_select(0, batch.places.to(device))
    return torch.nn.functional.binary_cross_entropy_with_logits(told, batch.targets.to(device))


def _step(
    model: Any, optimizer: Any, learned: Sequence[Any], batch: _Batch, rate: float, clip: float
) -> float:
    import torch

    loss = _loss(model, batch)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(learned, clip)
    value = float(loss.item())
    if math.isfinite(value):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    optimizer.zero_grad()
    return value


def _counted_ratio(model: Any, shape: Shape, batch: _Batch, trunk: bool) -> float:
    """PyTorch's operation counter over the formula, on this step. Its gradients are thrown away."""
    import torch

    _, counted = count_flop(lambda: torch.autograd.backward(_loss(model, batch)))
    model.zero_grad()
    rows, length = batch.ids.shape
    return counted / reward_step_flop(shape, rows, length, trunk=trunk)
