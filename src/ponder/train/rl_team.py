"""The processes of one run: one, or as many as `accelerate launch` started. Each learns from its share of a
step's completions, and the first keeps the book."""

from __future__ import annotations

import os
from datetime import timedelta

from ponder.errors import InputError
from ponder.train.state import Work

__all__ = ["Team", "is_first"]

# The others wait while the first process evaluates.
_PATIENCE = timedelta(hours=12)
_SHARDED = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_MEGATRON_LM")


def is_first() -> bool:
    """Whether this process keeps the book: it is alone, or the first of several."""
    return os.environ.get("RANK", "0") == "0"


class Team:
    """What the processes of a run tell one another; each must call the same in the same order. `close()` it.

    Raises InputError where accelerate is to divide a model among them.
    """

    def __init__(self, device: str) -> None:
        from accelerate import PartialState

        if any(os.environ.get(name, "").lower() in ("1", "true") for name in _SHARDED):
            raise InputError(
                "accelerate: ponder learns with a whole model in each process; launch it without FSDP, "
                "DeepSpeed and Megatron."
            )
        self._state = PartialState(cpu=device == "cpu", timeout=_PATIENCE)
        self.size: int = self._state.num_processes
        self.first: bool = self._state.is_main_process

    def summed(self, work: Work) -> Work:
        """The work of all. They run side by side: its seconds are those of the slowest."""
        if self.size == 1:
            return work
        import torch
        from torch import distributed

        counts = [work.examples, work.tokens, work.positions, work.flop]
        total = torch.tensor(counts, dtype=torch.float64, device=self._state.device)
        seconds = torch.tensor(work.seconds, dtype=torch.float64, device=self._state.device)
        distributed.all_reduce(total)
        distributed.all_reduce(seconds, distributed.ReduceOp.MAX)
        examples, tokens, positions, flop = total.tolist()
        return Work(work.steps, round(examples), round(tokens), round(positions), flop, seconds.item())

    def agreed(self, number: int) -> int:
        """The first process's number."""
        if self.size == 1:
            return number
        import torch
        from torch import distributed

        told = torch.tensor(number, device=self._state.device)
        distributed.broadcast(told, 0)
        return int(told)

    def wait(self) -> None:
        """Until all have come so far."""
        if self.size > 1:
            self._state.wait_for_everyone()

    def close(self) -> None:
        if self.size > 1:
            self._state.destroy_process_group()
