"""The race for flaws, held against simulated races and its limits."""

from __future__ import annotations

import numpy as np
import pytest

from ponder.govern.defend import Flaws, attacker_first, break_even, exploited, left_by_delay
from ponder.laws.coverage import BetaBinomial
from tests.govern.cases import middles, outcome


def of(*numbers: float) -> list[np.ndarray]:
    return [np.array([number]) for number in numbers]


def flaws(a: float = 0.3, b: float = 5.0, never: float = 0.0, always: float = 0.0) -> Flaws:
    return Flaws(*of(a, b, never, always))


def chance(
    attacker: float, defender: float, delay: float, horizon: float, of_flaws: Flaws, before: float = 0.0
) -> float:
    return float(exploited(*of(attacker, defender, delay, horizon), of_flaws, *of(before))[0])


def test_what_is_unfound_is_the_measured_laws() -> None:
    """Of Beta(0.3, 5) after ten thousand attempts: 0.1001."""
    k = np.array([1.0, 30.0, 1e4])
    law = 1.0 - BetaBinomial().at(np.array([[0.3, 5.0]]), k)[0]
    assert flaws().unfound(k) == pytest.approx(law)
    assert flaws().unfound(k)[-1] == pytest.approx(0.1001, abs=1e-4)


def test_with_instant_patches_only_the_ratio_counts() -> None:
    for each in (flaws(), flaws(2.0, 1e4)):
        assert chance(3.0, 1.0, 0.0, np.inf, each) == pytest.approx(0.75)
    assert attacker_first(*of(3.0, 1.0)) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("delay", "horizon", "before"), [(0.0, 40.0, 0.0), (5.0, 40.0, 0.0), (5.0, 40.0, 20.0), (50.0, 40.0, 0.0)]
)
@pytest.mark.parametrize(("never", "always"), [(0.0, 0.0), (0.2, 0.1)])
def test_the_chance_is_that_of_simulated_races(
    delay: float, horizon: float, before: float, never: float, always: float
) -> None:
    rng, n, rates = np.random.default_rng(0), 100_000, (3.0, 8.0)
    with np.errstate(divide="ignore"):
        hazard = -np.log1p(-rng.beta(0.4, 6.0, n))
        kind = rng.random(n)
        hazard = np.where(kind < never, 0.0, np.where(kind < never + always, 1e9, hazard))
        found = [rng.exponential(size=n) / (hazard * rate) for rate in rates]
        survives = rng.exponential(size=n) > hazard * before
    lost = survives & (found[0] < np.minimum(found[1] + delay, horizon))
    told = chance(*rates, delay, horizon, flaws(0.4, 6.0, never, always), before)
    assert told == pytest.approx(lost.mean(), abs=0.008)


def test_patches_leave_a_floor_that_compute_does_not_lower() -> None:
    floor = float(left_by_delay(*of(3.0, 5.0, 100.0), flaws(), *of(0.0))[0])
    assert chance(3.0, 1e12, 5.0, 100.0, flaws()) == pytest.approx(floor, rel=1e-6)
    assert floor == pytest.approx(1.0 - float(flaws().unfound(np.array([15.0]))[0]))
    assert chance(3.0, 1e3, 5.0, 100.0, flaws()) > floor > 0.1


def test_a_search_before_the_release_needs_no_patch() -> None:
    floor = float(left_by_delay(*of(3.0, 5.0, 100.0), flaws(), *of(0.0))[0])
    assert chance(3.0, 1.0, 5.0, 100.0, flaws(), before=1e6) < floor / 3.0
    assert chance(3.0, 1.0, 5.0, 100.0, flaws(always=0.5), before=1.0) < 0.5


@pytest.mark.parametrize(("targets", "attacked", "skill", "reuse"), [(100, 1, 1, 1), (100, 5, 2, 10)])
def test_at_the_break_even_each_is_first_half_of_the_time(
    targets: float, attacked: float, skill: float, reuse: float
) -> None:
    ratio = float(break_even(*of(targets, attacked, skill, reuse))[0])
    assert ratio == pytest.approx(targets / attacked * skill / reuse)
    given = {
        name: f"{value:g}"
        for name, value in zip(
            ("targets", "attacked", "skill", "reuse"), (targets, attacked, skill, reuse), strict=True
        )
    }
    assert middles("defend", attacker="1e18", defender=f"{1e18 * ratio:g}", **given)[
        "first"
    ] == pytest.approx(0.5)


def test_more_flaws_more_targets_and_slower_patches_are_worse() -> None:
    base = middles("defend")
    assert middles("defend", flaws="50")["breached"] > base["breached"]
    assert middles("defend", targets="10000")["exploited"] > base["exploited"]
    assert middles("defend", delay="60")["exploited"] > base["exploited"]
    assert middles("defend", defender="1e21")["exploited"] < base["exploited"]
    one = middles("defend", flaws="1")
    assert one["breached"] == pytest.approx(one["exploited"])


def test_never_found_flaws_are_never_exploited() -> None:
    assert middles("defend", never="0.4", attacker="1e30")["exploited"] <= 0.6 + 1e-9
    assert chance(3.0, 0.0, 0.0, np.inf, flaws(never=0.4)) == pytest.approx(0.6)


def test_the_table_falls_with_compute_and_tells_what_patches_and_searches_do() -> None:
    (table,) = outcome("defend").tables
    at = table.columns.index("exploited")
    told: dict[object, list[float]] = {}
    for row in table.rows:
        told.setdefault(row[0], []).append(float(row[at] or 0.0))
    assert all(each == sorted(each, reverse=True) for each in told.values())
    at_once, later, searched = told.values()
    assert all(better <= worse for better, worse in zip(at_once, later, strict=True))
    assert all(better <= worse for better, worse in zip(searched, later, strict=True))
    assert searched[-1] < 0.01 < 0.1 < later[-1]
