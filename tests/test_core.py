import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import (
    Attempt,
    Budget,
    Draw,
    Forcing,
    Message,
    Prompt,
    Question,
    Sampling,
    Usage,
    canonical_json,
    mean_of,
    share,
)
from ponder.errors import BudgetError, InputError


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("2000tok", Budget(tokens=2000)),
        ("2ktok", Budget(tokens=2000)),
        ("16 samples", Budget(samples=16)),
        ("1e12flop", Budget(flop=1e12)),
        ("2.5Gflop", Budget(flop=2.5e9)),
        ("30s", Budget(seconds=30.0)),
        ("$0.01", Budget(usd=0.01)),
        ("0.01usd", Budget(usd=0.01)),
        ("8samples, 100tok,5s", Budget(samples=8, tokens=100, seconds=5.0)),
    ],
)
def test_a_budget_is_read(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget


@pytest.mark.parametrize(
    "text",
    [
        "-1tok",
        "5parsecs",
        "",
        "tok",
        "0tok",
        "1.5tok",
        "1tok,2tok",
        "1e999flop",
        "nan s",
        "inf s",
        "$-1",
        "1ks",
        "$1tok",
    ],
)
def test_a_bad_budget_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(BudgetError, match=r"^budget: ") as caught:
        Budget.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("unit", "value"),
    [("samples", 2.5), ("tokens", "100"), ("tokens", True), ("flop", "1e9"), ("seconds", -1.0), ("usd", 0)],
)
def test_a_bad_amount_is_refused_and_named(unit: str, value: Any) -> None:
    with pytest.raises(BudgetError, match=rf"^budget: {unit} must be a positive .*number, not "):
        Budget(**{unit: value})


def test_a_budget_shows_its_counts_to_the_last_digit() -> None:
    budget = Budget(samples=1234567, tokens=7654321)
    assert str(budget) == "1234567 samples, 7654321 tokens"
    assert Budget.parse(str(budget)) == budget


@given(st.text(max_size=30))
def test_any_text_is_a_budget_or_a_budget_error(text: str) -> None:
    try:
        budget = Budget.parse(text)
    except BudgetError:
        return
    assert all(value > 0 for value in budget.to_json().values())


def test_one_stop_string_is_not_taken_for_its_letters() -> None:
    prompt = Prompt((Message("user", "x"),))
    for wrong in (lambda: Draw(stop="###"), lambda: Question("id", "x", prompt, prompt, stop="###")):  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"^stop: .* write \('###',\)"):
            wrong()
    with pytest.raises(InputError, match=r"^max_tokens: "):
        Question("id", "x", prompt, prompt, max_tokens=0)


counts = st.none() | st.integers(0, 10**9)


@given(counts, counts)
def test_a_sum_with_an_unknown_is_unknown(a: int | None, b: int | None) -> None:
    total = (Usage(completion_tokens=a) + Usage(completion_tokens=b)).completion_tokens
    assert total == (None if a is None or b is None else a + b)


@pytest.mark.parametrize(
    ("counts", "found"), [([1, 2], 1.5), ([0.1] * 10, 0.1), ([1, None], None), ([], None), ([0], 0.0)]
)
def test_a_mean_with_an_unknown_is_unknown(counts: list[float | None], found: float | None) -> None:
    assert mean_of(iter(counts)) == found


texts = st.text(max_size=20)


@given(texts, texts, st.dictionaries(texts, st.integers() | texts, max_size=3))
def test_a_question_survives_json(text: str, raw: str, data: dict[str, int | str]) -> None:
    prompt = Prompt((Message("system", text), Message("user", raw)), raw)
    question = Question("id", text, prompt, Prompt((Message("user", text),)), stop=("\n",), data=data)
    again = Question.from_json(question.to_json())
    assert canonical_json(again.to_json()) == canonical_json(question.to_json())
    assert again.prompt == question.prompt


def test_the_words_that_force_a_thought_survive_json_and_the_usual_ones_are_not_written() -> None:
    prompt = Prompt((Message("user", "?"),))
    usual = Question("id", "?", prompt, prompt)
    assert "forcing" not in usual.to_json()
    assert Question.from_json(usual.to_json()).forcing == Forcing("\nWait,", "\nAnswer:")
    other = replace(usual, forcing=Forcing("\n<\n", None))
    assert Question.from_json(json.loads(canonical_json(other.to_json()))).forcing == other.forcing


def test_a_format_survives_json_and_none_is_not_written() -> None:
    prompt = Prompt((Message("user", "?"),))
    plain = Question("id", "?", prompt, prompt)
    assert "response_format" not in plain.to_json()
    formed = replace(plain, response_format='{"type":"json_object"}')
    assert Question.from_json(json.loads(canonical_json(formed.to_json()))) == formed


def test_samples_belong_to_the_last_attempts_that_returned_them() -> None:
    def counts(*returned: int) -> list[int]:
        attempts = [Attempt("ok", Usage(), 0.0, samples=n) for n in returned]
        return [len(part) for part in share(attempts, "abcd")]

    assert counts(0, 4) == [0, 4]
    assert counts(2, 4) == [0, 4]
    assert counts(1, 1, 2) == [1, 1, 2]
    assert counts(0, 0) == [0, 4]
    assert share([], "") == []
    two = [Attempt("ok", Usage(), 0.0, samples=1), Attempt("ok", Usage(), 0.0, samples=3)]
    assert share(two, "abcd") == ["a", "bcd"]


@pytest.mark.parametrize("temperature", [-1, -0.1, math.inf, math.nan, True, "1", None])
def test_a_temperature_that_is_none_is_refused(temperature: Any) -> None:
    with pytest.raises(InputError, match=r"^temperature: it must be a finite number of at least 0"):
        Sampling(temperature)
    if temperature is not None:
        with pytest.raises(InputError, match=r"^temperature: "):
            Draw(temperature=temperature)


@pytest.mark.parametrize("top_p", [0, 3, -0.5, math.nan, None])
def test_a_top_p_that_is_no_share_is_refused(top_p: Any) -> None:
    with pytest.raises(InputError, match=r"^top_p: it must be a number above 0 and at most 1"):
        Sampling(1.0, top_p)


@pytest.mark.parametrize("data", [{"a": {1, 2}}, {"a": math.nan}, {1: 2, "a": 3}, [("a", 1)], "abc"])
def test_what_json_cannot_hold_is_no_data_of_a_question(data: Any) -> None:
    with pytest.raises(InputError, match=r"^data: it must be a mapping of what JSON can hold"):
        Question("q", "?", Prompt(()), Prompt(()), data=data)
