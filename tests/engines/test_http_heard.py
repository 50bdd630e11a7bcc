"""The HTTP engine: a single sample that is told while it comes."""

import asyncio
import time
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Generation, Growth, Request
from ponder.engines import _http_wire as wire
from ponder.engines._http_growth import Answer, Teller
from ponder.engines._http_stream import Grown
from ponder.engines.http import HttpEngine
from ponder.errors import BadResponse, CallFailed, EndpointDown, EngineError
from tests.engines.streaming import DONE, Event, piece, stated, stream
from tests.engines.upstream import (
    ONE,
    PROMPT,
    Got,
    Opener,
    Reply,
    Upstream,
    ask,
    assert_one_sentence,
    chat,
    good,
    usage,
)


def answering(upstream: Upstream, *replies: Reply, plain: Reply = ONE) -> None:
    """A server that streams these in turn, the last one for ever, and answers plainly with `plain`."""
    waiting = list(replies)

    def answer(got: Got) -> Reply:
        if not got.body.get("stream"):
            return plain
        assert got.body["stream_options"] == {"include_usage": True}
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    upstream.answer = answer


async def known(opened: Opener, **options: Any) -> HttpEngine:
    """An engine that has had an answer."""
    engine = await opened(**options)
    await ask(engine)
    return engine


async def hear(engine: HttpEngine, **request: Any) -> tuple[Generation, list[Growth]]:
    heard: list[Growth] = []
    return await ask(engine, heard=heard.append, **request), heard


WELL = stream(piece(0, "It "), piece(0, "is "), piece(0, "8."), piece(0, end="stop"), stated(4), DONE)


async def test_what_is_written_is_told_while_it_comes(upstream: Upstream, opened: Opener) -> None:
    answering(upstream, WELL)
    generation, heard = await hear(await known(opened))
    assert heard == [Growth(0, "It "), Growth(0, "is "), Growth(0, "8.")]
    (output,), (attempt,) = generation.outputs, generation.attempts
    assert (output.text, output.tokens, output.finish) == ("It is 8.", 4, "stop")
    assert (attempt.usage.prompt_tokens, attempt.usage.completion_tokens) == (7, 4)


async def test_nobody_listens_so_nothing_is_streamed(upstream: Upstream, opened: Opener) -> None:
    answering(upstream, WELL)
    await ask(await known(opened))
    assert not any(body.get("stream") for body in upstream.completions)


async def test_as_many_are_in_flight_as_may_be(upstream: Upstream, opened: Opener) -> None:
    answering(upstream, Reply(WELL.body, content_type=WELL.content_type, delay=0.5))
    engine = await known(opened, concurrency=8)
    clock = asyncio.get_running_loop().time
    began = clock()
    await asyncio.gather(*(hear(engine) for _ in range(8)))
    assert clock() - began < 1.5


async def test_a_thought_is_told_with_the_answers_first_piece(upstream: Upstream, opened: Opener) -> None:
    thought = [piece(0, reasoning_content="2 and "), piece(0, reasoning_content="6")]
    answering(upstream, stream(*thought, piece(0, "8"), piece(0, ".", "stop"), stated(6), DONE))
    _, heard = await hear(await known(opened))
    assert heard == [Growth(0, "8", "2 and 6"), Growth(0, ".")]


async def test_the_first_reply_is_not_told(upstream: Upstream, opened: Opener) -> None:
    """Nobody knows yet whether its text would begin with a thought."""
    answering(upstream, WELL)
    engine = await opened()
    assert [len(heard) for _, heard in (await hear(engine), await hear(engine))] == [0, 3]


@pytest.mark.parametrize("first", [{}, {"stop": ("\n",)}])
async def test_replies_that_only_end_a_thought_are_not_told(
    upstream: Upstream, opened: Opener, first: dict[str, Any]
) -> None:
    answering(upstream, WELL, plain=Reply(chat("2 and 6</think>8", usage=usage(7, 5))))
    engine = await opened()
    for _ in range(3):
        _, heard = await hear(engine, **first)
        assert heard == []
    assert not any(body.get("stream") for body in upstream.completions)


