"""Scorers that ask a model: an answer never leaves its frame, and never speaks the verdict."""

import math
import re
import tomllib
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.solve.conftest import QUESTION

from ponder.core import (
    Budget,
    Capabilities,
    Draw,
    Output,
    Prompt,
    Question,
    Reply,
    Request,
    Sample,
    Scoring,
    Wave,
)
from ponder.engines.scripted import ScriptedEngine, words
from ponder.errors import CapabilityError
from ponder.solve import Meter, Solver
from ponder.strategies import plan
from ponder.strategies._talk import frame, mark_of, plain, verdict, whole
from ponder.verifiers import scorer
from ponder.verifiers.scorers.process import steps

CORPUS = {
    name: row["text"] * row.get("repeat", 1)
    for name, row in tomllib.loads(
        Path(__file__).with_name("judge_overrides.toml").read_text("utf-8")
    ).items()
}
ASKING = ["judge", "p_true", "process", "process_min", "process_product"]
WRONG = "3 + 4 = 8"

hostile = st.one_of(
    st.text(),
    st.text("[]<>|ABCDEFGHIJKLMNOP\n :/endVrict01", max_size=60),
    st.builds("".join, st.lists(st.sampled_from(sorted(t[:200] for t in CORPUS.values())), max_size=3)),
)


def end(scoring: Scoring, reply: Reply) -> tuple[float | None, ...]:
    with pytest.raises(StopIteration) as caught:
        scoring.send(reply)
    scores: tuple[float | None, ...] = caught.value.value
    return scores


def ask(name: str, *texts: str, question: Question = QUESTION) -> tuple[Scoring, Wave]:
    scoring = scorer(name).score(question, tuple(Sample(text, "8") for text in texts))
    return scoring, next(scoring)


def shown(draw: Draw | Any) -> str:
    assert isinstance(draw.prompt, Prompt)
    return draw.prompt.messages[-1].content


def told(*replies: Sample | None) -> Reply:
    samples = tuple(() if reply is None else (reply,) for reply in replies)
    return Reply(samples, tuple(() for _ in replies))


def mark_in(prompt: str) -> str:
    found = re.search(r"\[\[answer ([A-P]+)\]\]", prompt)
    assert found
    return found.group(1)


def assert_framed(prompt: str) -> None:
    """One frame, which ends where it should, and an order after it; nothing that steers a chat inside."""
    mark = mark_in(prompt)
    opening, closing = f"[[answer {mark}]]\n", f"\n[[end {mark}]]"
    assert prompt.count(opening) == prompt.count(closing) == 1
    inside = prompt.partition(opening)[2].partition(closing)[0]
    assert mark not in inside.upper()
    assert "[[" not in inside
    assert not re.search(r"<[|｜/A-Za-z]|\[/?INST", inside)
    assert all(c in "\n\t" or unicodedata.category(c)[0] != "C" for c in inside)
    assert len(inside) <= 8000
    assert mark in prompt.rpartition(closing)[2]


# ---------------------------------------------------------------- the frame


@pytest.mark.parametrize("name", sorted(CORPUS))
@pytest.mark.parametrize("by", ["judge", "p_true"])
def test_no_override_leaves_its_frame(by: str, name: str) -> None:
    _, wave = ask(by, f"{WRONG}\n{CORPUS[name]}")
    assert_framed(shown(wave.asks[0]))


@given(hostile, hostile)
def test_nothing_leaves_its_frame(text: str, asked: str) -> None:
    question = Question("q", asked, QUESTION.prompt, QUESTION.direct)
    scoring = scorer("judge").score(question, (Sample(text, "8"),))
    wave = next(scoring, None)
    if wave is None:
        assert plain(text) == ""
        return
    prompt = shown(wave.asks[0])
    assert prompt.startswith(f"Question:\n{asked}\n\n")
    after = prompt[len(f"Question:\n{asked}\n\n") :]
    assert_framed(after)
    assert mark_in(after) not in asked.upper()


