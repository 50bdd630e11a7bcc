"""Calibration of chances that were told, on cases whose figures are known."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from ponder.train.calibration import Calibration, calibration


def test_brier_is_the_mean_squared_error_over_outcomes() -> None:
    # Two steps; of four continuations each, three and none ended right.
    found = calibration([0, 1], [0.5, 0.25], [0.75, 0.0])
    outcomes = [(0.5, 1), (0.5, 1), (0.5, 1), (0.5, 0), *[(0.25, 0)] * 4]
    assert found.brier.value == pytest.approx(np.mean([(p - y) ** 2 for p, y in outcomes]))
    assert found.constant.value == pytest.approx(np.mean([(3 / 8 - y) ** 2 for _, y in outcomes]))


def test_the_area_counts_pairs_of_outcomes() -> None:
    problems, told, worth = [0, 0, 1, 1], [0.9, 0.2, 0.6, 0.6], [1.0, 0.25, 0.5, 0.0]
    right = [(p, at) for at, (p, y) in enumerate(zip(told, worth, strict=True)) for _ in range(round(4 * y))]
    wrong = [
        (p, at) for at, (p, y) in enumerate(zip(told, worth, strict=True)) for _ in range(round(4 - 4 * y))
    ]
    pairs = [(a > b) + 0.5 * (a == b) for a, _ in right for b, _ in wrong]
    within = [
        (a > b) + 0.5 * (a == b) for a, i in right for b, j in wrong if i != j and problems[i] == problems[j]
    ]
    found = calibration(problems, told, worth)
    assert found.auc is not None
    assert found.within is not None
    assert found.auc.value == pytest.approx(np.mean(pairs))
    assert found.within.value == pytest.approx(np.mean(within))


def test_difficulty_alone_tells_nothing_within_a_problem() -> None:
    rng = Random(0)
    problems = [at // 6 for at in range(600)]
    ease = [rng.random() for _ in range(100)]
    told = [ease[at] for at in problems]
    worth = [float(rng.random() < ease[at]) for at in problems]
    found = calibration(problems, told, worth)
    assert found.auc is not None
    assert found.within is not None
    assert found.auc.low > 0.7
    assert found.within.value == 0.5
    assert found.brier.high < found.constant.value
    assert all(abs(each.told - each.right) < 0.25 for each in found.bins)
    assert sum(each.steps for each in found.bins) == 600
    assert Calibration.from_json(found.to_json()) == found


def test_outcomes_that_are_all_alike_leave_the_area_unknown() -> None:
    found = calibration([0, 1], [0.3, 0.6], [0.0, 0.0])
    assert found.auc is None
    assert found.within is None
    assert found.constant.value == 0.0
    with pytest.raises(ValueError, match="needs steps"):
        calibration([], [], [])
