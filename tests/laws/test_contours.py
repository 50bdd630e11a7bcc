"""Contours without a law, held against checkpoints whose rate is had by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ponder.laws.contours import MeasuredContour, measured_contours
from ponder.laws.grid import Grid


def exchanging(rate: float, *, shift: float = 0.0) -> Grid:
    """Five checkpoints whose accuracy is a straight line in log inference plus `rate` times log training, and
    one of most training that needs `shift` decades more than that."""
    training, inference = np.arange(6.0), np.linspace(0.0, 8.0, 17)
    lost = np.where(np.arange(6) == 5, shift, 0.0)
    line = 0.1 * (inference[None, :] + rate * training[:, None] - lost[:, None]) - 0.2
    values = np.clip(line, 0.0, 1.0)[None].repeat(10, axis=0)
    return Grid(
        name="made up",
        models=tuple("abcdef"),
        size=np.full(6, 1e4),
        tokens=10.0**training,
        training_flop=10.0**training,
        amounts=10.0**inference,
        values=values,
        inference_flop=np.broadcast_to(10.0**inference, (6, 17)).copy(),
        runs=("run",) * 6,
        seeds=(0,) * 6,
    )


def contour(grid: Grid, accuracy: float) -> MeasuredContour:
    (found,) = measured_contours(grid, [accuracy], draws=50)
    return found


def test_a_rate_is_measured_along_the_contour() -> None:
    found = contour(exchanging(0.7), 0.3)
    assert found.models == tuple("abcdef")
    assert found.training == pytest.approx(10.0 ** np.arange(6.0))
    assert np.log10(found.inference) == pytest.approx(5.0 - 0.7 * np.arange(6.0))
    assert found.rate is not None
    assert (found.rate.value, found.rate.low) == (pytest.approx(0.7), pytest.approx(0.7))
    assert found.without_one == pytest.approx((0.7, 0.7))
    assert found.spans == pytest.approx((5.0, 3.5))


def test_a_rate_that_hangs_on_one_checkpoint_shows_it() -> None:
    found = contour(exchanging(0.7, shift=-2.0), 0.3)
    assert found.without_one is not None
    assert found.rate is not None
    assert found.without_one[0] == pytest.approx(0.7)
    assert found.without_one[0] < found.rate.value < found.without_one[1]


def test_too_little_training_has_no_rate() -> None:
    grid = exchanging(0.7)
    close = contour(replace(grid, training_flop=10.0 ** (0.08 * np.arange(6.0))), 0.3)
    assert (len(close.models), close.rate, close.without_one) == (6, None, None)


def test_a_checkpoint_that_is_undercut_is_on_no_contour() -> None:
    assert contour(exchanging(0.7, shift=3.0), 0.3).models == tuple("abcde")


def test_a_level_that_few_reach_has_no_rate() -> None:
    flat, never = contour(exchanging(0.0), 0.3), contour(exchanging(0.7), 0.99)
    assert (flat.rate, flat.models) == (None, ("a",))
    assert (never.rate, never.models, never.inference.size) == (None, (), 0)


def test_each_accuracy_has_its_contour() -> None:
    low, high = measured_contours(exchanging(0.7), [0.3, 0.5], draws=50)
    assert (low.accuracy, high.accuracy) == (0.3, 0.5)
    assert (np.log10(high.inference) - np.log10(low.inference)) == pytest.approx(2.0)