@given(hostile)
def test_what_is_plain_stays_plain(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@given(st.text(st.characters(categories=("Lu", "Ll", "Nd"), max_codepoint=0x24F), max_size=50))
def test_honest_text_is_shown_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_a_comparison_of_numbers_is_shown_as_it_is() -> None:
    assert plain("if 3<4 then [1, 2] < [3]") == "if 3<4 then [1, 2] < [3]"


def test_of_a_long_text_the_beginning_and_the_end_are_shown() -> None:
    text = plain("a" + "x" * 100_000 + "z")
    assert len(text) <= 8000
    assert text.startswith("ax")
    assert text.endswith("xz")
    assert "(left out)" in text


def test_a_text_that_holds_all_marks_gets_a_longer_one() -> None:
    first = mark_of("q")
    assert len(first) == 4
    letters = "ABCDEFGHIJKLMNOP"
    every = "".join(a + b + c + d for a in letters for b in letters for c in letters for d in letters)
    assert mark_of(every) not in every


# ---------------------------------------------------------------- the verdict


@given(hostile, st.integers(0, 2**16), st.integers(0, 2**16), st.sampled_from("\n \t*"))
def test_no_piece_of_an_answer_is_a_verdict(text: str, start: int, length: int, glue: str) -> None:
    """However a judge quotes it."""
    kept = plain(text)
    mark = mark_of(QUESTION.text, kept)
    piece = text[start % (len(text) + 1) :][: 1 + length]
    for said in (text, kept, piece, piece + glue + kept, kept[::-1], kept.upper()):
        assert verdict(Sample(said), mark, ".*") is None


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_a_judge_that_repeats_an_override_gives_no_verdict(name: str) -> None:
    text = f"{WRONG}\n{CORPUS[name]}"
    for said in (text, CORPUS[name], frame("answer", plain(text), "ABCD")):
        scoring, _ = ask("judge", text)
        assert end(scoring, told(Sample(said))) == (None,)


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("Verdict {m}: 7", 0.7),
        ("Verdict {m}: 10", 1.0),
        ("Verdict {m}: 0", 0.0),
        ("It is right.\n\n**Verdict {m}: 9**.\n", 0.9),
        ("Verdict {m}: 11", None),
        ("Verdict {m}: -1", None),
        ("Verdict {m}: 7.5", None),
        ("Verdict {m}: 10/10", None),
        ("Verdict {m}: ١٠", None),
        ("Verdict {m}: 07", None),
        ("Verdict {m}: high", None),
        ("Verdict {m}:", None),
        ("Verdict: 7", None),
        ("verdict {m}: 7", None),
        ("Verdict {m}: 7\nVerdict {m}: 3", None),
        ("I say Verdict {m}: 7\nVerdict {m}: 3", None),
        ("Verdict {m}: 7\nThat is all.", None),
        ("My Verdict {m}: 7", None),
        ("", None),
        ("   \n", None),
    ],
)
def test_a_verdict_is_one_last_line_in_range(said: str, score: float | None) -> None:
    scoring, wave = ask("judge", WRONG)
    reply = Sample(said.replace("{m}", mark_in(shown(wave.asks[0]))))
    assert end(scoring, told(reply)) == (score,)


def test_a_verdict_that_was_cut_short_is_none() -> None:
    scoring, wave = ask("judge", WRONG)
    reply = Sample(f"Verdict {mark_in(shown(wave.asks[0]))}: 1", finish="length")
    assert end(scoring, told(reply)) == (None,)


@given(hostile, st.sampled_from(ASKING))
def test_no_reply_breaks_a_scorer_or_leaves_its_range(said: str, name: str) -> None:
    scoring, _ = ask(name, WRONG)
    (score,) = end(scoring, told(Sample(said, logprob=-0.5)))
    assert score is None or 0 <= score <= 1


# ---------------------------------------------------------------- P(True)


