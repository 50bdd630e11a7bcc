"""The HTTP engine on servers that count the tokens of several choices only when they stream them."""

import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.engines._http_stream import Events
from ponder.errors import BadResponse
from tests.engines.streaming import (
    DONE,
    Event,
    Manner,
    after_each,
    counting,
    each_and_another_sum,
    each_and_once,
    never,
    once,
    piece,
    running,
    stated,
    stream,
    the_first,
    with_each,
    with_the_last,
)
from tests.engines.upstream import (
    Got,
    Opener,
    Reply,
    Upstream,
    ask,
    assert_one_sentence,
    chat,
    good,
    tried,
    usage,
)

# ---------------------------------------------------------------- who is asked so


@pytest.mark.parametrize("manner", [after_each, with_each, each_and_once])
async def test_each_choice_has_its_own_tokens(upstream: Upstream, opened: Opener, manner: Manner) -> None:
    counting(upstream, manner)
    engine = await opened()
    generation = await ask(engine, n=4)
    *trials, only = generation.attempts
    assert [(t.samples, t.usage.completion_tokens, t.usage.prompt_tokens) for t in trials] == [(0, 2, 7)] * 2
    assert (only.samples, only.usage.completion_tokens, only.usage.prompt_tokens) == (4, 14, 7)
    assert [(o.text, o.tokens) for o in generation.outputs] == [("8", 2), ("8", 3), ("8", 4), ("8", 5)]
    assert engine.capabilities.samples_per_call == 16
    again = await ask(engine, n=3)
    assert len(again.attempts) == 1, "the trials are held once"


@pytest.mark.parametrize("manner", [once, with_the_last])
async def test_or_their_sum_is_known(upstream: Upstream, opened: Opener, manner: Manner) -> None:
    counting(upstream, manner)
    generation = await ask(await opened(), n=4)
    assert generation.attempts[-1].usage.completion_tokens == 14
    assert [o.tokens for o in generation.outputs] == [None] * 4
    assert [body.get("n") for body in upstream.completions] == [4]


@pytest.mark.parametrize("manner", [the_first, running, each_and_another_sum, never])
async def test_otherwise_every_sample_has_a_request(
    upstream: Upstream, opened: Opener, manner: Manner
) -> None:
    counting(upstream, manner)
    engine = await opened()
    generation = await ask(engine, n=4)
    assert [o.tokens for o in generation.outputs] == [3] * 4
    assert [a.usage.completion_tokens for a in generation.attempts] == [2, 2, 3, 3, 3, 3]
    assert engine.capabilities.samples_per_call == 1
    assert not any(body.get("stream") for body in upstream.completions)


async def test_a_stream_that_is_refused(upstream: Upstream, opened: Opener) -> None:
    def no_streams(got: Got) -> Reply:
        if got.body.get("stream"):
            return Reply({"error": {"message": "no streams here"}}, status=400)
        plain = good(got)
        plain.body["usage"]["completion_tokens"] //= got.body.get("n", 1)
        return plain

    upstream.answer = no_streams
    generation = await ask(await opened(), n=3)
    assert generation.error is None
    assert [o.tokens for o in generation.outputs] == [3] * 3


async def test_a_single_sample_is_not_streamed(upstream: Upstream, opened: Opener) -> None:
    counting(upstream, after_each)
    engine = await opened()
    await ask(engine, n=2)
    await ask(engine)
    assert [bool(body.get("stream")) for body in upstream.completions] == [True, False]


@pytest.mark.parametrize("before", [[], [False]])
async def test_log_probabilities_come_by_a_request_a_sample(
    upstream: Upstream, opened: Opener, before: list[bool]
) -> None:
    """A stream leaves out tokens that show no text."""
    counting(upstream, after_each)
    engine = await opened()
    for logprobs in [*before, True]:
        generation = await ask(engine, n=3, logprobs=logprobs)
    assert [o.tokens for o in generation.outputs] == [3] * 3
    assert engine.capabilities.logprobs_alone
    assert [body.get("n", 1) for body in upstream.completions] == [3] * len(before) + [1] * 3
    others = await ask(engine, n=4)
    assert len(others.attempts) == 1, "requests without them go on as they did"
    assert engine.capabilities.samples_per_call == 16


