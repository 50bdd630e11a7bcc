"""Mathematical equality, in a child that is killed when an answer never ends."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponder.core import Prompt, Question
from ponder.errors import ChildCrashed, MissingExtra
from ponder.tasks import load
from ponder.tasks.extract import choice as read
from ponder.verifiers import grader
from ponder.verifiers.graders import math as grading
from ponder.verifiers.graders.math import Math

EMPTY = Question("q", "q", Prompt(()), Prompt(()), extract="math")
ENDLESS = r"9^{9^{9}}"


@pytest.fixture(scope="module")
def math() -> Iterator[Math]:
    found = grading.create()
    yield found
    found.close()


@pytest.mark.parametrize(
    ("key", "choice", "correct"),
    [
        ("1/2", r"\frac{1}{2}", True),
        ("1/2", r"\frac12", True),
        ("1/2", "0.5", True),
        ("1.5", r"1\frac{1}{2}", True),
        ("1/3", "0.333333", True),
        ("1/3", "0.333", False),
        ("7", "7.0", True),
        ("7", "-7", False),
        ("7", "8", False),
        ("10^{20}+1", "10^{20}", False),
        (r"2\sqrt{3}", r"\sqrt{12}", True),
        (r"2\sqrt{3}", r"\sqrt{13}", False),
        ("x^2-1", "(x-1)(x+1)", True),
        ("x^2-1", "(x-1)^2", False),
        ("x=5", "5", True),
        (r"\{1,2\}", r"\{2,1\}", True),
        (r"\{1,2\}", r"\{1,3\}", False),
        ("[1,2)", "[1,2)", True),
        ("[1,2)", "(1,2)", False),
        ("x<3", r"(-\infty,3)", True),
        ("(3,4)", "(3,5)", False),
        (r"\pi", "3.14", False),
        (r"5 \text{ cm}", "5", True),
        (r"5 \text{ cm}", "6 cm", False),
        (r"90^\circ", "90", True),
        (r"50\%", "0.5", True),
        ("50%", "50", True),
        ("50%", "51", False),
        (r"$\frac{1}{2}$", r"\boxed{\frac{1}{2}}", True),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", True),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}", False),
        (r"\text{even}", "Even", True),
        ("even", "odd", False),
        ("listen", "silent", False),
        ("7", "", False),
        ("", "", False),
        ("7", "[[" * 300, False),
        ("7", "7" * 5000, False),
        ("7", "__import__('os').getcwd()", False),
    ],
)
def test_equality(math: Math, key: str, choice: str, correct: bool) -> None:
    assert math.grade(EMPTY, key, choice) is correct


def test_an_answer_that_never_ends_is_not_correct_and_its_child_is_killed(
    math: Math, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grading, "SECONDS", 1.5)
    assert math.grade(EMPTY, "1/2", r"\frac{1}{2}") is True
    before = math._child.pid
    assert before is not None
    began = time.monotonic()
    assert math.grade(EMPTY, "7", ENDLESS) is False
    assert time.monotonic() - began > grading.TRIES * 1.5
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    assert math.grade(EMPTY, "1/2", r"\frac{2}{4}") is True


def test_where_the_key_cannot_be_compared_either_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    math = grading.create()
    with monkeypatch.context() as patch:
        patch.setattr(grading, "SECONDS", 0.0)
        assert math.grade(EMPTY, "x^2-1", "(x-1)(x+1)") is None
        assert math.grade(EMPTY, ENDLESS, ENDLESS) is True  # the same text needs no computing
    assert math.grade(EMPTY, "x^2-1", "(x-1)(x+1)") is True
    math.close()


def test_a_child_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ChildCrashed):
        grading.create().grade(EMPTY, "x", "y")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"ponder\[math\]"):
        grader("math")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"So \boxed{\frac{2}{4}}.", "2/4"),
        (r"Answer: 2\sqrt{3}", r"2\sqrt{3}"),
        (r"The answer is $2\sqrt{3}$.", r"2\sqrt{3}"),
        (r"so $x=5$ and \(y = \sqrt 2\) hold", r"y = \sqrt 2"),
        ("Thus the total is 7 apples.", "7"),
        ("Answer: (1, 2]", "(1, 2]"),
        ("Answer: 1,000.0", "1000"),
        ("", None),
    ],
)
def test_the_rule_keeps_what_is_graded(text: str, found: str | None) -> None:
    assert read(EMPTY, text) == found
    assert found is None or read(EMPTY, found) == found


def test_a_file_may_name_it(tmp_path: Path, math: Math) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"question": "q", "answer": r"\frac{\sqrt{3}}{2}", "grader": "math"}))
    found = load(str(path), problems=1, seed=0)
    assert found.grader == "math"
    choice = read(found.problems[0].question, r"Answer: $\sqrt{3}/2$")
    assert choice is not None
    assert math.grade(found.problems[0].question, found.problems[0].key, choice) is True
