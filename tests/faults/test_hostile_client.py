"""A client that sends whatever it likes: it is refused, and told nothing of the inside."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ponder.ledger import verify
from ponder.serve import calling, connecting
from tests.faults.hostile import CASES, PLANTED, Case, Raw, hostile_thinker, talk
from tests.serve.serving import Serving, key_file, serving


@dataclass
class Attacked:
    """A server with keys, and what it would be bad to read in an answer."""

    served: Serving
    keys: dict[str, str]
    secrets: tuple[str, ...] = field(default=())

    @property
    def port(self) -> int:
        return int(self.served.address.rpartition(":")[2])

    def ask(self, case: Case) -> Raw:
        return talk(self.port, case.bytes(self.port, self.keys))

    def harmless(self, told: Raw) -> None:
        """No status from 500 on, and nothing of the inside in headers or body."""
        assert told.statuses, "no answer at all"
        assert max(told.statuses) < 500, told.text[:300]
        for secret in self.secrets:
            assert secret not in told.text


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    folder: Path = tmp_path_factory.mktemp("attacked")
    path, keys = key_file(folder, alice="user", eve="auditor", olga="operator")
    with serving(folder, hostile_thinker(), keys=path) as served:
        hashes = [key.hash for key in served.server.house.keyring.keys]  # type: ignore[union-attr]
        inside = ("Traceback", 'File "', ".py", str(folder), "site-packages", "sqlite", "argon2", "line ")
        running = Attacked(served, keys, (*inside, PLANTED, *keys.values(), *hashes))
        yield running
        assert served.server.house.purse.running == 0
        assert verify(served.ledger).ok


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_refused_and_told_nothing(
    attacked: Attacked, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    if 408 in case.expected:
        monkeypatch.setattr(calling, "BODY_SECONDS", 1.0)  # of the others none may run out of time
    told = attacked.ask(case)
    attacked.harmless(told)
    assert told.statuses[0] in case.expected, told.text[:300]


def test_the_server_is_well_afterwards(attacked: Attacked) -> None:
    messages: Any = [{"role": "user", "content": "What is 9 + 4?"}]
    told = attacked.served.client(attacked.keys["alice"]).chat.completions.create(
        model="ponder", messages=messages, reasoning_effort="minimal"
    )
    assert told.choices[0].message.content == "13"


def test_no_address_from_a_request_is_ever_called(attacked: Attacked) -> None:
    """Everything that could be taken for a target, with a listener that would notice."""
    with socket.create_server(("127.0.0.1", 0)) as bait:
        bait.settimeout(0.2)
        url = f"http://127.0.0.1:{bait.getsockname()[1]}/v1#m"
        message = {"role": "user", "content": url}
        bodies: list[dict[str, Any]] = [
            {"model": url},
            {"ponder": {"strategy": url}},
            {"ponder": {"strategy": f"judge:by={url}"}},
            {"ponder": {"strategy": f"best:by={url}"}},
            {"reasoning_effort": url},
            {"user": url, "metadata": {"webhook": url}, "seed": 1},
            {"base_url": url},
            {"tools": [{"type": "mcp", "server_url": url}]},
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]},
            {"messages": [{"role": "user", "name": url, "content": f"![x]({url}) {{{{ {url} }}}}"}]},
        ]
        for body in bodies:
            sent = {"model": "ponder", "messages": [message], "reasoning_effort": "minimal", **body}
            attacked.harmless(attacked.ask(Case("url", (200, 400, 404), body=sent)))
        with pytest.raises(TimeoutError):
            bait.accept()


@pytest.mark.parametrize(
    "text", ["{{7*191}}", "${7*191}", "<%= 7*191 %>", "#{7*191}", "{0.__class__}", "%s%n%x"]
)
def test_a_template_is_a_text(attacked: Attacked, text: str) -> None:
    for body in (
        {"model": text},
        {"reasoning_effort": text},
        {"ponder": {"strategy": text}},
        {"ponder": {"budget": text}},
        {text: 1},
    ):
        sent = {"model": "ponder", "messages": [{"role": "user", "content": text}], **body}
        told = attacked.ask(Case("template", (400, 404), body=sent))
        attacked.harmless(told)
        assert told.statuses[0] in (400, 404)
        assert "1337" not in told.text
        assert "class" not in told.text.replace("{0.__class__}", "")


def test_a_slow_loris_is_left(attacked: Attacked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads that never end, connections that say nothing, and bodies that go on after their answer."""
    monkeypatch.setattr(connecting, "HEAD_SECONDS", 1.0)
    heads = [
        b"",
        b"GET /v1/models HTTP/1.1\r\n",
        b"POST /v1/usage HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n",
    ]
    held = [socket.create_connection(("127.0.0.1", attacked.port), timeout=20) for _ in range(90)]
    try:
        for at, each in enumerate(held):
            each.sendall(heads[at % 3])
        began = time.monotonic()
        well = attacked.ask(Case("well", (200,), method="GET", path="/healthz", key=None))
        assert well.statuses == [200]
        assert time.monotonic() - began < 5.0  # in turn they would take ninety
        dripping = began
        for each in held:
            while True:
                now = time.monotonic()
                assert now - began < 15, "a connection is held open"
                if now - dripping > 0.2:
                    dripping = now
                    drip(held)
                try:
                    each.settimeout(0.2)
                    if not each.recv(65536):
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
    finally:
        for each in held:
            each.close()


