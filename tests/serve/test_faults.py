"""A server that is told to end, upstreams that fail."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ponder.ledger import Ledger, verify
from ponder.serve import server
from ponder.serve.failing import ApiError
from ponder.serve.house import Options, run_of
from ponder.serve.room import Room
from tests.engines.upstream import Got, Reply, Upstream, chat, tried, usage
from tests.serve.serving import Serving, key_file, serving, settled_runs, thinker, written
from tests.serve.test_purse import CHILD, charges

ASKED: dict[str, Any] = {
    "model": "ponder",
    "messages": [{"role": "user", "content": "What is 9 + 4?"}],
    "reasoning_effort": "minimal",
}


def post(served: Serving, **more: Any) -> httpx2.Response:
    return httpx2.post(f"{served.address}/v1/chat/completions", json={**ASKED, **more}, timeout=30)


# ---------------------------------------------------------------- the end


@pytest.mark.slow
async def test_a_signal_ends_fifty_streams_within_five_seconds(tmp_path: Path) -> None:
    _, keys = key_file(tmp_path, alice="user 1000requests")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(tmp_path), "60", stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    address = (await child.stdout.readline()).decode().strip()
    opened = asyncio.Semaphore(0)

    async def follow(client: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> str:
        text = ""
        async with client.stream("POST", f"{address}/v1/{path}", json=body) as answer:
            assert answer.status_code == 200
            async for piece in answer.aiter_text():
                if not text:
                    opened.release()
                text += piece
        return text

    headers = {"authorization": f"Bearer {keys['alice']}"}
    limits = httpx2.Limits(max_connections=60)
    async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=60) as client:
        responses = {"model": "ponder", "input": "Hi", "stream": True}
        streams = [
            asyncio.ensure_future(
                follow(client, "responses", responses)
                if i % 2
                else follow(client, "chat/completions", {**ASKED, "stream": True})
            )
            for i in range(50)
        ]
        for _ in range(50):
            await asyncio.wait_for(opened.acquire(), 30)
        began = time.monotonic()
        child.send_signal(signal.SIGTERM)
        texts = await asyncio.wait_for(asyncio.gather(*streams), 10)
        await asyncio.wait_for(child.wait(), 10)
        took = time.monotonic() - began
    assert took < 5.0
    for i, text in enumerate(texts):
        last = [line for line in text.splitlines() if line.startswith("data: {")][-1]
        event = json.loads(last.removeprefix("data: "))
        error = event["response"]["error"] if i % 2 else event["error"]
        assert "closing" in error["message"]
    assert settled_runs(tmp_path / "ledger.sqlite") == ["interrupted"] * 50
    assert len(charges(tmp_path / "ledger.sqlite")) == 50
    assert verify(tmp_path / "ledger.sqlite").ok


@pytest.mark.slow
async def test_a_signal_ends_hundreds_of_streams_and_each_is_told(tmp_path: Path) -> None:
    _, keys = key_file(tmp_path, alice="user 600requests")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(tmp_path), "60", stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    port = int((await child.stdout.readline()).decode().strip().rpartition(":")[2])
    asked = written({**ASKED, "stream": True}, f"authorization: Bearer {keys['alice']}")

    async def begin() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        return reader, writer

    streams = [each for _ in range(6) for each in await asyncio.gather(*(begin() for _ in range(50)))]
    child.send_signal(signal.SIGTERM)
    texts = await asyncio.gather(*(reader.read() for reader, _ in streams))
    for _, writer in streams:
        writer.close()
    assert await child.wait() == 0
    assert sum(b"closing" in text for text in texts) == 300
    assert settled_runs(tmp_path / "ledger.sqlite") == ["interrupted"] * 300
    settled = charges(tmp_path / "ledger.sqlite")
    assert len({charge["request"] for charge in settled}) == len(settled) == 300
    assert verify(tmp_path / "ledger.sqlite").ok


def test_streams_are_told_however_long_their_settling_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACE_SECONDS", 1.8)  # longer than connections are waited for
    with (
        serving(tmp_path, thinker(seconds=60)) as served,
        httpx2.stream(
            "POST", f"{served.address}/v1/chat/completions", json={**ASKED, "stream": True}, timeout=30
        ) as answer,
    ):
        lines = answer.iter_lines()
        first = next(lines)
        served.server.should_exit = True
        told = "".join(lines)
    assert first.startswith("data: {")
    assert "The server is closing" in told
    assert settled_runs(served.ledger) == ["interrupted"]


# ---------------------------------------------------------------- upstreams


def behind(tmp_path: Path, upstream: Upstream, **settings: Any) -> Any:
    options = {"retries": 0, "timeout": 5.0, "api_key": "sk-upstream-secret-1", **settings}
    return serving(tmp_path, model=f"{upstream.address}#M", **options)


THOUGHT = "The secret thought goes on and on about what is to be done with nine and four."


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (Reply({"error": {"message": f"boom /etc/passwd {THOUGHT}"}}, status=500), 502, "upstream_failed"),
        (Reply({"error": {"message": "no"}}, status=401), 502, "upstream_failed"),
        (Reply({"error": {"message": "gone"}}, status=404), 502, "upstream_failed"),
        (Reply({"error": {"message": "slow down"}}, status=429), 503, "busy"),
        (Reply(b"<html>not json"), 502, "upstream_failed"),
        (Reply({"choices": []}), 502, "upstream_failed"),
        (Reply(b'{"choices": [{"message"', declared=4000), 502, "upstream_failed"),
        (Reply(chat("late"), delay=2.5), 504, "upstream_timeout"),
    ],
)
def test_an_upstream_that_fails_is_a_502_or_504_without_its_words(
    tmp_path: Path, reply: Reply, status: int, code: str
) -> None:
    patience = 1.0 if reply.delay else 20.0
    with Upstream() as upstream, behind(tmp_path, upstream, timeout=patience) as served:
        upstream.always(reply)
        answer = post(served)
        streamed = post(served, stream=True)
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == code
        assert ("retry-after" in answer.headers) == (status == 503)
        last = [line for line in streamed.text.splitlines() if line.startswith("data: {")][-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == code
        for text in (answer.text, streamed.text):
            for inside in ("passwd", "secret", upstream.address, "127.0.0.1", "Traceback"):
                assert inside not in text
        with Ledger.open(served.ledger, write=False) as ledger:
            failed = [e for run in ledger.runs() for e in ledger.events(run.id) if e.kind == "failed"]
    assert len(failed) == 2
    assert failed[0].detail["message"]


def test_a_failure_without_room_for_another_try_is_a_502_and_no_empty_answer(tmp_path: Path) -> None:
    with Upstream() as upstream, behind(tmp_path, upstream, retries=3) as served:
        upstream.always(Reply({"error": {"message": "boom"}}, status=500))
        answer = post(served, max_completion_tokens=64, ponder={"budget": {"tokens": 1000}, "summary": False})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")


def test_an_upstream_that_went_away_is_a_502(tmp_path: Path) -> None:
    upstream = Upstream()
    upstream.models = Reply(upstream.models.body, headers={"connection": "close"})
    upstream.__enter__()
    with behind(tmp_path, upstream) as served:
        upstream.__exit__()
        assert post(served).status_code == 502


def thinking(**message: Any) -> Callable[[Got], Reply]:
    def answer(got: Got) -> Reply:
        count = got.body.get("n", 1)
        if tried(got.body):
            return Reply(chat(*["x"] * count, usage=usage(7, count)))
        content = message.get("content", "Answer: 13")
        fields = {name: value for name, value in message.items() if name != "content"}
        return Reply(chat(content, usage=usage(7, 30), **fields))

    return answer


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ({"reasoning": THOUGHT}, "13"),
        ({"reasoning_content": THOUGHT}, "13"),
        ({"reasoning": THOUGHT, "reasoning_content": THOUGHT}, "13"),
        ({"content": f"<think>{THOUGHT}</think>Answer: 13"}, "13"),
        ({"content": f"{THOUGHT}</think>Answer: 13"}, "13"),
        ({"content": f"<think>{THOUGHT}"}, ""),
        ({"content": f"{THOUGHT}\nAnswer: 13"}, "13"),
    ],
)
def test_a_thought_is_hidden_in_whatever_form_it_comes(
    tmp_path: Path, message: dict[str, Any], shown: str
) -> None:
    with Upstream() as upstream, behind(tmp_path, upstream) as served:
        upstream.answer = thinking(**message)
        answer = post(served, ponder={"summary": False})
        streamed = post(served, stream=True)
    assert answer.json()["choices"][0]["message"]["content"] == shown
    assert answer.json()["usage"]["completion_tokens"] == 30
    assert "secret thought" not in answer.text
    assert "secret thought" not in streamed.text


def test_wrong_counts_are_unknown_and_charged_in_full(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user 100000tok")
    with Upstream() as upstream, behind(tmp_path, upstream, keys=path) as served:
        upstream.always(Reply(chat("Answer: 13", usage=usage(-5, "many"))))
        headers = {"authorization": f"Bearer {keys['alice']}"}
        body = {**ASKED, "reasoning_effort": "none", "max_tokens": 50}
        answer = httpx2.post(f"{served.address}/v1/chat/completions", json=body, headers=headers)
        (charge,) = charges(served.ledger)
    assert answer.json()["usage"]["completion_tokens"] is None
    assert answer.json()["ponder"]["flop"] is None
    assert charge["charged"]["tokens"] >= 50


def test_whatever_goes_wrong_behind_the_thought_the_request_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, keys = key_file(tmp_path, alice="user 100000tok")

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ponder.serve.house._Request._hidden_tokens", fail)
    with serving(tmp_path, thinker(), keys=path) as served:
        headers = {"authorization": f"Bearer {keys['alice']}"}
        body = {**ASKED, "max_tokens": 30}
        answer = httpx2.post(f"{served.address}/v1/chat/completions", json=body, headers=headers, timeout=30)
        assert served.server.house.purse.running == 0
    assert answer.status_code == 500
    assert settled_runs(served.ledger) == ["failed"]
    assert [charge["charged"]["tokens"] > 0 for charge in charges(served.ledger)] == [True]


def test_more_requests_than_may_be_in_flight_are_told_to_wait(tmp_path: Path) -> None:
    async def many(served: Serving) -> list[httpx2.Response]:
        async with httpx2.AsyncClient(limits=httpx2.Limits(max_connections=30), timeout=30) as client:
            url = f"{served.address}/v1/chat/completions"
            return await asyncio.gather(*(client.post(url, json=ASKED) for _ in range(30)))

    with serving(tmp_path, thinker(seconds=1.0), options=Options(concurrency=4)) as served:
        answers = asyncio.run(many(served))
    assert sum(answer.status_code == 200 for answer in answers) >= 4
    busy = [answer for answer in answers if answer.status_code == 429]
    assert busy
    assert busy[0].headers["retry-after"] == "1"


@pytest.mark.slow
async def test_a_full_disk_refuses_new_work_and_loses_nothing(tmp_path: Path) -> None:
    _, keys = key_file(tmp_path, alice="user 1000000requests")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(tmp_path), "0", "1500000", stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    address = (await child.stdout.readline()).decode().strip()
    answered: list[str] = []
    headers = {"authorization": f"Bearer {keys['alice']}"}
    try:
        async with httpx2.AsyncClient(headers=headers, timeout=3) as client:
            body = {**ASKED, "messages": [{"role": "user", "content": "What is 9 + 4? " * 300}]}
            with contextlib.suppress(httpx2.ReadTimeout):  # who was thought for when it filled waits for room
                while True:
                    answer = await client.post(f"{address}/v1/chat/completions", json=body)
                    if answer.status_code != 200:
                        break
                    answered.append(answer.json()["id"])
            answer = await client.post(f"{address}/v1/chat/completions", json=body)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json()["error"]["code"] == "no_record"
            assert "ledger" not in answer.text
            assert (await client.post(f"{address}/v1/chat/completions", json=body)).status_code == 503
            assert (await client.get(f"{address}/v1/models")).status_code == 200
    finally:
        child.send_signal(signal.SIGTERM)
        await asyncio.wait_for(child.wait(), 10)
    assert len(answered) > 3
    place = tmp_path / "ledger.sqlite"
    with (
        serving(tmp_path, thinker(), keys=tmp_path / "keys.toml") as served,
        Ledger.open(place, write=False) as ledger,
    ):
        for identity in answered:
            events = [event.kind for event in ledger.events(run_of(identity))]
            assert events[-2:] == ["told", "finished"]
        again = httpx2.post(f"{served.address}/v1/chat/completions", json=ASKED, headers=headers)
        assert again.status_code == 200
    assert verify(place).ok


def test_a_server_goes_on_by_itself_when_there_is_room_again(small_disk: Path) -> None:
    path, keys = key_file(small_disk, alice="user 1000requests")
    headers = {"authorization": f"Bearer {keys['alice']}"}
    other = small_disk / "other"

    def ask(served: Serving, **more: Any) -> httpx2.Response:
        url = f"{served.address}/v1/chat/completions"
        return httpx2.post(url, json={**ASKED, **more}, headers=headers, timeout=60)

    with (
        serving(small_disk, thinker(seconds=1.5), keys=path) as served,
        ThreadPoolExecutor(8) as pool,
    ):
        house = served.server.house
        waiting = [pool.submit(ask, served, stream=i % 2 == 1) for i in range(4)]
        wait_for(lambda: house.purse.running == 4 and not house.room.beginning)
        with contextlib.suppress(OSError), other.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        wait_for(lambda: house.room.full)
        refused = [ask(served), ask(served, stream=True)]
        assert not any(each.done() for each in waiting)
        other.unlink()
        told = [each.result(30) for each in waiting]
        wait_for(lambda: not house.room.full)
        later = ask(served)
        running = house.purse.running
        (account,) = house.purse.accounts.values()
        held = [tally.held for tally in account.tallies.values()]
    assert [each.status_code for each in refused] == [503, 503]
    assert [each.status_code for each in (*told, later)] == [200] * 5
    assert all("13" in each.text for each in told)
    assert running == 0
    assert set(held) == {0}
    settled = charges(served.ledger)
    assert len({charge["request"] for charge in settled}) == len(settled) == 5
    assert settled_runs(served.ledger) == ["finished"] * 5
    assert verify(served.ledger).ok


async def test_whoever_waits_to_begin_on_a_full_disk_is_refused_at_once() -> None:
    room, begun = Room(), asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(room.begun(begun))
    await asyncio.sleep(0)
    room.tell(True)
    with pytest.raises(ApiError) as refused:
        await asyncio.wait_for(waiting, 5)
    assert (refused.value.status, refused.value.code) == (503, "no_record")
    assert not room.beginning
    with pytest.raises(ApiError):
        room.check()
    room.tell(False)
    room.check()


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.02)
