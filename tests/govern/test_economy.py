"""The loop of revenue and the export below cost, held against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ponder.govern.economy import Loop, exported, run_loop, steady_growth, unit_cost
from tests.govern.cases import middles, outcome


def of(*numbers: float) -> list[np.ndarray]:
    return [np.array([number]) for number in numbers]


def loop(**changed: float) -> Loop:
    numbers = {
        "price": 5.0, "fall": 4.0, "demand": 1e12, "growth": 2.0, "elasticity": 1.0, "pull": 0.0,
        "margin": 0.5,
        "reinvest": 0.5, "build": 0.0, "chips": 1e9, "rate": 1e4, "chip_price": 5e4, "flop_per_usd": 4e17,
        "hardware": 2.0,
    }  # fmt: skip
    return Loop(**{name: np.array([value]) for name, value in (numbers | changed).items()})


@pytest.mark.parametrize("elasticity", [0.7, 1.0, 1.5])
def test_where_chips_do_not_bind_revenue_follows_demand_and_elasticity(elasticity: float) -> None:
    path = run_loop(loop(elasticity=elasticity), 24)
    assert path.revenue[0] == pytest.approx(5.0 * 1e12 * 365.25 / 1e6)
    assert path.revenue[24] / path.revenue[0] == pytest.approx((2.0 * 4.0 ** (elasticity - 1.0)) ** 2)
    assert not path.bound.any()


def test_revenue_buys_the_training_it_pays_for() -> None:
    path = run_loop(loop(), 12)
    assert path.training[0] == pytest.approx(path.revenue[0] * 0.5 * 0.5 * 4e17)
    assert path.training[12] == pytest.approx(path.revenue[12] * 0.25 * 4e17 * 2.0**0.5)


@pytest.mark.parametrize("pull", [0.0, 0.3, 0.6])
def test_training_settles_on_its_closed_form(pull: float) -> None:
    of_loop = loop(pull=pull, elasticity=1.2, chips=1e60)
    path = run_loop(of_loop, 240)
    assert path.training[240] / path.training[228] == pytest.approx(steady_growth(of_loop), rel=1e-6)


def test_a_pull_of_one_has_no_steady_growth() -> None:
    assert steady_growth(loop(pull=1.0)) == np.inf


def test_where_chips_bind_only_they_and_their_speed_grow() -> None:
    """At a constant fleet what is sold grows by the software's part of the falling price."""
    path = run_loop(loop(chips=1.0, demand=1e20), 12)
    assert path.bound.all()
    faster = 4.0 / 2.0**0.5
    assert path.revenue[12] / path.revenue[0] == pytest.approx(faster / 4.0)
    more = run_loop(loop(chips=1.0, demand=1e20, build=0.5), 12)
    assert more.revenue[12] > path.revenue[12]


def test_reinvesting_all_in_chips_buys_no_training() -> None:
    assert run_loop(replace(loop(), reinvest=np.zeros(1)), 1).training[1] == 0.0


def test_a_unit_costs_the_chips_time() -> None:
    assert unit_cost(*of(2.0, 1000.0)) == pytest.approx(2.0 / 3.6)


def test_a_subsidy_lowers_the_price_and_wins_users_by_the_elasticity() -> None:
    free = exported(*of(1.0, 0.0, 1e6, 1e6, 1.0, 2.0, 1e4, 1e30, 6e9))
    half = exported(*of(1.0, 0.5, 1e6, 1e6, 1.0, 2.0, 1e4, 1e30, 6e9))
    assert (free.price, free.users, free.bill, free.share) == tuple(map(pytest.approx, (1.0, 1e6, 0.0, 0.5)))
    assert (half.price, half.users, half.share) == tuple(map(pytest.approx, (0.5, 4e6, 0.8)))
    assert half.bill == pytest.approx(0.5 * 1.0 * 4e6 * 1e4 * 365.25 / 1e6)


def test_at_the_chips_limit_a_larger_subsidy_buys_only_a_larger_bill() -> None:
    half, more = (exported(*of(1.0, subsidy, 1e6, 1e6, 1.0, 2.0, 1e4, 5e9, 6e9)) for subsidy in (0.5, 0.8))
    assert half.users == more.users == pytest.approx(5e5)
    assert more.bill == pytest.approx(half.bill * 1.6)
    (table,) = (each for each in outcome("economy", {"export_chips": "10"}).tables if each.name == "export")
    users, bill = (table.columns.index(name) for name in ("users", "bill, USD/year"))
    assert len({row[users] for row in table.rows}) == 1
    assert float(table.rows[-1][bill] or 0.0) > float(table.rows[1][bill] or 0.0) > 0.0


