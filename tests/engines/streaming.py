"""Servers on loopback that stream their answers, and state their tokens in one manner or another."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.engines.upstream import Got, Reply, Upstream, good, tried, usage

Event = dict[str, Any]
DONE = b"data: [DONE]\n\n"


def piece(place: Any, text: Any = None, end: str | None = None, **delta: Any) -> Event:
    """A part of one choice; `end` is its finish reason."""
    said = delta if text is None else {"content": text, **delta}
    return {"choices": [{"index": place, "delta": said, "finish_reason": end}]}


def stated(completion: Any, prompt: int = 7) -> Event:
    return {"choices": [], "usage": usage(prompt, completion)}


def wire(*events: Event | bytes) -> bytes:
    return b"".join(
        event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in events
    )


def stream(*events: Event | bytes, **more: Any) -> Reply:
    return Reply(wire(*events), content_type="text/event-stream", **more)


def after_each(lengths: Sequence[int], end: str) -> list[Event]:
    """As llama.cpp does by chat: in the event after a choice's end."""
    events = [piece(i, "8") for i in range(len(lengths))]
    for i in reversed(range(len(lengths))):
        events += [piece(i, end=end), stated(lengths[i])]
    return events


def with_each(lengths: Sequence[int], end: str) -> list[Event]:
    """As llama.cpp does by completions: beside a choice's end."""
    return [{**piece(i, "8", end), "usage": usage(7, n)} for i, n in enumerate(lengths)]


def once(lengths: Sequence[int], end: str) -> list[Event]:
    """As OpenAI and vLLM do, which also say null before."""
    events = [{**piece(i, "8", end), "usage": None} for i in range(len(lengths))]
    return [*events, stated(sum(lengths))]


def with_the_last(lengths: Sequence[int], end: str) -> list[Event]:
    *events, last = [piece(i, "8", end) for i in range(len(lengths))]
    return [*events, {**last, "usage": usage(7, sum(lengths))}]


def each_and_once(lengths: Sequence[int], end: str) -> list[Event]:
    return [*with_each(lengths, end), stated(sum(lengths))]


def the_first(lengths: Sequence[int], end: str) -> list[Event]:
    return [*(piece(i, "8", end) for i in range(len(lengths))), stated(lengths[0])]


def running(lengths: Sequence[int], end: str) -> list[Event]:
    """The sum so far, beside every piece."""
    return [{**piece(i, "8", end), "usage": usage(7, sum(lengths[: i + 1]))} for i, _ in enumerate(lengths)]


def each_and_another_sum(lengths: Sequence[int], end: str) -> list[Event]:
    return [*with_each(lengths, end), stated(sum(lengths) + 1)]


def never(lengths: Sequence[int], end: str) -> list[Event]:
    return [piece(i, "8", end) for i in range(len(lengths))]


Manner = Callable[[Sequence[int], str], list[Event]]


def counting(upstream: Upstream, manner: Manner, *replies: Reply) -> None:
    """A server that counts one choice in a plain answer, and in this manner when it streams: choice i takes
    i + 2 tokens. Its streams are `replies` first, trials aside."""
    waiting = list(replies)

    def answer(got: Got) -> Reply:
        n = got.body.get("n", 1)
        if not got.body.get("stream"):
            plain = good(got)
            plain.body["usage"]["completion_tokens"] //= n
            return plain
        assert got.body["stream_options"] == {"include_usage": True}
        if tried(got.body):
            return stream(*manner([1] * n, "length"), DONE)
        with upstream.lock:
            return waiting.pop(0) if waiting else stream(*manner(range(2, n + 2), "stop"), DONE)

    upstream.answer = answer