async def test_streams_in_flight_are_few(upstream: Upstream, opened: Opener) -> None:
    counting(upstream, after_each)
    well, flying, most, two = upstream.answer, 0, 0, threading.Barrier(2)

    def watch(got: Got) -> Reply:
        nonlocal flying, most
        with upstream.lock:
            flying += 1
            most = max(most, flying)
        if not tried(got.body):
            two.wait(20)
        time.sleep(0.05)  # in which a third would come
        with upstream.lock:
            flying -= 1
        return well(got)

    upstream.answer = watch
    engine = await opened(concurrency=4, samples_per_call=4)
    assert len((await ask(engine, n=16)).outputs) == 16
    assert most == 2, "twice as many choices as requests may be in flight"


async def test_the_completions_api_streams_too(upstream: Upstream, opened: Opener) -> None:
    def raw(got: Got) -> Reply:
        n, end = got.body.get("n", 1), "length" if tried(got.body) else "stop"
        if not got.body.get("stream"):
            return Reply({"choices": [{"text": "8", "finish_reason": end}] * n, "usage": usage(7, 1)})
        parts = [{"choices": [{"index": i, "text": t}]} for t in (" ", "8") for i in range(n)]
        ends = [
            {"choices": [{"index": i, "text": "", "finish_reason": end}], "usage": usage(7, 1)}
            for i in range(n)
        ]
        return stream(*parts, *ends, DONE)

    upstream.answer = raw
    outputs = (await ask(await opened(api="completions"), n=2)).outputs
    assert [(o.text, o.tokens) for o in outputs] == [(" 8", 1)] * 2


# ---------------------------------------------------------------- the trials' own tokens


@pytest.mark.parametrize(
    ("texts", "finish", "told", "known"),
    [
        (["a", "b"], "length", usage(7, 1), 2),
        (["a", "b"], "length", usage(7, 9), 2),
        ([None, None], "stop", usage(7, 1), 2),
        (["a"], "length", usage(7, 9), 1),
        (["a"], "stop", usage(7, 1), 1),
        (["a word or two"], "stop", usage(7, 5), 5),
        (["a", "b"], "stop", usage(7, 2), None),
    ],
)
async def test_what_a_trial_took_is_known_where_it_can_be(
    upstream: Upstream, opened: Opener, texts: list[str | None], finish: str, told: Any, known: int | None
) -> None:
    def odd(got: Got) -> Reply:
        if not tried(got.body):
            return good(got)
        answer = chat(*texts, usage=told)
        for choice in answer["choices"]:
            choice["finish_reason"] = finish
        return Reply(answer)

    upstream.answer = odd
    generation = await ask(await opened(), n=2)
    assert generation.attempts[0].usage.completion_tokens == known
    assert [o.tokens for o in generation.outputs] == [3, 3]


async def test_a_refusal_inside_a_success_took_nothing(upstream: Upstream, opened: Opener) -> None:
    upstream.answer = lambda got: (
        Reply({"error": {"message": "one at a time", "code": 400}}) if tried(got.body) else good(got)
    )
    generation = await ask(await opened(), n=2)
    assert [o.tokens for o in generation.outputs] == [3, 3]
    assert sum(a.usage.tokens or 0 for a in generation.attempts if a.status == "failed") == 0
    assert all(a.usage.tokens is not None for a in generation.attempts)


# ---------------------------------------------------------------- what is believed of a stream


