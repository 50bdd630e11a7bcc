"""A card's figures as they are written: an interval holds its value, and a law is drawn where it holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.govern.accounting import Estimate, Lifecycle, Stage, account, every_rule
from ponder.govern.accounting.words import sentences
from ponder.govern.card import Card
from ponder.govern.card.document import Figure
from ponder.govern.card.measured import curves
from ponder.govern.card.subject import Drawn
from ponder.laws.data import Counts
from ponder.report.card_words import between, curve, forecast, forecast_short, interval
from ponder.report.govern_words import number
from ponder.train.recorded import load
from tests.govern.cards import REPOSITORY

RESULTS = REPOSITORY / "benchmarks" / "results"
CARDS = sorted((RESULTS / "cards").glob("*.json"))
STEPS = RESULTS / "ladder" / "recorded" / "448k-steps-random-0-5.char-countdown-numbers-4.jsonl.xz"


def read(text: str) -> float:
    return float(text.replace(",", ""))


@given(st.floats(-20.0, 30.0), st.floats(0.0, 2.0), st.floats(0.0, 2.0))
def test_an_interval_is_written_so_that_it_holds_its_value(
    decades: float, below: float, above: float
) -> None:
    value = 10.0**decades
    for scale in (1.0, 1e-3):
        figure = Figure(
            value=value, low=value * 10.0 ** (-below * scale), high=value * 10.0 ** (above * scale)
        )
        low, _, high = (between(figure) or f"{number(value)}–{number(value)}").partition("–")
        assert read(low) <= read(number(value)) <= read(high)


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ((196.271, 195.125, 197.288), "195–197"),
        ((112.726, 111.163, 113.931), "111–114"),
        ((24.5465, 24.4038, 24.6715), "24.4–24.7"),
        ((48.1045, 45.1941, 51.5319), "45.2–51.5"),
        ((7.99652, 7.98851, 7.99982), "7.99–8"),
        ((13.3267, 13.3266, 13.3268), ""),
        ((155.0, 155.0, 155.0), ""),
    ],
)
def test_ends_have_the_digits_of_the_value(figure: tuple[float, float, float], said: str) -> None:
    assert between(Figure(**dict(zip(("value", "low", "high"), figure, strict=True)))) == said


def test_an_interval_whose_ends_are_written_as_the_value_is_left_out() -> None:
    assert interval(Figure(value=13.3267, low=13.3266, high=13.3268)) == "13.3"
    assert interval(Figure(value=13.3267, low=13.2, high=13.4)) == "13.3 (13.2 to 13.4)"


# ---------------------------------------------------------------- where a law is drawn


def test_a_law_is_told_from_where_it_meets_what_was_measured() -> None:
    """The power law of coverage misses one sample, at which any right and a vote are the same."""
    counts = replace(Counts.from_recorded(load(STEPS)), ballots=None)
    (found,) = curves(Drawn(counts, None), refits=40)
    assert found.strategy == "coverage"
    assert found.law is not None
    first = found.told[0]
    missed = [each.accuracy for each in found.measured if each.samples < first.samples]
    assert missed, "this law misses the first sample"
    met = next(each.accuracy for each in found.measured if each.samples == first.samples)
    assert first.accuracy.low <= met.high
    assert met.low <= first.accuracy.high
    assert f"Below {first.samples:g} samples it misses what was measured (14% at 1" in forecast(found)
    assert f"from {first.samples:g} samples on" in forecast_short(found)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_no_committed_law_is_drawn_through_a_first_place_that_it_misses(path: Path) -> None:
    for task in Card.model_validate_json(path.read_text("utf-8")).tasks:
        vote, coverage = curve(task, "vote"), curve(task, "coverage")
        assert vote is not None
        assert coverage is not None
        assert vote.measured[0].accuracy == coverage.measured[0].accuracy, "of one sample"
        for each in (vote, coverage):
            told = each.told[0]
            seen = next(place.accuracy for place in each.measured if place.samples == told.samples)
            assert told.accuracy.low <= seen.high
            assert seen.low <= told.accuracy.high
            assert ("is not drawn" in forecast(each)) == (told.samples > each.measured[0].samples)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_a_committed_cards_rules_are_what_the_program_says_of_its_stages(path: Path) -> None:
    """Where it differs, `make cards` writes the new one."""
    found = Card.model_validate_json(path.read_text("utf-8"))
    stages = tuple(
        Stage(
            kind=each.kind,
            name=each.name,
            architecture=None
            if each.flop is None
            else Estimate(each.flop.value, each.flop.low, each.flop.high),
        )
        for each in found.training.stages
    )
    lifecycle = Lifecycle(model=found.identity.name, stages=stages)
    told = account(lifecycle, every_rule(), on=date.fromisoformat(found.made.on))
    for rule, finding in zip(found.training.rules, told.findings, strict=True):
        assert (rule.rule, rule.side) == (finding.rule.id, finding.side)
        assert rule.words == list(sentences(told, finding))
