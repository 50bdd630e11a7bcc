"""What calculators take from laws, held against families and recordings in which it is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ponder.errors import InputError, LawUndefined
from ponder.govern._measured import (
    Reach,
    attempts,
    attempts_and_gain,
    beyond_measured,
    gain_of_inference,
    power_up_to,
)
from ponder.govern.calculator import LawChoice, Measured, Settings
from ponder.laws.worth import gains, worth
from tests.govern.cases import outcome
from tests.laws.families import family
from tests.laws.recordings import TASK, write_ladder


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ladder")
    write_ladder(path)
    return path


def test_gains_of_every_amount_are_the_worths() -> None:
    grid = family(times=7.0)
    found = gains(grid, draws=50)
    rows, _ = worth(grid, draws=50)
    assert found.shape == (51, 9, 2)
    assert found[:, :, 0] == pytest.approx(0.0, abs=1e-12)
    told = [row.gain.value if row.gain else np.nan for row in rows]
    assert 10.0 ** found[0, :, 1] == pytest.approx(told)


def test_gains_of_some_models_are_read_off_the_frontier_of_all() -> None:
    grid = family(times=7.0)
    some = np.arange(9) % 4 == 1
    assert gains(grid, of=grid.only(some), draws=20) == pytest.approx(gains(grid, draws=20)[:, some])


def test_a_gain_that_no_scaling_reaches_is_infinite() -> None:
    grid = family(ceiling=0.6)
    values = grid.values.copy()
    values[:, :, 1] = 0.8
    found = gains(type(grid)(**{**vars(grid), "values": values}), draws=20)
    assert np.isposinf(found[0, :, 1]).all()


def test_too_short_a_frontier_bears_no_gain() -> None:
    with pytest.raises(LawUndefined, match="frontier"):
        gains(family(compute=np.array([1e10, 1e11])), draws=20)


@pytest.mark.parametrize(("weight", "span"), [(0.7, 9.0), (0.7, 0.8), (0.2, 0.2)])
def test_a_power_up_to_a_span_is_recovered(weight: float, span: float) -> None:
    logs = np.log10([4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0])
    decades = np.minimum(weight * logs, span)
    found = power_up_to(logs, np.stack([decades, decades]))
    reached = min(span, weight * logs[-1])
    assert found[0] == pytest.approx(weight)
    assert found[1] == pytest.approx(reached)


def test_a_ladder_gives_the_weight_and_span_of_its_votes(ladder: Path) -> None:
    found = gain_of_inference(LawChoice(str(ladder), "", TASK), draws=100)
    assert {"weight", "span"} <= set(found.quantities)
    weight, span = found.quantities["weight"], found.quantities["span"]
    assert weight.low < weight.value < weight.high
    assert weight.drawn is not None
    assert len({each.together for each in found.quantities.values()}) == 1
    assert isinstance(found.law, Reach)
    assert 10.0 < found.law.most < 16.0  # of 16 draws a problem, the prompt being read once
    told = outcome("buffer", measured=found)
    measured = {each.name for each in told.assumptions if each.origin == "measured"}
    assert measured == set(found.quantities)
    assert span.value <= weight.value * np.log10(found.law.most) + 1e-9


def test_what_is_no_ladder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^law: .* give its folder"):
        gain_of_inference(LawChoice("latest", ""))


def test_attempts_are_the_law_of_a_recordings_draws(ladder: Path) -> None:
    recording = next(iter(sorted(ladder.glob("28k*4*.xz"))))
    found = attempts(LawChoice(str(recording), ""))
    assert {"a", "b", "never", "always", "attempt"} <= set(found.quantities)
    a, b, votes = (found.quantities[name] for name in ("a", "b", "votes"))
    assert 0.0 <= votes.low <= votes.value <= votes.high <= 1.0
    assert a.low < a.value < a.high
    assert a.together == b.together
    assert found.quantities["attempt"].value > 0.0
    told = outcome("theft", {"owner_effort": "1000"}, measured=found)
    (solved,) = (each for each in told.results if each.name == "owner_solves")
    assert solved.median is not None
    assert solved.low is not None
    assert solved.low < solved.median
    assert any("16" in note and "extrapolated" in note for note in told.notes)


def test_of_a_ladder_the_most_trained_model_attempts(ladder: Path) -> None:
    found = attempts_and_gain(LawChoice(str(ladder), ""), draws=100)
    assert "154k" in found.source
    assert {"a", "b", "votes", "weight", "span"} <= set(found.quantities)


@pytest.mark.parametrize(
    ("beyond", "says"),
    [
        (3, "; under 1% of the draws ask for more. There"),
        (20, "; 2% of the draws ask for more. There"),
        (100, "; 10% of the draws ask for more, up to 5 times as much (95th percentile). There"),
    ],
)
def test_what_is_asked_beyond_the_measured_is_told_with_how_far(beyond: int, says: str) -> None:
    about = Settings(measured=Measured({}, "run 7", law=Reach(10.0, "votes")))
    amount = np.where(np.arange(1000) < beyond, 50.0, 1.0)
    (note,) = beyond_measured(about, amount)
    assert says in note
    assert beyond_measured(about, np.ones(1000)) == ()