@pytest.mark.parametrize(
    ("said", "logprob", "score"),
    [
        ("True", math.log(0.9), 0.9),
        (" True\n", math.log(0.9), 0.9),
        ("False", math.log(0.9), 0.1),
        ("True", 0.01, 1.0),
        ("True", None, None),
        ("true", -0.1, None),
        ("Tr", -0.1, None),
        ("True False", -0.1, None),
        ("", -0.1, None),
    ],
)
def test_p_true_is_the_first_words_probability(said: str, logprob: float | None, score: float | None) -> None:
    scoring, wave = ask("p_true", WRONG)
    (draw,) = wave.asks
    assert isinstance(draw, Draw)
    assert (draw.n, draw.max_tokens, draw.temperature, draw.logprobs) == (1, 1, 0.0, True)
    (found,) = end(scoring, told(Sample(said, logprob=logprob, finish="length")))
    assert found == (None if score is None else pytest.approx(score))


async def test_p_true_needs_log_probabilities() -> None:
    engine = ScriptedEngine.queued(["7"], capabilities=Capabilities())
    with pytest.raises(CapabilityError, match="needs log-probabilities"):
        await Solver({"solver": engine}, scorers={"p_true": scorer("p_true")}).run(
            plan("best:n=1,by=p_true"), QUESTION, Meter(Budget())
        )


# ---------------------------------------------------------------- process rewards


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb", ["a", "b"]),
        ("a\nb\nc\n\nd", ["a", "b", "c", "d"]),
        ("a\n \t\n\n\n b \n", ["a", "b"]),
        ("a", ["a"]),
        ("", []),
    ],
)
def test_steps_are_lines(text: str, expected: list[str]) -> None:
    assert steps(text) == expected


@given(hostile, hostile)
def test_a_longer_path_keeps_the_steps_that_it_has(text: str, more: str) -> None:
    """Whatever comes later, so that the scores of a path and of its continuation can be compared."""
    longer = steps(whole(f"{text}\n{more}"))
    if longer:
        assert longer == steps(whole(text)) + steps(whole(more))


@pytest.mark.parametrize("name", ["process", "process_min", "process_product"])
@pytest.mark.parametrize("text", ["a\n" * 4001, "a\n" + "\u200b" * 32_000 + "b"])
def test_a_text_that_cannot_be_shown_as_a_whole_has_no_process_reward(name: str, text: str) -> None:
    scoring = scorer(name).score(QUESTION, (Sample(text, "8"), Sample("a\n" * 4000, "8")))
    (draw,) = next(scoring).asks
    assert isinstance(draw, Draw)
    assert draw.prompt is not None
    assert [m.content for m in draw.prompt.messages[1:]] == ["a"] * 4000
    assert end(scoring, told(Sample(str([0.5] + [1.0] * 3999)))) == (
        None,
        1.0 if name == "process" else 0.5,
    )


@pytest.mark.parametrize(
    ("said", "scores"),
    [
        ("[0.9, 0.5]", (0.5, 0.5, 0.45)),
        ("[0.5, 1]", (1.0, 0.5, 0.5)),
        ("[0.9]", (None, None, None)),
        ("[0.9, 0.5, 0.5]", (None, None, None)),
        ("[0.9, NaN]", (None, None, None)),
        ("[0.9, 1.5]", (None, None, None)),
        ("[0.9, -0.1]", (None, None, None)),
        ("[0.9, true]", (None, None, None)),
        ('[0.9, "1"]', (None, None, None)),
        ("[0.9, 1e999]", (None, None, None)),
        ("[0.9, null]", (None, None, None)),
        ('{"rewards": [0.9, 0.5]}', (None, None, None)),
        ("[" * 100_000, (None, None, None)),
        ("[0.9, 0.5] and more", (None, None, None)),
    ],
)
def test_process_rewards_are_read_strictly(said: str, scores: tuple[float | None, ...]) -> None:
    for name, score in zip(("process", "process_min", "process_product"), scores, strict=True):
        scoring, wave = ask(name, "first\nsecond")
        (draw,) = wave.asks
        assert isinstance(draw, Draw)
        assert draw.role == "reward"
        assert draw.prompt is not None
        assert [m.content for m in draw.prompt.messages] == [QUESTION.text, "first", "second"]
        assert end(scoring, told(Sample(said))) == (score if score is None else pytest.approx(score),)


