"""A short form of `make calibration` for the laws of many draws.

Of 60 intervals of 90 % fewer than 46 hold the truth by chance once in 1,500 times; so what fails here is
wrong by far. The exact figures are those of the long form.
"""

from __future__ import annotations

import pytest
from tests.laws.draw_experiments import EXPERIMENTS, FLAGS, power_population, shares

TRIALS = 60


@pytest.mark.parametrize("name", ["beta-binomial", "power law", "beta vote", "rise and fall"])
def test_intervals_hold_what_made_the_data(name: str) -> None:
    for quantity, share in shares(EXPERIMENTS[name], TRIALS).items():
        assert share >= 46 / TRIALS, quantity


@pytest.mark.parametrize("name", ["zero-inflated", "vote as drawn", "best of N"])
def test_intervals_of_slower_laws_hold_it_too(name: str) -> None:
    for quantity, share in shares(EXPERIMENTS[name], 20).items():
        assert share >= 13 / 20, quantity  # fewer are as unlikely


def test_a_law_of_another_shape_is_flagged_and_one_of_its_own_is_not() -> None:
    assert shares(FLAGS["a law of another shape"], 10)["flagged"] >= 0.9
    assert shares(FLAGS["a law of its own shape"], 10)["flagged"] <= 0.5


def test_the_power_laws_population_is_a_population() -> None:
    chances, share = power_population()
    assert share.sum() == pytest.approx(1.0)
    assert (share >= 0).all()
    assert ((chances >= 0) & (chances <= 1)).all()
