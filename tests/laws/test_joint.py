"""The joint law, held against families whose law is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from tests.laws.experiments import joint_ceiling, joint_law, share
from tests.laws.ladders import Truth, ladder, with_values

from ponder.errors import LawUndefined
from ponder.laws.fit import fit
from ponder.laws.grid import Grid
from ponder.laws.joint import JointLaw, _lowest, attenuation, solve_logistic


def exact(truth: Truth) -> Grid:
    """All problems alike, so that the mean follows the law to the last digit."""
    return ladder(truth, problems=3)


def test_the_coefficients_of_an_exact_law_are_found() -> None:
    truth = Truth(spread=0.0, interaction=-0.15)
    found = fit(exact(truth), JointLaw(), draws=20).parameters
    assert found["size x amount"].value == pytest.approx(truth.interaction, abs=1e-6)
    assert found["tokens"].value == pytest.approx(truth.tokens, abs=1e-6)
    # Uncentred: b_N = 1.2 - c·1 and b_k = 0.8 - c·5.
    assert found["size"].value == pytest.approx(truth.size - truth.interaction, abs=1e-6)
    assert found["amount"].value == pytest.approx(truth.amount - 5 * truth.interaction, abs=1e-6)
    assert found["ceiling"].value == pytest.approx(1.0, abs=1e-4)
    assert found["spread"].value == pytest.approx(0.0, abs=1e-3)


def test_a_prediction_is_the_law_at_any_place() -> None:
    truth = Truth(spread=0.0)
    found = fit(exact(truth), JointLaw(), draws=20)
    told = found.predict(np.array([[2e5, 2e6, 8.0], [2e5, 2e6, 1000.0]]))
    eta = truth.eta(np.array([2e5]), np.array([2e6]), np.array([8.0, 1000.0]))
    assert told.value == pytest.approx(expit(eta[0]), abs=1e-5)
    assert told.beyond.tolist() == [False, True]


@pytest.mark.parametrize("ceiling", [0.75, 0.9])
def test_a_ceiling_is_found(ceiling: float) -> None:
    truth = Truth(spread=0.0, ceiling=ceiling, level=1.0)
    found = fit(exact(truth), JointLaw(), draws=20).parameters
    assert found["ceiling"].value == pytest.approx(ceiling, abs=0.01)
    assert found["size x amount"].value == pytest.approx(truth.interaction, abs=0.03)


def test_a_low_ceiling_is_found_where_there_is_a_floor() -> None:
    """Of votes, which level off far below a half; draws scatter the means about it."""
    grid = ladder(Truth(ceiling=0.3, level=3.0), problems=400, draws=16)
    found = fit(grid, JointLaw(), draws=50).parameters["ceiling"]
    assert found.value == pytest.approx(0.3, abs=0.02)
    raised = with_values(grid, 0.2 + 0.8 * grid.values)
    told = fit(raised, JointLaw(floor=0.2), draws=50).parameters["ceiling"]
    assert told.value == pytest.approx(0.2 + 0.8 * found.value, abs=0.01)


def test_a_ceiling_at_its_bound_is_the_bound() -> None:
    """Two places that are one have losses that differ by rounding, which is no bend between them."""
    places, losses = np.array([[1.0], [1.05], [1.05]]), np.array([[2.0], [1.0], [1.0 + 1e-12]])
    assert _lowest(places, losses).tolist() == [1.05]


def test_a_floor_is_kept() -> None:
    grid = exact(Truth(spread=0.0))
    found = fit(with_values(grid, 0.25 + 0.75 * grid.values), JointLaw(floor=0.25, ceiling=1.0), draws=20)
    assert found.parameters["size x amount"].value == pytest.approx(0.2, abs=1e-6)


def test_the_spread_of_problems_is_told_from_the_models_own_chance() -> None:
    """Draws are noise of each model by itself; what models have in common is the problems'."""
    truth = Truth(spread=2.0, interaction=0.3)
    found = fit(ladder(truth, problems=3000, draws=4), JointLaw(ceiling=1.0), draws=50).parameters
    assert found["spread"].value == pytest.approx(2.0, abs=0.1)
    of_one = found["size x amount"].value * float(attenuation(np.array(found["spread"].value)))
    assert of_one == pytest.approx(0.3, abs=0.03)
    assert found["size x amount"].value == pytest.approx(truth.marginal, abs=0.02)


