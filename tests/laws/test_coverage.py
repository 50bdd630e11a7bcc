"""Coverage laws: they recover what made the data, agree with other implementations, and forecast far."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from saber.fitting import fit_beta_binomial_MLE
from scipy import optimize, stats
from tests.laws.populations import beta, counts

from ponder.errors import LawUndefined
from ponder.laws import fit
from ponder.laws._beta_binomial import _Table, log_rising
from ponder.laws.coverage import BetaBinomial, PowerLaw, _curve, _line, log_likelihood, needed, pass_at


def ones(data) -> np.ndarray:
    return np.ones((1, *data.units))


def test_pass_at_k_is_the_estimator_of_human_eval() -> None:
    """Its formula as published with HumanEval: 1 - Π_{i=n-c+1}^{n} (1 - k/i)."""
    right = np.arange(21)
    ks = np.array([1, 2, 7, 19, 20])
    found = pass_at(counts(20, right), ks)
    for c in right:
        for column, k in enumerate(ks):
            wanted = 1.0 if 20 - c < k else 1.0 - np.prod(1.0 - k / np.arange(20 - c + 1, 21))
            assert found[c, column] == pytest.approx(wanted, abs=1e-12)
            assert found[c, column] == pytest.approx(1 - comb(20 - c, k) / comb(20, k), abs=1e-12)


@pytest.mark.parametrize(("a", "b", "draws"), [(0.3, 3, 32), (0.3, 5, 1000), (40, 40, 32), (2, 1, 8)])
def test_the_likelihood_is_as_large_as_that_of_saber(a: float, b: float, draws: int) -> None:
    data = beta(np.random.default_rng(0), a, b, problems=300, draws=draws)
    law = BetaBinomial()
    ours = law.solve(data, ones(data))[0]
    theirs = np.array(fit_beta_binomial_MLE(data.right, draws))
    assert ours == pytest.approx(theirs, rel=1e-3)  # its search stops at a tolerance
    assert log_likelihood(law, data, ours) >= log_likelihood(law, data, theirs) - 1e-8


def test_no_other_point_has_a_larger_likelihood() -> None:
    data = beta(np.random.default_rng(0), 0.4, 3, problems=200, draws=32, never=0.2, always=0.1)
    law = BetaBinomial(zeros=True, ones=True)
    found = law.solve(data, ones(data))[0]
    best = log_likelihood(law, data, found)
    for column in range(4):
        for by in (0.98, 1.02):
            other = found.copy()
            other[column] *= by
            assert log_likelihood(law, data, other) < best


def test_weights_stand_for_repeated_problems() -> None:
    data = beta(np.random.default_rng(1), 0.5, 2, problems=60, draws=16, never=0.2)
    weights = np.random.default_rng(2).integers(0, 4, (5, 60)).astype(float)
    for law in (BetaBinomial(), BetaBinomial(zeros=True), PowerLaw(), PowerLaw(on_shares=True)):
        found = law.solve(data, weights)
        for row, weight in zip(found, weights, strict=True):
            repeated = counts(16, np.repeat(data.right, weight.astype(int)))
            assert row == pytest.approx(law.solve(repeated, ones(repeated))[0], rel=1e-6, abs=1e-9)


def test_problems_with_other_numbers_of_draws_are_fitted_together() -> None:
    rng = np.random.default_rng(3)
    draws = rng.integers(4, 40, 4000)
    data = counts(8, rng.binomial(8, 0.5, 4000))
    chance = np.where(rng.random(4000) < 0.2, 0.0, rng.beta(0.6, 2.0, 4000))
    data = type(data)("made", "made", data.ids, draws, rng.binomial(draws, chance))
    assert BetaBinomial(zeros=True).solve(data, ones(data))[0] == pytest.approx([0.6, 2.0, 0.2], rel=0.25)


@pytest.mark.parametrize(("draws", "solved", "problems"), [(3, 6, 40), (3, 30, 40), (32, 3, 300)])
def test_problems_solved_once_or_never_are_fitted_without_a_share_that_never_is(
    draws: int, solved: int, problems: int
) -> None:
    """They say that all chances are alike and small, to where the chance of no right draw is 1 but for
    rounding."""
    data = counts(draws, np.repeat([1, 0], [solved, problems - solved]))
    found = fit(data, BetaBinomial(zeros=True), draws=50)
    assert found.parameters["never"].value == 0.0
    assert found.predict(1.0).value[0] == pytest.approx(solved / problems / draws, rel=1e-3)


def test_the_table_is_exact_between_its_nodes() -> None:
    t = np.random.default_rng(0).uniform(-9, 13, 500)
    table = _Table.of(np.ones((500, 3)), np.array([1, 30, 4000]))
    for found, wanted in zip(table.at(t), log_rising(t[:, None], np.array([1, 30, 4000])), strict=True):
        assert found == pytest.approx(wanted.sum(axis=1), rel=1e-6, abs=1e-6)


def test_the_beta_binomial_is_scipys() -> None:
    passed = BetaBinomial().at(np.array([[0.3, 5.0]]), np.array([1.0, 10.0, 10_000.0]))[0]
    wanted = [1 - stats.betabinom(k, 0.3, 5.0).pmf(0) for k in (1, 10, 10_000)]
    assert passed == pytest.approx(wanted)
    inflated = BetaBinomial(zeros=True, ones=True).at(np.array([[0.3, 5.0, 0.2, 0.1]]), np.array([10.0]))[
        0, 0
    ]
    assert inflated == pytest.approx(0.1 + 0.7 * wanted[1])


def test_shares_that_never_or_always_succeed_are_found_where_they_are() -> None:
    rng = np.random.default_rng(4)
    plain = beta(rng, 2, 3, problems=1000, draws=64)
    both = beta(rng, 2, 3, problems=1000, draws=64, never=0.2, always=0.1)
    assert BetaBinomial.chosen(plain) == BetaBinomial()
    assert BetaBinomial.chosen(both) == BetaBinomial(zeros=True, ones=True)
    assert BetaBinomial(True, True).solve(both, ones(both))[0, 2:] == pytest.approx([0.2, 0.1], abs=0.03)
    # Where there are none the shares are 0 and the rest is the plain fit.
    law = BetaBinomial(ones=True).solve(plain, ones(plain))[0]
    assert law == pytest.approx([*BetaBinomial().solve(plain, ones(plain))[0], 0.0], abs=0.02)


def test_power_laws_are_found_as_they_are() -> None:
    law = PowerLaw()
    ks = np.unique(np.geomspace(1, 64, 24).round())
    wanted = np.array([[-2.0, -0.4]])
    passed = law.at(wanted, ks)
    line = _line(np.log(ks), passed)
    assert np.array(line)[:, 0] == pytest.approx([np.log(2.0), -0.4])
    found = _curve(np.log(ks), passed, (line[0] + 0.3, line[1] - 0.2))
    assert np.array(found)[:, 0] == pytest.approx([np.log(2.0), -0.4])


def test_least_squares_on_pass_at_k_is_the_best_of_all_starts() -> None:
    data = beta(np.random.default_rng(5), 0.3, 3, problems=300, draws=64)
    law = PowerLaw(on_shares=True)
    ks = np.unique(np.geomspace(1, 64, 24).round().astype(int))
    seen = pass_at(data, ks).mean(axis=0)

    def squares(at: np.ndarray) -> float:
        return float(((np.exp(-np.exp(at[0]) * ks ** at[1]) - seen) ** 2).sum())

    wanted = optimize.minimize(
        squares, [0.5, -0.5], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15}
    )
    found = law.solve(data, ones(data))[0]
    assert found == pytest.approx([-np.exp(wanted.x[0]), wanted.x[1]], rel=1e-4)


def test_heavy_tails_are_forecast_ten_times_better_than_by_least_squares() -> None:
    """-log pass@k at 100 times more samples than were drawn (Schaeffer et al. 2025): the median of ten."""
    at = np.array([10_000.0])
    truth = -np.log(BetaBinomial().at(np.array([[1.0, 100.0]]), at)[0, 0])
    errors = []
    for seed in range(10):
        data = beta(np.random.default_rng(seed), 1.0, 100.0, problems=500, draws=100)
        told = [
            law.at(law.solve(data, ones(data)), at)[0, 0]
            for law in (BetaBinomial(), PowerLaw(on_shares=True))
        ]
        errors.append(np.abs(-np.log(told) / truth - 1.0))
    ours, theirs = np.median(errors, axis=0)
    assert ours < 0.1 * theirs


def test_failures_fall_as_a_power_of_k_however_large() -> None:
    fail = 1 - BetaBinomial().at(np.array([[0.3, 5.0]]), np.array([1e5, 1e6, 1e9, 1e12, np.inf]))[0]
    assert np.diff(np.log10(fail[:4])) == pytest.approx([-0.3, -0.9, -0.9], abs=1e-4)
    assert fail[4] == 0.0
    # Where the formula changes nothing jumps.
    around = (1.3e6 - 5.0) * np.array([1 - 1e-9, 1 + 1e-9])
    before, after = 1 - BetaBinomial().at(np.array([[0.3, 5.0]]), around)[0]
    assert after == pytest.approx(before, rel=1e-8)


def test_samples_that_a_coverage_needs() -> None:
    data = beta(np.random.default_rng(8), 0.5, 2.0, problems=300, draws=64, never=0.2)
    found = fit(data, BetaBinomial(zeros=True), draws=50)
    value, low, high = needed(found, 0.7)
    assert low < value < high
    assert found.predict([value]).value[0] == pytest.approx(0.7, abs=0.005)
    assert needed(found, 0.99) == (np.inf, np.inf, np.inf)
    assert needed(found, 0.01)[0] == 1.0


@pytest.mark.parametrize(
    ("draws", "right", "why"),
    [
        (8, [0, 0, 0, 0], "no draw is right"),
        (8, [8, 8, 8, 8], "every draw is right"),
        (1, [0, 1, 1, 0], "draw at least 2"),
    ],
)
def test_counts_that_say_nothing_are_refused(draws: int, right: list[int], why: str) -> None:
    for law in (BetaBinomial(), BetaBinomial(True, True), PowerLaw()):
        with pytest.raises(LawUndefined, match=why):
            fit(counts(draws, np.array(right)), law)


def test_more_than_was_drawn_is_no_unbiased_estimate() -> None:
    with pytest.raises(LawUndefined, match="too few for pass@9"):
        pass_at(counts(8, np.array([1, 2, 3])), np.array([9]))


def test_every_draw_of_some_problems_right_and_none_of_the_others() -> None:
    """Nothing between: a and b go to their bounds, and the fit stays finite."""
    data = counts(16, np.array([0] * 20 + [16] * 20))
    found = fit(data, BetaBinomial(), draws=20)
    assert found.predict([1, 1000]).value == pytest.approx([0.5, 0.5], abs=0.01)