def test_no_more_people_use_it_than_there_are() -> None:
    some, all_of_them = (exported(*of(1.0, 0.5, 1e6, 1e6, 1.0, 2.0, 1e4, 1e30, most)) for most in (5e6, 3e6))
    assert (some.users, all_of_them.users) == (pytest.approx(4e6), pytest.approx(3e6))
    assert all_of_them.bill == pytest.approx(some.bill * 0.75)
    (table,) = (each for each in outcome("economy", draws=4000).tables if each.name == "export")
    assert max(float(row[table.columns.index("users")] or 0.0) for row in table.rows) <= 6e9
    widest = outcome("economy", {"subsidy": "0.95"}, draws=4000)
    reached = next(each for each in widest.results if each.name == "users_reached")
    assert reached.high is not None
    assert reached.high <= 6e9


def test_the_share_at_the_rivals_price_is_told_apart_from_what_the_elasticity_makes_of_it() -> None:
    given = {
        "export_chip_hour": "3.6",
        "rate": "1000",
        "rival_price": "10",
        "users": "1e7",
        "rival_users": "9e7",
    }
    middle = middles("economy", **given, elasticity="1", export_chips="1e12")
    assert middle["unit_cost"] == pytest.approx(1.0)
    assert middle["below_rivals"] == pytest.approx(10.0)
    assert middle["share_at_rivals_price"] == pytest.approx(0.1)
    assert middle["share_at_cost"] == pytest.approx(1e8 / 1.9e8)
    inelastic = middles("economy", **given, elasticity="1e-9", export_chips="1e12")
    assert inelastic["share_at_cost"] == pytest.approx(0.1)
    told = outcome("economy", given | {"elasticity": "1"}).notes
    (note,) = (each for each in told if "stretched" in each)
    assert note.startswith(
        "At the rivals' price 10% of the users are the exporter's; at its unit's cost, 10 times"
    )


def test_each_draw_is_told_at_its_own_end() -> None:
    short, long = (
        middles("economy", years=years, growth="2", fall="2", elasticity="1", chips="1e12")
        for years in ("1", "3")
    )
    (both,) = (
        each
        for each in outcome(
            "economy", {"years": "1..3", "growth": "2", "fall": "2", "elasticity": "1", "chips": "1e12"}
        ).swings["training"]
        if each.input == "years"
    )
    assert (both.at_low, both.at_high) == (pytest.approx(short["training"]), pytest.approx(long["training"]))


def test_doubling_the_chips_that_bind_doubles_what_is_sold() -> None:
    one, two = (
        middles("economy", chips=chips, demand="1e16", years="0.05", build="0") for chips in ("1e4", "2e4")
    )
    assert one["bound"] == 1.0
    assert two["revenue_now"] == pytest.approx(2.0 * one["revenue_now"])


@pytest.mark.parametrize("name", ["revenue", "training"])
def test_the_last_year_of_a_path_is_the_headline_with_its_band(name: str) -> None:
    found = outcome("economy", {"years": "4"}, draws=3000)
    (table,) = (each for each in found.tables if each.name == name)
    (told,) = (each for each in found.results if each.name == name)
    assert table.rows[-1] == (4.0, told.median, told.low, told.high)
    assert table.chart is not None
    assert {f"{table.chart.y} {end}" for end in ("low", "high")} <= set(table.columns), "the band is drawn"
    (now,) = (each for each in found.results if each.name == f"{name}_now")
    assert table.rows[0] == (0.0, now.median, now.low, now.high)


def test_the_row_of_the_scenarios_subsidy_is_the_headline() -> None:
    found = outcome("economy", {"subsidy": "0.6"}, draws=3000)
    (table,) = (each for each in found.tables if each.name == "export")
    row = dict(zip(table.columns, next(each for each in table.rows if each[0] == 0.6), strict=True))
    told = {each.name: each for each in found.results}
    assert (row["users"], row["bill, USD/year"]) == (told["users_reached"].median, told["bill"].median)
    share = told["share"]
    assert [row[f"share{end}"] for end in (" low", "", " high")] == [share.low, share.median, share.high]
