"""Reading a choice from text: the formats we prompt for, the spellings of a number, hostile text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Prompt, Question
from ponder.errors import UnknownName
from ponder.tasks.extract import RULES, canonical_number, choice, tidy


def question(rule: str, stop: tuple[str, ...] = ()) -> Question:
    empty = Prompt(())
    return Question("q", "q", empty, empty, extract=rule, stop=stop)


@pytest.mark.parametrize("text", ["7", "7.0", "+7", "07", " 7 ", "7.000", "0.7e1", "70e-1", "7."])
def test_spellings_of_seven(text: str) -> None:
    assert choice(question("number"), text) == "7"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,000", "1000"),
        ("1,234,567.50", "1234567.5"),
        ("-0", "0"),
        ("-0.50", "-0.5"),
        ("−7", "-7"),
        ("3/4", "3/4"),
        ("-06/08", "-6/8"),
        ("1/0", None),
        ("1,00", None),
        ("seven", None),
        ("", None),
        ("7 apples", None),
        ("9" * 400, "9" * 400),
        ("9" * 401, None),
        ("1e99", "1" + "0" * 99),
        ("1e100", None),
    ],
)
def test_canonical_number(text: str, number: str | None) -> None:
    assert canonical_number(text) == number


@pytest.mark.parametrize(
    ("rule", "text", "found"),
    [
        ("number", " 4 + 7 = 11", "11"),
        ("number", "5 - 8 = -3", "-3"),
        ("number", "10-7", "7"),
        ("number", "4 + 7 = 11. The answer is 12.", "12"),
        ("number", "The answer is 5. No: the answer is 6.\nI used 3 steps.", "6"),
        ("number", "**Answer:** 1,000", "1000"),
        ("number", "Answer:\n7", "7"),
        ("number", "The answer is 4 + 7 = 11.", "11"),
        ("number", "so \\boxed{\\frac{2}{4}} it is, step 9", "2/4"),
        ("number", "the answer is unknown but 6, 12 come up", "6"),
        ("number", "multiples: 6, 12", "12"),
        ("number", "x1 and y2", None),
        ("number", "1e100 is too big, 2 is not, 1e9999 is", "2"),
        ("number", "no idea", None),
        ("line", "Let me think.\nThe answer is Paris.", "Paris"),
        ("line", "Paris\n\n", "Paris"),
        ("line", "**Answer:** *Paris*", "Paris"),
        ("line", " \n ", None),
        ("block", "I think.\nAnswer:\n1 2\n3 4\n", "1 2\n3 4"),
        ("block", "Some talk.\n\n1 2\n3 4", "1 2\n3 4"),
        ("block", "Answer: `abc`", "abc"),
        ("block", "", None),
        ("boxed", "\\boxed{7.0}", "7"),
        ("boxed", "\\boxed{a{b}c} and \\boxed{x{y}}", "x{y}"),
        ("boxed", "\\boxed{never closed", None),
        ("boxed", "7", None),
        ("choice", "The answer is (B).", "B"),
        ("choice", "answer: c", "C"),
        ("choice", "(A) is wrong, so it is (D)", "D"),
        ("choice", "B", "B"),
        ("choice", "A good question.", None),
        ("choice", "The answer is unclear", None),
        ("expression", "3 * 4 + 5 = 17", "3*4+5"),
        ("expression", "I try.\nThe answer is (3 + 4) × 5.", "(3+4)*5"),
        ("expression", "first 1 + 1\nthen 2 * 3", "2*3"),
        ("expression", "nothing", None),
        ("answer", "The answer is Paris.", "Paris"),
        ("answer", "Answer: 7 apples", "7"),
        ("answer", "Answer: 1,000,000 apples", "1000000"),
        ("answer", "Answer: 8 + 7 = 15", "15"),
        ("answer", "Answer: 3 June 1990.", "3 June 1990"),
        ("answer", "Answer: 2024-01-05", "2024-01-05"),
        ("answer", "Answer: 5/1/2024", "5/1/2024"),
        ("answer", "Answer: 1/2", "1/2"),
        ("answer", "Answer: 2, 3, 5", "2, 3, 5"),
        ("answer", "The answer is (B).", "B"),
        ("answer", "The answer is b) Paris", "B"),
        ("answer", "The answer is A cat.", "A cat"),
        ("answer", "Eight plus seven is 15.", "15"),
        ("answer", "\\boxed{7.0}", "7"),
        ("answer", "Paris", "Paris"),
        ("answer", "word " * 40, None),
    ],
)
def test_rules(rule: str, text: str, found: str | None) -> None:
    assert choice(question(rule), text) == found


def test_what_follows_a_stop_string_does_not_count() -> None:
    text = " 11\n\nQuestion: What is 9 + 9?\nAnswer: 18"
    assert choice(question("number", ("\n\nQuestion",)), text) == "11"
    assert choice(question("number"), text) == "18"


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(UnknownName, match="number"):
        choice(question("numbr"), "7")


FRAGMENTS = ["answer is ", "Answer: ", "\\boxed{", "}", "\\frac{1}{2}", "-", "+", ".", ",", "=", "(B)", "\n"]
FRAGMENTS += ["0", "12", "1,000", "e5", "/", "*", "(", ")", "−", "\ud800", "\u0664", " ", "word", "\n\n"]
texts = st.text() | st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)


@given(text=texts, rule=st.sampled_from(sorted(RULES)))
def test_any_text_is_read_without_an_error(text: str, rule: str) -> None:
    found = RULES[rule](text)
    assert found is None or (found and found == found.strip())


@given(text=texts, rule=st.sampled_from(["number", "expression"]))
def test_a_rule_reads_its_own_result_as_itself(text: str, rule: str) -> None:
    found = RULES[rule](text)
    assert found is None or RULES[rule](found) == found


@given(text=texts)
def test_canonical_spelling_and_tidying_are_idempotent(text: str) -> None:
    number, tidied = canonical_number(text), tidy(text)
    assert number is None or canonical_number(number) == number
    assert tidied is None or tidy(tidied) == tidied


@given(
    value=st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9)
)
def test_equal_numbers_have_equal_spellings(value: object) -> None:
    plain = format(value, "f")  # type: ignore[arg-type]
    sign, digits = ("-", plain[1:]) if plain.startswith("-") else ("", plain)
    assert canonical_number(plain) == canonical_number(f"{sign}00{digits}00")
    assert canonical_number(plain) == canonical_number(format(value, ",f"))  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize(
    "unit",
    ["9", "1,", "1,000", "1 ", "-", "(", "answer is ", "answer*", "\\boxed{", "*_ ", "\n", "A) ", "{}"],
)
def test_a_megabyte_is_read_in_bounded_time(rule: str, unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    began = time.thread_time()
    RULES[rule](text)
    assert time.thread_time() - began < 1.0
