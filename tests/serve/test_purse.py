"""Keys over time: with a real server, many at once, and across a kill."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from ponder.ledger import Ledger, Row, verify
from ponder.serve.failing import ApiError
from ponder.serve.keys import Key
from ponder.serve.metering import report
from ponder.serve.purse import KILLED, RUN, Purse
from tests.serve.browsing import Browsing
from tests.serve.serving import Serving, key_file, serving, thinker

BODY: dict[str, Any] = {
    "model": "ponder",
    "messages": [{"role": "user", "content": "What is 9 + 4?"}],
    "reasoning_effort": "none",
    "max_tokens": 6,
}


async def at_once(served: Serving, key: str, many: int, body: dict[str, Any]) -> list[httpx2.Response]:
    headers, limits = {"authorization": f"Bearer {key}"}, httpx2.Limits(max_connections=many)
    async with httpx2.AsyncClient(limits=limits, timeout=60, headers=headers) as client:
        url = f"{served.address}/v1/chat/completions"
        return await asyncio.gather(*(client.post(url, json=body) for _ in range(many)))


def charges(ledger: Path) -> list[dict[str, Any]]:
    with Ledger.open(ledger, write=False) as store:
        return [dict(event.detail) for event in store.events(RUN) if event.kind == "settled"]


@pytest.mark.parametrize(
    ("limits", "unit"),
    [("10requests", "requests"), ("10samples/day", "samples"), ("100tok", "tokens"), ("200000flop", "flop")],
)
async def test_many_at_once_never_overspend(tmp_path: Path, limits: str, unit: str) -> None:
    path, keys = key_file(tmp_path, alice=f"user {limits}")
    amount = float(limits.rstrip("/day").rstrip("abcdefghijklmnopqrstuvwxyz"))
    with serving(tmp_path, thinker(seconds=0.1), keys=path) as served:
        answers = await at_once(served, keys["alice"], 64, BODY)
        settled = charges(served.ledger)
    right = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(right) + len(refused) == 64
    assert 1 <= len(right) < 64
    assert sum(charge["charged"][unit] for charge in settled) <= amount
    assert len(settled) == len(right)
    error = refused[0].json()["error"]
    assert error["type"] == "rate_limit_error"
    assert error["param"] == unit
    if limits.endswith("/day"):
        assert 0 < int(refused[0].headers["retry-after"]) <= 86400
    else:
        assert "retry-after" not in refused[0].headers


async def test_ten_of_sixty_four_where_there_is_room_for_ten(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user 10requests/day")
    with serving(tmp_path, thinker(seconds=0.2), keys=path) as served:
        answers = await at_once(served, keys["alice"], 64, BODY)
    assert sum(answer.status_code == 200 for answer in answers) == 10


async def test_what_was_not_used_is_given_back(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user 60tok/day")
    with serving(tmp_path, thinker(), keys=path) as served:
        body = {**BODY, "max_tokens": 30, "messages": [{"role": "user", "content": "Hi"}]}
        for _ in range(2):
            (answer,) = await at_once(served, keys["alice"], 1, body)
            assert answer.status_code == 200, answer.text
        (answer,) = await at_once(served, keys["alice"], 1, body)
        assert answer.status_code == 429  # twice 1 + 15 are spent, and 31 may be needed
        headers = {"authorization": f"Bearer {keys['alice']}"}
        told = httpx2.get(f"{served.address}/v1/usage", headers=headers).json()
    assert told["spent"]["day"]["tokens"] == told["spent"]["total"]["tokens"] == 32
    assert told["spent"]["month"]["requests"] == 2
    assert told["limits"] == [{"unit": "tokens", "window": "day", "limit": 60.0, "left": 28.0}]


async def test_a_key_has_so_many_requests_at_once(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user")
    path.write_text(path.read_text().replace('role = "user"', 'role = "user"\nconcurrency = 3'))
    headers, limits = {"authorization": f"Bearer {keys['alice']}"}, httpx2.Limits(max_connections=30)
    with serving(tmp_path, thinker(seconds=60.0), keys=path) as served:
        async with httpx2.AsyncClient(limits=limits, timeout=60, headers=headers) as client:
            asked = client.build_request(
                "POST", f"{served.address}/v1/chat/completions", json={**BODY, "stream": True}
            )
            answers = await asyncio.gather(*(client.send(asked, stream=True) for _ in range(20)))
            right = [answer for answer in answers if answer.status_code == 200]
            refused = [answer for answer in answers if answer.status_code == 429]
            assert (len(right), len(refused)) == (3, 17)
            assert refused[0].headers["retry-after"] == "1"
            await right[0].aclose()
            async with asyncio.timeout(20):
                while served.server.house.purse.running == 3:
                    await asyncio.sleep(0.01)
            later = await client.send(asked, stream=True)
            assert later.status_code == 200
            for answer in (*answers, later):
                await answer.aclose()


async def test_a_failed_request_is_charged_what_it_spent(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user 1000tok")
    engine = thinker(fail=lambda k: RuntimeError("SECRET words of the upstream"))
    with serving(tmp_path, engine, keys=path) as served:
        (answer,) = await at_once(served, keys["alice"], 1, BODY)
        (settled,) = charges(served.ledger)
    assert answer.status_code == 500
    assert "SECRET" not in answer.text
    assert settled["charged"]["tokens"] > 0


async def test_a_reservation_of_a_killed_process_is_charged_once(tmp_path: Path) -> None:
    key = Key("0" * 12, "alice", "user", "", "100tok")
    place = tmp_path / "ledger.sqlite"
    with Ledger.open(place, write=True) as ledger:
        purse = await Purse.open(ledger)
        ledger.run("serve-a", {"kind": "serve"})
        ticket = purse.reserve("a", key, {"requests": 1, "tokens": 60})
        await ledger.write([ticket.row()])
        done = purse.reserve("b", key, {"requests": 1, "tokens": 30})
        await ledger.write([done.row()])
        await ledger.write([purse.settle(done, {"requests": 1, "tokens": 10})])
    for _ in range(3):
        with Ledger.open(place, write=True) as ledger:
            purse = await Purse.open(ledger)
            assert purse.left(key)[0]["left"] == 30
            with pytest.raises(ApiError) as refused:
                purse.reserve("c", key, {"tokens": 31})
            assert refused.value.status == 429
    assert [charge["request"] for charge in charges(place)] == ["b", "a"]
    assert [charge["killed"] for charge in charges(place)] == [False, True]


@pytest.mark.parametrize("written", [False, True])
async def test_a_request_of_a_killed_process_ends_once_with_its_settlement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    """The next process is killed as well, before what it writes of the first one is durable, or after."""
    place, write = tmp_path / "ledger.sqlite", Ledger.write

    async def killed(self: Ledger, rows: Iterable[Row]) -> None:
        if written:
            await write(self, rows)
        raise KeyboardInterrupt

    def ends() -> tuple[list[str], int]:
        with Ledger.open(place, write=False) as ledger:
            return [event.kind for event in ledger.events("serve-a")][1:], len(charges(place))

    with Ledger.open(place, write=True) as ledger:
        purse = await Purse.open(ledger)
        ledger.run("serve-a", {"kind": "serve"})
        await ledger.write([purse.reserve("a", None, {"requests": 1}).row()])
    for _ in range(2):
        with monkeypatch.context() as patch, Ledger.open(place, write=True) as ledger:
            patch.setattr(Ledger, "write", killed)
            with contextlib.suppress(KeyboardInterrupt):
                await Purse.open(ledger)
        assert ends() == (([KILLED], 1) if written else ([], 0))
    for _ in range(2):
        with Ledger.open(place, write=True) as ledger:
            await Purse.open(ledger)
        assert ends() == ([KILLED], 1)


async def test_a_ticket_is_settled_once_however_often_it_is_asked(tmp_path: Path) -> None:
    key = Key("0" * 12, "alice", "user", "", "100tok")
    with Ledger.open(tmp_path / "ledger.sqlite", write=True) as ledger:
        purse = await Purse.open(ledger)
        first, other = (purse.reserve(name, key, {"requests": 1, "tokens": 40}) for name in "ab")
        for _ in range(3):
            purse.settle(first, {"requests": 1, "tokens": 10})
        assert (purse.running, purse.left(key)[0]["left"]) == (1, 50)
        purse.settle(other, {"requests": 1, "tokens": 10})
        assert (purse.running, purse.left(key)[0]["left"]) == (0, 80)


async def test_a_balance_stands_for_what_was_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponder.serve.purse._EVENTS", 5)
    key = Key("0" * 12, "alice", "user", "", "100tok,50tok/day")
    place = tmp_path / "ledger.sqlite"
    read = []
    for start in range(6):
        with Ledger.open(place, write=True) as ledger:
            purse = await Purse.open(ledger, clock=lambda: 1e9)
            read.append(len(ledger.events_since(RUN, "balance")))
            assert [left["left"] for left in purse.left(key)] == [100 - 2 * start, 50 - 2 * start]
            for i in range(2):
                ticket = purse.reserve(f"{start}-{i}", key, {"requests": 1, "tokens": 9})
                await ledger.write([ticket.row()])
                await ledger.write([purse.settle(ticket, {"requests": 1, "tokens": 1})])
    assert max(read) <= 7
    with Ledger.open(place, write=False) as ledger:
        assert sum(event.kind == "balance" for event in ledger.events(RUN)) >= 2


CHILD = """
import asyncio, resource, sys
from pathlib import Path
from ponder.config import Settings
from ponder.serve.house import Options
from ponder.serve.keys import Keyring
from ponder.serve.server import serve
from tests.serve.serving import thinker