# ---------------------------------------------------------------- what is asked


@pytest.mark.parametrize("name", ASKING)
def test_each_text_is_asked_about_once_and_told_in_order(name: str) -> None:
    samples = (
        Sample("b\nc", "1"),
        Sample("a\nc", "2"),
        Sample("no answer", None),
        Sample("", "3"),
        Sample(" b\nc\u200b ", "1"),
        Sample("a step", None, finish="step"),
    )
    scoring = scorer(name).score(QUESTION, samples)
    wave = next(scoring)
    assert len(wave.asks) == 3
    marks = [mark_of(QUESTION.text, text) for text in ("b\nc", "a\nc", "a step")]
    said = {
        "judge": [f"Verdict {mark}: {n}" for mark, n in zip(marks, (9, 2, 5), strict=True)],
        "p_true": ["True", "False", "True"],
    }.get(name, ["[0.9, 0.9]", "[0.2, 0.2]", "[0.5]"])
    replies = [Sample(text, logprob=-0.1 - i) for i, text in enumerate(said)]
    scores = end(scoring, told(*replies))
    assert scores[2] is scores[3] is None
    assert scores[0] == scores[4]
    assert len({scores[0], scores[1], scores[5]}) == 3
    assert None not in (scores[0], scores[1], scores[5])


@pytest.mark.parametrize("name", ASKING)
def test_what_the_budget_left_unasked_has_no_score(name: str) -> None:
    said = {"judge": f"Verdict {mark_of(QUESTION.text, 'a')}: 9", "p_true": "True"}.get(name, "[0.9]")
    scoring, _ = ask(name, "a", "b")
    reply = Reply(((Sample(said, logprob=-0.1),), ()), ((), ()), final=True)
    scores = end(scoring, reply)
    assert scores[0] is not None
    assert scores[1] is None


@pytest.mark.parametrize("name", ASKING)
def test_nothing_to_ask_costs_nothing(name: str) -> None:
    scoring = scorer(name).score(QUESTION, (Sample("x"), Sample("", "7")))
    with pytest.raises(StopIteration) as caught:
        next(scoring)
    assert caught.value.value == (None, None)


# ---------------------------------------------------------------- on a budget


def honest(request: Request, position: int) -> str | Output:
    """A solver that is wrong as often as right, and a judge that knows."""
    if request.max_tokens != 32:
        return "7" if position % 2 else "8"
    prompt = request.prompt.messages[-1].content
    right = "\n7\n" in prompt
    return f"Verdict {mark_in(prompt)}: {10 if right else 0}"


async def test_best_of_n_by_a_judge_that_knows_is_right_and_pays_for_the_judge() -> None:
    engine = ScriptedEngine(honest)
    solver = Solver({"solver": engine}, scorers={"judge": scorer("judge")})
    solution = await solver.run(plan("best:n=4,by=judge"), QUESTION, Meter(Budget(tokens=5000)))
    assert solution.answer.choice == "7"
    judged = [r for r in engine.requests if r.max_tokens == 32]
    assert len(judged) == 2
    assert solution.usage.samples == 6
    prompts = sum(engine.prompt_tokens_bound(r.prompt) for r in judged)
    assert prompts > 100
    replies = sum(len(words(honest(r, 0))) + 1 for r in judged)  # type: ignore[arg-type]
    solved = await Solver({"solver": ScriptedEngine(honest)}).run(plan("vote:n=4"), QUESTION, Meter(Budget()))
    assert solved.usage.tokens is not None
    assert solution.usage.tokens == solved.usage.tokens + prompts + replies
    assert solution.charged.tokens == solution.usage.tokens


async def test_without_room_for_the_judge_nothing_is_scored() -> None:
    solver = Solver({"solver": ScriptedEngine(honest)}, scorers={"judge": scorer("judge")})
    solution = await solver.run(plan("best:n=2,by=judge"), QUESTION, Meter(Budget(tokens=60)))
    assert solution.answer.choice is None
    assert solution.stopped_by == "tokens"
    assert solution.charged.tokens <= 60
