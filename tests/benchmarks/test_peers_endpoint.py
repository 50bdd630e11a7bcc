"""The replaying endpoint: each client gets what it asks for, in order, and everything is counted."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from benchmarks.peers.bank import Banked
from benchmarks.peers.endpoint import AT_ONCE, Endpoint, Pace, Replay

from tests.benchmarks.conftest import CAP, MakeBank, until

SLOW = Pace(seconds_per_token=0.25, slots=2)


def chat(banked: Banked, n: int = 1, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": banked.text}]
    return {"model": "M", "messages": messages, "n": n, "max_tokens": CAP, "temperature": 0.8, **more}


async def post(endpoint: Endpoint, client: str, body: dict[str, Any], api: str = "chat/completions") -> Any:
    async with httpx2.AsyncClient() as http:
        return await http.post(f"{endpoint.address(client)}/{api}", json=body)


def texts(answer: Any) -> list[str]:
    return [choice["message"]["content"] for choice in answer.json()["choices"]]


@pytest.fixture
def problem(banked: MakeBank) -> Banked:
    return banked([str(i) for i in range(8)], tokens=[1, 2, 3, 4, 5, 6, 7, 8])


async def test_each_client_gets_the_samples_in_order_from_the_first(problem: Banked) -> None:
    async with Endpoint(Replay([problem], AT_ONCE), [problem]) as endpoint:
        for client in ("one", "other"):
            endpoint.begin(client, problem.question.id)
        first = await post(endpoint, "one", chat(problem, 2))
        second = await post(endpoint, "one", chat(problem, 3))
        other = await post(endpoint, "other", chat(problem))
    assert texts(first) == [" = 0", " = 1"]
    assert texts(second) == [" = 2", " = 3", " = 4"]
    assert texts(other) == [" = 0"]
    assert first.json()["usage"] == {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}


async def test_the_prompt_is_billed_once_a_request(problem: Banked) -> None:
    async with Endpoint(Replay([problem], AT_ONCE), [problem]) as endpoint:
        endpoint.begin("one", problem.question.id)
        await post(endpoint, "one", chat(problem, 4))
        await post(endpoint, "one", chat(problem))
        truth = await endpoint.end("one", problem.question.id)
    assert (truth.requests, truth.samples, truth.completion_tokens) == (2, 5, 1 + 2 + 3 + 4 + 5)
    assert (truth.prompt_tokens, truth.prompt_tokens_cached) == (40, 19)


async def test_beginning_again_starts_from_the_first_sample_and_an_empty_page(problem: Banked) -> None:
    async with Endpoint(Replay([problem], AT_ONCE), [problem]) as endpoint:
        endpoint.begin("one", problem.question.id)
        await post(endpoint, "one", chat(problem, 4))
        await endpoint.end("one", problem.question.id)
        endpoint.begin("one", problem.question.id)
        assert texts(await post(endpoint, "one", chat(problem))) == [" = 0"]
        assert (await endpoint.end("one", problem.question.id)).samples == 1


async def test_a_prompt_in_front_of_the_problems_does_not_hide_it(problem: Banked) -> None:
    async with Endpoint(Replay([problem], AT_ONCE), [problem]) as endpoint:
        endpoint.begin("one", problem.question.id)
        body = chat(problem)
        body["messages"] = [
            {"role": "system", "content": ""},
            {"role": "user", "content": "User: " + problem.text},
        ]
        assert texts(await post(endpoint, "one", body)) == [" = 0"]


async def test_both_apis_and_their_log_probabilities(problem: Banked) -> None:
    async with Endpoint(Replay([problem], AT_ONCE), [problem]) as endpoint:
        endpoint.begin("one", problem.question.id)
        answer = await post(endpoint, "one", chat(problem, logprobs=True))
        rows = answer.json()["choices"][0]["logprobs"]["content"]
        assert [row["logprob"] for row in rows] == [-0.5]
        body = {k: v for k, v in chat(problem, logprobs=1).items() if k != "messages"}
        answer = await post(endpoint, "one", {**body, "prompt": problem.text}, "completions")
        assert answer.json()["choices"][0]["text"] == " = 1"
        assert answer.json()["choices"][0]["logprobs"]["token_logprobs"] == [-0.5, -0.5]


async def test_an_exhausted_bank_is_a_refusal_that_is_counted(problem: Banked) -> None:
    async with Endpoint(Replay([problem], AT_ONCE), [problem]) as endpoint:
        endpoint.begin("one", problem.question.id)
        await post(endpoint, "one", chat(problem, 7))
        answer = await post(endpoint, "one", chat(problem, 2))
        truth = await endpoint.end("one", problem.question.id)
    assert answer.status_code == 400
    assert "holds 8 samples" in answer.json()["error"]["message"]
    assert truth.refused == 1


@pytest.mark.parametrize(
    "wrong", [{"temperature": 1}, {"max_tokens": 9}, {"top_p": 0.9}, {"n": 17}, {"n": 0}]
)
async def test_what_the_bank_was_not_drawn_with_is_refused(problem: Banked, wrong: dict[str, Any]) -> None:
    async with Endpoint(Replay([problem], AT_ONCE), [problem]) as endpoint:
        endpoint.begin("one", problem.question.id)
        answer = await post(endpoint, "one", {**chat(problem), **wrong})
        truth = await endpoint.end("one", problem.question.id)
    assert answer.status_code == 400
    assert truth.completion_tokens == 0


async def test_a_short_trial_beside_the_problems_is_served_and_counted(banked: MakeBank) -> None:
    problems = [banked(["1"], name="a"), banked(["1"], name="b")]
    trial = {"model": "M", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "n": 2}
    async with Endpoint(Replay(problems, AT_ONCE), problems) as endpoint:
        answer = await post(endpoint, "one", trial)
        long = await post(endpoint, "one", {**trial, "max_tokens": 100})
        truth = await endpoint.outside("one")
    assert answer.json()["usage"]["completion_tokens"] == 2
    assert long.status_code == 400
    assert (truth.completion_tokens, truth.refused) == (2, 1)


async def test_a_cancelled_request_counts_what_was_generated_until_then(banked: MakeBank) -> None:
    problem = banked(["1"] * 4, tokens=[20] * 4)
    async with Endpoint(Replay([problem], SLOW), [problem]) as endpoint:
        endpoint.begin("one", problem.question.id)
        requests = [asyncio.ensure_future(post(endpoint, "one", chat(problem))) for _ in range(3)]
        await until(endpoint, problem, samples=2, in_flight=3)
        await asyncio.sleep(2 * SLOW.seconds_per_token)
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)
        truth = await asyncio.wait_for(endpoint.end("one", problem.question.id), 5)
    # Two slots: the third request waited, and nothing of it was generated.
    assert (truth.requests, truth.samples, truth.cancelled_samples) == (2, 2, 2)
    assert 0 < truth.completion_tokens < 40
    assert truth.cancelled_tokens == truth.completion_tokens
    assert truth.prompt_tokens == 40


async def test_a_sample_whose_request_was_cancelled_while_waiting_is_not_used_up(banked: MakeBank) -> None:
    problem = banked(["1", "2", "3", "4"], tokens=[12, 12, 1, 1])
    async with Endpoint(Replay([problem], SLOW), [problem]) as endpoint:
        endpoint.begin("one", problem.question.id)
        running = [asyncio.ensure_future(post(endpoint, "one", chat(problem))) for _ in range(2)]
        await until(endpoint, problem, samples=2, in_flight=2)
        waiting = asyncio.ensure_future(post(endpoint, "one", chat(problem)))
        await until(endpoint, problem, samples=2, in_flight=3)
        waiting.cancel()
        await asyncio.gather(*running, waiting, return_exceptions=True)
        assert texts(await post(endpoint, "one", chat(problem))) == [" = 3"]


async def test_other_orders_are_the_same_samples_for_every_client(problem: Banked) -> None:
    drawn: list[list[str]] = []
    for repeat in (0, 1, 1, 2):
        async with Endpoint(Replay([problem], AT_ONCE, repeat=repeat), [problem]) as endpoint:
            client = f"client-{len(drawn)}"
            endpoint.begin(client, problem.question.id)
            drawn.append(texts(await post(endpoint, client, chat(problem, 8))))
    assert drawn[1] == drawn[2]
    assert len({tuple(order) for order in drawn}) == 3
    assert all(sorted(order) == sorted(drawn[0]) for order in drawn)


async def test_what_is_no_request_is_refused(problem: Banked) -> None:
    async with Endpoint(Replay([problem], AT_ONCE), [problem]) as endpoint:
        assert (await post(endpoint, "one", {}, "embeddings")).status_code == 404
        assert (await post(endpoint, "one", {"messages": "x"})).status_code == 400
        async with httpx2.AsyncClient() as http:
            names = await http.get(f"{endpoint.address('one')}/models")
    assert [row["id"] for row in names.json()["data"]] == ["M"]
