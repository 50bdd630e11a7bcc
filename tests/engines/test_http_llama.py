"""The HTTP engine against a real server, llama.cpp's; of several choices its usage counts only the first,
unless it streams them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx2
import pytest

from ponder.core import Generation, Message, Prompt, Request, Sampling
from ponder.engines.http import HttpEngine
from ponder.errors import FormatRefused
from tests.engines.llama_server import SLOTS

SUM = "Problem: 1 + 2 =\nAnswer: 3\n\nProblem: 4 + 5 =\nAnswer: 9\n\nProblem: 2 + 6 =\nAnswer:"
PROMPT = Prompt((Message("user", SUM),), SUM)


@pytest.fixture(params=["chat", "completions"])
async def engine(request: pytest.FixtureRequest, llama_server: str) -> AsyncIterator[HttpEngine]:
    opened = await HttpEngine.from_spec(llama_server, api=request.param)
    await opened.check()
    yield opened
    await opened.close()


async def test_the_only_model_is_found(engine: HttpEngine, llama_server: str) -> None:
    assert engine.model.name == "M"
    assert engine.facts["address"] == llama_server


async def test_several_samples_each_have_their_true_tokens(engine: HttpEngine, llama_server: str) -> None:
    request = Request(PROMPT, n=4, max_tokens=24, stop=("\n\nProblem",), seed=5)
    generation = await engine.start(request).result()
    assert generation.error is None
    assert len(generation.outputs) == 4
    *trials, only = generation.attempts
    assert [(trial.samples, trial.usage.completion_tokens) for trial in trials] == [(0, 2)] * 2
    assert engine.capabilities.samples_per_call > 1
    assert sum(o.tokens or 0 for o in generation.outputs) == only.usage.completion_tokens
    async with httpx2.AsyncClient() as client:
        for output in generation.outputs:
            asked = {"content": output.text}
            answer = await client.post(llama_server.replace("/v1", "/tokenize"), json=asked)
            visible = len(answer.json()["tokens"])
            assert output.finish == "stop"
            # The text, then the stop string's three tokens or the one end token.
            assert output.tokens is not None
            assert visible + 1 <= output.tokens <= visible + 4
            assert "\n\nProblem" not in output.text


async def test_more_samples_than_the_server_has_slots(engine: HttpEngine) -> None:
    generation = await engine.start(Request(PROMPT, n=SLOTS + 2, max_tokens=2)).result()
    assert generation.error is None
    assert [output.tokens for output in generation.outputs] == [2] * (SLOTS + 2)
    drawn = [a.samples for a in generation.attempts if a.samples]
    assert len(drawn) == 2, "a limit on choices is found, and kept to"
    assert all(a.usage.tokens is not None for a in generation.attempts)


async def test_the_prompts_tokens_are_within_their_bound(engine: HttpEngine) -> None:
    generation = await engine.start(Request(PROMPT, max_tokens=1)).result()
    used = generation.attempts[0].usage
    assert used.prompt_tokens is not None
    assert 30 < used.prompt_tokens <= engine.prompt_tokens_bound(PROMPT)
    assert generation.outputs[0].finish == "length"
    assert generation.outputs[0].tokens == 1


async def test_log_probabilities_are_of_the_untempered_model(engine: HttpEngine) -> None:
    """The same greedy text under two temperatures has the same log-probabilities."""
    told = []
    for temperature in (0.0, 0.01):
        request = Request(PROMPT, max_tokens=8, logprobs=True, sampling=Sampling(temperature))
        (output,) = (await engine.start(request).result()).outputs
        assert output.logprobs is not None
        assert output.tokens == len(output.logprobs) == 8
        told.append(output.logprobs)
    assert told[0] == pytest.approx(told[1], abs=0.05)


async def test_more_stop_strings_than_the_api_takes(engine: HttpEngine) -> None:
    stops = ("@@", "##", "$$", "%%", "Problem")
    request = Request(PROMPT, max_tokens=24, stop=stops, sampling=Sampling(0.0))
    (output,) = (await engine.start(request).result()).outputs
    assert "Problem" not in output.text
    assert output.finish == "stop"
    assert output.tokens == 24


async def test_cancelling_breaks_off_and_keeps_what_had_finished(engine: HttpEngine) -> None:
    write = Prompt((Message("user", "Once upon a time"),), "Once upon a time")
    long = engine.start(Request(write, n=2, max_tokens=1500))
    while engine.learned.several == "untried":
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    began = time.monotonic()
    long.cancel()
    generation = await long.result()
    assert time.monotonic() - began < 3
    assert generation.error is None
    assert [a.status for a in generation.attempts] == ["ok", "ok", "cancelled"]
    assert generation.attempts[-1].usage.completion_tokens is None
    after = await engine.start(Request(PROMPT, max_tokens=2)).result()
    assert after.outputs
    assert after.attempts[0].usage.seconds < 10, "the server went on with what was cancelled"


async def test_a_schema_is_held_to_and_one_that_is_none_is_refused(llama_server: str) -> None:
    engine = await HttpEngine.from_spec(llama_server)
    shape = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}

    async def ask(schema: dict[str, object]) -> Generation:
        form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
        request = Request(PROMPT, max_tokens=40, seed=5, response_format=json.dumps(form))
        return await engine.start(request).result()

    held, refused = await ask(shape), await ask({**shape, "properties": {"seed": {"type": "frob"}}})
    await engine.close()
    assert list(json.loads(held.outputs[0].text)) == ["sum"]
    assert isinstance(refused.error, FormatRefused)
    assert engine.learned.seed
