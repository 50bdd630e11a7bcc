"""Specs, presets, generators, prompts: what `load` gives and refuses."""

from __future__ import annotations

import ast
import contextlib
import math
import operator
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Question
from ponder.errors import ConfigError, InputError, MissingExtra, UnknownName
from ponder.tasks import (
    ProblemSet,
    PromptOverride,
    describe,
    gym,
    kept_child,
    load,
    names,
    question_from_text,
)
from ponder.tasks.extract import RULES, choice
from ponder.tasks.presets import Preset, presets
from ponder.tasks.spec import parse
from ponder.verifiers import grader, grader_names


@pytest.fixture(scope="module", autouse=True)
def one_child() -> Iterator[None]:
    """One process of generators for all tests, since it takes seconds to start."""
    with kept_child():
        yield


@cache
def dozen(spec: str) -> ProblemSet:
    return load(spec, problems=12, seed=1000)


def worth(question: str) -> int:
    """The answer to a preset's question, worked out by other means than the generator."""
    if question.startswith("least common"):
        return math.lcm(*map(int, re.findall(r"\d+", question)))
    apply = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.BinOp):
            return int(apply[type(node.op)](value(node.left), value(node.right)))
        assert isinstance(node, ast.Constant)
        return int(str(node.value))

    return value(ast.parse(question.removeprefix("What is ").removesuffix("?"), mode="eval").body)


@pytest.mark.parametrize("preset", presets().values(), ids=lambda p: p.name)
def test_a_presets_row_is_right(preset: Preset) -> None:
    assert preset.extract in RULES
    assert preset.grader in grader_names()
    assert [q for q, _ in preset.shots] == [q for q, _ in preset.direct_shots]
    for (question, worked), (_, direct) in zip(preset.shots, preset.direct_shots, strict=True):
        assert RULES[preset.extract](worked) == direct == str(worth(question))


@pytest.mark.parametrize("name", list(presets()))
def test_a_presets_problems(name: str) -> None:
    found = dozen(name)
    assert len(found.problems) == 12
    shots = {question for question, _ in presets()[name].shots}
    checker = grader(found.grader)
    for at, problem in enumerate(found.problems):
        question = problem.question
        assert question.id == f"{name}/1000-{at:04d}"
        assert question.text not in shots
        assert checker.grade(question, problem.key, str(worth(question.text)), problem.handle)
        assert not checker.grade(question, problem.key, str(worth(question.text) + 1))
    assert len({p.question.text for p in found.problems}) == 12


def test_both_forms_show_the_same_examples() -> None:
    question = dozen("lcm").problems[0].question
    for prompt in (question.prompt, question.direct):
        assert prompt.text is not None
        assert prompt.text.endswith(f"\n\nProblem: {question.text}\nSolution:")
        assert [m.role for m in prompt.messages] == ["user", "assistant"] * 6 + ["user"]
        assert all(m.content in prompt.text for m in prompt.messages)
    assert question.direct.text != question.prompt.text
    assert choice(question, " The least common multiple of 1 and 5 is 5.\n\nProblem: 9") == "5"


def test_the_same_arguments_give_the_same_problems_and_more_extend_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    more = dozen("products")
    monkeypatch.setattr(gym, "_kept", [])  # each in a process of its own
    assert load("products", problems=12, seed=1000) == more
    assert load("products", problems=5, seed=1000).problems == more.problems[:5]
    other = load("products", problems=12, seed=1004)
    assert [p.question.text for p in other.problems] != [p.question.text for p in more.problems]


def test_parameters_change_the_name_and_so_the_ids() -> None:
    found = load("chain_sum:max_terms=4, min_terms=4", problems=2, seed=1000)
    assert found.name == "chain_sum:max_terms=4,min_terms=4"
    assert found.problems[0].question.id == "chain_sum:max_terms=4,min_terms=4/1000-0000"
    assert len(re.findall(r"\d+", found.problems[0].question.text)) == 4


def test_a_generator_that_runs_out_gives_what_it_has() -> None:
    found = load("products:min_digits=1,max_digits=1", problems=500, seed=1000)
    assert len(found.problems) == 100 - 6


def test_any_other_generator_is_graded_by_its_own_scorer() -> None:
    found = load("gcd:max_value=50", problems=3, seed=1000)
    assert found.grader == "own"
    question, key = found.problems[0].question, found.problems[0].key
    assert key
    assert found.problems[0].handle["generator"] == "gcd"
    assert Question.from_json(question.to_json()) == question
    assert question.prompt.messages[-1].content.startswith(question.text)


