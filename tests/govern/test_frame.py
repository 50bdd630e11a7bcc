"""The frame: a scenario is checked, made complete, drawn and told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ponder.errors import InputError, UnknownName
from ponder.govern.calculator import Calculator, Measured
from ponder.govern.example import example
from ponder.govern.outcome import Outcome, draw, evaluate
from ponder.govern.scenario import Case, load_yaml, read, resolve
from ponder.quantity import from_draws


def case(of: Calculator, document: Mapping[str, Any], sets: Sequence[str] = (), **extra: Any) -> Case:
    return resolve(of, read(of, document, sets), **extra)


def run(of: Calculator, document: Mapping[str, Any], sets: Sequence[str] = (), **extra: Any) -> Outcome:
    return evaluate(case(of, document, sets), **extra)


def test_an_outcome_holds_medians_intervals_and_every_assumption(sample: Calculator) -> None:
    found = run(sample, {"tokens": "1e15"}, draws=20_000)
    days, spent = found.results
    assert days.median == pytest.approx(1e15 / (2000 * 100) / 86_400, rel=0.02)
    assert days.low is not None
    assert days.high is not None
    assert days.low < days.median < days.high
    assert spent.unit == "USD"
    origins = {each.name: each.origin for each in found.assumptions}
    assert origins == {
        "tokens": "yours",
        "chips": "assumed",
        "rate": "published",
        "share": "assumed",
        "tax": "assumed",
        "actors.leader.budget": "assumed",
        "actors.follower.budget": "assumed",
    }
    assert found.notes == ("A fleet is never whole.",)
    assert found.tables[0].rows == (("leader",), ("follower",))


def test_the_tornado_puts_first_what_moves_an_output_most(sample: Calculator) -> None:
    swings = run(sample, {"tokens": "1e15"}).swings["days"]
    assert [each.input for each in swings[:2]] == ["chips", "rate"]
    days = [1e15 / (chips * 100) / 86_400 for chips in (1000, 4000)]
    assert [swings[0].at_low, swings[0].at_high] == pytest.approx(days)
    assert {each.size for each in swings[2:]} == {0.0}


def test_a_figure_of_low_confidence_is_no_fact(sample: Calculator) -> None:
    found = run(sample, {"tokens": "1e15", "chip": "large"})
    rate = next(each for each in found.assumptions if each.name == "rate")
    assert (rate.origin, rate.confidence, rate.source) == ("assumed", "low", "Hearsay")


def test_flags_override_the_file_and_units_convert(sample: Calculator) -> None:
    found = case(sample, {"tokens": "1e15", "chips": 5}, ["chips=7", "actors.leader.budget=3e9 USD"])
    values = {each.name: each.quantity for each in found.assumptions}
    assert values["chips"] is not None
    assert values["chips"].value == 7
    assert values["actors.leader.budget"] is not None
    assert values["actors.leader.budget"].value == 3e9


def test_a_scenario_may_give_its_own_provenance(sample: Calculator) -> None:
    given = {"value": "1e15", "low": 5e14, "high": 2e15, "source": "Our plan", "date": "2026-01-01"}
    tokens = case(sample, {"tokens": given}).assumptions[0]
    assert (tokens.origin, tokens.source, tokens.date) == ("yours", "Our plan", "2026-01-01")


def test_what_a_law_measured_comes_before_the_default_and_is_drawn_together(sample: Calculator) -> None:
    refits = np.array([1.0, 2.0, 3.0, 4.0])
    measured = Measured(
        {
            "chips": from_draws(refits, together="law"),
            "rate": from_draws(10 * refits, together="law"),
        },
        "run 7",
    )
    found = resolve(sample, read(sample, {"tokens": "1e15"}), measured)
    chips, _ = found.assumptions[1:3]
    assert (chips.origin, chips.source) == ("measured", "run 7")
    x = draw(found, 1000, 0)
    assert np.array_equal(10 * x["chips"], x["rate"])
    yours = resolve(sample, read(sample, {"tokens": "1e15", "chips": 3}), measured)
    assert yours.assumptions[1].origin == "yours"


def test_a_further_input_changes_no_other_draw(sample: Calculator) -> None:
    document = {"tokens": "1e14..1e15"}
    more = replace(sample, inputs=(*reversed(sample.inputs),))
    before, after = (draw(case(of, document), 100, 4) for of in (sample, more))
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before)
    assert not np.array_equal(before["tokens"], draw(case(sample, document), 100, 5)["tokens"])


def test_many_draws_are_computed_in_pieces_and_told_by_the_first(sample: Calculator) -> None:
    seen: list[int] = []
    told: list[np.ndarray[Any, Any]] = []

    def compute(x: Any, about: Any) -> Any:
        seen.append(x["chips"].size)
        return {"days": x["chips"], "spent": x["share"]}

    def tables(x: Any, y: Any, about: Any) -> Any:
        told.extend([x["chips"].copy(), y["days"].copy()])
        return ()

    of = case(replace(sample, compute=compute, tables=tables), {"tokens": "1e15", "share": 0.5})
    days, spent = evaluate(of, draws=100_000).results
    x = draw(of, 100_000, 0)
    assert sum(seen[:-1]) == 100_000  # the last call is the tornado's
    assert max(seen) < 100_000
    assert [days.low, days.median, days.high] == np.quantile(
        x["chips"], [0.05, 0.5, 0.95], method="inverted_cdf"
    ).tolist()
    assert x["share"].tolist() == [0.5]
    assert (spent.low, spent.median, spent.high) == (0.5, 0.5, 0.5)
    assert all(np.array_equal(each, x["chips"][:10_000]) for each in told)
    told.clear()
    evaluate(of, draws=100_000, tabled=70_000)
    assert len(told) == 2
    assert all(np.array_equal(each, x["chips"][:70_000]) for each in told)


def test_an_input_that_its_bounds_cut_is_told_with_the_interval_that_is_drawn(sample: Calculator) -> None:
    of = case(sample, {"tokens": "1e15", "share": "0.2..1"})
    found = evaluate(of, draws=40_000)
    told = next(each.quantity for each in found.assumptions if each.name == "share")
    drawn = draw(of, 40_000, 0)["share"]
    assert told is not None
    assert [told.low, told.high] == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=0.01)
    assert 0.0 < told.low < told.high < 1.0


def test_unknown_is_unknown_and_never_is_never(sample: Calculator) -> None:
    def compute(x: Any, about: Any) -> Any:
        return {"days": x["tax"] * 2, "spent": np.where(np.arange(x["chips"].size) % 4 == 0, 1.0, np.inf)}

    found = run(replace(sample, compute=compute), {"tokens": 1}, draws=1000)
    days, spent = found.results
    assert (days.median, days.unknown) == (None, 1.0)
    assert (spent.low, spent.median) == (1.0, np.inf)
    document = found.to_json()
    assert document["outputs"][1]["median"] == "infinity"
    assert document["outputs"][0]["median"] is None


@pytest.mark.parametrize("size", [1, 2, 3, 40, 1000])
def test_percentiles_are_those_of_the_draws_that_are_known(sample: Calculator, size: int) -> None:
    rng = np.random.default_rng(size)
    values = np.round(rng.standard_normal(size), 1)
    values[rng.random(size) < 0.1] = np.inf
    values[1:][rng.random(size - 1) < 0.3] = np.nan

    def compute(x: Any, about: Any) -> Any:
        return {"days": np.resize(values, x["chips"].size), "spent": x["tax"]}

    days = run(replace(sample, compute=compute), {"tokens": 1}, draws=size).results[0]
    known = np.sort(values[~np.isnan(values)])
    told = [float(known[math.ceil(len(known) * level) - 1]) for level in (0.05, 0.5, 0.95)]
    assert [days.low, days.median, days.high] == told
    assert days.unknown == pytest.approx(np.isnan(values).mean())


@pytest.mark.parametrize(
    ("document", "sets", "says"),
    [
        ({}, [], "tokens: it must be given"),
        ({"tokens": 1, "chps": 3}, [], "Unknown key of sample 'chps': did you mean chips or chip"),
        ({"tokens": 1}, ["chisp=3"], "Unknown input 'chisp': did you mean chip"),
        ({"tokens": 1}, ["chips"], "is not NAME=VALUE"),
        ({"tokens": 1, "chip": "smal"}, [], "Unknown chip 'smal': did you mean small"),
        ({"tokens": 1, "mode": "quick"}, [], "Unknown mode 'quick'"),
        ({"tokens": 1, "chip": "blank"}, [], "rate: it must be given .* The row blank has none"),
        ({"tokens": 0}, [], "tokens: 0 token.* must be above zero"),
        ({"tokens": "-5"}, [], "must be above zero"),
        ({"tokens": "5 USD"}, [], "the unit 'USD' does not fit"),
        ({"tokens": "4e9..1e9"}, [], "upside down"),
        ({"tokens": ".nan"}, [], "is no number"),
        ({"tokens": float("nan")}, [], "is no number"),
        ({"tokens": True}, [], "is no number"),
        ({"tokens": {"value": 1, "hihg": 2}}, [], "Unknown key of tokens 'hihg': did you mean high"),
        ({"tokens": {"value": 3, "low": 4, "high": 5}}, [], "does not lie in its interval"),
        ({"tokens": {"value": "1..2"}}, [], "write a bare number"),
        ({"tokens": 1, "share": "0.8±0.3"}, [], "share: 0.8±0.3 must be at most 1"),
        ({"tokens": 1, "actors": {}}, [], "actors: it must hold named items"),
        ({"tokens": 1, "actors": {"a": 3}}, [], "actors.a: it must hold values"),
        ({"tokens": 1, "actors": {"a.b": {"budget": 1}}}, [], "is no item's name"),
        ({"tokens": 1, "actors": {"a": {"bugdet": 1}}}, [], "did you mean budget"),
        ({"tokens": 1, "actors": {"a": {}}}, [], "actors.a.budget: it must be given"),
        ({"calculator": "theft"}, [], "one of 'theft'; run `ponder govern` with its name"),
        ({"tokens": 1, "law": ["x"]}, [], "law: .* is no name"),
    ],
)
def test_bad_input_is_refused(
    sample: Calculator, document: dict[str, Any], sets: list[str], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        case(sample, document, sets)


def test_items_that_are_fixed_may_be_changed_but_not_added_or_left_out(sample: Calculator) -> None:
    fixed = replace(sample, groups=(replace(sample.groups[0], fixed=True),))
    found = case(fixed, {"tokens": 1, "actors": {"follower": {"budget": 5}}})
    assert found.about.groups["actors"] == ("leader", "follower")
    values = {each.name: each.quantity for each in found.assumptions}
    assert str(values["actors.follower.budget"]) == "5 USD"
    assert str(values["actors.leader.budget"]) == "1e+09..4e+09 USD"
    with pytest.raises(InputError, match="Unknown key of actors 'folower': did you mean follower"):
        case(fixed, {"tokens": 1, "actors": {"folower": {"budget": 5}}})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &x [1]\nb: *x", "line 2: an alias is not taken"),
        ("a: 1\na: 2", "line 2: 'a' is given twice"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: could not determine a constructor"),
        ("a: [" * 3 + "[" * 5000, "nested more than 20 deep"),
        ("- 1\n- 2", "must hold names with values"),
        ("1: 2", "must hold names with values"),
        ("a: 'b", "while scanning|found unexpected|line"),
        ("a: \x00", "is no YAML"),
        ("x" * ((1 << 16) + 1), "larger than 64 KiB"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=says):
        load_yaml(path)


def test_a_missing_file_is_refused_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_yaml(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").write_text("")
    assert load_yaml(tmp_path / "empty.yaml") == {}


def test_the_example_is_a_scenario_that_says_the_defaults(sample: Calculator, tmp_path: Path) -> None:
    path = tmp_path / "sample.yaml"
    text = example(sample)
    path.write_text(text, "utf-8")
    assert load_yaml(path) == {"calculator": "sample", "tokens": None}
    with pytest.raises(InputError, match="tokens: it must be given"):
        case(sample, load_yaml(path))
    names = ("chips", "rate", "share", "mode", "chip", "actors", "  leader", "  follower")
    lines = [line[2:] if line[2:].split(":")[0] in names else line for line in text.splitlines()]
    path.write_text("\n".join(lines).replace("tokens: ", "tokens: 1e15 "), "utf-8")
    stated, default = case(sample, load_yaml(path)), case(sample, {"tokens": "1e15"})
    yours = {each.name for each in stated.assumptions if each.origin == "yours"}
    assert yours == {each.name for each in stated.assumptions} - {"tax"}
    for one, two in zip(stated.assumptions, default.assumptions, strict=True):
        assert one.quantity == two.quantity, one.name


def test_an_unknown_calculator_is_refused() -> None:
    from ponder.govern import calculator

    with pytest.raises(UnknownName):
        calculator("teft")
