"""Strategies' laws in compute, and where each leads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.laws.recordings import write_ladder
from tests.laws.test_named import RISING, curve

from ponder.core import Usage
from ponder.errors import LawUndefined, UnknownName
from ponder.laws.spending import study_spending, ways_of_recording, ways_of_run
from ponder.measure.curve import Curve, Measurement, Point, TaskResult
from ponder.report.law_charts import spending_chart
from ponder.train.recorded import Recorded, load


def measurement(*curves: Curve) -> Measurement:
    task = TaskResult("made", "made", 50, 128, None, None, curves)
    return Measurement("run", 0.0, {}, (task,), Usage(), Usage(), None, (), "shape", "", "")


def dearer(found: Curve, name: str, factor: float) -> Curve:
    """The same accuracies for `factor` times the compute."""
    points = tuple(replace(p, flop=factor * (p.flop or 0.0)) for p in found.points)
    return replace(found, strategy=name, points=points)


def test_a_runs_strategies_have_laws_and_the_cheaper_one_leads() -> None:
    cheap = curve(RISING)
    bound = replace(dearer(cheap, "coverage", 1.0), oracle=True)
    study = study_spending(ways_of_run(measurement(cheap, dearer(cheap, "beam", 8.0), bound)), draws=100)
    assert [each.way.name for each in study.strategies] == ["vote", "beam", "coverage"]
    told = [each.fit.parameters for each in study.strategies if each.fit]
    assert told[1]["middle"].value - told[0]["middle"].value == pytest.approx(np.log10(8.0), abs=0.02)
    assert all(each.ahead is not None for each in study.strategies)
    assert study.envelope is not None
    assert study.envelope.names == ("vote", "beam")
    (first, *_) = study.envelope.leads
    assert first.name == "vote"
    assert first.last > 1e8


def test_a_strategy_of_one_budget_has_no_law_but_may_lead() -> None:
    direct = Curve("made", "direct", (Point(1, 0.4, 0.35, 0.45, 10.0, 1e5, 1.0),))
    study = study_spending(ways_of_run(measurement(direct, curve(RISING))), draws=50)
    assert study.strategies[0].fit is None
    assert "direct was measured at 1 values" in study.strategies[0].undefined
    assert study.envelope is not None
    assert [each.name for each in study.envelope.leads] == ["direct", "vote"]
    told = study.to_json()
    assert told["strategies"][0]["undefined"] == study.strategies[0].undefined
    assert told["leads"][0]["first"] == pytest.approx(1e5)


def test_a_curve_of_one_problem_bears_no_law() -> None:
    alone = replace(measurement(curve(RISING)).tasks[0], problems=1)
    ways = ways_of_run(replace(measurement(), tasks=(alone,)))
    with pytest.raises(LawUndefined, match="problems: 1 cannot bound a law"):
        study_spending(ways)


def test_compute_is_in_a_unit_that_every_strategy_knows() -> None:
    ways = ways_of_run(measurement(curve(RISING), replace(curve(RISING, flop=False), strategy="judge")))
    assert {way.scores.unit for way in ways if way.scores} == {"tokens"}
    (_, judge) = ways_of_run(measurement(curve(RISING), curve(RISING, flop=False)), unit="FLOP")
    assert judge.scores is None
    assert "FLOP of vote are unknown" in judge.undefined
    with pytest.raises(UnknownName, match="Unknown task 'other'"):
        ways_of_run(measurement(curve(RISING)), ["other"])


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Recorded]:
    folder = tmp_path_factory.mktemp("recordings")
    write_ladder(folder)
    return [load(next(folder.glob(f"{size}-steps-random-0-4*"))) for size in ("28k", "154k")]


def test_recordings_of_a_family_are_put_together(recordings: list[Recorded]) -> None:
    ways = [way for each in recordings for way in ways_of_recording(each, prefix=f"{each.name} ")]
    study = study_spending(ways, draws=50)
    assert study.unit == "FLOP"
    assert [each.way.name for each in study.strategies if each.way.oracle] == [
        "28k-steps-random-0/4 coverage",
        "154k-steps-random-0/4 coverage",
    ]
    assert study.envelope is not None
    # One chain of full length is one sample.
    chain, vote = ways[2].scores, ways[0].scores
    assert chain is not None
    assert vote is not None
    np.testing.assert_allclose(chain.values[:, -1], vote.values[:, 0])
    np.testing.assert_allclose(chain.compute[-1], vote.compute[0])
    drawn = spending_chart([study]).to_dict(validate=False)["datasets"].values()
    names = {row["line"] for rows in drawn for row in rows if "line" in row}
    assert {"28k-0/4 vote", "154k-0/4 coverage"} <= names


def test_what_was_not_asked_the_same_is_not_put_together(recordings: list[Recorded]) -> None:
    shorter = replace(recordings[1], tallies=recordings[1].tallies[1:])
    ways = [*ways_of_recording(recordings[0]), *ways_of_recording(shorter)]
    with pytest.raises(LawUndefined, match="were not measured on the same problems"):
        study_spending(ways)
    others = [replace(way, task="other") for way in ways_of_recording(recordings[0])]
    with pytest.raises(LawUndefined, match="on several tasks"):
        study_spending([*ways_of_recording(recordings[0]), *others])
