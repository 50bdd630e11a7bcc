"""`ponder.fit`: any law by its name, on a bank, a recording or a curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.laws.recordings import TASK, write_ladder

import ponder
from ponder.core import Sample
from ponder.errors import InputError, LawUndefined, UnknownName
from ponder.laws import LAWS, Counts, Scores, fit
from ponder.laws.compute import ComputeSigmoid
from ponder.laws.coverage import BetaBinomial
from ponder.laws.fit import resampling
from ponder.measure.bank import Bank, Cost, build
from ponder.measure.curve import Curve, Point
from ponder.tasks import question_from_text
from ponder.train.recorded import load

DRAWS = 12


def bank(problems: int = 40) -> Bank:
    """Problem p is right in about p of `problems` draws."""
    rng = np.random.default_rng(0)
    marks = rng.random((problems, DRAWS)) < np.linspace(0.05, 0.95, problems)[:, None]
    return build(
        [question_from_text(f"What is {p} + 1?") for p in range(problems)],
        [[Sample("", "a" if mark else "b", tokens=5) for mark in row] for row in marks],
        [[bool(mark) for mark in row] for row in marks],
        {},
        Cost(None, None, None, None, 1),
    )


def curve(accuracies: list[float], *, half: float = 0.03, flop: bool = True) -> Curve:
    """Accuracies at 1, 2, 4, ... samples of 100 tokens and a million FLOP."""
    points = tuple(
        Point(1 << at, each, each - half, each + half, 100.0 * 2**at, 1e6 * 2**at if flop else None, 2.0**at)
        for at, each in enumerate(accuracies)
    )
    return Curve("made", "vote", points)


RISING = [0.2, 0.24, 0.3, 0.38, 0.46, 0.53, 0.57, 0.59]


def test_a_bank_is_fitted_by_a_law_or_its_name() -> None:
    told = fit(bank(), "beta-binomial", draws=50)
    assert told.parameters.keys() == {"a", "b"}
    np.testing.assert_array_equal(told.draws, fit(bank(), BetaBinomial(), draws=50).draws)
    counts = Counts.from_bank(bank(), "made")
    np.testing.assert_array_equal(told.value, fit(counts, "beta-binomial", draws=50).value)
    assert ponder.fit is fit


def test_a_recording_is_fitted(tmp_path: Path) -> None:
    write_ladder(tmp_path)
    recorded = load(next(tmp_path.glob("154k-steps-random-0-4*.jsonl.xz")))
    told = fit(recorded, "vote", draws=50).predict([1, 16])
    np.testing.assert_allclose(told.value, recorded.vote([1, 16]).mean(axis=0), atol=0.01)
    assert recorded.task == TASK


def test_a_curve_is_fitted_within_its_own_intervals() -> None:
    told = fit(curve(RISING), "sigmoid").predict([1e6 * 2**at for at in range(len(RISING))])
    np.testing.assert_allclose(told.value, RISING, atol=0.01)
    half = (told.high - told.low) / 2.0
    # The sigmoid smooths, so its band may be somewhat narrower than the points' intervals, and is not wider.
    assert (half < 0.033).all()
    assert half.mean() > 0.02
    assert fit(curve(RISING), "sigmoid").predict([1e12]).beyond.tolist() == [True]


def test_stand_ins_move_each_point_as_far_as_its_interval_says() -> None:
    scores = Scores.from_curve(curve(RISING))
    weights = resampling(scores.units, 4000, np.random.default_rng(1))
    means = weights[1:] @ scores.values / weights[1:].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores.values.mean(axis=0), RISING, atol=1e-12)
    low, high = np.quantile(means, [0.05, 0.95], axis=0)
    np.testing.assert_allclose((high - low) / 2.0, 0.03, rtol=0.1)
    together = np.corrcoef(means.T)
    assert together[0, 1] > 0.9
    assert abs(together[0, -1]) < 0.1
    other = Scores.from_curve(curve(RISING), place=1)
    apart = weights[1:] @ other.values / weights[1:].sum(axis=1, keepdims=True)
    assert abs(np.corrcoef(means[:, 3], apart[:, 3])[0, 1]) < 0.1


def test_a_curve_takes_flop_then_tokens_and_keeps_doublings() -> None:
    assert Scores.from_curve(curve(RISING)).unit == "FLOP"
    assert Scores.from_curve(curve(RISING, flop=False)).unit == "tokens"
    dense = Curve(
        "made", "vote", tuple(Point(k, 0.1, 0.0, 0.2, float(k), None, float(k)) for k in range(1, 8))
    )
    assert Scores.from_curve(dense).compute.tolist() == [1.0, 2.0, 4.0, 7.0]
    with pytest.raises(LawUndefined, match=r"^compute: the FLOP of vote are unknown; take another unit"):
        Scores.from_curve(dense, unit="FLOP")


def test_a_curve_that_is_wrong_throughout_is_refused() -> None:
    with pytest.raises(LawUndefined, match="vote is wrong at every problem and every compute"):
        fit(curve([0.0] * 8), "sigmoid")


def test_duplicate_values_of_compute_are_refused() -> None:
    still = Curve("made", "vote", tuple(Point(k, 0.1, 0.0, 0.2, 5.0, None, 1.0) for k in (1, 2, 4)))
    with pytest.raises(LawUndefined, match=r"^compute: the values of vote must be distinct"):
        fit(still, "sigmoid")


def test_an_unknown_law_is_refused_with_the_names() -> None:
    with pytest.raises(UnknownName, match="did you mean beta-binomial"):
        fit(bank(), "beta binomial")
    assert {"beta-binomial", "power law", "vote", "beta vote", "rise and fall", "sigmoid"} <= LAWS.keys()


def test_a_law_of_other_data_is_refused() -> None:
    with pytest.raises(InputError, match="beta-binomial is fitted to counts of right draws"):
        fit(curve(RISING), "beta-binomial")
    with pytest.raises(InputError, match="sigmoid of log compute is fitted to scores against compute"):
        fit(bank(), ComputeSigmoid())
    with pytest.raises(InputError, match="not list"):
        fit([1, 2], "vote")  # type: ignore[arg-type]
