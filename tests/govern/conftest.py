"""A small calculator, and a configuration folder of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from ponder.data import rows
from ponder.govern.calculator import Calculator, Choice, Floats, Group, Input, Output, Row, Settings, Table


def _compute(x: Mapping[str, Floats], about: Settings) -> Mapping[str, Floats]:
    days = x["tokens"] / (x["chips"] * x["rate"]) / 86_400
    spent = sum(x[f"actors.{name}.budget"] for name in about.groups["actors"])
    return {"days": days * (2.0 if about.choices["mode"] == "slow" else 1.0), "spent": spent * x["share"]}


def _tables(x: Mapping[str, Floats], y: Mapping[str, Floats], about: Settings) -> tuple[Table, ...]:
    return (Table("budgets", "Budgets", ("actor",), tuple((name,) for name in about.groups["actors"])),)


SAMPLE = Calculator(
    name="sample",
    title="How long a fleet takes.",
    inputs=(
        Input("tokens", "tokens", "Tokens of all tasks"),
        Input("chips", "chips", "Chips that work on it", "1000..4000"),
        Input(
            "rate", "tokens/s/chip", "Tokens a second of one chip", Row("exchange_sample", "$chip", "rate")
        ),
        Input("share", "", "The share that is spent", "0.3±0.05", most=1.0),
        Input("tax", "USD", "What is not known", optional=True),
    ),
    outputs=(Output("days", "days", "Days that it takes"), Output("spent", "USD", "Money that is spent")),
    compute=_compute,
    choices=(
        Choice("chip", "The chip", "small", table="exchange_sample"),
        Choice("mode", "How it is run", "fast", options=("fast", "slow")),
    ),
    groups=(
        Group(
            "actors",
            "Who pays.",
            (Input("budget", "USD", "What the actor has"),),
            {"leader": {"budget": "1e9..4e9"}, "follower": {"budget": "1e8"}},
        ),
    ),
    tables=_tables,
    notes=lambda x, y, about: ("A fleet is never whole.",),
)

CHIPS = {
    "small": {
        "rate": {"value": 100.0, "low": 80.0, "high": 120.0, "unit": "tokens/s/chip"},
        "source": "A data sheet",
        "date": "2025-01",
        "confidence": "high",
    },
    "large": {"rate": {"value": 1000.0}, "source": "Hearsay", "date": "2025-01", "confidence": "low"},
    "blank": {"source": "A data sheet", "date": "2025-01", "confidence": "high"},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, which is empty."""
    path = tmp_path / "data"
    monkeypatch.setattr(rows, "user_folder", lambda: path)
    return path


@pytest.fixture
def sample(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Calculator:
    known, packaged = rows.table, (*rows.packaged(), "exchange_sample")
    monkeypatch.setattr(rows, "packaged", lambda: packaged)
    monkeypatch.setattr(rows, "table", lambda name: CHIPS if name == "exchange_sample" else known(name))
    return SAMPLE
