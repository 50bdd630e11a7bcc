"""The HTTP engine against an endpoint that answers well or badly as each test says."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from ponder.core import Generation, Message, Model, Prompt, Request
from ponder.engines.http import HttpEngine
from ponder.errors import (
    AuthFailed,
    BadResponse,
    CallFailed,
    ConfigError,
    EndpointDown,
    EngineError,
    ModelNotFound,
    RateLimited,
)
from tests.engines.upstream import Got, Reply, Upstream, chat, good, usage

PROMPT = Prompt((Message("user", "What is 2 + 6?"),), "2 + 6 =")
ONE = Reply(chat("8", usage=usage(7, 3)))
KEY = "sk-very-secret-0123456789"

Opener = Callable[..., Awaitable[HttpEngine]]


@pytest.fixture
async def opened(upstream: Upstream) -> AsyncIterator[Opener]:
    engines: list[HttpEngine] = []

    async def open_one(spec: str | None = None, **options: Any) -> HttpEngine:
        settings = {"backoff": 0.01, "retries": 2, "timeout": 5.0, **options}
        engines.append(await HttpEngine.from_spec(spec or f"{upstream.address}#M", **settings))
        return engines[-1]

    yield open_one
    for engine in engines:
        await engine.close()


async def ask(engine: HttpEngine, **request: Any) -> Generation:
    return await engine.start(Request(PROMPT, **{"max_tokens": 16, **request})).result()


def assert_one_sentence(error: BaseException | None, kind: type[EngineError]) -> str:
    assert type(error) is kind
    text = str(error)
    assert "\n" not in text
    assert text.endswith(".")
    assert KEY not in text
    return text


# ---------------------------------------------------------------- the address


async def test_the_only_model_is_taken(upstream: Upstream, opened: Opener) -> None:
    engine = await opened(upstream.address)
    assert engine.model == Model("M", f"{upstream.address}#M")


async def test_of_several_models_one_must_be_chosen(upstream: Upstream, opened: Opener) -> None:
    upstream.models = Reply({"data": [{"id": "a"}, {"id": "b\x1b[31m"}]})
    with pytest.raises(ModelNotFound) as caught:
        await opened(upstream.address)
    assert "serves a, b [31m: choose one" in assert_one_sentence(caught.value, ModelNotFound)


async def test_no_list_of_models_means_name_one(upstream: Upstream, opened: Opener) -> None:
    upstream.models = Reply(status=404)
    with pytest.raises(ModelNotFound, match="name one as"):
        await opened(upstream.address)


@pytest.mark.parametrize("spec", ["http://", "http://host:port/v1#M", "http://[::1/v1", "http:///v1#M"])
async def test_an_address_that_cannot_be_read(spec: str) -> None:
    with pytest.raises(ConfigError, match="write http://HOST:PORT/v1#MODEL"):
        await HttpEngine.from_spec(spec)


async def test_credentials_in_the_address_are_sent_and_never_shown(
    upstream: Upstream, opened: Opener
) -> None:
    engine = await opened(upstream.address.replace("//", "//me:pass%40word@") + "?version=2#M")
    upstream.always(ONE)
    assert (await ask(engine)).error is None
    assert upstream.got[-1].headers["authorization"] == "Basic bWU6cGFzc0B3b3Jk"
    assert upstream.got[-1].path == "/v1/chat/completions?version=2"
    shown = f"{engine.facts} {engine.model} {engine.where.address}"
    assert "pass" not in shown
    assert "me:" not in shown


async def test_no_key_but_its_own_is_sent(
    upstream: Upstream, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-service")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-service")
    await ask(await opened())
    await ask(await opened(api_key=KEY))
    without, with_key = (got.headers for got in upstream.got)
    assert "of-another-service" not in str(without) + str(with_key)
    assert "authorization" not in without
    assert with_key["authorization"] == f"Bearer {KEY}"


async def test_a_key_that_cannot_be_one(opened: Opener) -> None:
    with pytest.raises(ConfigError, match="PONDER_API_KEY"):
        await opened(api_key="sk-ü\n1")


# ---------------------------------------------------------------- the check before anything runs


async def test_check_passes_a_listed_model_without_a_completion(upstream: Upstream, opened: Opener) -> None:
    await (await opened()).check()
    assert [got.path for got in upstream.got] == ["/v1/models"]


async def test_check_finds_that_nothing_listens(opened: Opener) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        engine = await opened(f"http://127.0.0.1:{held.getsockname()[1]}/v1#M")
        with pytest.raises(EndpointDown) as caught:
            await engine.check()
    assert "start the server" in assert_one_sentence(caught.value, EndpointDown)


@pytest.mark.parametrize("status", [401, 403])
async def test_check_finds_a_refused_key(upstream: Upstream, opened: Opener, status: int) -> None:
    upstream.models = Reply({"error": {"message": f"Incorrect key {KEY}"}}, status=status)
    with pytest.raises(AuthFailed) as caught:
        await (await opened(api_key=KEY)).check()
    assert "PONDER_API_KEY" in assert_one_sentence(caught.value, AuthFailed)


async def test_check_finds_a_model_that_is_not_there(upstream: Upstream, opened: Opener) -> None:
    upstream.always(Reply({"error": {"message": "no such model"}}, status=404))
    with pytest.raises(ModelNotFound) as caught:
        await (await opened(f"{upstream.address}#other")).check()
    assert "'other': it serves M" in assert_one_sentence(caught.value, ModelNotFound)


async def test_check_lets_a_model_be_that_is_served_but_not_listed(
    upstream: Upstream, opened: Opener
) -> None:
    upstream.always(Reply({"error": {"message": "messages: too few"}}, status=400))
    await (await opened(f"{upstream.address}#deployment")).check()
    assert upstream.got[-1].body["messages"] == []


async def test_check_waits_for_a_server_that_is_loading(upstream: Upstream, opened: Opener) -> None:
    engine = await opened(retries=50)
    ready, upstream.models = upstream.models, Reply({"error": "loading"}, status=503)
    asyncio.get_running_loop().call_later(0.1, setattr, upstream, "models", ready)
    await engine.check()


async def test_check_finds_a_web_page(upstream: Upstream, opened: Opener) -> None:
    upstream.models = Reply(b"<!DOCTYPE html><html>hello</html>", content_type="text/html")
    with pytest.raises(BadResponse) as caught:
        await (await opened()).check()
    assert "web page" in assert_one_sentence(caught.value, BadResponse)


# ---------------------------------------------------------------- several samples


async def test_n_is_used_where_all_choices_are_given_and_counted(upstream: Upstream, opened: Opener) -> None:
    engine = await opened()
    generation = await ask(engine, n=5)
    trial, only = generation.attempts
    assert [o.text for o in generation.outputs] == [f"answer {i}" for i in range(5)]
    assert (trial.samples, trial.usage.completion_tokens, trial.usage.prompt_tokens) == (0, 2, 7)
    assert (only.samples, only.usage.completion_tokens, only.usage.prompt_tokens) == (5, 15, 7)
    assert [o.tokens for o in generation.outputs] == [None] * 5, "only their sum is known"
    await ask(engine, n=3)
    assert [body.get("n") for body in upstream.completions] == [5, 3], "the trial is held once"


def first_choice_only(got: Got) -> Reply:
    reply = good(got)
    reply.body["usage"]["completion_tokens"] //= got.body.get("n", 1)
    return reply


def one_choice_only(got: Got) -> Reply:
    return good(Got(got.path, got.headers, {**got.body, "n": 1}))


def no_choices(got: Got) -> Reply:
    if "n" in got.body:
        return Reply({"error": {"message": "Extra inputs are not permitted: 'n'"}}, status=422)
    return good(got)


def no_usage(got: Got) -> Reply:
    reply = good(got)
    if "n" in got.body:
        del reply.body["usage"]
    return reply


@pytest.mark.parametrize("server", [first_choice_only, one_choice_only, no_choices, no_usage])
async def test_otherwise_every_sample_has_a_request_and_a_count(
    upstream: Upstream, opened: Opener, server: Callable[[Got], Reply]
) -> None:
    upstream.answer = server
    engine = await opened(concurrency=1)
    generation = await ask(engine, n=4, seed=1)
    assert generation.error is None
    assert [o.tokens for o in generation.outputs] == [3] * 4
    assert engine.capabilities.samples_per_call == 1
    seeds = [body["seed"] for body in upstream.completions]
    assert len(set(seeds)) == 4
    again = await ask(engine, n=2, seed=1, offset=2)
    assert [body["seed"] for body in upstream.completions][4:] == seeds[2:]
    assert len(again.attempts) == 2


async def test_a_limit_on_n_is_found(upstream: Upstream, opened: Opener) -> None:
    def at_most_three(got: Got) -> Reply:
        if got.body.get("n", 1) > 3:
            return Reply({"error": {"message": "Field 'n': must be between 1 and 3"}}, status=400)
        return good(got)

    upstream.answer = at_most_three
    engine = await opened()
    generation = await ask(engine, n=8)
    assert generation.error is None
    assert len(generation.outputs) == 8
    assert engine.capabilities.samples_per_call == 2
    refused = [a for a in generation.attempts if a.status == "failed"]
    assert [a.usage.tokens for a in refused] == [0] * len(refused), "a refusal generates nothing"
    assert len(refused) == 2


async def test_a_server_that_later_returns_fewer_choices(upstream: Upstream, opened: Opener) -> None:
    engine = await opened()
    await ask(engine, n=2)
    upstream.answer = one_choice_only
    generation = await ask(engine, n=3)
    assert len(generation.outputs) == 3
    assert [o.tokens for o in generation.outputs] == [3, 3, 3]
    assert engine.capabilities.samples_per_call == 1


async def test_choices_come_in_the_order_of_their_index(upstream: Upstream, opened: Opener) -> None:
    shuffled = chat("a", "b", "c", usage=usage(7, 3))
    shuffled["choices"] = [shuffled["choices"][i] for i in (2, 0, 1)]
    upstream.always(Reply(shuffled))
    assert [o.text for o in (await ask(await opened(), n=3)).outputs] == ["a", "b", "c"]


async def test_every_request_but_the_first_asks_for_room(upstream: Upstream, opened: Opener) -> None:
    upstream.answer = first_choice_only
    engine = await opened()
    await ask(engine, n=2)
    room = iter([True, True, False])
    generation = await ask(engine, n=8, admit=lambda: next(room))
    assert generation.error is None
    assert len(generation.outputs) == len(generation.attempts) == 3


async def test_a_failed_sample_leaves_a_marked_gap(upstream: Upstream, opened: Opener) -> None:
    engine = await opened(samples_per_call=1, concurrency=1)
    upstream.always(ONE, Reply({"error": {"message": "bad luck"}}, status=400), ONE)
    generation = await ask(engine, n=3)
    assert type(generation.error) is CallFailed
    assert [(o.text, o.finish) for o in generation.outputs] == [("8", "stop"), ("", "failed"), ("8", "stop")]
    assert [(a.status, a.samples) for a in generation.attempts] == [("ok", 1), ("failed", 1), ("ok", 1)]


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
        ("8", {"reasoning": None, "reasoning_content": ""}, "8", None),
        ("<think>2 + 6</think>\n\n8", {}, "8", "2 + 6"),
        ("\n<think>\n2 + 6", {}, "", "2 + 6"),
        ("2 + 6</think>8", {}, "8", "2 + 6"),
        ("<think></think>8", {}, "8", None),
        ("a <think>b</think>", {}, "a <think>b</think>", None),
        (None, {}, "", None),
        (None, {"reasoning": "2 + 6"}, "", "2 + 6"),
        ([{"type": "text", "text": "8"}, {"type": "image"}], {}, "8", None),
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
    assert 0.3 <= time.monotonic() - began < 2, "twice as long as it says"
    assert_one_sentence(generation.error, RateLimited)
    assert [a.usage.tokens for a in generation.attempts] == [0, 0, 0]


async def test_a_wait_beyond_the_deadline_is_not_waited_for(upstream: Upstream, opened: Opener) -> None:
    upstream.always(Reply(status=429, headers={"retry-after": "Fri, 31 Dec 2100 23:59:59 GMT"}))
    began = time.monotonic()
    generation = await ask(await opened())
    assert time.monotonic() - began < 2
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
    upstream.always(Reply(ONE.body, delay=1.0))
    began = time.monotonic()
    generation = await ask(await opened(timeout=0.2))
    assert time.monotonic() - began < 0.8
    assert "within 0.2 s" in assert_one_sentence(generation.error, CallFailed)
    assert generation.attempts[0].usage.completion_tokens is None


async def test_an_endless_body_is_not_read_to_its_end(
    upstream: Upstream, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponder.engines._http_client.MOST_BYTES", 1 << 20)
    for status in (200, 400):
        upstream.always(Reply(b"x" * (8 << 20), status=status))
        generation = await ask(await opened())
        assert "longer than 1 MiB" in assert_one_sentence(generation.error, BadResponse)
        assert upstream.broken_off.wait(5), "the rest was refused"
        upstream.broken_off.clear()


async def test_a_prompt_that_no_json_can_hold(opened: Opener) -> None:
    prompt = Prompt((Message("user", "half a pair \ud800"),))
    generation = await (await opened()).start(Request(prompt)).result()
    assert_one_sentence(generation.error, CallFailed)


# ---------------------------------------------------------------- in flight


async def test_calls_run_side_by_side_within_the_bound(upstream: Upstream, opened: Opener) -> None:
    flying = most = 0

    def watch(got: Got) -> Reply:
        nonlocal flying, most
        with upstream.lock:
            flying += 1
            most = max(most, flying)
        time.sleep(0.05)
        with upstream.lock:
            flying -= 1
        return ONE

    upstream.answer = watch
    engine = await opened(concurrency=4)
    await asyncio.gather(*(ask(engine) for _ in range(12)))
    assert most == 4


async def test_cancelling_keeps_what_had_finished(upstream: Upstream, opened: Opener) -> None:
    engine = await opened(samples_per_call=1, concurrency=2)
    upstream.always(ONE, ONE, Reply(ONE.body, delay=1.0))
    call = engine.start(Request(PROMPT, n=5))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    call.cancel()
    generation = await call.result()
    assert time.monotonic() - began < 0.2
    assert generation.error is None
    assert [o.text for o in generation.outputs] == ["8", "8"]
    assert [a.status for a in generation.attempts] == ["ok", "ok", "cancelled", "cancelled"]
    assert generation.attempts[2].usage.completion_tokens is None


async def test_cancelled_before_it_began(upstream: Upstream, opened: Opener) -> None:
    call = (await opened()).start(Request(PROMPT, n=3))
    call.cancel()
    assert await call.result() == Generation((), ())
    assert upstream.got == []


async def test_closing_ends_what_is_in_flight(upstream: Upstream, opened: Opener) -> None:
    engine = await opened()
    upstream.always(Reply(ONE.body, delay=1.0))
    call = engine.start(Request(PROMPT))
    await asyncio.sleep(0.1)
    await engine.close()
    assert [a.status for a in (await call.result()).attempts] == ["cancelled"]
    assert_one_sentence((await ask(engine)).error, CallFailed)


def test_one_engine_serves_one_event_loop_after_another(upstream: Upstream) -> None:
    async def first() -> HttpEngine:
        engine = await HttpEngine.from_spec(f"{upstream.address}#M")
        assert (await ask(engine)).outputs
        await engine.desk().client.close()
        return engine

    async def second(engine: HttpEngine) -> None:
        assert (await ask(engine)).outputs
        await engine.close()

    asyncio.run(second(asyncio.run(first())))


# ---------------------------------------------------------------- both APIs


async def test_the_completions_api_continues_raw_text(upstream: Upstream, opened: Opener) -> None:
    answer = {"choices": [{"index": 0, "text": " 8<think>", "logprobs": {"token_logprobs": [-0.5, -1]}}]}
    upstream.always(Reply(answer))
    engine = await opened(api="completions")
    assert engine.capabilities.raw_text
    assert engine.capabilities.prefix
    (output,) = (await ask(engine, prefix=" 1", logprobs=True)).outputs
    assert upstream.completions[0]["prompt"] == "2 + 6 = 1"
    assert (output.text, output.logprobs, output.reasoning) == (" 8<think>", (-0.5, -1.0), None)
    assert engine.prompt_tokens_bound(PROMPT, " 1") == 9 + 16


async def test_chat_continues_a_prefix_only_where_the_server_can(upstream: Upstream, opened: Opener) -> None:
    assert not (await opened()).capabilities.prefix
    engine = await opened(prefill=True)
    assert engine.capabilities.prefix
    await ask(engine, prefix="It is")
    sent = upstream.completions[0]
    assert sent["messages"][-1] == {"role": "assistant", "content": "It is"}
    assert sent["continue_final_message"] is True
    assert engine.prompt_tokens_bound(PROMPT, "It is") == 14 + 16 + 5 + 16 + 256


@pytest.mark.parametrize("told", [None, [], {"content": [{}]}, {"content": [{"logprob": float("nan")}]}])
async def test_log_probabilities_that_are_not_there_are_unknown(
    upstream: Upstream, opened: Opener, told: Any
) -> None:
    answer = chat("8", usage=usage(7, 3))
    answer["choices"][0]["logprobs"] = told
    upstream.always(Reply(answer))
    assert (await ask(await opened(), logprobs=True)).outputs[0].logprobs is None


async def test_lists_of_log_probabilities_that_add_up_tell_each_samples_tokens(
    upstream: Upstream, opened: Opener
) -> None:
    answer = chat("8", "nine", usage=usage(7, 3))
    for choice, n in zip(answer["choices"], (1, 2), strict=True):
        choice["logprobs"] = {"content": [{"logprob": -0.5}] * n}
    upstream.always(Reply(answer))
    outputs = (await ask(await opened(), n=2, logprobs=True)).outputs
    assert [o.tokens for o in outputs] == [1, 2]
