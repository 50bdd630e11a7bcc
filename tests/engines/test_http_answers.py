"""The HTTP engine: what it believes of an answer, and what it makes of a failure."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from ponder.core import Message, Prompt, Request
from ponder.errors import (
    AuthFailed,
    BadResponse,
    CallFailed,
    CallTimeout,
    EndpointDown,
    EngineError,
    ModelNotFound,
    RateLimited,
)
from tests.engines.upstream import (
    KEY,
    ONE,
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

# ---------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("told", "prompt", "completion"),
    [
        (usage(7, 3), 7, 3),
        (None, None, None),
        ("many", None, None),
        (usage(7, -3), 7, None),
        (usage(-7, 3), None, 3),
        (usage("7", "3"), None, None),
        (usage(True, True), None, None),
        (usage(0, 0), None, None),
        (usage(7, 3.0), 7, None),
        (usage(10**12, 10**12), None, None),
        (usage(7, 17), 7, None),
        (usage(7, None), 7, None),
    ],
)
async def test_usage_is_believed_only_where_it_can_be_true(
    upstream: Upstream, opened: Opener, told: Any, prompt: int | None, completion: int | None
) -> None:
    upstream.always(Reply(chat("8", usage=told)))
    generation = await ask(await opened(), max_tokens=16)
    used = generation.attempts[0].usage
    assert (used.prompt_tokens, used.completion_tokens) == (prompt, completion)
    assert generation.outputs[0].tokens == completion


async def test_a_text_long_enough_proves_that_the_cap_was_broken(upstream: Upstream, opened: Opener) -> None:
    upstream.always(Reply(chat("word " * 100, usage=usage(7, 200))))
    assert (await ask(await opened(), max_tokens=16)).outputs[0].tokens == 200


async def test_cached_and_reasoning_tokens(upstream: Upstream, opened: Opener) -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    wrong = {
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    upstream.always(
        Reply(chat("8", usage=usage(7, 3, **details))), Reply(chat("8", usage=usage(7, 3, **wrong)))
    )
    engine = await opened()
    first, second = [(await ask(engine)).attempts[0].usage for _ in range(2)]
    assert (first.cached_tokens, first.reasoning_tokens) == (5, 2)
    assert (second.cached_tokens, second.reasoning_tokens) == (None, None)


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("content", "fields", "text", "reasoning"),
    [
        ("8", {"reasoning": "2 + 6"}, "8", "2 + 6"),
        ("8", {"reasoning_content": "2 + 6"}, "8", "2 + 6"),
        ("8", {"reasoning": "2 + 6", "reasoning_content": "2 + 6"}, "8", "2 + 6"),
        ("8", {"reasoning": "2 +", "reasoning_content": "6"}, "8", "2 +\n6"),
        ("8", {"reasoning": None, "reasoning_content": ""}, "8", None),
        ("<think>2 + 6</think>\n\n8", {}, "8", "2 + 6"),
        ("\n<think>\n2 + 6", {}, "", "2 + 6"),
        ("2 + 6</think>8", {}, "8", "2 + 6"),
        ("<think></think>8", {}, "8", None),
        ("a <think>b</think>", {}, "a <think>b</think>", None),
        (None, {}, "", None),
        (None, {"reasoning": "2 + 6"}, "", "2 + 6"),
        ([{"type": "text", "text": "8"}, {"type": "image"}], {}, "8", None),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "2 + 6"}]},
                {"type": "text", "text": "8"},
            ],
            {},
            "8",
            "2 + 6",
        ),
        ([{"type": "thinking", "thinking": "2 + 6"}, {"text": "8"}], {}, "8", "2 + 6"),
        ([{"type": "reasoning", "text": "2 + 6"}, {"type": "output_text", "text": "8"}], {}, "8", "2 + 6"),
        ("half \ud83d", {}, "half \ufffd", None),
    ],
)
async def test_text_and_reasoning(
    upstream: Upstream, opened: Opener, content: Any, fields: Any, text: str, reasoning: str | None
) -> None:
    upstream.always(Reply(chat(content, usage=usage(7, 3), **fields)))
    (output,) = (await ask(await opened())).outputs
    assert (output.text, output.reasoning) == (text, reasoning)


async def test_stop_strings_are_cut_here_too(upstream: Upstream, opened: Opener) -> None:
    upstream.always(Reply(chat("8 END 9", usage=usage(7, 3))))
    (output,) = (await ask(await opened(), stop=("a", "b", "c", "d", "END"))).outputs
    assert (output.text, output.finish, output.tokens) == ("8 ", "stop", 3)
    assert upstream.completions[0]["stop"] == ["a", "b", "c", "d"]


# ---------------------------------------------------------------- what a server does not take


def refusal(name: str) -> Callable[[Got], Reply]:
    def server(got: Got) -> Reply:
        if name in got.body:
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            if name == "max_tokens":
                message += " Use 'max_completion_tokens' instead."
            return Reply({"error": {"message": message, "param": name}}, status=400)
        return good(got)

    return server


@pytest.mark.parametrize("name", ["max_tokens", "logprobs", "seed", "stop"])
async def test_a_refused_parameter_is_left_out_from_then_on(
    upstream: Upstream, opened: Opener, name: str
) -> None:
    upstream.answer = refusal(name)
    engine = await opened()
    for failures in (1, 0):
        generation = await ask(engine, stop=("0",), logprobs=True)
        assert generation.error is None
        assert generation.outputs[0].text == "answer "
        assert [a.status for a in generation.attempts] == ["ok"] + ["failed"] * failures
    last = upstream.completions[-1]
    assert name not in last
    assert last.get("max_completion_tokens" if name == "max_tokens" else "max_tokens") == 16
    assert engine.capabilities.logprobs is (name != "logprobs")


async def test_a_refused_temperature_is_an_error(upstream: Upstream, opened: Opener) -> None:
    """Leaving it out would measure something else."""
    upstream.answer = refusal("temperature")
    generation = await ask(await opened())
    assert "'temperature' is not supported" in assert_one_sentence(generation.error, CallFailed)
    assert len(generation.attempts) == 1


# ---------------------------------------------------------------- failures


async def test_500_then_ok(upstream: Upstream, opened: Opener) -> None:
    upstream.always(Reply(b"oops", status=500), Reply(status=502), ONE)
    generation = await ask(await opened())
    assert generation.error is None
    assert [a.status for a in generation.attempts] == ["failed", "failed", "ok"]
    failed = generation.attempts[0].usage
    assert (failed.calls, failed.prompt_tokens, failed.completion_tokens) == (1, None, None)


async def test_retries_stop_when_the_budget_has_no_room(upstream: Upstream, opened: Opener) -> None:
    upstream.always(Reply(status=500))
    generation = await ask(await opened(), admit=lambda: False)
    assert len(generation.attempts) == 1
    assert_one_sentence(generation.error, CallFailed)


async def test_429_for_ever(upstream: Upstream, opened: Opener) -> None:
    upstream.always(Reply(status=429, headers={"retry-after": "0.15"}))
    began = time.monotonic()
    generation = await ask(await opened())
    assert time.monotonic() - began >= 0.3, "twice as long as it says"
    assert_one_sentence(generation.error, RateLimited)
    assert [a.usage.tokens for a in generation.attempts] == [0, 0, 0]


async def test_a_wait_beyond_the_deadline_is_not_waited_for(upstream: Upstream, opened: Opener) -> None:
    upstream.always(Reply(status=429, headers={"retry-after": "Fri, 31 Dec 2100 23:59:59 GMT"}))
    began = time.monotonic()
    generation = await ask(await opened())
    assert time.monotonic() - began < 4
    assert_one_sentence(generation.error, RateLimited)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply({"error": {"message": "no"}}, status=401), AuthFailed, "PONDER_API_KEY"),
        (Reply({"error": {"message": "no"}}, status=404), ModelNotFound, "it serves M"),
        (
            Reply({"error": {"message": "The model `M` does not exist"}}, status=400),
            ModelNotFound,
            "it serves M",
        ),
        (Reply({"detail": [{"msg": f"too\x00 long\n{KEY}"}]}, status=400), CallFailed, "too long ***"),
        (Reply({"error": {"message": "x" * 9000}}, status=400), CallFailed, "xxx…"),
        (Reply(b"<html><body>hi</body></html>", content_type="text/html"), BadResponse, "web page"),
        (Reply(b"[" * 100_000), BadResponse, "not JSON"),
        (Reply([]), BadResponse, "not a JSON object"),
        (Reply({"choices": []}), BadResponse, "no choices"),
        (Reply({"choices": [3]}), BadResponse, "not an object"),
        (Reply({"choices": [{"index": 0}]}), BadResponse, "no message"),
        (Reply({"choices": [{"message": {"content": 8}}]}), BadResponse, "not a string"),
        (Reply({"error": {"message": "cold", "code": 400}}), CallFailed, "cold"),
        (Reply(b"\x1f\x8b", headers={"content-encoding": "gzip"}), BadResponse, "compressed"),
    ],
)
async def test_what_no_repetition_helps_is_not_repeated(
    upstream: Upstream, opened: Opener, reply: Reply, kind: type[EngineError], words: str
) -> None:
    upstream.always(reply)
    generation = await ask(await opened(api_key=KEY))
    assert words in assert_one_sentence(generation.error, kind)
    assert generation.outputs == ()
    assert [a.status for a in generation.attempts] == ["failed"]
    assert KEY not in str(generation.attempts)


async def test_a_passing_error_inside_a_success_is_repeated(upstream: Upstream, opened: Opener) -> None:
    upstream.always(Reply({"error": {"message": "provider is down", "code": 502}}), ONE)
    assert (await ask(await opened())).outputs[0].text == "8"


async def test_a_truncated_body_is_repeated(upstream: Upstream, opened: Opener) -> None:
    whole = json.dumps(ONE.body).encode()
    upstream.always(Reply(whole[:40], declared=len(whole)), ONE)
    generation = await ask(await opened())
    assert [a.status for a in generation.attempts] == ["failed", "ok"]
    assert "broke off" in str(generation.attempts[0].error)
    assert generation.attempts[0].usage.completion_tokens is None


async def test_nothing_listens(opened: Opener) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        engine = await opened(f"http://127.0.0.1:{held.getsockname()[1]}/v1#M")
        generation = await ask(engine)
    assert_one_sentence(generation.error, EndpointDown)
    assert [a.usage.tokens for a in generation.attempts] == [0, 0, 0]


async def test_a_slow_answer_meets_the_deadline(upstream: Upstream, opened: Opener) -> None:
    upstream.always(Reply(ONE.body, delay=10.0))
    began = time.monotonic()
    generation = await ask(await opened(timeout=0.2))
    assert time.monotonic() - began < 5
    assert "within 0.2 s" in assert_one_sentence(generation.error, CallTimeout)
    assert generation.attempts[0].usage.completion_tokens is None


async def test_an_endless_body_is_not_read_to_its_end(
    upstream: Upstream, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponder.engines._http_client.MOST_BYTES", 1 << 20)
    told: list[tuple[int, type[EngineError], str]] = [
        (200, BadResponse, "longer than 1 MiB"),
        (400, CallFailed, "answered 400: no reason given"),
    ]
    for status, kind, words in told:
        upstream.always(Reply(b"x" * (8 << 20), status=status))
        generation = await ask(await opened())
        assert words in assert_one_sentence(generation.error, kind)
        assert upstream.broken_off.wait(5), "the rest was refused"
        upstream.broken_off.clear()


async def test_a_prompt_that_no_json_can_hold(opened: Opener) -> None:
    prompt = Prompt((Message("user", "half a pair \ud800"),))
    generation = await (await opened()).start(Request(prompt)).result()
    assert_one_sentence(generation.error, CallFailed)
