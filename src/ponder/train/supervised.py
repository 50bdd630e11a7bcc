"""Supervised training: one loop for pretraining, distillation and self-play.

AdamW on a warm-up, stable, decay schedule (Hu et al. 2024, MiniCPM, arXiv 2404.06395 §4), gradients
clipped to norm one. With a state file it can be killed at any time: run again it goes on from the last
save and ends, on a CPU with one thread, with the same weights bit for bit. Data order and schedule are
functions of what was trained on so far; nothing here draws random numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.core import Shape
from ponder.errors import InputError, OutOfMemory, TrainingDiverged
from ponder.flop import training_step_flop
from ponder.train import state as states
from ponder.train.batches import IGNORED, Batch, LossOn, Part, Stream, batches
from ponder.train.counted import count_flop
from ponder.train.models import shape_of
from ponder.train.state import Owner, Progress, Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

__all__ = ["Schedule", "Trained", "Watch", "fit", "step_flop"]

_SAVE_SECONDS = 30.0
_TELL_SECONDS = 1.0
_MEMORY = 0.98  # of the loss's running mean, a step


@dataclass(frozen=True, slots=True)
class Schedule:
    """How to train. `tokens`, `warm_up` and `decay` count real tokens from the model's first step on.

    The rate rises over the first `warm_up` tokens, stays, and falls linearly to zero over the last `decay`
    of `tokens`. `batch` is the tokens a step.
    """

    tokens: int
    learning_rate: float
    warm_up: int = 0
    decay: int = 0
    batch: int = 4096
    weight_decay: float = 0.1
    clip: float = 1.0
    loss_on: LossOn = "reply"

    def __post_init__(self) -> None:
        for name in ("tokens", "learning_rate", "batch", "clip"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError(f"{name}: it must be a positive number, not {value!r}.")
        for name in ("warm_up", "decay", "weight_decay"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise InputError(f"{name}: it must be a number of at least 0, not {value!r}.")
        if self.decay > self.tokens:
            raise InputError(f"decay: {self.decay} are more than the {self.tokens} tokens in all.")

    @property
    def steady(self) -> int:
        """The tokens after which the rate begins to fall."""
        return self.tokens - self.decay

    def rate(self, done: int) -> float:
        """The learning rate of the step that begins after `done` tokens."""
        rising = min(1.0, (done + self.batch) / self.warm_up) if self.warm_up else 1.0
        falling = min(1.0, (self.tokens - done) / self.decay) if self.decay else 1.0
        return self.learning_rate * max(0.0, min(rising, falling))

    def identity(self) -> dict[str, Any]:
        """What training may not be continued with another value of. `tokens` and `decay` are not in it: a
        steady part can be prolonged, or be annealed at any place."""
        return {
            "learning_rate": self.learning_rate,
            "warm_up": self.warm_up,
            "batch": self.batch,
            "weight_decay": self.weight_decay,
            "clip": self.clip,
            "loss_on": self.loss_on,
        }


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of a fit. `work` led to the weights, since their first step; `repeated` had to be done
    twice because a kill came between two saves. `loss` is the running mean over the last steps.
    `counted_ratio`: FLOP by PyTorch's counter over FLOP by formula, on one step; None if no step was made.
    """

    work: Work
    repeated: Work
    loss: float
    counted_ratio: float | None


@dataclass(frozen=True, slots=True)
class Watch:
    """How far a fit is: its work so far, the tokens it ends at, and the running mean of the loss."""

    work: Work
    tokens: int
    loss: float


def step_flop(shape: Shape, batch: Batch) -> float:
    """Forward and backward of one step, on the positions computed, with logits only where a loss is taken."""
    parts = batch.parts
    return float(sum(training_step_flop(shape, p.rows, p.length, logits=p.targets) for p in parts))


def fit(
    model: Any,
    stream: Stream,
    schedule: Schedule,
    *,
    state: Path | None = None,
    identity: Mapping[str, Any] | None = None,
    watch: Callable[[Watch], None] | None = None,
) -> Trained:
    """Train `model` in place until `schedule.tokens` real tokens are done.

    `state` is the file that training goes on from where it exists, and that it is saved to every 30 s and
    at the end. `identity` says what the state belongs to (data, recipe, seed); with another one, or another
    schedule where it matters, a rerun is refused.

    Raises TrainingDiverged (the state of the last good step is kept), OutOfMemory, RunChanged,
    CheckpointInvalid for a state that cannot be read, and InputError.
    """
    loop = _Loop(model, schedule, state, {**(identity or {}), **schedule.identity()}, watch)
    loop.resume()
    feed = batches(stream, start=loop.place, tokens=schedule.batch, loss_on=schedule.loss_on)
    with _room(schedule.batch):
        while loop.work.tokens < schedule.tokens:
            batch, place = next(feed, (None, loop.place))
            if batch is None:
                raise InputError(
                    f"examples: they ended after {loop.work.tokens:,} of {schedule.tokens:,} tokens; give a "
                    "stream without end, or fewer tokens."
                )
            loop.step(batch, place)
    if loop.work.steps > loop.saved_steps:
        loop.save()
    return Trained(loop.work, loop.repeated, loop.loss, loop.counted_ratio)


