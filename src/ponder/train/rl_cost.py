"""FLOP of reinforcement learning by part, on the positions that were computed.

With a model's shape these are `ponder.flop`'s formulas, which count attention; without one 2·N a token read
or made and 6·N a token learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ponder import flop
from ponder.core import Model
from ponder.errors import ModelUnsupported

__all__ = ["Cost", "Part"]

Part = Literal["rollouts", "old", "reference", "update", "evaluation"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model's work costs. `adapters` counts the weights of LoRA's adapters, None where all weights
    learn; `compact` says that logits are made for real tokens alone, as TRL has it on a GPU."""

    model: Model
    adapters: int | None = None
    compact: bool = False

    def __post_init__(self) -> None:
        if self.model.shape is None and self.model.active_parameters is None:
            raise ModelUnsupported(
                f"model: the FLOP of {self.model.name} cannot be counted, as its layout is unknown; take "
                "another."
            )

    @property
    def method(self) -> str:
        return flop.method(self.model)

    def generation(self, rows: int, prompt: int, steps: int) -> float:
        """`rows` prompts padded to `prompt` tokens, and `steps` tokens for every row, finished or not."""
        positions = rows * (prompt + max(0, steps - 1))
        extra = 2.0 * (self.adapters or 0) * positions
        if self.model.shape is None:
            return self._each * positions + extra
        return flop.generation_flop(self.model.shape, rows, prompt, steps) + extra

    def scoring(self, rows: int, prompt: int, completion: int, tokens: int, *, adapted: bool) -> float:
        """The log-probabilities of `rows` completions of `tokens` real tokens in all, under the policy (with
        its adapters) or the reference (without)."""
        positions = rows * (prompt + completion)
        extra = 2.0 * (self.adapters or 0) * positions if adapted else 0.0
        if self.model.shape is None:
            return self._each * positions + extra
        logits = self._logits(rows, prompt, completion, tokens)
        return flop.batch_flop(self.model.shape, rows, prompt + completion, logits=logits) + extra

    def update(self, rows: int, prompt: int, completion: int, tokens: int) -> float:
        """Forward and backward over `rows` completions. TRL makes the logits again on the way back."""
        positions = rows * (prompt + completion)
        shape = self.model.shape
        if shape is None:
            learned = 1.0 if self.adapters is None else 2.0 / 3.0
            return 3.0 * learned * self._each * positions + 6.0 * (self.adapters or 0) * positions
        logits, length = self._logits(rows, prompt, completion, tokens), prompt + completion
        again = flop.logits_flop(shape, logits)
        if self.adapters is None:
            return float(flop.training_step_flop(shape, rows, length, logits=logits) + again)
        return float(flop.adapter_step_flop(shape, rows, length, self.adapters, logits=logits) + again)

    @property
    def _each(self) -> float:
        return 2.0 * (self.model.active_parameters or 0.0)

    def _logits(self, rows: int, prompt: int, completion: int, tokens: int) -> int:
        return tokens if self.compact else rows * (prompt + completion - 1)
