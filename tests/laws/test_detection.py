"""Laws of detection, held against detectors whose catch rate is known, and their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from ponder.errors import InputError, LawUndefined, UnknownName
from ponder.laws.detection import CatchLaw, CatchTrend, Detected, MeasuredDetector, read_detector
from ponder.laws.fit import fit
from ponder.measure.detection import Inspected

COMPUTE = np.array([1e6, 2e6, 4e6, 8e6, 1.6e7, 3.2e7])
ALARM = 0.05


def made(caught: np.ndarray[Any, Any], *, seed: int = 0, count: int = 400, folds: int = 1) -> Detected:
    """Normal suspicions, those of attacked items shifted so that in expectation `caught` [K] are caught."""
    rng = np.random.default_rng(seed)
    shift = norm.ppf(1.0 - ALARM) - norm.ppf(1.0 - np.asarray(caught))
    some = tuple(
        Inspected(
            rng.normal(size=(count, len(shift))),
            rng.normal(size=(count, len(shift))) + shift,
            np.arange(count),
        )
        for _ in range(folds)
    )
    return Detected("made", COMPUTE[: len(shift)], some, count, ALARM)


def test_a_line_is_recovered() -> None:
    data = made(0.3 + 0.1 * np.arange(6), folds=3)
    found = fit(data, CatchTrend(), draws=200)
    slope = found.parameters["per_doubling"]
    assert slope.low < 0.1 < slope.high
    assert slope.value == pytest.approx(0.1, abs=0.02)
    assert found.predict(COMPUTE).value == pytest.approx(0.3 + 0.1 * np.arange(6), abs=0.04)
    seen = data.rates(np.ones((1, sum(data.units))))[0]
    assert slope.value == pytest.approx(np.polyfit(np.log2(COMPUTE), seen, 1)[0])


def test_the_interval_of_a_null_slope_holds_0() -> None:
    """In about nine of ten."""
    held = 0
    for seed in range(30):
        slope = fit(made(np.full(6, 0.4), seed=seed, count=80), CatchTrend(), draws=120).parameters
        held += slope["per_doubling"].low <= 0.0 <= slope["per_doubling"].high
    assert held >= 22


def test_a_sigmoid_is_recovered() -> None:
    law = CatchLaw()
    true = law.at(np.array([[ALARM, 0.9, 6.6, 6.0]]), COMPUTE)[0]
    found = fit(made(true, count=1500), law, draws=60)
    told = found.predict(COMPUTE)
    assert told.value == pytest.approx(true, abs=0.04)
    assert found.value[0] == ALARM
    assert found.predict(1e9).beyond[0]


def test_what_catches_alike_at_every_compute_bears_no_law() -> None:
    certain = Inspected(np.zeros((10, 6)), np.ones((10, 6)), np.arange(10))
    data = Detected("certain", COMPUTE, (certain,), 10, ALARM)
    with pytest.raises(LawUndefined, match=r"^compute: certain catches 95.5%"):
        fit(data, CatchLaw())
    assert fit(data, CatchTrend(), draws=20).parameters["per_doubling"].value == pytest.approx(0.0, abs=1e-9)


def test_no_law_is_sure_that_nothing_passes() -> None:
    """All of 50 are caught at the most compute: one in fifty may still pass."""
    told = np.linspace(-1.0, 1.0, 6) * np.ones((50, 6))
    data = Detected("all", COMPUTE, (Inspected(np.zeros((50, 6)), told, np.arange(50)),), 50, ALARM)
    ceiling = fit(data, CatchLaw(), draws=200).parameters["ceiling"]
    assert ceiling.value == pytest.approx(50.5 / 51)
    assert 0.95 < ceiling.low < ceiling.value < ceiling.high < 1.0


def test_no_ceiling_lies_above_what_so_few_items_can_tell() -> None:
    """A curve that still rises where all are caught would be continued up to 1."""
    caught = np.arange(50)[:, None] < np.array([5, 12, 22, 32, 42, 50])
    data = Detected(
        "rising", COMPUTE, (Inspected(np.zeros((50, 6)), caught * 1.0, np.arange(50)),), 50, ALARM
    )
    assert fit(data, CatchLaw(), draws=20).value[1] == pytest.approx(50.5 / 51)


def test_too_few_values_of_compute_are_refused() -> None:
    with pytest.raises(LawUndefined, match="needs 4"):
        fit(made(np.array([0.2, 0.4, 0.6])), CatchLaw())
    with pytest.raises(LawUndefined, match="needs 2"):
        fit(made(np.array([0.2])), CatchTrend())


# ---------------------------------------------------------------- files


@pytest.fixture(scope="module")
def law() -> MeasuredDetector:
    data = made(np.linspace(0.1, 0.9, 6))
    return MeasuredDetector.of(fit(data, CatchLaw(), draws=30), data, "made", "nobody", kept=20)


def write(path: Path, *laws: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"laws": laws}), "utf-8")
    return path


def test_a_law_comes_back_from_its_file(law: MeasuredDetector, tmp_path: Path) -> None:
    other = law.to_json() | {"name": "another"}
    path = write(tmp_path / "d.json", law.to_json(), other)
    found = read_detector(path)
    assert found.value == pytest.approx(law.value, rel=1e-4)
    assert found.draws.shape == (20, 4)
    assert (found.least, found.most, found.items) == (1e6, 3.2e7, 400)
    assert read_detector(path, "another").name == "another"
    with pytest.raises(UnknownName, match="another"):
        read_detector(path, "anothr")


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": ["floor"]},
        {"value": [0.05, 0.9, 6.0, -1.0]},
        {"value": [0.05, 1.9, 6.0, 1.0]},
        {"draws": []},
        {"draws": [[0.1, 0.9]]},
        {"draws": [[0.1, 0.9, "x", 1.0]]},
        {"draws": [[0.1, 0.9, float("nan"), 1.0]]},
        {"reach": [1e7, 1e6]},
        {"reach": [0, 1e6]},
        {"false_alarm": 0},
        {"items": None},
        {"items": 0},
    ],
)
def test_a_broken_law_is_told_in_a_sentence(
    law: MeasuredDetector, tmp_path: Path, change: dict[str, Any]
) -> None:
    path = write(tmp_path / "d.json", law.to_json() | change)
    with pytest.raises(InputError, match=r"^detector: .*d\.json holds no law of detection"):
        read_detector(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"laws": []}', '{"laws": [1]}', '{"laws": 3}', "[" * 9999])
def test_so_is_what_is_no_result(tmp_path: Path, text: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match="holds no law of detection"):
        read_detector(path)


def test_so_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^detector: .* cannot be read"):
        read_detector(tmp_path / "none.json")
