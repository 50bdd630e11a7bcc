"""Budget forcing: what is appended, what is paid, what counts; on English and on search traces."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from ponder.core import Answer, Budget, Draw, Forcing, Prompt, Question, Reply, Request, Sample, Score
from ponder.engines.http import HttpEngine
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import InputError
from ponder.solve import Meter, Solver, solve
from ponder.strategies import plan
from ponder.tasks import load
from tests.engines.upstream import Got, Upstream, usage
from tests.engines.upstream import Reply as HttpReply
from tests.solve.conftest import MemoryRecorder

QUESTION = Question("q", "?", Prompt((), "worked"), Prompt((), "direct"), max_tokens=32)


def forced(text: str, replies: list[Sample], question: Question = QUESTION) -> tuple[Answer, list[Draw]]:
    """The answer over scripted replies, and what was asked for; no reply is left over."""
    strategy, asked, left = plan(text).begin(question, Random(0)), list[Draw](), iter(replies)
    try:
        wave = next(strategy)
        while True:
            (ask,) = wave.asks
            assert not isinstance(ask, Score)
            asked.append(ask)
            told = next(left, None)
            wave = strategy.send(Reply(((told,) if told else (),), ((),)))
    except StopIteration as end:
        assert next(left, None) is None
        answer: Answer = end.value
        return answer, asked


def ended(text: str, choice: str | None = None, tokens: int = 4) -> Sample:
    return Sample(text, choice, tokens=tokens)


def cut(text: str, choice: str | None = None, tokens: int = 4) -> Sample:
    return replace(ended(text, choice, tokens), finish="length")


def test_a_thought_that_would_end_is_prolonged_and_the_last_answer_counts() -> None:
    replies = [ended("7", "7"), ended(" no, 8", "8"), ended(" hm")]
    answer, asked = forced("force:waits=2,limit=30", replies)
    assert [ask.prefix for ask in asked] == ["", "7\nWait,", "7\nWait, no, 8\nWait,"]
    assert [ask.max_tokens for ask in asked] == [30, 26, 22]
    assert answer.choice == "8"


def test_a_thought_that_is_cut_short_is_concluded_and_not_prolonged() -> None:
    answer, asked = forced("force:waits=3,limit=16", [cut("thinking", "1", 16), ended(" 7", "7")])
    assert [(ask.prefix, ask.max_tokens) for ask in asked] == [("", 16), ("thinking\nAnswer:", 24)]
    assert answer.choice == "7"


def test_what_a_cut_thought_can_be_read_as_counts_only_where_nothing_was_stated() -> None:
    silent = ended(" hm")
    assert forced("force:limit=16", [cut("so 1", "1", 16), silent])[0].choice == "1"
    assert forced("force:limit=16", [ended("7", "7"), cut(" or 1", "1", 12), silent])[0].choice == "7"


def test_the_limit_is_that_of_all_turns_and_none_is_longer_than_a_sample_of_the_question() -> None:
    _, asked = forced("force:waits=9,limit=80", [ended("a", tokens=n) for n in (30, 30, 20)])
    assert [ask.max_tokens for ask in asked] == [32, 32, 20]


def test_nothing_told_is_no_answer() -> None:
    assert forced("force", [])[0] == Answer(None)


def test_without_a_word_to_go_on_it_only_cuts() -> None:
    steps = replace(QUESTION, task="char_chain", forcing=Forcing(None, None))
    with pytest.raises(InputError, match=r"no word prolongs a thought on char_chain; write force:waits=0\."):
        forced("force:waits=1", [], steps)
    answer, asked = forced("force:waits=0,limit=8", [cut("1+2=3", "3", 8)], steps)
    assert (answer.choice, [ask.max_tokens for ask in asked]) == ("3", [8])


# ------------------------------------------------ search traces, through the driver

SEARCH = replace(
    load("char_countdown:numbers=3,search=true", problems=1, seed=0).problems[0].question,
    data={"checks": "countdown", "numbers": [3, 4, 5], "target": 17},
)
TRACE = {"": "4+3=7\n7+5=13", "4+3=7\n7+5=13\n<\n": "<\n4*3=12\n12+5=17"}
SOLUTION = "3 * 4 = 12; 5 + 12 = 17"


def searcher() -> ScriptedEngine:
    """A model that ends its search at a wrong sum; asked to go back, it tries another way."""

    def write(request: Request, position: int) -> str:
        return TRACE[request.prefix] + "."

    return ScriptedEngine(write)


async def test_a_search_takes_its_last_step_back_and_goes_on() -> None:
    engine = searcher()
    solution = await solve(SEARCH, plan("force:waits=1"), engines={"solver": engine})
    assert solution.answer.choice == SOLUTION
    assert [request.prefix for request in engine.requests] == list(TRACE)
    alone = await solve(SEARCH, plan("force:waits=0"), engines={"solver": engine})
    assert alone.answer.choice == "3 + 4 = 7; 5 + 7 = 13"


async def test_a_search_that_is_cut_short_is_read_as_it_stands() -> None:
    engine = searcher()
    solution = await solve(SEARCH, plan("force:waits=1,limit=1"), engines={"solver": engine})
    assert solution.answer.choice == "3 + 4 = 7"
    assert [request.max_tokens for request in engine.requests] == [1]


async def test_driven_again_over_what_is_recorded_it_buys_nothing() -> None:
    recorder, engine = MemoryRecorder(), searcher()
    for expected in (2, 2):
        solver = Solver({"solver": engine}, recorder=recorder)
        solution = await solver.run(plan("force:waits=1"), SEARCH, Meter(Budget()))
        assert solution.answer.choice == SOLUTION
        assert len(engine.requests) == expected


async def test_over_http_the_prefix_is_sent_as_it_is() -> None:
    assert SEARCH.prompt.text is not None
    asked = SEARCH.prompt.text

    def answer(got: Got) -> HttpReply:
        text = TRACE.get(str(got.body["prompt"]).removeprefix(asked), "")
        choice = {"index": 0, "text": text, "finish_reason": "stop"}
        return HttpReply({"choices": [choice], "usage": usage(9, 9)})

    with Upstream() as server:
        server.answer = answer
        engine = await HttpEngine.from_spec(f"{server.address}#M", api="completions")
        solution = await solve(SEARCH, plan("force:waits=1"), engines={"solver": engine})
        await engine.close()
    assert solution.answer.choice == SOLUTION