def test_in_flop_the_same_family_has_the_weights_of_tokens_and_samples() -> None:
    """With C_train = 6·N·D and C_inf = 60·N·k the effects of tokens and samples become those of FLOP."""
    truth = Truth(spread=0.0, interaction=0.0)
    found = fit(exact(truth), JointLaw("flop"), draws=20).parameters
    assert found["training"].value == pytest.approx(truth.tokens, abs=1e-5)
    assert found["inference"].value == pytest.approx(truth.amount, abs=1e-5)
    assert found["size"].value == pytest.approx(truth.size - truth.tokens - truth.amount, abs=1e-5)
    assert found["training x inference"].value == pytest.approx(0.0, abs=1e-6)


def test_fisher_scoring_solves_the_score_equations() -> None:
    rng = np.random.default_rng(4)
    columns = np.column_stack([np.ones(30), rng.normal(size=(30, 2))])
    means, weights = rng.uniform(0.1, 0.9, (5, 30)), rng.uniform(0.5, 2.0, (5, 30))
    found, loss = solve_logistic(means, weights, columns, 0.0, np.ones(5))
    residual = (weights * (means - expit(found @ columns.T))) @ columns
    assert np.abs(residual).max() < 1e-6
    assert (loss > 0).all()


def test_seeds_are_resampled_where_there_are_several() -> None:
    """Two seeds that disagree widen the intervals; one seed tells nothing."""
    grid = ladder(Truth(spread=0.5), problems=400, seeds=2)
    apart = np.where(np.array(grid.seeds)[None, :, None] == 1, 0.3, -0.3)
    noisy = with_values(grid, expit(logit(grid.values) + apart))
    one = fit(noisy.only(np.array(grid.seeds) == 0), JointLaw(ceiling=1.0), draws=200).parameters
    two = fit(noisy, JointLaw(ceiling=1.0), draws=200).parameters
    assert noisy.units == (400, 2, 2, 2, 2, 2)
    width = {name: each["tokens"].high - each["tokens"].low for name, each in (("one", one), ("two", two))}
    spans = {name: each["size"].high - each["size"].low for name, each in (("one", one), ("two", two))}
    assert spans["two"] > 1.5 * spans["one"]
    assert width["two"] < 3 * width["one"]


def test_what_cannot_be_fitted_is_refused() -> None:
    grid = ladder(problems=5)
    one_size = grid.only(grid.size == grid.size[0])
    with pytest.raises(LawUndefined, match=r"^size: synthetic was measured at one value only"):
        fit(one_size, JointLaw())
    one_amount = grid.only(grid.tokens == grid.tokens[0])
    with pytest.raises(LawUndefined, match=r"^tokens: synthetic was measured at one value only"):
        fit(one_amount, JointLaw())
    steps = [
        (n, d) in zip(grid.size[::5], grid.tokens[::5], strict=True)
        for n, d in zip(grid.size, grid.tokens, strict=True)
    ]
    along = grid.only(steps)
    tied = Grid(**{**vars(along), "tokens": 20.0 * along.size})
    with pytest.raises(LawUndefined, match=r"^models: size, tokens, amount rise together in synthetic"):
        fit(tied, JointLaw())
    for value, said in ((0.0, "wrong"), (1.0, "right")):
        with pytest.raises(LawUndefined, match=rf"^scores: synthetic is {said} everywhere"):
            fit(with_values(grid, np.full_like(grid.values, value)), JointLaw())
    with pytest.raises(LawUndefined, match=r"^problems: 1 cannot bound a law"):
        fit(with_values(grid, grid.values[:1]), JointLaw())
    with pytest.raises(LawUndefined, match=r"^amounts: those of synthetic must be distinct"):
        Grid(**{**vars(grid), "amounts": np.array([1.0, 1.0, 4.0, 16.0, 64.0])})


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    assert share(joint_law, 40) >= 0.78
    assert share(joint_ceiling, 40) >= 0.78