@pytest.mark.parametrize(
    ("pieces", "text", "reasoning"),
    [
        ([{"content": "8 E"}, {"content": "ND 9"}], "8 ", None),
        ([{"reasoning_content": "2 +"}, {"reasoning_content": " 6"}, {"content": "8"}], "8", "2 + 6"),
        ([{"reasoning": "2", "reasoning_content": "2"}, {"content": "8"}], "8", "2"),
        ([{"content": "<thi"}, {"content": "nk>2 + 6</think>8"}], "8", "2 + 6"),
        ([{"content": "\ud83d"}, {"content": "\ude00"}], "\U0001f600", None),
        ([{"content": "half \ud83d"}], "half \ufffd", None),
        ([{"role": "assistant", "content": None}, {}], "", None),
        ([None, {"content": "8"}], "8", None),
    ],
)
async def test_texts_are_put_together(
    upstream: Upstream, opened: Opener, pieces: list[Any], text: str, reasoning: str | None
) -> None:
    parts: list[Event] = [{"choices": [{"index": 0, "delta": delta}]} for delta in pieces]
    events = [*parts, piece(0, end="stop"), stated(3), piece(1, "9", "length"), stated(16), DONE]
    counting(upstream, after_each, stream(*events))
    first, second = (await ask(await opened(), n=2, stop=("END",))).outputs
    assert (first.text, first.reasoning, first.finish, first.tokens) == (text, reasoning, "stop", 3)
    assert (second.text, second.finish, second.tokens) == ("9", "length", 16)


async def test_stop_strings_that_a_server_names(upstream: Upstream, opened: Opener) -> None:
    ends = [piece(i, "8", "stop") for i in range(2)]
    ends[0]["choices"][0]["stop_reason"] = "END"
    counting(upstream, after_each, stream(*ends, stated(6), DONE))
    outputs = (await ask(await opened(), n=2, stop=("END",))).outputs
    assert [o.stopped_by for o in outputs] == ["END", None]


async def test_cached_and_reasoning_tokens(upstream: Upstream, opened: Opener) -> None:
    def told(n: int, cached: int) -> Event:
        more = {
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": 1},
        }
        return {"choices": [], "usage": usage(7, n, **more)}

    events = [piece(0, "8", "stop"), told(2, 6), piece(1, "8", "stop"), told(3, 0), DONE]
    counting(upstream, after_each, stream(*events))
    used = (await ask(await opened(), n=2)).attempts[-1].usage
    assert (used.prompt_tokens, used.cached_tokens) == (7, 0)
    assert (used.completion_tokens, used.reasoning_tokens) == (5, 2)


@pytest.mark.parametrize("completion", [None, -3, True, "3", 10**12, 0, 40])
async def test_a_count_that_cannot_be_right_is_unknown(
    upstream: Upstream, opened: Opener, completion: Any
) -> None:
    events = [piece(0, "8", "stop"), stated(completion), piece(1, "8", "stop"), stated(3), DONE]
    counting(upstream, after_each, stream(*events))
    generation = await ask(await opened(), n=2, max_tokens=16)
    assert [o.tokens for o in generation.outputs] == [None, 3]
    assert generation.attempts[-1].usage.completion_tokens is None
    assert generation.attempts[-1].usage.prompt_tokens == 7


async def test_statements_that_disagree_on_the_prompt(upstream: Upstream, opened: Opener) -> None:
    events = [piece(0, "8", "stop"), stated(2, 7), piece(1, "8", "stop"), stated(3, 8), DONE]
    counting(upstream, after_each, stream(*events))
    used = (await ask(await opened(), n=2)).attempts[-1].usage
    assert (used.prompt_tokens, used.completion_tokens) == (None, 5)


async def test_a_sum_that_disagrees_with_its_parts(upstream: Upstream, opened: Opener) -> None:
    counting(upstream, each_and_once, stream(*with_each([2, 3], "stop"), stated(6), DONE))
    generation = await ask(await opened(), n=2)
    assert [o.tokens for o in generation.outputs] == [None, None]
    assert generation.attempts[-1].usage.completion_tokens is None


async def test_a_stream_that_counts_nothing(upstream: Upstream, opened: Opener) -> None:
    counting(upstream, after_each, stream(*never([1, 1], "stop"), DONE))
    generation = await ask(await opened(), n=2)
    assert [(o.text, o.tokens) for o in generation.outputs] == [("8", None)] * 2
    assert generation.attempts[-1].usage.tokens is None


