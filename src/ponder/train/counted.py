"""FLOP as PyTorch's operation counter finds them, to hold the formulas against.

Two gaps of the counter are closed. Of attention it knows CUDA's fused kernels, whose backward pass computes
the scores anew, and none of the CPU's, of which it would count nothing: so attention runs unfused while it
counts. And it passes over products that are added in place, as TRL's losses add them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ponder.errors import MissingExtra

__all__ = ["count_flop"]

T = TypeVar("T")


def count_flop(work: Callable[[], T]) -> tuple[T, float]:
    """Do a piece of work in PyTorch; what it returns, and the FLOP of its matrix products.

    Counting slows the work down: count one step and scale it by the positions computed. Raises MissingExtra.
    """
    try:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError as error:
        raise MissingExtra("Counting FLOP", "train") from error
    in_place = {torch.ops.aten.addmm_: _product, torch.ops.aten.baddbmm_: _product}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter, sdpa_kernel(SDPBackend.MATH):
        done = work()
    return done, float(counter.get_total_flops())


def _product(into: Sequence[int], left: Sequence[int], right: Sequence[int], **_: Any) -> int:
    """The FLOP of `into += left @ right`, from the three shapes."""
    flop = 2 * right[-1]
    for size in left:
        flop *= size
    return flop