class _Loop:
    """A training under way: the model, its optimizer, and how far it is."""

    def __init__(
        self,
        model: Any,
        schedule: Schedule,
        state: Path | None,
        identity: Mapping[str, Any],
        watch: Callable[[Watch], None] | None,
    ) -> None:
        self.model, self.schedule, self.state, self.watch = model, schedule, state, watch
        self.owner = Owner(identity, schedule.steady, schedule.tokens)
        self.device = model.device
        self.shape = shape_of(model.config)
        self.optimizer = _optimizer(model, schedule)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.work, self.repeated, self.place = Work(), Work(), 0
        self.rated, self.loss = 0, math.nan
        self.counted_ratio: float | None = None
        self.saved_steps = 0
        self._before = Work()  # work of earlier processes
        self._began = self._saved = self._told = time.monotonic()

    def resume(self) -> None:
        """Go on from the state file where there is one. Raises RunChanged and CheckpointInvalid."""
        if self.state is None:
            return
        found = states.load(self.state, self.model, self.optimizer, self.owner)
        if found is not None:
            self.work = self._before = found.work
            self.saved_steps = found.work.steps
            self.repeated = found.repeated + states.lost(self.state, found.work)
            self.place, self.rated, self.loss = found.place, found.rated, found.loss
            self.counted_ratio = found.counted_ratio

    def step(self, batch: Batch, place: int) -> None:
        """One step of the optimizer. Raises TrainingDiverged before the weights take harm."""
        import torch

        if self.counted_ratio is None:
            self.counted_ratio = _counted_ratio(self.model, self.shape, batch)
        losses = [_backward(self.model, part.to(self.device), batch.targets) for part in batch.parts]
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.schedule.clip)
        value = sum(loss.item() for loss in losses)
        if not (math.isfinite(value) and math.isfinite(norm.item())):
            self._diverged(value)
        self.rated = self.work.tokens
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.rated)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.loss = value if math.isnan(self.loss) else _MEMORY * self.loss + (1 - _MEMORY) * value
        self._note(batch, place)

    def _note(self, batch: Batch, place: int) -> None:
        done = Work(1, batch.rows, batch.tokens, batch.positions, step_flop(self.shape, batch))
        now = time.monotonic()
        self.work = replace(self.work + done, seconds=self._before.seconds + now - self._began)
        self.place = place
        if now - self._told > _TELL_SECONDS:
            self._told = now
            if self.state is not None:
                states.tell(self.state, self.work)
            if self.watch is not None:
                self.watch(Watch(self.work, self.schedule.tokens, self.loss))
        if now - self._saved > _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write the state file, where one is wanted."""
        self._saved, self.saved_steps = time.monotonic(), self.work.steps
        if self.state is not None:
            progress = Progress(
                self.work, self.repeated, self.place, self.rated, self.loss, self.counted_ratio
            )
            states.save(self.state, self.model, self.optimizer, self.owner, progress)

    def _diverged(self, loss: float) -> None:
        self.optimizer.zero_grad()
        self.save()
        kept = "" if self.state is None else f" The state before that step is kept in {self.state}."
        raise TrainingDiverged(
            f"learning_rate: the loss became {loss:g} or its gradient no number at step "
            f"{self.work.steps + 1}; lower {self.schedule.learning_rate:g}.{kept}"
        )


def _backward(model: Any, part: Part, targets: int) -> torch.Tensor:
    """Add the gradients of a part, and return its share of the mean cross-entropy over the step's `targets`.

    Rows are padded on the right and attention is causal, so that no mask is needed: no real token sees
    padding. Logits are made only where there is a label.
    """
    import torch

    hidden = model.model(input_ids=part.ids, use_cache=False).last_hidden_state
    wanted = (part.labels != IGNORED).flatten().nonzero().squeeze(1)
    logits = model.lm_head(hidden.flatten(0, 1).index_select(0, wanted))
    right = part.labels.flatten().index_select(0, wanted)
    loss = torch.nn.functional.cross_entropy(logits.float(), right, reduction="sum") / targets
    torch.autograd.backward(loss)
    return loss.detach()


def _optimizer(model: Any, schedule: Schedule) -> torch.optim.Optimizer:
    import torch

    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, 0.95), fused=True)


def _counted_ratio(model: Any, shape: Shape, batch: Batch) -> float:
    """PyTorch's operation counter over the formula, on the first rows of this step. Their gradients are
    thrown away."""
    whole = batch.parts[0]
    labels = whole.labels[:2]
    part = Part(whole.ids[:2], labels, int((labels != IGNORED).sum())).to(model.device)
    _, counted = count_flop(lambda: _backward(model, part, part.targets))
    model.zero_grad()
    return counted / step_flop(shape, Batch((part,), 0))


@contextmanager
def _room(batch: int) -> Iterator[None]:
    """Say which batch to try where memory runs out."""
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory(_smaller(batch)) from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise OutOfMemory(_smaller(batch)) from error


def _smaller(batch: int) -> str:
    return f"batch: {batch:,} tokens a step do not fit into memory; try {max(1, batch // 2):,}."
