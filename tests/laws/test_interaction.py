"""The verdict on interaction, and the test of the product form, on families where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from tests.laws.ladders import SAMPLES, Truth, ladder

from ponder.laws.fit import fit
from ponder.laws.grid import Grid
from ponder.laws.interaction import Gains, interaction, product_form, without_each_size
from ponder.laws.joint import JointLaw


def gains(truth: Truth, *, problems: int = 3, draws: int | None = None) -> dict[tuple[str, str], Gains]:
    grid = ladder(truth, problems=problems, draws=draws)
    found = interaction(fit(grid, JointLaw(ceiling=1.0), draws=60), grid)
    return {(each.scale, each.equal): each for each in found}


@pytest.mark.parametrize("c", [-0.2, 0.2])
def test_in_logits_the_law_has_the_sign_and_size_of_c_at_equal_samples_and_flop(c: float) -> None:
    found = gains(Truth(spread=0.0, interaction=c))
    samples, flop = found["logit", "samples"], found["logit", "FLOP"]
    assert samples.law is not None
    assert flop.law is not None
    wanted = c * np.log10(1e6 / 8e3) * np.log10(SAMPLES[-1] / SAMPLES[0])
    assert samples.law.value == pytest.approx(wanted, abs=1e-4)
    assert flop.most is not None
    assert flop.least is not None
    decades = np.log10(flop.most / flop.least)
    assert flop.law.value == pytest.approx(c * np.log10(flop.larger / flop.smaller) * decades, abs=1e-4)
    verdict = "larger models gain more" if c > 0 else "smaller models gain more"
    assert (samples.verdict, flop.verdict) == (verdict, verdict)


def test_on_the_probability_scale_the_sign_can_be_the_other() -> None:
    """With no interaction in logits, a large model that is nearly always right has nothing left to gain."""
    found = gains(Truth(spread=0.0, interaction=0.0, level=1.0))
    law = found["probability", "samples"].law
    assert law is not None
    truth = Truth(spread=0.0, interaction=0.0, level=1.0)
    tokens = np.array([10 ** np.mean(np.log10([3e5, 1e6, 3e6, 1e7]))])
    ends = expit(truth.eta(np.array([8e3, 1e6]), np.repeat(tokens, 2), np.array([1.0, 256.0])))
    assert law.value == pytest.approx((ends[1, 1] - ends[1, 0]) - (ends[0, 1] - ends[0, 0]), abs=1e-5)
    assert found["probability", "samples"].verdict == "smaller models gain more"


def test_what_was_measured_stands_beside_the_law() -> None:
    truth = Truth(spread=1.0, interaction=0.3)
    found = gains(truth, problems=150)
    measured = found["probability", "samples"].measured
    grid = ladder(truth, problems=150)
    last = {size: np.flatnonzero(grid.size == size)[-1] for size in (8e3, 1e6)}
    means = grid.values.mean(axis=0)
    edge = 0.5 * grid.values.var(axis=0) / (means * (1.0 - means))
    means = (150 * means + edge) / (150 + 2.0 * edge)
    gain = {size: means[row, -1] - means[row, 0] for size, row in last.items()}
    assert measured is not None
    assert measured.value == pytest.approx(gain[1e6] - gain[8e3], abs=1e-9)
    assert measured.low < measured.value < measured.high


def test_of_several_seeds_the_mean_is_told_and_each_by_itself() -> None:
    truth = Truth(spread=1.0, interaction=0.3)
    grid = ladder(truth, problems=150)
    again = grid.size == 8e3
    worse = grid.values[:, again] * 0.5
    joined = {
        name: np.concatenate([getattr(grid, name), getattr(grid, name)[again]])
        for name in ("size", "tokens", "training_flop", "inference_flop")
    }
    for name in ("models", "runs"):
        joined[name] = (*getattr(grid, name), *np.array(getattr(grid, name))[again].tolist())
    both = Grid(
        **{
            **vars(grid),
            **joined,
            "values": np.concatenate([grid.values, worse], axis=1),
            "seeds": (*grid.seeds, *[1] * int(again.sum())),
        }
    )
    alone, found = (
        interaction(fit(each, JointLaw(ceiling=1.0), draws=60), each)[1].measured for each in (grid, both)
    )
    seeds = interaction(fit(both, JointLaw(ceiling=1.0), draws=60), both)[1].seeds
    assert alone is not None
    assert found is not None
    assert len(seeds) == 2
    assert seeds[0] == pytest.approx(alone.value)
    assert found.value == pytest.approx(np.mean(seeds), abs=1e-3)
    # Which seed was trained is part of the luck that the interval holds.
    assert found.low < min(seeds) + 0.01
    assert found.high > max(seeds) - 0.01


def test_flop_that_do_not_overlap_are_unknown() -> None:
    grid = ladder(Truth(spread=0.0), problems=3)
    few = Grid(**{**vars(grid), "amounts": np.array([1.0, 1.5]), "values": grid.values[:, :, :2],
                  "inference_flop": 60 * grid.size[:, None] * np.array([[1.0, 1.5]])})  # fmt: skip
    found = interaction(fit(few, JointLaw(ceiling=1.0), draws=30), few)
    assert [each.verdict for each in found if each.equal == "FLOP"] == ["unknown", "unknown"]


def test_a_verdict_is_held_against_each_size_left_out() -> None:
    found = without_each_size(ladder(Truth(spread=0.0), problems=3), JointLaw(ceiling=1.0), draws=20)
    assert sorted(found) == [8e3, 3e4, 1e5, 4e5, 1e6]
    interaction = [each["size x amount"].value for each in found.values() if each]
    assert interaction == pytest.approx([0.2] * 5, abs=1e-5)
    two = ladder(Truth(spread=0.0), problems=3)
    two = two.only(two.size < 5e4)
    assert without_each_size(two, JointLaw(ceiling=1.0), draws=20) == {8e3: None, 3e4: None}


def test_the_product_form_is_kept_where_it_holds_and_rejected_where_not() -> None:
    """Equal weights: tokens and samples count alike, and size nothing but through them."""
    holds = Truth(spread=1.0, interaction=0.0, tokens=0.8, amount=0.8)
    fails = Truth(spread=1.0, interaction=0.0, tokens=1.2, amount=0.5)
    tested = {}
    for name, truth in (("holds", holds), ("fails", fails)):
        law = fit(ladder(truth, problems=150, draws=8), JointLaw("flop", ceiling=1.0), draws=200)
        tested[name] = product_form(law)
    assert tested["holds"].p_value > 0.01
    assert tested["fails"].p_value < 1e-4
    ratio = tested["fails"].ratio
    assert ratio is not None
    assert ratio.low < 0.5 / 1.2 < ratio.high
    assert tested["holds"].interaction.low < 0.0 < tested["holds"].interaction.high


def test_a_score_of_nothing_has_no_measured_gain_in_logits() -> None:
    grid = ladder(Truth(spread=0.0), problems=30)
    values = grid.values.copy()
    values[:, np.flatnonzero(grid.size == 8e3)[-1], 0] = 0.0
    never = Grid(**{**vars(grid), "values": values})
    found = interaction(fit(never, JointLaw(ceiling=1.0), draws=30), never)
    measured = {(each.scale, each.equal): each.measured for each in found}
    assert measured["logit", "samples"] is None
    assert measured["probability", "samples"] is not None