async def test_a_reply_that_was_cut_short_says_nothing_of_the_next(
    upstream: Upstream, opened: Opener
) -> None:
    cut = chat("2 and", usage=usage(7, 5))
    cut["choices"][0]["finish_reason"] = "length"
    answering(upstream, WELL, plain=Reply(cut))
    engine = await known(opened)
    assert (await hear(engine))[1] == []
    answering(upstream, WELL)
    await ask(engine, stop=("\n",))
    assert (await hear(engine))[1] == [], "a stop string may have ended the thought"


async def test_a_thought_that_only_ends_is_no_longer_told(upstream: Upstream, opened: Opener) -> None:
    answering(upstream, stream(piece(0, "2 and 6</th"), piece(0, "ink>8", "stop"), stated(5), DONE))
    engine = await known(opened)
    generation, heard = await hear(engine)
    assert heard == [Growth(0, "2 and 6")]
    assert (generation.outputs[0].text, generation.outputs[0].reasoning) == ("8", "2 and 6")
    assert (await hear(engine))[1] == [], "it is known now"


@pytest.mark.parametrize(
    ("rest", "kind"),
    [
        ((), EndpointDown),
        (({"error": {"message": "out of memory", "code": 500}},), CallFailed),
        ((b"data: nonsense\n\n",), BadResponse),
    ],
)
async def test_what_was_told_is_not_asked_for_again(
    upstream: Upstream, opened: Opener, rest: Sequence[Event | bytes], kind: type[EngineError]
) -> None:
    answering(upstream, stream(piece(0, "It "), *rest), WELL)
    generation, heard = await hear(await known(opened), admit=lambda: True)
    assert heard == [Growth(0, "It ")]
    assert_one_sentence(generation.error, kind)
    (output,), (attempt,) = generation.outputs, generation.attempts
    assert (output.text, output.finish, output.tokens) == ("It ", "failed", None)
    assert (attempt.status, attempt.samples, attempt.usage.completion_tokens) == ("failed", 1, None)


async def test_what_failed_in_its_thought_is_asked_for_again(upstream: Upstream, opened: Opener) -> None:
    answering(upstream, stream(piece(0, reasoning="Let me see")), WELL)
    generation, heard = await hear(await known(opened))
    assert [growth.text for growth in heard] == ["It ", "is ", "8."]
    assert [growth.reasoning for growth in heard] == [""] * 3
    assert [a.status for a in generation.attempts] == ["failed", "ok"]
    assert generation.error is None


async def test_cancelling_keeps_what_was_told(upstream: Upstream, opened: Opener) -> None:
    answering(upstream, stream(piece(0, "It "), declared=10**6, lingers=10.0))
    engine = await known(opened)
    told = asyncio.Event()
    call = engine.start(Request(PROMPT, heard=lambda growth: told.set()))
    await asyncio.wait_for(told.wait(), 10)
    call.cancel()
    (output,) = (await asyncio.wait_for(call.result(), 3)).outputs
    assert (output.text, output.finish) == ("It ", "cancelled")


SILENT = stream(piece(0, "8", "stop"), DONE)


async def kinds(engine: HttpEngine, upstream: Upstream, requests: int) -> str:
    """Ask so often: "s" for each that was streamed, "p" for each that was not."""
    before = len(upstream.completions)
    for _ in range(requests):
        await hear(engine)
    return "".join("s" if body.get("stream") else "p" for body in upstream.completions[before:])


async def test_one_stream_without_counts_may_have_lost_them(upstream: Upstream, opened: Opener) -> None:
    answering(upstream, SILENT, WELL)
    engine = await known(opened)
    generation, heard = await hear(engine)
    assert len(heard) == 1
    assert generation.attempts[0].usage.completion_tokens is None
    assert engine.capabilities.streams
    assert await kinds(engine, upstream, 20) == "s" * 20


async def test_a_server_whose_streams_have_no_counts_is_asked_for_them_ever_more_seldom(
    upstream: Upstream, opened: Opener
) -> None:
    answering(upstream, SILENT)
    engine = await known(opened)
    assert await kinds(engine, upstream, 2) == "ss"
    assert not engine.capabilities.streams
    generation, heard = await hear(engine)
    assert (heard, generation.attempts[0].usage.completion_tokens) == ([], 3)
    assert await kinds(engine, upstream, 15) == "p" * 15
    assert engine.capabilities.streams
    assert await kinds(engine, upstream, 34) == "s" + "p" * 32 + "s"
    answering(upstream, WELL)
    assert await kinds(engine, upstream, 64 + 20) == "p" * 64 + "s" * 20


