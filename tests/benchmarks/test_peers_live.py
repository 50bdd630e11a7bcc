"""The live engine behind the endpoint: what it is asked, what is counted, and what is given up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from benchmarks.peers.bank import Banked
from benchmarks.peers.endpoint import Endpoint
from benchmarks.peers.engine import Bench, FormingEngine
from benchmarks.peers.live import EngineProcess, Live
from benchmarks.peers.processes import asked

from ponder.config import model_card
from ponder.engines.embedded import EmbeddedEngine
from ponder.engines.scripted import Faults, ScriptedEngine
from tests.benchmarks.conftest import CAP, STOP, MakeBank, until

# Stands in for the engine's process: choice i says what was asked and took i + 1 tokens; what may take 7
# tokens ends only when it is cancelled, what may take 6 fails, at 5 the process ends.
ENGINE = """
import json, sys
def answer(number, choices, error=None):
    row = {"id": number, "choices": choices, "prompt_tokens": 20 if choices else 0, "error": error}
    print(json.dumps(row), flush=True)
for line in sys.stdin:
    job = json.loads(line)
    if job["do"] == "cancel":
        answer(job["of"], [[" x", 3, "cancelled", None], [" y", 2, "stop", None]])
    elif job["max_tokens"] == 6:
        answer(job["id"], [], "It does not fit.")
    elif job["max_tokens"] == 5:
        break
    elif job["max_tokens"] != 7:
        logprobs = [-0.5] if job["logprobs"] else None
        answer(job["id"], [[json.dumps(job), i + 1, "stop", logprobs] for i in range(job["n"])])