async def test_an_answer_that_is_not_streamed(upstream: Upstream, opened: Opener) -> None:
    counting(upstream, after_each, Reply(chat("8", "9", usage=usage(7, 3))))
    generation = await ask(await opened(), n=2)
    assert [(o.text, o.tokens) for o in generation.outputs] == [("8", None), ("9", None)]
    assert generation.attempts[-1].usage.completion_tokens is None, "it counts one choice of plain answers"


async def test_fewer_choices_than_asked_for(upstream: Upstream, opened: Opener) -> None:
    counting(upstream, after_each, stream(*after_each([2], "stop"), DONE))
    engine = await opened()
    generation = await ask(engine, n=3)
    assert [o.tokens for o in generation.outputs] == [2, 3, 3], "the others had a request each"
    assert engine.capabilities.samples_per_call == 1


async def test_all_has_come_before_the_last_line(upstream: Upstream, opened: Opener) -> None:
    """The end of every choice ends a stream too."""
    counting(upstream, after_each, stream(*after_each([2, 3], "stop")))
    generation = await ask(await opened(), n=2)
    assert [o.tokens for o in generation.outputs] == [2, 3]
    assert generation.attempts[-1].status == "ok"


async def test_choices_without_a_finish_reason(upstream: Upstream, opened: Opener) -> None:
    counting(upstream, after_each, stream(piece(0, "8"), piece(1, "9"), stated(5), DONE))
    generation = await ask(await opened(), n=2)
    assert [(o.text, o.finish) for o in generation.outputs] == [("8", "stop"), ("9", "stop")]
    assert generation.attempts[-1].usage.completion_tokens == 5


# ---------------------------------------------------------------- hostile streams


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (b"data: {\n\n", "not JSON"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "not JSON"),
        (b"data: \xff\xfe\xfd\n\n", "not JSON"),
        (b"data: 8\n\n", "not a JSON object"),
        (piece(2, "8"), "no place among those asked for"),
        (piece(-1, "8"), "no place among those asked for"),
        (piece(True, "8"), "no place among those asked for"),
        (piece(None, "8"), "no place among those asked for"),
        (piece(0, 8), "not a string"),
        ({"choices": 3}, "not an object"),
        ({"choices": [3]}, "not an object"),
        ({"choices": [{"index": 0, "delta": "8"}]}, "not an object"),
        (b"data: " + b"x" * (2 << 20) + b"\n\n", "longer than 1024 KiB"),
        (b"x" * (2 << 20), "longer than 1024 KiB"),
        (DONE, "no choices"),
    ],
)
async def test_what_no_server_should_stream(
    upstream: Upstream, opened: Opener, event: Event | bytes, words: str
) -> None:
    counting(upstream, after_each, stream(event))
    generation = await ask(await opened(), n=2)
    assert words in assert_one_sentence(generation.error, BadResponse)
    assert generation.outputs == ()
    assert [a.status for a in generation.attempts] == ["ok", "ok", "failed"]
    assert generation.attempts[-1].usage.completion_tokens is None


async def test_a_stream_without_end(
    upstream: Upstream, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponder.engines._http_client.MOST_BYTES", 1 << 20)
    counting(upstream, after_each, stream(b": keep-alive\n\n" * (1 << 19)))
    generation = await ask(await opened(), n=2)
    assert "longer than 1 MiB" in assert_one_sentence(generation.error, BadResponse)
    assert upstream.broken_off.wait(5), "the rest was refused"


@given(
    datas=st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")), max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=40),
)
def test_events_are_the_same_however_they_are_cut(datas: list[str], end: str, sizes: list[int]) -> None:
    lines = [": here", "event: x", "id: 7"]
    for data in datas:
        lines += [f"data: {data}", ": still here", "data:more", "", ""]
    body = (end.join(lines) + end).encode()
    events, found, at = Events(), [], 0
    while at < len(body):
        size = sizes[at % len(sizes)]
        found += events.feed(body[at : at + size])
        at += size
    names = ["x"] + [""] * len(datas)
    assert found == [(name, f"{data}\nmore".encode()) for name, data in zip(names, datas, strict=False)]
