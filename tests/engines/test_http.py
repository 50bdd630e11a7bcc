"""The HTTP engine: addresses, the check, several samples a request, calls in flight, both APIs."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponder.core import Generation, Model, Request, Usage
from ponder.engines._http_client import Address, Client
from ponder.engines.http import HttpEngine
from ponder.errors import (
    AuthFailed,
    BadResponse,
    CallFailed,
    ConfigError,
    EndpointDown,
    ModelNotFound,
)
from tests.engines.upstream import (
    KEY,
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


async def test_a_password_of_the_netrc_file_stays_there(
    upstream: Upstream, opened: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password of-another-service\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    await ask(await opened())
    assert "authorization" not in upstream.got[-1].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirection_is_told_and_not_followed(
    upstream: Upstream, opened: Opener, status: int
) -> None:
    with Upstream() as other:
        where = f"{other.address}/chat/completions"
        upstream.answer = lambda got: Reply(status=status, headers={"location": where}, body=b"")
        generation = await ask(await opened(api_key=KEY))
        assert not other.got
    assert where in assert_one_sentence(generation.error, CallFailed)
    assert len(upstream.completions) == 1, "it is not tried again"
    assert sum((attempt.usage for attempt in generation.attempts), Usage()).tokens == 0


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


async def test_the_requests_of_a_call_share_the_room_that_was_made_for_it(
    upstream: Upstream, opened: Opener
) -> None:
    upstream.answer = first_choice_only
    engine = await opened()
    await ask(engine, n=2)
    generation = await ask(engine, n=8, admit=lambda: False)
    assert generation.error is None
    assert len(generation.outputs) == 8
    assert [attempt.asked for attempt in generation.attempts] == [1] * 8


async def test_a_failed_sample_leaves_a_marked_gap(upstream: Upstream, opened: Opener) -> None:
    engine = await opened(samples_per_call=1, concurrency=1)
    upstream.always(ONE, Reply({"error": {"message": "bad luck"}}, status=400), ONE)
    generation = await ask(engine, n=3)
    assert type(generation.error) is CallFailed
    assert [(o.text, o.finish) for o in generation.outputs] == [("8", "stop"), ("", "failed"), ("8", "stop")]
    assert [(a.status, a.samples) for a in generation.attempts] == [("ok", 1), ("failed", 1), ("ok", 1)]


# ---------------------------------------------------------------- in flight


async def test_calls_run_side_by_side_within_the_bound(upstream: Upstream, opened: Opener) -> None:
    flying, most, four = 0, 0, threading.Barrier(4)

    def watch(got: Got) -> Reply:
        nonlocal flying, most
        with upstream.lock:
            flying += 1
            most = max(most, flying)
        four.wait(20)
        time.sleep(0.05)  # in which a fifth would come
        with upstream.lock:
            flying -= 1
        return ONE

    upstream.answer = watch
    engine = await opened(concurrency=4)
    await asyncio.gather(*(ask(engine) for _ in range(12)))
    assert most == 4


async def test_cancelling_keeps_what_had_finished(upstream: Upstream, opened: Opener) -> None:
    engine = await opened(samples_per_call=1, concurrency=1)
    upstream.always(ONE, ONE, Reply(ONE.body, delay=10.0))
    call = engine.start(Request(PROMPT, n=5))
    while len(upstream.got) < 3:
        await asyncio.sleep(0.01)
    began = time.monotonic()
    call.cancel()
    generation = await call.result()
    assert time.monotonic() - began < 3
    assert generation.error is None
    assert [o.text for o in generation.outputs] == ["8", "8"]
    assert [a.status for a in generation.attempts] == ["ok", "ok", "cancelled"]
    assert generation.attempts[2].usage.completion_tokens is None


async def test_cancelled_before_it_began(upstream: Upstream, opened: Opener) -> None:
    call = (await opened()).start(Request(PROMPT, n=3))
    call.cancel()
    assert await call.result() == Generation((), ())
    assert upstream.got == []


async def test_closing_ends_what_is_in_flight(upstream: Upstream, opened: Opener) -> None:
    engine = await opened()
    upstream.always(Reply(ONE.body, delay=10.0))
    call = engine.start(Request(PROMPT))
    while not upstream.got:
        await asyncio.sleep(0.01)
    await engine.close()
    assert [a.status for a in (await call.result()).attempts] == ["cancelled"]
    assert_one_sentence((await ask(engine)).error, CallFailed)


def test_one_engine_serves_one_event_loop_after_another_and_leaves_no_connection(upstream: Upstream) -> None:
    engine = HttpEngine(Address.parse(upstream.address), Model("M", "M"))

    async def once() -> Client:
        assert (await ask(engine)).outputs
        return engine.desk().client

    clients = [asyncio.run(once()) for _ in range(3)]
    assert len(set(map(id, clients))) == 3
    assert all(client.closed for client in clients)


async def test_closing_closes_the_connections(upstream: Upstream, opened: Opener) -> None:
    engine = await opened()
    assert (await ask(engine)).outputs
    client = engine.desk().client
    assert not client.closed
    await engine.close()
    assert client.closed


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
