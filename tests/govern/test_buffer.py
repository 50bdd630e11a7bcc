"""A threshold's buffer, held against worked numbers, simulated populations and the limits of its formulas."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ponder.data.rows import row
from ponder.govern import buffer, calculator
from ponder.govern.calculator import Measured
from ponder.govern.outcome import draw, evaluate
from ponder.govern.scenario import read, resolve
from ponder.quantity import point
from tests.govern.cases import middles, outcome

EPOCH = Path(__file__).parent / "epoch_large_scale.csv"
"""Models, dates and training compute of Epoch AI's Large-Scale AI Models, May 2025 (CC BY 4.0)."""

PLAIN = {"scaffold": "1", "affordable": "1", "months": "0"}


def of(*numbers: float) -> list[np.ndarray]:
    return [np.array([number]) for number in numbers]


def test_a_year_and_a_gain_of_ten_leave_a_thirtieth() -> None:
    """1e26, a gain of 10 and 12 months at a doubling of 8: 1e26 / (10 · 2.83)."""
    line = middles("buffer", threshold="1e26", scaffold="10", affordable="1", months="12", doubling="8")[
        "line"
    ]
    assert line == pytest.approx(3.5e24, rel=0.02)


@pytest.mark.parametrize("chance", [0.3, 0.05])
def test_at_the_kept_line_a_model_that_is_drawn_acts_over_with_the_chosen_chance(chance: float) -> None:
    """Over all that is uncertain at once, the model's own gain included: simulated from the same inputs."""
    of = calculator("buffer")
    case = resolve(of, read(of, {"chance": str(chance)}))
    told = {each.name: each for each in evaluate(case, draws=4000).results}
    kept = told["kept_line"]
    assert (kept.low, kept.high) == (None, None)
    assert kept.median is not None
    x = draw(case, 4000, seed=7)
    line = of.compute(x, case.about)["line"]
    gains = np.random.default_rng(0).normal(0.0, x["spread"])
    assert (np.log10(kept.median) + gains > np.log10(line)).mean() == pytest.approx(chance, abs=0.02)


def test_the_headline_is_the_tables_line_at_the_same_chance() -> None:
    """One quantity has one number, at a chance that the table has anyway and at one that it has not."""
    for chance in (0.05, 0.03):
        found = outcome("buffer", {"chance": str(chance)})
        headline = found.results[0]
        assert headline.name == "kept_line"
        (table,) = (each for each in found.tables if each.name == "lines")
        assert {row[0]: row[1] for row in table.rows}[chance] == headline.median


def test_without_gain_and_time_there_is_no_buffer() -> None:
    y = middles("buffer", threshold="1e25", training="1e25", **PLAIN)
    assert y["line"] == pytest.approx(1e25)
    assert y["acts_like"] == pytest.approx(1e25)
    assert y["acts_over"] == pytest.approx(0.5)


def test_inference_is_worth_a_power_up_to_its_span() -> None:
    """Ten times the training for fifteen times the inference (Jones 2021), and no more than the span."""
    weight, span, wide = of(1 / np.log10(15.0), 1.0, 3.0)
    assert buffer.inference_gain(*of(15.0), weight, wide) == pytest.approx(10.0)
    assert buffer.inference_gain(*of(1e6), weight, span) == pytest.approx(10.0)
    assert buffer.inference_gain(*of(0.5), weight, span) == pytest.approx(1.0)


@pytest.mark.parametrize(("overlap", "together"), [(0.0, 40.0), (1.0, 10.0), (0.5, 20.0)])
def test_gains_overlap_from_their_product_to_the_larger(overlap: float, together: float) -> None:
    assert buffer.joined(*of(4.0, 10.0, overlap)) == pytest.approx(together)
    assert buffer.joined(*of(10.0, 4.0, overlap)) == pytest.approx(together)


@pytest.mark.parametrize("cut", [3e23, 1e25, 1e26])
@pytest.mark.parametrize("spread", [0.05, 0.6])
def test_the_filters_errors_are_those_of_a_simulated_population(cut: float, spread: float) -> None:
    rng = np.random.default_rng(0)
    smallest, slope, line = 1e23, 0.42, 1e25
    training = np.log10(smallest) + rng.exponential(1.0 / slope, 1_000_000) / np.log(10.0)
    dangerous = training + rng.normal(0.0, spread, training.size) >= np.log10(line)
    over = training >= np.log10(cut)
    missed, stopped, under = buffer.filter_errors(*of(cut, line, smallest, slope, spread))
    assert missed == pytest.approx((dangerous & ~over).sum() / dangerous.sum(), abs=0.004)
    assert stopped == pytest.approx((over & ~dangerous).sum() / (~dangerous).sum(), abs=0.004)
    assert under == pytest.approx((dangerous & ~over).sum() / (~over).sum(), abs=0.004)


