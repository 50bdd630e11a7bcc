"""The compute curve finds what made its points, and says where they do not tell."""

from __future__ import annotations

import numpy as np
import pytest

from ponder.train.sigmoid import LEAST_POINTS, Sigmoid, fit_sigmoid, sigmoid

FLOP = np.geomspace(1e10, 1e12, 12)


def problems(curve: np.ndarray, *, count: int, samples: int, seed: int = 0) -> np.ndarray:
    """Shares of right answers, of problems that all follow the same curve from 0.2."""
    chances = np.tile(np.concatenate([[0.2], curve]), (count, 1))
    return np.random.default_rng(seed).binomial(samples, chances) / samples


def fitted(values: np.ndarray, flop: np.ndarray = FLOP, draws: int = 60) -> Sigmoid:
    found = fit_sigmoid(flop, values, draws=draws, rng=np.random.default_rng(1))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("asymptote", "middle", "steepness"), [(0.6, 1e11, 1.5), (0.9, 5e10, 3.0), (0.05, 1e11, 2.0)]
)
def test_exact_points_give_back_their_curve(asymptote: float, middle: float, steepness: float) -> None:
    means = np.concatenate([[0.2], sigmoid(FLOP, 0.2, asymptote, middle, steepness)])
    found = fitted(np.tile(means, (3, 1)), draws=4)
    assert found.asymptote == pytest.approx(asymptote, abs=0.002)
    assert found.middle == pytest.approx(middle, rel=0.01)
    assert found.steepness == pytest.approx(steepness, rel=0.01)
    assert found.error < 1e-4
    assert found(middle) == pytest.approx((0.2 + asymptote) / 2, abs=1e-3)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(3), 0
    for _ in range(20):
        # Each problem follows the curve from its own start to its own end.
        start, end = rng.beta(2, 8, size=(2, 150))
        rise = sigmoid(FLOP, 0.0, 1.0, 1e11, 1.5)
        chance = np.concatenate(
            [start[:, None], start[:, None] + (0.5 + end - start)[:, None] * rise], axis=1
        )
        found = fitted(rng.binomial(64, np.clip(chance, 0, 1)) / 64)
        held += found.asymptote_interval[0] <= 0.7 <= found.asymptote_interval[1]
    assert 14 <= held <= 20


@pytest.mark.parametrize(("middle", "settled"), [(1e11, True), (3e13, False), (1e8, False)])
def test_a_bend_outside_of_the_points_leaves_the_asymptote_open(middle: float, settled: bool) -> None:
    values = problems(sigmoid(FLOP, 0.2, 0.8, middle, 2.0), count=100, samples=64)
    assert fitted(values).settled is settled


def test_few_points_are_not_fitted() -> None:
    few = LEAST_POINTS - 1
    assert fit_sigmoid(FLOP[:few], np.full((3, few + 1), 0.5), rng=np.random.default_rng(0)) is None


def test_a_flat_line_is_a_gain_of_nothing() -> None:
    found = fitted(np.full((10, FLOP.size + 1), 0.3))
    assert found.asymptote == pytest.approx(0.3, abs=1e-6)
    assert found.error < 1e-6


def test_it_survives_json() -> None:
    found = fitted(problems(sigmoid(FLOP, 0.2, 0.6, 1e11, 1.5), count=20, samples=8), draws=10)
    assert Sigmoid.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("flop", "shape"), [([0.0, 1.0], (2, 3)), ([2.0, 1.0], (2, 3)), ([1.0, 2.0], (2, 2))]
)
def test_shapes_that_do_not_fit_are_refused(flop: list[float], shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"flop|values"):
        fit_sigmoid(flop, np.full(shape, 0.5), rng=np.random.default_rng(0))
