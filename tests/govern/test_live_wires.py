"""No figure in an answer is a literal: change any input, and what depends on it moves; an input that starts
from a data row is that row."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from ponder.data import rows as data_rows
from ponder.govern import calculator, names
from ponder.govern.calculator import Calculator, Floats
from ponder.govern.scenario import Case, read, resolve

FACTORS = (0.01, 0.5, 0.9, 1.1, 2.0, 100.0)
"""What an input's median is multiplied with; cut off at what it may be."""

SCALED = 0.93

LAW = {"a": 0.3, "b": 5, "never": 0.1, "always": 0.1, "votes": 0.5}
MUST: dict[str, dict[str, Any]] = {"scale": {"chips": 10_000}}
"""What has no default."""
WHERE: dict[str, list[dict[str, Any]]] = {
    "buffer": [{"training": "1e25"}],
    "defend": [
        {
            "inspection": "1e8",
            "catch_floor": 0.05,
            "catch_ceiling": 0.9,
            "catch_middle": 7,
            "catch_slope": 3,
            "catch_least": "1e6",
            "catch_most": "1e9",
        }
    ],
    "diffuse": [{"weights": "open"}, {"technique": "published", "published": 0.2, "date": 0.5}],
    "scale": [
        {"model": "deepseek-v3", "precision": "fp8"},
        {"model": "qwen3-235b-a22b", "chips": 8},
        {"chip": "b200", "sample_tokens": 5000},
        {
            "training_days": 54,
            "answer_value": 20,
            "efforts": {"minimal": {"accuracy": 0.5}, "low": {"accuracy": 0.8}},
        },
    ],
    "theft": [{"model": "deepseek-v3"}, LAW | {"tasks": "1e9"}],
}
"""Scenarios besides the default one, in which inputs work that are idle there."""


def cases(name: str) -> Iterator[Case]:
    of = calculator(name)
    for document in ({}, *WHERE.get(name, [])):
        yield resolve(of, read(of, MUST.get(name, {}) | document))


@dataclass(frozen=True)
class Moved:
    """A case computed in many rows: row 0 with every input at its median, and a few rows for each input."""

    case: Case
    x: Mapping[str, Floats]
    y: Mapping[str, Floats]
    rows: Mapping[str, np.ndarray[Any, Any]]

    @classmethod
    def of(cls, case: Case) -> Moved:
        known = [each.name for each in case.assumptions if each.quantity is not None]
        size = 1 + len(FACTORS) * len(known)
        x = {
            each.name: np.full(size, np.nan if each.quantity is None else each.quantity.value)
            for each in case.assumptions
        }
        rows = {name: 1 + len(FACTORS) * at + np.arange(len(FACTORS)) for at, name in enumerate(known)}
        for name, at in rows.items():
            bounds = case.bounds[name]
            x[name][at] = np.clip((x[name][0] or 1.0) * np.array(FACTORS), bounds.least, bounds.most)
        return cls(case, x, computed(case.calculator, case, x, size), rows)

    def by_outputs(self, name: str) -> bool:
        return any(differ(out[self.rows[name]], out[0]) for out in self.y.values())

    def by_tables(self, name: str) -> bool:
        """Or by notes."""
        still = self.told(0)
        return any(self.told(at) != still for at in self.rows[name])

    def told(self, at: int) -> str:
        of, about = self.case.calculator, self.case.about
        one, out = ({name: each[at : at + 1] for name, each in held.items()} for held in (self.x, self.y))
        with np.errstate(all="ignore"):
            return repr((of.tables(one, out, about), of.notes(one, out, about)))


def computed(of: Calculator, case: Case, x: Mapping[str, Floats], size: int) -> dict[str, Floats]:
    with np.errstate(all="ignore"):
        return {name: np.broadcast_to(each, size) for name, each in of.compute(x, case.about).items()}


def differ(moved: Floats, still: float) -> bool:
    return not np.all((moved == still) | (np.isnan(moved) & np.isnan(still)))


@pytest.mark.parametrize("name", names())
def test_every_input_moves_an_output(name: str) -> None:
    """Or a figure of a table or note, where it feeds no output."""
    moved = [Moved.of(case) for case in cases(name)]
    known = {each for one in moved for each in one.rows}
    idle = {each for each in known if not any(each in one.rows and one.by_outputs(each) for one in moved)}
    assert {
        each for each in idle if not any(each in one.rows and one.by_tables(each) for one in moved)
    } == set()
    assert {each.name for each in calculator(name).inputs} - known == set()


def scaled(value: Any) -> Any:
    """Every figure of a table, a little smaller."""
    if isinstance(value, list):
        return [scaled(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: scaled(each) for key, each in value.items()}
    for key in ("value", "low", "high"):
        if isinstance(value.get(key), int | float) and not isinstance(value[key], bool):
            found[key] = value[key] * SCALED
    return found


@pytest.mark.parametrize("name", names())
def test_every_row_that_an_input_starts_from_is_what_it_is(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The assumption's value, interval and provenance are the row's, not a copy of them."""
    of = calculator(name)
    scenario = read(of, MUST.get(name, {}))
    before = {each.name: each for each in resolve(of, scenario).assumptions}
    packaged = data_rows.table
    monkeypatch.setattr(data_rows, "table", lambda table: scaled(copy.deepcopy(packaged(table))))
    for each in resolve(of, scenario).assumptions:
        was = before[each.name]
        if each.quantity is None or was.quantity is None or (each.origin == "assumed" and not was.date):
            continue
        if each.quantity.value != was.quantity.value:
            ratio = each.quantity.value / was.quantity.value, each.quantity.low / was.quantity.low
            assert ratio == pytest.approx((SCALED, SCALED)), each.name
        else:  # a bare number of a shape, which is scaled by no figure
            assert was.quantity.certain, each.name
