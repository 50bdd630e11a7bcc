"""Laws in compute, held against curves whose parameters are known."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws.experiments import compute_law, share
from tests.laws.families import COMPUTE, CURVE, curves

from ponder.errors import LawUndefined
from ponder.laws.compute import ComputeSigmoid, envelope, forecast_ahead, sigmoid, solve_sigmoid
from ponder.laws.data import Scores
from ponder.laws.fit import fit


@pytest.mark.parametrize(("floor", "ceiling"), [(0.1, None), (None, None), (0.1, 0.8), (None, 0.8)])
def test_exact_curves_are_recovered(floor: float | None, ceiling: float | None) -> None:
    curve = sigmoid(CURVE, COMPUTE)
    found = solve_sigmoid(curve, COMPUTE, np.ones(11), floor=floor, ceiling=ceiling)
    assert found == pytest.approx(CURVE, abs=1e-4)


def test_bounds_are_kept_and_rows_do_not_mix() -> None:
    rng = np.random.default_rng(1)
    curves = np.clip(sigmoid(np.array([[0.0, 1.0, 11.5, 3.0]]), COMPUTE) + rng.normal(0, 0.05, (5, 11)), 0, 1)
    found = solve_sigmoid(curves, COMPUTE, np.ones(11), floor=None)
    assert found[:, 0].min() >= 0
    assert found[:, 1].max() <= 1
    assert found[:, 3].min() > 0
    alone = [solve_sigmoid(row[None], COMPUTE, np.ones(11), floor=None)[0] for row in curves]
    assert found == pytest.approx(np.array(alone))


def test_a_point_without_weight_does_not_count() -> None:
    curve = sigmoid(CURVE, COMPUTE)
    weights = np.ones(11)
    curve[0, 3], weights[3] = 0.99, 0.0
    assert solve_sigmoid(curve, COMPUTE, weights, floor=0.1) == pytest.approx(CURVE, abs=1e-4)


def test_a_fit_is_best_among_its_neighbours() -> None:
    data = curves(np.random.default_rng(2))
    mean = data.values.mean(axis=0)[None]
    found = solve_sigmoid(mean, COMPUTE, np.ones(11), floor=0.1)

    def loss(parameters: np.ndarray) -> float:
        return float(((sigmoid(parameters, COMPUTE) - mean) ** 2).sum())

    for place in (1, 2, 3):
        for step in (-0.003, 0.003):
            moved = found.copy()
            moved[0, place] *= 1 + step
            assert loss(moved) > loss(found)


def test_a_fit_tells_its_range_and_intervals() -> None:
    found = fit(curves(np.random.default_rng(3)), ComputeSigmoid(), draws=200)
    assert found.parameters["floor"].value == 0.1
    ceiling = found.parameters["ceiling"]
    assert ceiling.low < ceiling.value < ceiling.high
    told = found.predict([1e8, 1e11, 1e15])
    assert told.beyond.tolist() == [True, False, True]
    assert (told.low <= told.value).all()
    assert (told.value <= told.high).all()


def test_what_cannot_be_fitted_is_refused() -> None:
    few = Scores("plain", "flop", COMPUTE[:3], np.full((5, 3), 0.5), 0.0)
    with pytest.raises(LawUndefined, match=r"^compute: plain was measured at 3 values"):
        fit(few, ComputeSigmoid())
    for value, said in ((0.0, "wrong"), (1.0, "right")):
        flat = Scores("plain", "flop", COMPUTE, np.full((5, 11), value), 0.0)
        with pytest.raises(LawUndefined, match=rf"^scores: plain is {said} at every problem"):
            fit(flat, ComputeSigmoid())
    with pytest.raises(LawUndefined, match=r"^problems: 1 cannot bound a law"):
        fit(Scores("plain", "flop", COMPUTE, np.full((1, 11), 0.5), 0.0), ComputeSigmoid())
    with pytest.raises(LawUndefined, match=r"^compute: the values of plain must be distinct"):
        Scores("plain", "flop", np.array([1.0, 1.0]), np.full((5, 2), 0.5))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    assert share(compute_law, 30) >= 0.75


def test_a_law_foretells_and_data_of_another_shape_are_flagged() -> None:
    data = curves(np.random.default_rng(4), spread=0.0)
    ahead = forecast_ahead(data)
    assert (ahead.held_back, ahead.word) == (2, "law")
    assert ahead.error < 1e-3
    falling = data.values.copy()
    falling[:, -2:] = 0.15
    assert forecast_ahead(Scores("plain", "flop", COMPUTE, falling, 0.1)).word == "trend"


# ---------------------------------------------------------------- envelope


def two_strategies() -> tuple[Scores, Scores]:
    """One is cheap and soon at its end, the other costs more from the start and gets further."""
    rng = np.random.default_rng(5)
    ease = rng.uniform(-1, 1, (200, 1)) * 0.1
    cheap = Scores("vote", "flop", np.array([1.0, 10.0, 100.0]), np.add(ease, [0.2, 0.4, 0.45]))
    dear = Scores("chain", "flop", np.array([10.0, 100.0, 1000.0]), np.add(ease, [0.1, 0.6, 0.8]))
    return cheap, dear


def test_the_envelope_takes_the_better_and_says_where_each_leads() -> None:
    found = envelope(two_strategies(), draws=100)
    vote, chain = found.leads
    assert (vote.name, vote.first, chain.name, chain.last) == ("vote", 1.0, "chain", 1000.0)
    # In x = log10 C the lines are 0.4 + 0.05·(x - 1) and 0.1 + 0.5·(x - 1): the second leads past x = 5/3.
    assert chain.first == pytest.approx(10 ** (5 / 3), rel=0.12)
    # What all problems have in common takes no part in the comparison.
    assert vote.sure == pytest.approx((1.0, vote.last), rel=0.12)
    assert chain.sure == (chain.first, 1000.0)
    assert found.value[-1] == pytest.approx(0.8, abs=0.02)
    assert np.isnan(found.values[1, 0])
    assert not np.isnan(found.values[0]).any()
    assert (np.diff(found.value) >= -1e-12).all()


def test_a_lead_within_noise_is_not_sure() -> None:
    cheap, _ = two_strategies()
    rng = np.random.default_rng(6)
    twin = Scores("twin", "flop", cheap.compute, np.clip(cheap.values + rng.normal(0, 0.1, (200, 1)), 0, 1))
    assert all(lead.sure is None for lead in envelope([cheap, twin], draws=100).leads)


def test_strategies_of_other_problems_have_no_envelope() -> None:
    cheap, dear = two_strategies()
    with pytest.raises(LawUndefined, match=r"^strategies: "):
        envelope([cheap, Scores("chain", "flop", dear.compute, dear.values[:50])])
    with pytest.raises(LawUndefined, match=r"^strategies: "):
        envelope([])