def test_no_question_carries_what_its_key_is_had_from(tmp_path: Path) -> None:
    """Neither the key nor the generator's handle: a strategy sees the question and no more."""
    mine = tmp_path / "mine.jsonl"
    mine.write_text('{"question": "Which?", "answer": "unguessable", "note": "unguessable"}\n', "utf-8")
    for spec in (*names(), "gcd", "sudoku", "knights_knaves", str(mine)):
        for problem in dozen(spec).problems:
            data = dict(problem.question.data)
            if spec in ("countdown", "char_countdown"):
                assert data.keys() == {"checks", "numbers", "target"}
                assert problem.key not in str(data)
            else:
                assert data == {}
            if "/" in spec:
                assert "unguessable" not in str(problem.question.to_json())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("chain_sun", "did you mean chain_sum"),
        ("lcm:foo=3", "no parameter 'foo'; known are max_numbers"),
        ("lcm:seed=3", "no parameter 'seed'"),
        ("lcm:min_value=50", "max_value must be > min_value"),
        ("lcm:min_value=twelve", "refuses its parameters"),
        ("lcm:", "no parameter follows the colon"),
        ("lcm:min_value", "'min_value' in 'lcm:min_value' is not a parameter"),
        ("lcm:min_value=1,min_value=2", "min_value is given twice"),
        ("a b", "is not a task"),
        ("", "is not a task"),
        ("../etc/passwd", "is not a task"),
        ("composite", "refuses its parameters"),
    ],
)
def test_bad_specs(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load(spec, problems=1, seed=0)
    assert "\n" not in str(caught.value)


def test_bad_counts() -> None:
    with pytest.raises(InputError, match="problems must be at least 1"):
        load("lcm", problems=0, seed=0)
    with pytest.raises(InputError, match="seed must be 0 or more"):
        load("lcm", problems=1, seed=-1)


def test_a_generator_that_takes_too_long_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gym, "GENERATE_SECONDS", 1.0)
    endless = "number_filtering:min_numbers=300000,max_numbers=300000"
    with pytest.raises(InputError, match="within 1 s; widen its parameters"):
        load(endless, problems=5000, seed=0)


def test_without_reasoning_gym(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(gym, "_kept", [])
    with pytest.raises(MissingExtra, match="gym"):
        load("lcm", problems=1, seed=0)
    with pytest.raises(UnknownName, match="More tasks come with"):
        describe("lcmm")
    assert load("countdown", problems=1, seed=0).problems


def test_names_and_descriptions() -> None:
    assert {"chain_sum", "chain_sum3", "lcm", "products", "addition2", "countdown", "char_chain"} <= set(
        names()
    )
    for name in names():
        assert describe(name).title
    assert describe("sudoku").grader == "own"


keys = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
values = st.integers() | st.booleans() | st.lists(st.integers(0, 9)) | st.sampled_from(["abc", "+", "x-y"])


@given(parameters=st.dictionaries(keys, values, max_size=4))
def test_a_specs_spelling_is_read_back(parameters: dict[str, object]) -> None:
    from ponder.tasks.spec import Spec

    spec = Spec("task", parameters)
    again = parse(str(spec))
    assert dict(again.parameters) == parameters
    assert str(again) == str(spec)


@given(text=st.text() | st.text(alphabet='a:=,[]"1 '))
def test_any_spec_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        spec = parse(text)
        assert parse(str(spec)) == spec


# ---------------------------------------------------------------- the user's own prompt


def test_a_template_replaces_the_worked_prompt(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes(b"Use {braces} freely.\r\nQ: {question}\nA:\n\n")
    override = PromptOverride.from_file(path, stop=("\n",), max_tokens=9)
    plain, changed = dozen("products"), load("products", problems=2, seed=1000, prompt=override)
    question = changed.problems[0].question
    assert question.prompt.text == f"Use {{braces}} freely.\nQ: {question.text}\nA:"
    assert question.prompt.messages[0].content == question.prompt.text
    assert (question.stop, question.max_tokens) == (("\n",), 9)
    assert question.direct == plain.problems[0].question.direct
    assert changed.prompt_text == "Use {braces} freely.\nQ: {question}\nA:"
    kept = load("products", problems=1, seed=1000, prompt=PromptOverride("{question}")).problems[0].question
    assert (kept.stop, kept.max_tokens) == (("\n\nQuestion",), 24)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no placeholder", r"does not contain \{question\}"),
        (b"", r"does not contain \{question\}"),
        (b"\xff{question}", "is not UTF-8"),
        (b"{question}" + b"x" * (1 << 20), "over 1 MiB"),
        (None, "No such file"),
    ],
)
def test_bad_templates(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "prompt.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        PromptOverride.from_file(path)
    with pytest.raises(ConfigError, match="max_tokens"):
        PromptOverride("{question}", max_tokens=0)


def test_a_free_question() -> None:
    question = question_from_text("  What is 8 + 7?\n")
    assert question.text == "What is 8 + 7?"
    assert question.id == question_from_text("What is 8 + 7?").id != question_from_text("What is 8 + 6?").id
    for prompt in (question.prompt, question.direct):
        assert prompt.text is None  # a chat, for whatever model there is
        assert prompt.messages[-1].content.startswith("What is 8 + 7?\n")
        assert {choice(question, m.content) for m in prompt.messages if m.role == "assistant"} == {
            "13", "Mercury", "18"
        }  # fmt: skip
    assert choice(question, "8 + 7 is 15.\nAnswer: 15") == "15"
    with pytest.raises(InputError, match="empty"):
        question_from_text(" \n")
    with pytest.raises(InputError, match="half a surrogate pair"):
        question_from_text("What is \udcff 8 + 7?")
