"""The HTTP engine: what it keeps of a stream that breaks or is cancelled."""

import asyncio
import time

import pytest

from ponder.core import Request
from ponder.errors import BadResponse, CallFailed, CallTimeout, EndpointDown, EngineError
from tests.engines.streaming import Event, after_each, counting, once, piece, stated, stream
from tests.engines.upstream import PROMPT, Opener, Upstream, ask, assert_one_sentence

# Of four choices the second and the third had ended.
BROKEN = (piece(0, "a"), piece(1, "b", "stop"), stated(2), piece(2, "c", "stop"), stated(3), piece(3, "d"))


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ((b"",), "broke off"),
        (({"error": {"message": "out of memory", "code": 500}},), "out of memory"),
        ((b'event: error\ndata: {"message": "out of memory", "code": 503}\n\n',), "out of memory"),
        ((b'data: {"choices": [{"ind',), "broke off"),
    ],
)
async def test_what_had_ended_is_kept_and_the_rest_asked_for_again(
    upstream: Upstream, opened: Opener, rest: tuple[Event | bytes, ...], said: str
) -> None:
    counting(upstream, after_each, stream(*BROKEN, *rest))
    generation = await ask(await opened(), n=4)
    assert generation.error is None
    assert [(o.text, o.finish, o.tokens) for o in generation.outputs] == [
        ("a", "failed", None),
        ("b", "stop", 2),
        ("c", "stop", 3),
        ("answer 0", "stop", 3),
    ]
    broken, again = generation.attempts[-2:]
    assert (broken.status, broken.samples, broken.usage.samples) == ("failed", 3, 3)
    assert (broken.usage.prompt_tokens, broken.usage.completion_tokens) == (7, None)
    assert said in str(broken.error)
    assert (again.status, again.samples) == ("ok", 1)


async def test_an_empty_finish_reason_is_no_end(upstream: Upstream, opened: Opener) -> None:
    begun = (piece(0, "a", ""), piece(1, "b", ""), piece(1, "c", "stop"), stated(2), piece(0, "a", ""))
    counting(upstream, after_each, stream(*begun))
    first, second = (await ask(await opened(), n=2)).outputs
    assert (first.text, first.finish, first.tokens) == ("aa", "failed", None)
    assert (second.text, second.finish, second.tokens) == ("bc", "stop", 2)


async def test_one_statement_is_of_the_choice_that_had_ended(upstream: Upstream, opened: Opener) -> None:
    counting(upstream, after_each, stream(piece(0, "a"), piece(1, "b", "stop"), stated(2)))
    first, second = (await ask(await opened(), n=2)).outputs
    assert (first.finish, second.finish, second.tokens) == ("failed", "stop", 2)


async def test_one_statement_after_every_end_may_be_of_all(upstream: Upstream, opened: Opener) -> None:
    ended = [piece(0, "a", "stop"), piece(1, "b", "stop"), stated(5)]
    counting(upstream, once, stream(*ended, {"error": {"message": "late", "code": 400}}))
    generation = await ask(await opened(), n=3)
    assert [(o.finish, o.tokens) for o in generation.outputs] == [("stop", None)] * 2


async def test_a_connection_that_breaks(upstream: Upstream, opened: Opener) -> None:
    counting(upstream, after_each, stream(*BROKEN, declared=10**6))
    generation = await ask(await opened(), n=4)
    assert [o.finish for o in generation.outputs] == ["failed", "stop", "stop", "stop"]


async def test_a_stream_that_breaks_before_anything_ended_is_repeated(
    upstream: Upstream, opened: Opener
) -> None:
    counting(upstream, after_each, stream(piece(0, "a")), stream())
    generation = await ask(await opened(), n=2)
    assert [o.tokens for o in generation.outputs] == [2, 3]
    assert [(a.status, a.samples) for a in generation.attempts[2:]] == [
        ("failed", 0),
        ("failed", 0),
        ("ok", 2),
    ]
    assert all(a.usage.completion_tokens is None for a in generation.attempts[2:4])
    counting(upstream, after_each, *[stream()] * 3)
    assert_one_sentence((await ask(await opened(), n=2)).error, EndpointDown)


@pytest.mark.parametrize(
    ("rest", "kind"),
    [
        ({"error": {"message": "not today", "code": 400}}, CallFailed),
        ({"error": "not today"}, CallFailed),
        (b"data: nonsense\n\n", BadResponse),
    ],
)
async def test_what_no_repetition_helps_keeps_what_had_ended(
    upstream: Upstream, opened: Opener, rest: Event | bytes, kind: type[EngineError]
) -> None:
    counting(upstream, after_each, stream(*BROKEN, rest))
    generation = await ask(await opened(), n=4)
    assert_one_sentence(generation.error, kind)
    assert [o.finish for o in generation.outputs] == ["failed", "stop", "stop"]
    assert generation.attempts[-1].usage.completion_tokens is None, "it had begun"


async def test_a_budget_without_room_keeps_what_had_ended(upstream: Upstream, opened: Opener) -> None:
    counting(upstream, after_each)
    engine = await opened()
    await ask(engine, n=2)
    counting(upstream, after_each, stream(*BROKEN))
    generation = await ask(engine, n=4, admit=lambda: False)
    assert generation.error is None
    assert [o.finish for o in generation.outputs] == ["failed", "stop", "stop"]


async def test_at_the_deadline_the_rest_is_asked_for_again(upstream: Upstream, opened: Opener) -> None:
    """All choices of a request share its time; those that had ended are paid for once."""
    engine = await opened(timeout=2.0)
    slow = [stream(*BROKEN[:3], declared=10**6, lingers=10.0), stream(declared=10**6, lingers=10.0)]
    counting(upstream, after_each, slow[0])
    generation = await ask(engine, n=5)
    assert generation.error is None
    assert [o.finish for o in generation.outputs] == ["failed", "stop", "stop", "stop", "stop"]
    assert [body.get("n", 1) for body in upstream.completions] == [5, 3]
    counting(upstream, after_each, slow[1])
    stuck = await ask(engine, n=5)
    assert "within 2 s" in assert_one_sentence(stuck.error, CallTimeout)
    assert stuck.outputs == (), "where nothing ended there is no reason to hope"


async def test_the_deadline_keeps_what_had_ended(upstream: Upstream, opened: Opener) -> None:
    engine = await opened(timeout=2.0, retries=0)
    counting(upstream, after_each, stream(*BROKEN, declared=10**6, lingers=10.0))
    generation = await ask(engine, n=4)
    assert "within 2 s" in assert_one_sentence(generation.error, CallTimeout)
    assert [o.finish for o in generation.outputs] == ["failed", "stop", "stop"]


async def test_cancelling_keeps_what_had_ended(upstream: Upstream, opened: Opener) -> None:
    counting(upstream, after_each, stream(*BROKEN, declared=10**6, lingers=10.0))
    call = (await opened()).start(Request(PROMPT, n=4))
    await asyncio.to_thread(upstream.lingering.wait, 10)
    await asyncio.sleep(0.3)
    began = time.monotonic()
    call.cancel()
    generation = await call.result()
    assert time.monotonic() - began < 3
    assert generation.error is None
    assert [(o.text, o.finish, o.tokens) for o in generation.outputs] == [
        ("a", "cancelled", None),
        ("b", "stop", 2),
        ("c", "stop", 3),
    ]
    last = generation.attempts[-1]
    assert (last.status, last.samples) == ("cancelled", 3)
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (7, None)
