"""Diffusion, held against limits that have a closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ponder.govern.diffuse import AHEAD, Actor, Policy, World, cost_doubling, inference, level
from tests.govern.cases import middles, outcome

HARDWARE, ALGORITHMS = 2.1, 8.0 / 12.0
NONE = Policy()
BOTH = 0.506  # years, the doubling time of the two together


def of(number: float) -> np.ndarray:
    return np.array([number])


def actor(
    budget: float, *, growth: float = 1.0, lag: float = 0.0, late: float = 0.0, answer: float = 1.0
) -> Actor:
    return Actor(*map(of, (budget, growth, lag, late, answer)))


def world(*, weight: float = 1.0, span: float = 0.0, technique: float = 1.0) -> World:
    return World(*map(of, (1e17, HARDWARE, ALGORITHMS, technique, weight, span)))


def when(
    actors: dict[str, Actor], wanted: float, policy: Policy = NONE, **of_world: float
) -> dict[str, float]:
    return {
        name: float(level(name, actors, world(**of_world), policy).access(of(wanted))[0]) for name in actors
    }


def test_costs_of_a_fixed_performance_fall_four_times_a_year() -> None:
    assert cost_doubling(of(HARDWARE), of(ALGORITHMS)) == pytest.approx(BOTH, abs=0.001)
    y = middles("diffuse", hardware="2.1", algorithms="8")
    assert y["cost_falls"] == pytest.approx(3.9, abs=0.05)
    assert y["cost_halves"] == pytest.approx(BOTH, abs=0.001)


@pytest.mark.parametrize(("poorer", "years"), [(10.0, 1.7), (1000.0, 5.0)])
def test_a_poorer_actor_lags_by_what_costs_take_to_fall(poorer: float, years: float) -> None:
    found = when({"leader": actor(1e9), "poorer": actor(1e9 / poorer)}, 27.0)
    assert found["poorer"] - found["leader"] == pytest.approx(BOTH * np.log2(poorer), abs=0.01)
    assert found["poorer"] - found["leader"] == pytest.approx(years, abs=0.05)


def test_a_lag_in_algorithms_delays_by_less_than_itself() -> None:
    """The laggard has today's hardware: of a year's lag in algorithms 0.76 are left."""
    found = when({"leader": actor(1e9), "laggard": actor(1e9, lag=1.0)}, 28.0)
    assert found["laggard"] - found["leader"] == pytest.approx(BOTH / ALGORITHMS, abs=0.002)


def test_growing_budgets_come_sooner() -> None:
    """27 - 26 decades at 10^(0.301/0.506) · 2.4 a year."""
    found = when({"grows": actor(1e9, growth=2.4)}, 27.0)
    assert found["grows"] == pytest.approx(1.0 / (np.log10(2.0) / BOTH + np.log10(2.4)), abs=0.002)


def test_the_technique_of_inference_does_not_come_with_compute() -> None:
    """Rich in inference but without the technique, an actor has what training gives until it has it."""
    actors = {"knows": actor(1e9, answer=100.0), "not yet": actor(1e9, answer=100.0, late=0.5)}
    found = when(actors, 26.9, span=1.0)
    assert found == {"knows": 0.0, "not yet": pytest.approx(0.5, abs=1e-3)}
    published = when(actors, 26.9, Policy(published=of(0.2)), span=1.0)
    assert published["not yet"] == pytest.approx(0.2, abs=1e-3)


def test_inference_is_worth_no_more_than_its_span() -> None:
    rich = actor(1e9, answer=1e9)
    assert inference(rich, world(span=1.0), NONE).at(of(0.0)) == pytest.approx(1.0)
    half = inference(actor(1e9, answer=10.0), world(weight=0.5, span=1.0), NONE)
    assert half.at(of(0.0)) == pytest.approx(0.5)
    assert half.at(of(99.0)) == 1.0


def test_released_weights_bring_the_leaders_training_later_and_not_its_inference() -> None:
    actors = {"leader": actor(1e9, answer=100.0), "small": actor(1e5, late=9.0)}
    t, policy = of(2.0), Policy(released=of(1.25))
    alone = level("leader", {"leader": actor(1e9)}, world(), NONE).at(t - 1.25)
    assert level("small", actors, world(span=1.0), policy).at(t) == pytest.approx(alone, abs=1e-9)
    closed = level("small", actors, world(span=1.0), NONE).at(t)
    assert closed == pytest.approx(26.0 - 4.0 + 2.0 * np.log10(2.0) / BOTH, abs=0.01)


def test_what_is_not_reached_in_the_years_looked_ahead_is_never() -> None:
    assert when({"small": actor(1.0)}, 99.0)["small"] == np.inf
    late = when({"small": actor(1e9)}, 26.0 + (AHEAD - 0.1) * np.log10(2.0) / BOTH)
    assert late["small"] == pytest.approx(AHEAD - 0.1, abs=0.05)


def test_secrecy_delays_and_publication_hastens_every_follower() -> None:
    open_, secret = outcome("diffuse"), outcome("diffuse", {"secrecy": "3"})
    for name in ("follower access", "poorer access"):
        assert secret.middle[name] > open_.middle[name] + 0.05
    (table,) = (each for each in open_.tables if each.name == "policies")
    years = {row[:3]: float(row[3] or 0.0) for row in table.rows}
    assert years["poorer", "published", "closed"] < years["poorer", "secret", "closed"]
    assert years["small", "secret", "open"] < years["small", "secret", "closed"]


def test_tables_tell_what_the_headlines_do() -> None:
    """From the same draws, by the same quantiles."""
    found = outcome("diffuse", {"date": "3"}, draws=3000)
    told = {each.name: [each.median, each.low, each.high] for each in found.results}
    tables = {each.name: each.rows for each in found.tables}
    for name in ("leader", "follower", "poorer", "small"):
        years = next(row[3:] for row in tables["policies"] if row[:3] == (name, "secret", "closed"))
        over = next(row[2:] for row in tables["performance"] if row[:2] == (name, 3.0))
        assert list(years) == told[f"{name} access"]
        assert list(over) == told[f"{name} reach"]


def test_performance_goes_to_leaders_first() -> None:
    middle = outcome("diffuse").middle
    reach = [middle[f"{name} reach"] for name in ("leader", "follower", "poorer", "small")]
    assert reach == sorted(reach, reverse=True)


@example([0.0, 0.0], 1.0, 0.0, 1.0, 2.2e-313, 1.0, None, 24.0)
@given(
    st.lists(st.floats(-2.0, 3.0), min_size=2, max_size=2),
    st.floats(0.7, 3.0),
    st.floats(0.0, 4.0),
    st.floats(1.0, 1e6),
    st.floats(-0.5, 2.0),
    st.floats(0.0, 3.0),
    st.one_of(st.none(), st.floats(0.1, 3.0)),
    st.floats(24.0, 34.0),
)
def test_an_access_is_the_first_moment_at_which_the_level_is_reached(
    poorer: list[float],
    growth: float,
    late: float,
    answer: float,
    weight: float,
    span: float,
    released: float | None,
    wanted: float,
) -> None:
    """Held against a walk through the years that are looked ahead."""
    actors = {
        str(place): actor(1e9 / 10**less, growth=growth ** (1 - place), late=late, answer=answer)
        for place, less in enumerate(poorer)
    }
    policy = Policy(released=None if released is None else of(released))
    has = level("0", actors, world(weight=weight, span=span), policy)
    found = float(has.access(of(wanted))[0])
    years = np.linspace(0.0, AHEAD, 3000, endpoint=False)
    assert has.at(years[years < found]) == pytest.approx(np.minimum(has.at(years[years < found]), wanted))
    assert found == np.inf or has.at(of(found))[0] >= wanted - 1e-6
    assert found != 0.0 or has.at(of(0.0))[0] >= wanted