"""


@pytest.fixture
def problem(banked: MakeBank) -> Banked:
    return banked(["9"])


@contextlib.asynccontextmanager
async def serving(problem: Banked, folder: Path, **options: Any) -> AsyncIterator[Endpoint]:
    """A client "one" that is at the problem."""
    command = [sys.executable, "-c", ENGINE]
    async with asked(command, folder / "log") as process:
        source = Live(EngineProcess(process), [problem], **options)
        async with Endpoint(source, [problem]) as endpoint:
            endpoint.begin("one", problem.question.id)
            yield endpoint


def chat(content: str, **more: Any) -> dict[str, Any]:
    return {"model": "M", "messages": [{"role": "user", "content": content}], "max_tokens": CAP, **more}


async def post(endpoint: Endpoint, body: dict[str, Any], api: str = "chat/completions") -> Any:
    async with httpx2.AsyncClient() as http:
        return await http.post(f"{endpoint.address('one')}/{api}", json=body)


def told(answer: Any) -> dict[str, Any]:
    """What the engine was asked."""
    job: dict[str, Any] = json.loads(answer.json()["choices"][0]["message"]["content"])
    return job


@pytest.mark.parametrize(("counts_all", "stated"), [(True, 6), (False, 1)])
async def test_every_choice_is_counted_whatever_usage_states(
    problem: Banked, tmp_path: Path, counts_all: bool, stated: int
) -> None:
    async with serving(problem, tmp_path, counts_all=counts_all) as endpoint:
        answer = await post(endpoint, chat(problem.text, n=3, temperature=0.8))
        truth = await endpoint.end("one", problem.question.id)
    assert answer.json()["usage"] == {
        "prompt_tokens": 20,
        "completion_tokens": stated,
        "total_tokens": 20 + stated,
    }
    assert (truth.completion_tokens, truth.samples, truth.requests) == (6, 3, 1)
    assert (truth.prompt_tokens, truth.cancelled_tokens) == (20, 0)


async def test_a_problem_is_continued_as_raw_text_and_stops_though_the_client_forgot(
    problem: Banked, tmp_path: Path
) -> None:
    async with serving(problem, tmp_path) as endpoint:
        job = told(await post(endpoint, chat("User: " + problem.text, temperature=0.8, logprobs=True)))
        given = told(await post(endpoint, chat(problem.text, stop=["#", STOP], top_p=0.5)))
    assert (job["text"], job["messages"], job["stop"]) == ("User: " + problem.text, [], [STOP])
    assert (job["temperature"], job["top_p"], job["logprobs"]) == (0.8, 1.0, True)
    assert (given["stop"], given["temperature"], given["top_p"]) == (["#", STOP], 1.0, 0.5)


async def test_a_judges_question_goes_through_the_chat_template_and_is_the_problems(
    banked: MakeBank, tmp_path: Path
) -> None:
    problem, other = banked(["9"], name="a"), banked(["9"], name="b")
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    messages = [
        {"role": "system", "content": ""},
        {"role": "user", "content": problem.text},
        {"role": "assistant", "content": " 9"},
        {"role": "user", "content": "Rate it."},
    ]
    command = [sys.executable, "-c", ENGINE]
    async with asked(command, tmp_path / "log") as process:
        source = Live(EngineProcess(process), [problem, other])
        async with Endpoint(source, [problem, other]) as endpoint:
            for each in (other, problem):
                endpoint.begin("one", each.question.id)
            body = {"messages": messages, "temperature": 0, "response_format": form}
            job = told(await post(endpoint, body))
            truth = await endpoint.end("one", problem.question.id)
            assert (await endpoint.end("one", other.question.id)).requests == 0
    assert job["text"] is None
    assert job["messages"] == [[m["role"], m["content"]] for m in messages[1:]]
    assert (job["temperature"], job["max_tokens"], job["stop"]) == (0.0, 256, [])
    assert json.loads(job["schema"]) == {"type": "object"}
    assert truth.completion_tokens == 1


async def test_a_request_that_is_given_up_counts_what_was_generated(problem: Banked, tmp_path: Path) -> None:
    async with serving(problem, tmp_path) as endpoint:
        given_up = asyncio.ensure_future(post(endpoint, {**chat(problem.text, n=2), "max_tokens": 7}))
        await until(endpoint, problem, in_flight=1)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        truth = await asyncio.wait_for(endpoint.end("one", problem.question.id), 10)
    assert (truth.samples, truth.completion_tokens) == (2, 5)
    assert (truth.cancelled_samples, truth.cancelled_tokens) == (1, 3)
    assert (truth.requests, truth.prompt_tokens) == (1, 20)


async def test_what_the_engine_refuses_is_refused_and_its_end_is_no_wait(
    problem: Banked, tmp_path: Path
) -> None:
    async with serving(problem, tmp_path) as endpoint:
        answer = await post(endpoint, {**chat(problem.text), "max_tokens": 6})
        too_many = await post(endpoint, chat(problem.text, n=17))
        with pytest.raises(httpx2.TransportError):
            await post(endpoint, {**chat(problem.text), "max_tokens": 5})
        truth = await endpoint.end("one", problem.question.id)
    assert (answer.status_code, too_many.status_code) == (400, 400)
    assert answer.json()["error"]["message"] == "It does not fit."
    assert (truth.refused, truth.completion_tokens) == (2, 0)


# ---------------------------------------------------------------- in the engine's process


def sample(**more: Any) -> dict[str, Any]:
    asked = {"messages": [["user", "Hi"]], "text": None, "n": 2, "max_tokens": 9, "temperature": 0.8}
    rest = {"top_p": 1.0, "stop": [], "logprobs": False, "schema": None}
    return {"id": 1, "do": "sample", **asked, **rest, **more}


def bench(engine: ScriptedEngine) -> Bench:
    return Bench(cast(EmbeddedEngine, engine))


async def test_a_job_is_answered_with_its_choices_and_each_has_its_own_randomness() -> None:
    engine = ScriptedEngine.drawing({" a b": 1.0, " a c": 1.0})
    running = bench(engine)
    answer = await running.answer(sample(text="Hi you", logprobs=True))
    await running.answer(sample())
    # Two words and the end.
    assert [(tokens, finish) for _, tokens, finish, _ in answer["choices"]] == [(3, "stop")] * 2
    assert all(len(logprobs) == 3 for *_, logprobs in answer["choices"])
    assert (answer["prompt_tokens"], answer["error"]) == (2, None)
    one, other = engine.requests
    assert (one.prompt.text, other.prompt.text) == ("Hi you", None)
    assert one.seed != other.seed


async def test_a_cancelled_job_is_answered_at_once() -> None:
    running = bench(ScriptedEngine.drawing({" a": 1.0}, faults=Faults(seconds=60)))
    waiting = asyncio.ensure_future(running.answer(sample()))
    await asyncio.sleep(0.05)
    running.cancel(2)
    running.cancel(1)
    answer = await asyncio.wait_for(waiting, 10)
    assert all(finish == "cancelled" for _, _, finish, _ in answer["choices"])


async def test_ponders_driver_is_timed_on_the_engine(problem: Banked) -> None:
    engine = ScriptedEngine.drawing({" 9": 1.0}, faults=Faults(seconds=0.05))
    answer = await bench(engine).answer({"do": "vote", "questions": [problem.question.to_json()], "seed": 0})
    assert 0 < answer["tokens_per_second"] < 64 * 2 / 0.05  # a word and the end
    assert sum(request.n for request in engine.requests) == 64


@pytest.mark.slow
async def test_the_real_engine_keeps_to_a_schema_and_tells_a_cancelled_samples_tokens(
    weights: Path, problem: Banked
) -> None:
    engine = FormingEngine(weights, model_card("smollm2", "test"))
    running = Bench(engine)
    schema = {
        "type": "object",
        "properties": {"score": {"type": "number"}},
        "required": ["score"],
        "additionalProperties": False,
    }
    try:
        asked = [["user", "Score this on a scale of 0 to 10: 3 + 5 = 8."]]
        formed = await running.answer(
            sample(messages=asked, n=1, max_tokens=48, temperature=0.0, schema=json.dumps(schema))
        )
        assert isinstance(json.loads(formed["choices"][0][0])["score"], int | float)
        waiting = asyncio.ensure_future(running.answer(sample(text="Once", n=1, max_tokens=2000)))
        await asyncio.sleep(2)
        running.cancel(1)
        cut = (await waiting)["choices"]
        assert [finish for _, _, finish, _ in cut] == ["cancelled"]
        assert 0 < cut[0][1] < 2000
        bare = await running.answer({"do": "bare", "questions": [problem.question.to_json()], "seed": 0})
        assert bare["tokens_per_second"] > 0
    finally:
        await engine.close()
