"""The driver with the HTTP engine: whatever an endpoint does with `n`, usage and failures, a budget holds."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core import Budget, Message, Prompt, Question
from ponder.engines.http import HttpEngine
from ponder.errors import CallFailed
from ponder.solve import Limits, Solution, solve
from ponder.strategies import plan
from tests.engines.upstream import Got, Reply, Upstream, chat, usage

ASKED = Prompt((Message("user", "2 + 6"),))
QUESTION = Question("q", "2 + 6", ASKED, ASKED, max_tokens=10)
PROMPT_TOKENS = 9


class Server:
    """Generates what it is asked for, keeps true accounts, and tells them or not: of all choices, of the
    first, of none, or of each when it streams and of the first when it does not."""

    def __init__(self, seed: int, *, most: int, counts: str, failing: float) -> None:
        self.random, self.most, self.counts, self.failing = random.Random(seed), most, counts, failing
        self.tokens = 0

    def __call__(self, got: Got) -> Reply:
        n, cap = got.body.get("n", 1), got.body["max_tokens"]
        if n > self.most > 1:
            return Reply({"error": {"message": f"'n' must be at most {self.most}"}}, status=400)
        lengths = [self.random.randint(1, cap) for _ in range(min(n, self.most))]
        self.tokens += PROMPT_TOKENS + sum(lengths)
        fails = self.random.random() < self.failing
        if self.counts == "streamed" and got.body.get("stream"):
            return self._stream(lengths, cap, fails)
        if fails:
            return Reply(status=500)
        told: dict[str, Any] = {
            "all": usage(PROMPT_TOKENS, sum(lengths)),
            "first": usage(PROMPT_TOKENS, lengths[0]),
            "nothing": None,
            "streamed": usage(PROMPT_TOKENS, lengths[0]),
        }
        answer = chat(*["8"] * len(lengths), usage=told[self.counts])
        for choice, length in zip(answer["choices"], lengths, strict=True):
            choice["finish_reason"] = "length" if length == cap else "stop"
        return Reply(answer)

    def _stream(self, lengths: list[int], cap: int, fails: bool) -> Reply:
        """The choices end in any order; a stream that fails is cut somewhere."""
        events: list[dict[str, Any]] = [
            {"choices": [{"index": i, "delta": {"content": "8"}}]} for i in range(len(lengths))
        ]
        for i in self.random.sample(range(len(lengths)), len(lengths)):
            end = "length" if lengths[i] == cap else "stop"
            events.append({"choices": [{"index": i, "delta": {}, "finish_reason": end}]})
            events.append({"choices": [], "usage": usage(PROMPT_TOKENS, lengths[i])})
        lines = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
        body = b"".join([*lines, b"data: [DONE]\n\n"])
        if fails:
            body = body[: self.random.randrange(len(body))]
        return Reply(body, content_type="text/event-stream")


async def spend(upstream: Upstream, answer: Callable[[Got], Reply], tokens: int) -> Solution | None:
    upstream.answer = answer
    options = {"backoff": 0.0, "retries": 2, "template_tokens": 0}
    engine = await HttpEngine.from_spec(f"{upstream.address}#M", **options)
    try:
        budget = Budget(tokens=tokens)
        return await solve(
            QUESTION, plan("vote:n=12"), engines={"solver": engine}, budget=budget, limits=Limits()
        )
    except CallFailed:
        return None
    finally:
        await engine.close()


@pytest.fixture(scope="module")
def one_upstream() -> Any:
    with Upstream() as server:
        yield server


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    most=st.sampled_from([1, 3, 16]),
    counts=st.sampled_from(["all", "first", "nothing", "streamed"]),
    failing=st.sampled_from([0.0, 0.2]),
    tokens=st.integers(40, 600),
)
def test_no_budget_is_overspent(
    one_upstream: Upstream, seed: int, most: int, counts: str, failing: float, tokens: int
) -> None:
    server = Server(seed, most=most, counts=counts, failing=failing)
    solution = asyncio.run(spend(one_upstream, server, tokens))
    assert server.tokens <= tokens
    if solution is None:
        assert failing
        return
    assert server.tokens <= solution.charged.tokens <= tokens
    if solution.usage.tokens is not None:
        assert solution.usage.tokens == server.tokens
    if counts != "nothing" and not failing:
        assert solution.usage.tokens is not None, "a server that counts is never asked so that it cannot"


@pytest.mark.parametrize("kept", [{1}, {0}, {3, 7}])
async def test_places_that_a_broken_stream_left_open_are_filled(kept: set[int]) -> None:
    """The strategy is told every sample, in its place, and each is bought once."""
    with Upstream() as upstream:
        server = Server(1, most=16, counts="streamed", failing=0.0)
        broken: list[int] = []

        def breaks_once(got: Got) -> Reply:
            reply = server(got)
            if broken or not got.body.get("stream") or got.body["max_tokens"] == 1:
                return reply
            broken.append(got.body["n"])
            events: list[dict[str, Any]] = []
            for i in sorted(kept):
                events.append({"choices": [{"index": i, "delta": {"content": "9"}, "finish_reason": "stop"}]})
                events.append({"choices": [], "usage": usage(PROMPT_TOKENS, 2)})
            body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
            return Reply(body, content_type="text/event-stream")

        solution = await spend(upstream, breaks_once, 10**6)
    assert solution is not None
    assert broken == [12]
    assert [s.index for s in solution.samples] == list(range(12))
    assert [s.text for s in solution.samples] == ["9" if i in kept else "8" for i in range(12)]
    assert solution.usage.tokens is None, "nobody knows what the broken ones had taken"


@pytest.mark.parametrize("counts", ["all", "first", "streamed", "nothing"])
@pytest.mark.parametrize("most", [1, 16])
async def test_a_budget_of_samples_buys_as_many(upstream: Upstream, counts: str, most: int) -> None:
    """However many HTTP requests they take, and though nothing is left for a trial."""
    upstream.answer = Server(1, most=most, counts=counts, failing=0.0)
    engine = await HttpEngine.from_spec(f"{upstream.address}#M")
    try:
        budget, engines = Budget(samples=6), {"solver": engine}
        solved = await solve(QUESTION, plan("vote:n=6"), engines=engines, budget=budget, limits=Limits())
    finally:
        await engine.close()
    assert solved.charged.samples == 6


async def test_a_failed_try_takes_no_sample_of_the_budget(upstream: Upstream) -> None:
    upstream.always(Reply(status=500), Reply(chat("8", usage=usage(PROMPT_TOKENS, 2))))
    engine = await HttpEngine.from_spec(f"{upstream.address}#M", backoff=0.0)
    try:
        budget, engines = Budget(samples=1), {"solver": engine}
        solved = await solve(QUESTION, plan("direct"), engines=engines, budget=budget, limits=Limits())
    finally:
        await engine.close()
    assert solved.answer.text == "8"
    assert solved.usage.calls == 2
    assert solved.charged.samples == 1
