"""Quantities: reading, drawing, units; squigglepy and scipy are the oracles."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ponder.errors import InputError
from ponder.quantity import Quantity, conversion, from_draws, from_row, needs_unit, parse, point

RNG = np.random.default_rng


@pytest.mark.parametrize(
    ("text", "value", "low", "high", "unit", "scale"),
    [
        ("1e25", 1e25, 1e25, 1e25, "", "linear"),
        ("1_000", 1000, 1000, 1000, "", "linear"),
        (7, 7, 7, 7, "", "linear"),
        ("1e25..4e25", 2e25, 1e25, 4e25, "", "log"),
        ("1..4", 2, 1, 4, "", "log"),
        ("1.5 .. 6 USD/h", 3, 1.5, 6, "USD/h", "log"),
        ("0.3±0.05", 0.3, 0.25, 0.35, "", "linear"),
        ("0.3 +- 0.05", 0.3, 0.25, 0.35, "", "linear"),
        ("-1±2 USD", -1, -3, 1, "USD", "linear"),
        ("2 USD/h", 2, 2, 2, "USD/h", "linear"),
        ("35 %", 35, 35, 35, "%", "linear"),
    ],
)
def test_it_reads(text: str, value: float, low: float, high: float, unit: str, scale: str) -> None:
    found = parse(text)
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high))
    assert (found.unit, found.scale) == (unit, scale)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("4e25..1e25", "upside down; write 1e+25..4e+25"),
        ("0..5", "above zero"),
        ("-1..5", "above zero"),
        ("0.3±-0.1", "must not be negative"),
        ("nan", "is no number"),
        ("inf", "is no number"),
        ("1e999", "too large"),
        ("", "is no number"),
        ("many", "is no number"),
        (True, "is no number"),
        (None, "is no number"),
        ("9" * 300, "is no number"),
    ],
)
def test_it_refuses_in_one_sentence_that_names_the_field(text: str, says: str) -> None:
    with pytest.raises(InputError, match=r"^chips: ") as refused:
        parse(text, "chips")
    assert says in str(refused.value)


@given(st.floats(1e-30, 1e30), st.floats(1.001, 1e6))
def test_what_it_prints_it_reads_again(low: float, factor: float) -> None:
    found = parse(f"{low:.4g}..{low * factor:.4g} FLOP")
    again = parse(str(found))
    assert (again.low, again.high, again.unit) == (found.low, found.high, "FLOP")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"value": 2.0, "low": 1.0, "high": 4.0, "unit": "W"}, "1..4 W"),
        ({"value": 2.1, "low": 0.82, "high": 4.4, "unit": "1"}, "2.1 (0.82 to 4.4)"),
        ({"value": 3.0, "low": 2.0, "high": 4.0, "scale": "linear"}, "3±1"),
        ({"value": 0.0, "low": -1.0, "high": 2.0}, "0 (-1 to 2)"),
        (7, "7"),
    ],
)
def test_a_row_says_its_median_where_its_ends_do_not(row: dict[str, float], says: str) -> None:
    assert str(from_row(row, "x")) == says


def test_draws_are_as_squigglepy_has_them() -> None:
    squigglepy = pytest.importorskip("squigglepy")
    squigglepy.set_seed(1)
    ours = parse("1e25..3e25").draw(RNG(0), 200_000)
    theirs = squigglepy.to(1e25, 3e25) @ 200_000
    shares = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
    assert np.quantile(ours, shares) == pytest.approx(np.quantile(theirs, shares), rel=0.02)
    ours = parse("0.3±0.05").draw(RNG(0), 200_000)
    theirs = squigglepy.norm(0.25, 0.35) @ 200_000
    assert np.quantile(ours, shares) == pytest.approx(np.quantile(theirs, shares), rel=0.02)


def test_a_normal_is_a_normal() -> None:
    drawn = parse("10±2").draw(RNG(3), 50_000)
    exact = stats.norm(10, 2 / stats.norm.ppf(0.95))
    assert stats.kstest(drawn, exact.cdf).pvalue > 0.01


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_a_lopsided_row_keeps_its_median_and_both_ends(scale: str) -> None:
    row = {"value": 2.1, "low": 0.82, "high": 4.4, "unit": "FLOP", "scale": scale}
    drawn = from_row(row, "x").draw(RNG(0), 400_000)
    assert np.quantile(drawn, [0.05, 0.5, 0.95]) == pytest.approx([0.82, 2.1, 4.4], rel=0.01)


def test_draws_stay_inside_of_bounds_and_keep_their_shape_there() -> None:
    found = parse("0.9±0.08")
    drawn = found.draw(RNG(0), 100_000, least=0.0, most=1.0)
    assert drawn.max() <= 1.0
    spread = 0.08 / stats.norm.ppf(0.95)
    exact = stats.truncnorm((0 - 0.9) / spread, (1 - 0.9) / spread, 0.9, spread)
    assert stats.kstest(drawn, exact.cdf).pvalue > 0.01


def test_refits_are_drawn_as_they_are() -> None:
    found = from_draws([1.0, 2.0, 4.0], "x", value=2.5)
    assert found.value == 2.5
    assert set(found.draw(RNG(0), 1000)) == {1.0, 2.0, 4.0}
    assert set(found.times(2.0, "y").draw(RNG(0), 1000)) == {2.0, 4.0, 8.0}
    with pytest.raises(InputError, match="fit the law again"):
        from_draws([1.0, math.nan])


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"value": 1.0, "low": 2.0, "high": 3.0}, "does not lie in its interval"),
        ({"value": 1.0, "low": 3.0, "high": 0.5}, "does not lie in its interval"),
        ({"value": 1.0, "low": 0.5}, "both low and high"),
        ({"value": math.nan}, "is no number"),
        ({"value": True}, "is no number"),
        ({}, "is no number"),
    ],
)
def test_a_row_that_cannot_be_is_refused(row: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        from_row(row, "mfu")


@pytest.mark.parametrize(
    ("given", "wanted", "factor"),
    [
        ("GB", "B", 1e9),
        ("B", "bit", 8.0),
        ("TFLOP/s", "FLOP/s", 1e12),
        ("days", "h", 24.0),
        ("USD/day", "USD/h", 1 / 24),
        ("kWh", "Wh", 1e3),
        ("%", "", 0.01),
        ("tokens", "token", 1.0),
        ("USD/Mtokens", "USD/token", 1e-6),
        ("people", "people", 1.0),
        ("tokens/s/chip", "tokens/chip/s", 1.0),
        ("USD", "h", None),
        ("FLOP", "FLOP/s", None),
        ("workers", "people", None),
    ],
)
def test_units_convert_or_do_not_fit(given: str, wanted: str, factor: float | None) -> None:
    found = conversion(given, wanted)
    assert found == (None if factor is None else pytest.approx(factor))


def test_a_unit_that_does_not_fit_is_refused() -> None:
    assert parse("80 GB").in_unit("memory", "B").value == 80e9
    assert parse("80").in_unit("memory", "B").unit == "B"
    with pytest.raises(InputError, match=r"memory: the unit 'USD' does not fit; give it in B\."):
        parse("80 USD").in_unit("memory", "B")


def test_what_may_not_be_is_refused() -> None:
    with pytest.raises(InputError, match="chips: 0 must be above zero"):
        point(0.0).within("chips", positive=True)
    with pytest.raises(InputError, match="with its whole interval"):
        parse("0.1±0.2").within("chips", positive=True)
    with pytest.raises(InputError, match="at most 1"):
        parse("0.9..1.1").within("share", positive=True, most=1.0)
    assert parse("0.9±0.05").within("share", least=0.0, most=1.0).value == 0.9


@pytest.mark.parametrize(
    ("name", "unit", "needs"),
    [
        ("peak", "FLOP/s", True),
        ("revenue", "USD", True),
        ("stored_bytes", "B", True),
        ("delay", "day", True),
        ("demand", "token/day", True),
        ("chip_hours", "h", False),
        ("scale.task_minutes", "min", False),
        ("hours", "day", True),
        ("training", "FLOP", False),
        ("tokens", "tokens", False),
        ("chips", "H100e", False),
        ("growth", "times", False),
        ("share", "", False),
    ],
)
def test_a_number_that_may_be_meant_in_another_unit_must_tell_its_own(
    name: str, unit: str, needs: bool
) -> None:
    assert needs_unit(name, unit) is needs
    assert parse(f"3 {unit}").stated(name, unit).value == 3.0
    if not needs:
        assert parse("3").stated(name, unit) == parse("3")
        return
    with pytest.raises(InputError, match=f"{name}: 3 has no unit; .* one that converts to {unit}"):
        parse("3").stated(name, unit)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("1..100", 1.0, 100.0), ("0.5±0.5", 0.0, 1.0), ("16 (1..100)", 1.0, math.inf), ("2..8", 0.0, 3.0)],
)
def test_what_bounds_cut_is_shown_as_it_is_drawn(text: str, least: float, most: float) -> None:
    of = Quantity(16.0, 1.0, 100.0, scale="log") if "(" in text else parse(text)
    shown, drawn = of.inside(least, most), of.draw(np.random.default_rng(0), 400_000, least=least, most=most)
    ends = np.quantile(drawn, [0.05, 0.5, 0.95])
    assert [shown.low, shown.value, shown.high] == pytest.approx(ends, rel=0.01)
    assert (shown.low, shown.high) != (of.low, of.high)


def test_what_bounds_do_not_cut_is_shown_as_given() -> None:
    for of in (parse("2..8"), point(3.0), from_draws([1.0, 2.0, 9.0])):
        assert of.inside(0.0, 100.0) is of
