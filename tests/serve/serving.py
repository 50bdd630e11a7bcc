"""A real server on loopback in a thread of its own, and engines that think as they are told."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import openai

from ponder.config import Settings
from ponder.core import Engine, Model, Output, Price, Request, Shape
from ponder.engines.scripted import Faults, ScriptedEngine
from ponder.ledger import Ledger
from ponder.serve.alerting import RUN as RULES
from ponder.serve.house import Options
from ponder.serve.keys import KeyFile, Keyring, new_key
from ponder.serve.purse import RUN
from ponder.serve.server import Server, serve

MODEL = Model("m", "f", shape=Shape(2, 8, 4, 2, 2, 16, 10), price=Price(1.0, 10.0), context=4096)
SUMMARY = "It added two numbers."


def thinker(write: Callable[[Request, int], str | Output] | None = None, **faults: Any) -> ScriptedEngine:
    """Thinks and answers 13 to everything, and sums its thought up when it is asked to."""

    def reply(request: Request, position: int) -> str | Output:
        asked = request.prompt.messages[-1].content
        if "These are the thoughts:" in asked:
            return SUMMARY
        if write is not None:
            return write(request, position)
        return "9 and 4 are to be added, which makes 13 in all.\nAnswer: 13"

    return ScriptedEngine(reply, model=MODEL, faults=Faults(**faults))


@dataclass
class Serving:
    """A server that runs. `ledger` is its file, or its database's URL."""

    address: str
    server: Server
    ledger: Path | str
    loop: asyncio.AbstractEventLoop
    clients: list[openai.OpenAI | httpx2.Client] = field(default_factory=list)

    def client(self, key: str = "none", **options: Any) -> openai.OpenAI:
        options = {"max_retries": 0, **options}
        client = openai.OpenAI(base_url=f"{self.address}/v1", api_key=key, **options)
        self.clients.append(client)
        return client


@contextmanager
def serving(
    folder: Path,
    engine: Engine | None = None,
    *,
    keys: Path | None = None,
    options: Options | None = None,
    ledger: Path | str | None = None,
    **settings: Any,
) -> Iterator[Serving]:
    started: list[Serving] = []
    ready, ended = threading.Event(), list[BaseException]()
    ledger = ledger or folder / "ledger.sqlite"

    async def run() -> None:
        def tell(address: str, server: Server) -> None:
            now = time.time()  # for all of the test: else a day may end in it, and begin with a full purse
            server.house.purse.clock = server.house.alerts.clock = lambda: now
            started.append(Serving(address, server, ledger, asyncio.get_running_loop()))
            ready.set()

        await serve(
            Settings(ledger=str(ledger), **settings),
            options or Options(),
            port=0,
            keyring=None if keys is None else Keyring(keys),
            engine=engine,
            ready=tell,
        )

    def inside() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            ended.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=inside, name="serving")
    thread.start()
    ready.wait(60)
    if not started:
        thread.join()
        raise ended[0]
    try:
        yield started[0]
    finally:
        for client in started[0].clients:
            client.close()
        started[0].server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not end"
        if ended:
            raise ended[0]


def key_file(folder: Path, **keys: str) -> tuple[Path, dict[str, str]]:
    """A file of keys, NAME="ROLE LIMITS", and the keys themselves."""
    path, texts = folder / "keys.toml", dict[str, str]()
    for name, stated in keys.items():
        role, _, limits = stated.partition(" ")
        key, texts[name] = new_key(name, role, limits=limits)
        KeyFile(path).add(key)
    return path, texts


def written(asked: dict[str, Any], *headers: str) -> bytes:
    """A request as its bytes."""
    body = json.dumps(asked).encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"]
    return "\r\n".join([*lines, *headers, f"content-length: {len(body)}", "", ""]).encode() + body


def settled_runs(ledger: Path | str) -> list[str]:
    """The last event of each request's run."""
    with Ledger.open(ledger, write=False) as store:
        return [store.events(run.id)[-1].kind for run in store.runs() if run.id not in (RUN, RULES)]