def test_a_filter_at_the_smallest_model_misses_nothing_and_stops_everything() -> None:
    missed, stopped, under = buffer.filter_errors(*of(1e22, 1e25, 1e23, 0.42, 0.5))
    assert (missed, stopped) == (pytest.approx(0.0, abs=1e-12), pytest.approx(1.0))
    assert np.isnan(under)


def test_what_rounding_leaves_is_no_error_of_a_filter() -> None:
    """Two shares that are all but equal leave 1e-16 of doubles' rounding, which is no share of models."""
    _, stopped, _ = buffer.filter_errors(*of(2e26, 1e24, 1e23, 0.45, 0.31))
    assert stopped == 0.0


def test_the_line_for_a_chance_is_met_by_simulated_models() -> None:
    rng = np.random.default_rng(1)
    line, spread = 1e24 * np.exp(rng.normal(0.0, 0.7, 5000)), np.full(5000, 0.4)
    found = buffer.line_for(0.05, line, spread)
    assert found is not None
    acts_over = np.log10(found) + rng.normal(0.0, spread) > np.log10(line)
    assert acts_over.mean() == pytest.approx(0.05, abs=0.01)
    assert buffer.line_for(0.5, np.full(9, 1e24), np.full(9, 0.4)) == pytest.approx(1e24, rel=1e-5)


def test_where_gains_have_no_end_no_line_keeps_the_chance() -> None:
    line = np.where(np.arange(100) < 20, 1e-80, 1e24)
    assert buffer.line_for(0.05, line, np.full(100, 0.4)) is None
    assert buffer.line_for(0.3, line, np.full(100, 0.4)) is not None


@pytest.mark.parametrize(
    ("loophole", "moved"),
    [
        ("fine-tuning", {"scaffold": "10"}),
        ("reuse or expansion", {"training": "9e25"}),
        ("more inference than is optimal", {"affordable": "300"}),
        ("waiting for the review", {"months": "24"}),
    ],
)
def test_each_way_round_the_line_moves_the_chance(loophole: str, moved: dict[str, str]) -> None:
    """Pistillo & Villalobos 2025, arXiv 2502.00003, and time."""
    given = {"training": "1e25", "spread": "0.3", **PLAIN}
    assert middles("buffer", **given)["acts_over"] < 0.001
    assert middles("buffer", **{**given, **moved})["acts_over"] > 0.3


def test_a_stricter_line_misses_less_and_stops_more() -> None:
    (table,) = (each for each in outcome("buffer").tables if each.name == "filter")
    columns = [table.columns.index(name) for name in ("missed", "stopped")]
    missed, stopped = ([float(row[at] or 0.0) for row in table.rows] for at in columns)
    assert missed == sorted(missed)
    assert stopped == sorted(stopped, reverse=True)


def test_beyond_the_law_it_says_by_how_much() -> None:
    from ponder.govern._measured import Reach

    law = Measured({"weight": point(0.5)}, "votes", law=Reach(100.0, "votes"))
    told = outcome("buffer", {"affordable": "1000"}, measured=law)
    assert any("end at 100" in note and "up to 10 times" in note for note in told.notes)
    assert {each.name for each in told.assumptions if each.origin == "measured"} == {"weight"}
    within = outcome("buffer", {"affordable": "50"}, measured=law)
    assert not any("Beyond" in note for note in within.notes)


def population() -> np.ndarray:
    """Training FLOP of the table's models of 2023 to 2025."""
    with EPOCH.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    recent = [each for each in rows if each["Publication date"][:4] in ("2023", "2024", "2025")]
    return np.array([float(each["Training compute (FLOP)"]) for each in recent])


def test_the_largest_models_of_the_table_are_fewer_than_the_power_law_says() -> None:
    """What docs/_thresholds.md tells: of 177 models ten by the law, and one, above 1e26 FLOP; and the slopes
    above 1e24 and 1e25 that it takes instead."""
    training = population()
    slope = row("rates", "population_slope")["value"]
    assert round((training > 1e23).sum() * (1e26 / 1e23) ** -slope) == 10
    assert (training > 1e26).sum() == 1
    for line, told in ((1e24, 0.62), (1e25, 1.1)):
        over = training[training > line]
        assert over.size / np.log(over / line).sum() == pytest.approx(told, abs=0.03)
        assert f"{told:g}" in row("rates", "population_slope")["note"]


def test_the_populations_slope_is_that_of_the_table_it_was_read_off() -> None:
    training = population()
    over = training[training > 1e23]
    slope = over.size / np.log(over / 1e23).sum()
    told = row("rates", "population_slope")
    assert over.size == 177
    assert told["value"] == pytest.approx(slope, abs=0.005)
    reach = 1.645 * slope / over.size**0.5
    assert (told["low"], told["high"]) == (
        pytest.approx(slope - reach, abs=0.01),
        pytest.approx(slope + reach, abs=0.01),
    )
