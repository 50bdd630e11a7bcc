"""The race for flaws, held against simulated races and its limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ponder.errors import InputError, UnknownName
from ponder.govern import calculator
from ponder.govern._detector import detector
from ponder.govern.calculator import Measured
from ponder.govern.defend import Flaws, attacker_first, break_even, exploited, left_by_delay, passing
from ponder.govern.scenario import read
from ponder.laws.coverage import BetaBinomial
from ponder.laws.detection import CatchLaw, MeasuredDetector
from ponder.quantity import point
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
    assert middles("defend", search="90")["exploited"] < middles("defend", search="7")["exploited"]
    five = middles("defend", attacked="5")
    assert five["breaches"] == pytest.approx(5.0 * five["breached"])
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


# ---------------------------------------------------------------- a measured detector


CAUGHT = np.array([0.05, 0.9, 7.0, 3.0])
"""A law of detection: floor, ceiling, middle, slope."""


@pytest.fixture
def result(tmp_path: Path) -> str:
    """A file with two laws whose refits spread around theirs, measured from 1e6 to 1e8 FLOP."""
    rng = np.random.default_rng(0)
    draws = CAUGHT + rng.normal(size=(100, 4)) * np.array([0.0, 0.02, 0.05, 0.2])
    laws = [
        MeasuredDetector(name, "a model", "rules", 0.05, 1e6, 1e8, 500, value, draws).to_json()
        for name, value in (("first", CAUGHT), ("second", CAUGHT - np.array([0.0, 0.4, 0.0, 0.0])))
    ]
    path = tmp_path / "defence.json"
    path.write_text(json.dumps({"laws": laws}), "utf-8")
    return str(path)


def told(found: Any, name: str) -> Any:
    return next(each for each in found.results if each.name == name)


def test_each_draw_passes_by_its_own_law() -> None:
    laws = np.stack([CAUGHT, CAUGHT + np.array([0.0, 0.05, 0.5, 1.0])])
    flop = np.array([3e6, 4e7])
    expected = [
        1.0 - CatchLaw().at(law[None], each[None])[0, 0] for law, each in zip(laws, flop, strict=True)
    ]
    assert passing(flop, laws) == pytest.approx(expected)


def test_without_a_detector_nothing_is_known_of_what_passes() -> None:
    found = outcome("defend")
    assert told(found, "passes").median is None
    assert told(found, "inspected").median is None
    assert [table.name for table in found.tables] == ["race"]


def test_a_detector_says_what_passes_at_the_most_that_was_measured(result: str) -> None:
    found = outcome("defend", measured=detector(result))
    passes = told(found, "passes")
    assert passes.median == pytest.approx(1.0 - CatchLaw().at(CAUGHT[None], np.array([1e8]))[0, 0], abs=0.01)
    assert 0.01 < passes.high - passes.low < 0.2
    assert told(found, "tries").median == pytest.approx(1.0 / passes.median, rel=0.05)
    assert {each.name for each in found.assumptions if each.origin == "measured"} == {
        *(f"catch_{name}" for name in ("floor", "ceiling", "middle", "slope", "least", "most")),
        "inspection",
    }
    assert not any("Beyond" in note for note in found.notes)
    assert any("5% of what is right" in note for note in found.notes)


def test_less_passes_at_more_compute_and_fewer_items_are_inspected(result: str) -> None:
    some, more = (outcome("defend", {"inspection": c}, measured=detector(result)) for c in ("3e6", "3e7"))
    assert told(more, "passes").median < told(some, "passes").median
    assert told(more, "inspected").median == pytest.approx(told(some, "inspected").median / 10.0)


def test_the_table_falls_and_says_where_it_is_extrapolated(result: str) -> None:
    table = outcome("defend", measured=detector(result)).tables[1]
    assert table.name == "inspection"
    flop, passes, low, high, where = zip(*table.rows, strict=True)
    assert list(passes) == sorted(passes, reverse=True)
    assert all(a <= b <= c for a, b, c in zip(low, passes, high, strict=True))
    assert any(a < c - 0.01 for a, c in zip(low, high, strict=True))
    assert (flop[0], flop[-1]) == pytest.approx((1e5, 1e10))
    assert all((1e6 <= f <= 1e8) == (w == "measured") for f, w in zip(flop, where, strict=True))


@pytest.mark.parametrize("flop", ["1e4", "1e12"])
def test_compute_out_of_range_is_warned_of(result: str, flop: str) -> None:
    notes = outcome("defend", {"inspection": flop}, measured=detector(result)).notes
    (warning,) = (note for note in notes if note.startswith("Beyond what was measured"))
    assert "100% of the draws" in warning
    assert f"{float(flop):.3g}" in warning


def test_another_law_is_had_by_its_name(result: str) -> None:
    first, second = (
        detector(f"{result}{name}").quantities["catch_ceiling"].value for name in ("", "#second")
    )
    assert (first, second) == (0.9, 0.5)
    with pytest.raises(UnknownName, match="second"):
        detector(f"{result}#secnd")
    with pytest.raises(InputError, match=r"^detector: .* cannot be read"):
        detector(f"{result}.none")
    with pytest.raises(InputError, match=r"^detector: it is empty"):
        detector("#second")


def test_a_detector_stands_beside_a_law(result: str) -> None:
    law = Measured({"a": point(0.3)}, source="draws", law="the law", notes=("of draws",))
    both = law.beside(detector(result))
    assert both.law == "the law"
    assert {"a", "catch_slope"} <= set(both.quantities)
    assert both.notes[0] == "of draws"
    assert both.source_of("a") == "draws"
    assert both.source_of("catch_slope").startswith("first: 500 attacked items")


def test_a_scenario_names_its_detector() -> None:
    found = read(calculator("defend"), {"detector": "benchmarks/results/defence.json"})
    assert found.detector == "benchmarks/results/defence.json"
    with pytest.raises(InputError, match=r"^detector: .* is no name"):
        read(calculator("defend"), {"detector": 3})