folder = Path(sys.argv[1])
if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
asyncio.run(serve(
    Settings(ledger=str(folder / "ledger.sqlite")), Options(concurrency=2000), port=0,
    engine=thinker(seconds=float(sys.argv[2])), keyring=Keyring(folder / "keys.toml"),
    ready=lambda address, server: print(address, flush=True),
))
"""


@pytest.mark.slow
def test_a_server_that_is_killed_forgets_no_reservation(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user 10requests")
    headers = {"authorization": f"Bearer {keys['alice']}"}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), "60"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    address = child.stdout.readline().strip()

    def ask() -> subprocess.Popen[bytes]:
        headings = ["-H", "content-type: application/json", "-H", f"authorization: Bearer {keys['alice']}"]
        curl = ["curl", "-s", "-m", "60", f"{address}/v1/chat/completions", *headings, "-d", json.dumps(BODY)]
        return subprocess.Popen(curl)

    def wait(kind: str, count: int) -> None:
        until = time.monotonic() + 30
        while True:
            with Ledger.open(tmp_path / "ledger.sqlite", write=False) as ledger:
                if sum(event.kind == kind for event in ledger.events(RUN)) == count:
                    return
            assert time.monotonic() < until, f"there are not {count} {kind}"
            time.sleep(0.1)

    try:
        for count in range(1, 5):
            leaving = ask()
            wait("reserved", count)
            leaving.kill()
            leaving.wait()
            wait("settled", count)
        late = [ask() for _ in range(3)]
        wait("reserved", 7)
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    for each in late:
        each.wait()
    with serving(tmp_path, thinker(), keys=path) as served:
        left = httpx2.get(f"{served.address}/v1/usage", headers=headers).json()["limits"][0]["left"]
        assert left == 3
        listed = Browsing(served, keys["alice"]).get("/answers").text
        told = report(served.server.house.ledger, str(served.ledger)).total
        with openai.OpenAI(base_url=f"{served.address}/v1", api_key=keys["alice"], max_retries=0) as client:
            for _ in range(3):
                client.chat.completions.create(**BODY)
            with pytest.raises(openai.RateLimitError):
                client.chat.completions.create(**BODY)
    settled = charges(tmp_path / "ledger.sqlite")
    assert sum(charge["killed"] for charge in settled) == 3
    assert listed.count("killed</td>") == told.states[KILLED] == 3
    assert told.states["unfinished"] == 0
    assert told.unknown["flop"] == 3
    assert len({charge["request"] for charge in settled}) == len(settled) == 10
    assert verify(tmp_path / "ledger.sqlite").ok