async def test_streams_without_counts_among_others_are_noticed(upstream: Upstream, opened: Opener) -> None:
    answering(upstream, WELL, SILENT, WELL, WELL, SILENT)
    assert await kinds(await known(opened), upstream, 6) == "sssssp"


async def test_streams_that_end_while_others_end_it_lengthen_no_rest(
    upstream: Upstream, opened: Opener
) -> None:
    answering(upstream, Reply(SILENT.body, content_type=SILENT.content_type, delay=0.3))
    engine = await known(opened, concurrency=8)
    await asyncio.gather(*(hear(engine) for _ in range(8)))
    assert await kinds(engine, upstream, 17) == "p" * 16 + "s"


async def test_without_counts_anywhere_streams_are_as_good_as_plain_answers(
    upstream: Upstream, opened: Opener
) -> None:
    answering(upstream, SILENT, plain=Reply(chat("8")))
    assert await kinds(await known(opened), upstream, 5) == "s" * 5


def test_a_rest_is_a_short_one_again_after_eight_streams_that_count() -> None:
    streams = wire.Streams()
    for _ in range(20):
        streams.stop()
        streams.rest = 0
    assert streams.next_rest == wire.LONGEST_REST
    for _ in range(wire.REMEMBERED):
        assert streams.next_rest == wire.LONGEST_REST
        streams.ended(counted=True)
    streams.stop()
    assert streams.rest == wire.FIRST_REST


async def test_a_server_that_knows_no_streams_is_asked_plainly(upstream: Upstream, opened: Opener) -> None:
    refused = Reply({"error": {"message": "stream_options: unknown field"}}, status=400)
    answering(upstream, refused)
    generation, heard = await hear(await known(opened))
    assert (heard, generation.error, generation.outputs[0].text) == ([], None, "8")


async def test_a_server_that_refused_to_stream_is_asked_again_later(
    upstream: Upstream, opened: Opener
) -> None:
    refused = Reply({"error": {"message": "stream: not now"}}, status=400)
    answering(upstream, refused, WELL)
    assert await kinds(await known(opened), upstream, 17) == "s" + "p" * 16 + "s"


async def test_a_server_that_answers_plainly_all_the_same(upstream: Upstream, opened: Opener) -> None:
    upstream.answer = good
    generation, heard = await hear(await known(opened))
    assert (heard, generation.outputs[0].text) == ([], "answer 0")


# ---------------------------------------------------------------- whatever comes

TAGS = ["<think>", "</think>", "<thi", "nk>", "</"]
PIECES = [*TAGS, "STOP", "ST", "OP", " ", "\n", "a", "8.", "\ud83d", "\ude00"]
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@given(texts, st.sampled_from(["chat", "completions"]), st.integers(0, 2**32))
def test_what_is_told_is_the_outputs_beginning(text: str, api: wire.Api, seed: int) -> None:
    rng, heard = Random(seed), list[Growth]()
    request = Request(PROMPT, stop=("STOP", "TO"), heard=heard.append)
    grown = Grown(api, 1, Teller(request, api, 0))
    at = 0
    while at < len(text):
        step = rng.randrange(1, 6)
        said: Any = {"delta": {"content": text[at : at + step]}} if api == "chat" else {}
        grown._take("", {"choices": [{"index": 0, "text": text[at : at + step], **said}]})
        at += step
    grown._take("", {"choices": [{"index": 0, "delta": {}, "text": "", "finish_reason": "stop"}]})
    (output,) = grown.reading(request).outputs
    told = "".join(growth.text for growth in heard)
    lone = api == "chat" and "</think>" in text and "<think>" not in text.partition("</think>")[0]
    if lone:
        assert wire.sound(text).startswith(told), "it was taken for an answer"
        return
    assert output.text.startswith(told)
    held = output.text[len(told) :]
    assert len(held.strip()) < len("</think>") + len("STOP"), "no more than may be something else"
    assert all((growth.reasoning or None) in (None, output.reasoning) for growth in heard)


def test_blanks_that_do_not_end_take_no_longer_the_more_there_are() -> None:
    answer, began = Answer(), time.perf_counter()
    for _ in range(150_000):
        assert answer.feed("  ") == ""
    assert answer.feed("8") == "  " * 150_000 + "8"
    assert time.perf_counter() - began < 3
