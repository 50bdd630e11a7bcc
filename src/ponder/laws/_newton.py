"""Newton's method in two variables for many objectives at once: B of them, each with its own point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "Jet", "maximise"]

Floats = NDArray[np.float64]
Box = tuple[tuple[float, float], tuple[float, float]]

_STEPS = 80
_LONGEST = 2.0  # of a step in either variable
_SMALLEST = 1e-10


@dataclass(frozen=True, slots=True)
class Jet:
    """A function of (u, v) with its first and second derivatives, each [B]."""

    value: Floats
    u: Floats
    v: Floats
    uu: Floats
    uv: Floats
    vv: Floats

    def __add__(self, other: Jet) -> Jet:
        return Jet(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def scaled(self, by: Floats) -> Jet:
        """Times a constant [B]."""
        return Jet(*(by * getattr(self, name) for name in self.__slots__))

    def chained(self, value: Floats, first: Floats, second: Floats) -> Jet:
        """f of this, from f, f' and f'' at its value."""
        return Jet(
            value,
            first * self.u,
            first * self.v,
            first * self.uu + second * self.u**2,
            first * self.uv + second * self.u * self.v,
            first * self.vv + second * self.v**2,
        )

    def where(self, mask: NDArray[np.bool_], other: Jet) -> Jet:
        """This one where the mask is true, the other elsewhere."""
        return Jet(*(np.where(mask, getattr(self, name), getattr(other, name)) for name in self.__slots__))


def maximise(jet: Callable[[Floats, Floats], Jet], u: Floats, v: Floats, box: Box) -> tuple[Floats, Floats]:
    """The (u, v), each [B], at which each objective is largest within `box`, from the start given.

    Newton steps, damped as by Marquardt where the objective is not concave or a step does not raise it; so
    every accepted step rises, and a maximum at the box's edge is found by steps that are cut off there.
    """
    here = jet(u, v)
    damping = np.full(u.shape, 1e-3)
    for _ in range(_STEPS):
        step_u, step_v = _step(here, damping, u, v, box)
        next_u, next_v = np.clip(u + step_u, *box[0]), np.clip(v + step_v, *box[1])
        moved = np.maximum(np.abs(next_u - u), np.abs(next_v - v))
        if float(moved.max(initial=0.0)) < _SMALLEST:
            break
        there = jet(next_u, next_v)
        better = there.value >= here.value
        u, v = np.where(better, next_u, u), np.where(better, next_v, v)
        here = there.where(better, here)
        damping = np.clip(np.where(better, damping * 0.1, damping * 10.0), 1e-12, 1e12)
    return u, v


def _step(jet: Jet, damping: Floats, u: Floats, v: Floats, box: Box) -> tuple[Floats, Floats]:
    """The damped Newton step. A variable at an edge of the box that wants out stands still."""
    held_u, held_v = _held(u, jet.u, box[0]), _held(v, jet.v, box[1])
    uu, vv = np.abs(jet.uu) + 1e-12, np.abs(jet.vv) + 1e-12
    # Enough is added to the diagonal to make the curvature negative definite.
    uv = np.where(held_u | held_v, 0.0, jet.uv)
    lack = np.maximum(0.0, np.abs(uv) - np.sqrt(uu * vv) * (1.0 - 1e-6)) / np.sqrt(uu * vv)
    uu, vv = uu * (1.0 + damping + lack), vv * (1.0 + damping + lack)
    gradient_u, gradient_v = np.where(held_u, 0.0, jet.u), np.where(held_v, 0.0, jet.v)
    det = uu * vv - uv**2
    step_u = (vv * gradient_u + uv * gradient_v) / det
    step_v = (uu * gradient_v + uv * gradient_u) / det
    shrink = np.minimum(1.0, _LONGEST / np.maximum(np.maximum(np.abs(step_u), np.abs(step_v)), 1e-300))
    return step_u * shrink, step_v * shrink


def _held(at: Floats, slope: Floats, ends: tuple[float, float]) -> NDArray[np.bool_]:
    held: NDArray[np.bool_] = ((at <= ends[0]) & (slope < 0)) | ((at >= ends[1]) & (slope > 0))
    return held
