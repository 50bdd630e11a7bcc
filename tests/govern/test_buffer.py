"""A threshold's buffer, held against worked numbers, simulated populations and the limits of its formulas."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import beta

from ponder.data.rows import row
from ponder.govern import buffer, calculator
from ponder.govern.buffer import Population
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


def population(
    smallest: float = 1e23, above: tuple[float, ...] = (0.45, 0.28, 0.05), slope: float = 1.1
) -> Population:
    """One whose slopes differ in each decade."""
    return Population(*of(smallest), [np.array([share]) for share in above], *of(slope))


ONE_LAW = (10.0**-0.42,) * 3
"""Shares of a population that falls by one power law."""


def simulated(rng: np.random.Generator, models: int) -> np.ndarray:
    """Decades of models of that population, which are drawn decade by decade."""
    reach, going = np.full(models, 23.0), np.ones(models, dtype=bool)
    for share in (0.45, 0.28, 0.05):
        further = rng.exponential(-1.0 / np.log(share), models)
        reach += np.where(going, np.minimum(further, 1.0), 0.0)
        going &= further >= 1.0
    found: np.ndarray = reach + np.where(going, rng.exponential(1.0 / (1.1 * np.log(10.0)), models), 0.0)
    return found


@pytest.mark.parametrize("cut", [3e23, 1e25, 1e26, 2e27])
@pytest.mark.parametrize(("line", "spread"), [(1e25, 0.05), (1e25, 0.6), (3e26, 0.3)])
def test_the_filters_errors_are_those_of_a_simulated_population(
    cut: float, line: float, spread: float
) -> None:
    rng = np.random.default_rng(0)
    training = simulated(rng, 2_000_000)
    dangerous = training + rng.normal(0.0, spread, training.size) >= np.log10(line)
    over = training >= np.log10(cut)
    missed, stopped, under = buffer.filter_errors(*of(cut, line), population(), *of(spread))
    shares = [
        ((dangerous & ~over).sum(), dangerous.sum()),
        ((over & ~dangerous).sum(), (~dangerous).sum()),
        ((dangerous & ~over).sum(), (~over).sum()),
    ]
    for found, (some, all_of_them) in zip((missed, stopped, under), shares, strict=True):
        share = some / all_of_them
        chance = 4.0 * (share * (1.0 - share) / all_of_them) ** 0.5
        assert found == pytest.approx(share, abs=chance + 1e-5)


def test_a_population_by_one_law_is_the_same_in_pieces_and_whole() -> None:
    """All of it beyond the last line is one power law: so are pieces of one slope, from a thousandth on."""
    cuts, lines = np.geomspace(1e23, 1e27, 9), np.full(9, 2e24)
    pieces = buffer.filter_errors(cuts, lines, population(1e23, ONE_LAW, 0.42), *of(0.5))
    whole = buffer.filter_errors(cuts * 1e4, lines * 1e4, population(1e27, ONE_LAW, 0.42), *of(0.5))
    for one, other in zip(pieces, whole, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12, nan_ok=True)


def test_up_to_the_last_line_the_tail_moves_nothing_and_beyond_it_does() -> None:
    steep, flat = population(slope=3.0), population(slope=0.4)
    for cut, moved in ((1e26, False), (1e27, True)):
        ends = [buffer.filter_errors(*of(cut, 1e24), each, *of(0.5))[0] for each in (steep, flat)]
        assert (ends[0] - ends[1] > 1e-4) == moved
        assert moved or ends[0] == pytest.approx(ends[1], abs=1e-6)


def test_a_filter_at_the_smallest_model_misses_nothing_and_stops_everything() -> None:
    missed, stopped, under = buffer.filter_errors(*of(1e22, 1e25), population(), *of(0.5))
    assert (missed, stopped) == (pytest.approx(0.0, abs=1e-12), pytest.approx(1.0))
    assert np.isnan(under)


def test_what_rounding_leaves_is_no_error_of_a_filter() -> None:
    """Two shares that are all but equal leave 1e-16 of doubles' rounding, which is no share of models."""
    _, stopped, _ = buffer.filter_errors(*of(2e26, 1e24), population(1e23, ONE_LAW, 0.45), *of(0.31))
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


def trained() -> np.ndarray:
    """Training FLOP of the table's models of 2023 to 2025."""
    with EPOCH.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    recent = [each for each in rows if each["Publication date"][:4] in ("2023", "2024", "2025")]
    return np.array([float(each["Training compute (FLOP)"]) for each in recent])


@pytest.mark.parametrize(("low", "high"), [(1e23, 1e24), (1e24, 1e25), (1e25, 1e26)])
def test_the_share_above_a_line_is_that_of_the_table_with_its_interval(low: float, high: float) -> None:
    """Jeffreys' interval of a share (Brown, Cai & DasGupta 2001)."""
    models, over = (int((trained() > line).sum()) for line in (low, high))
    told = row("rates", f"population_above_{high:.0e}".replace("+", ""))
    assert told["note"].startswith(f"{over} of the {models} models")
    ends = beta.ppf([0.05, 0.95], over + 0.5, models - over + 0.5)
    assert [told["value"], told["low"], told["high"]] == pytest.approx([over / models, *ends], rel=5e-3)


def test_the_slope_beyond_the_table_is_that_of_its_largest_models() -> None:
    """And one law over all of them would not do: the note says so."""
    over = trained()[trained() > 1e25]
    slope = over.size / np.log(over / 1e25).sum()
    told = row("rates", "population_slope")
    assert told["value"] == pytest.approx(slope, abs=0.005)
    reach = 1.645 * slope / over.size**0.5
    assert [told["low"], told["high"]] == pytest.approx([slope - reach, slope + reach], abs=0.01)
    every = trained()[trained() > 1e23]
    flat = every.size / np.log(every / 1e23).sum()
    assert flat == pytest.approx(0.42, abs=0.005)
    assert (round(every.size * (1e26 / 1e23) ** -0.42), (every > 1e26).sum()) == (10, 1)
    assert "0.42, which would put ten of them above 1e26, where there is one" in told["note"]


@pytest.mark.parametrize("line", [1e24, 4e24])
def test_a_filter_misses_what_it_misses_of_the_tables_own_models(line: float) -> None:
    """The pieces between the lines say what the 177 models themselves do, summed one by one."""
    models = trained()[trained() > 1e23]
    dangerous = ndtr(np.log10(models / line) / 0.5)
    told = [row("rates", f"population_above_1e{decade}")["value"] for decade in (24, 25, 26)]
    for cut in (1e24, 1e25, 1e26):
        missed, *_ = buffer.filter_errors(*of(cut, line), population(1e23, tuple(told)), *of(0.5))
        assert missed == pytest.approx(dangerous[models <= cut].sum() / dangerous.sum(), abs=0.02)


def test_it_says_which_part_of_the_models_is_counted() -> None:
    within, beyond = (outcome("buffer", {"threshold": each}).notes for each in ("1e26", "1e27"))
    assert any("The law does not move what a filter at the threshold misses" in note for note in within)
    assert any("In 100% of the draws the threshold lies beyond" in note for note in beyond)