def drip(connections: list[socket.socket]) -> None:
    """A byte more to each, which must not prolong its life."""
    for each in connections:
        try:
            each.sendall(b"a")
        except OSError:
            continue


def test_pipelined_requests_are_answered_in_their_order(attacked: Attacked) -> None:
    paths = ("/healthz", "/v1/models", "/nothing", "/v1/models/none", "/healthz")
    cases = [Case(path, (), method="GET", path=path) for path in paths]
    sent = b"".join(case.bytes(attacked.port, attacked.keys, last=case is cases[-1]) for case in cases)
    told = talk(attacked.port, sent)
    attacked.harmless(told)
    assert told.statuses == [200, 200, 404, 404, 200]


def test_a_body_that_is_cut_short_costs_nothing(attacked: Attacked) -> None:
    case = Case("cut", (), body={"model": "ponder", "messages": [{"role": "user", "content": "x" * 5000}]})
    whole = case.bytes(attacked.port, attacked.keys)
    with socket.create_connection(("127.0.0.1", attacked.port)) as connection:
        connection.sendall(whole[:-2000])
    assert attacked.served.server.house.purse.running == 0


async def test_a_thousand_hostile_requests_side_by_side(
    attacked: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The corpus again, mixed with right requests, all at once."""
    monkeypatch.setattr(calling, "BODY_SECONDS", 3.0)
    limit = asyncio.Semaphore(40)

    async def one(case: Case) -> Raw:
        async with limit:
            return await asyncio.to_thread(attacked.ask, case)

    right = Case(
        "right",
        (200,),
        body={
            "model": "ponder",
            "messages": [{"role": "user", "content": "?"}],
            "reasoning_effort": "minimal",
        },
    )
    small = [case for case in CASES if len(case.bytes(attacked.port, attacked.keys)) < 100_000]
    mixed = (small * 20)[:900] + [right] * 50
    for case, told in zip(mixed, await asyncio.gather(*map(one, mixed)), strict=True):
        attacked.harmless(told)
        assert told.statuses[0] in (*case.expected, 429)


def test_errors_are_objects(attacked: Attacked) -> None:
    """Also those that no route ever saw."""
    for raw in (
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n",
    ):
        told = talk(attacked.port, raw)
        attacked.harmless(told)
        error = json.loads(told.text.partition("\r\n\r\n")[2])["error"]
        assert error["message"]
