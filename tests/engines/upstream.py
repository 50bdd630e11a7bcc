"""An endpoint on loopback that answers as it is told, well or badly."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from ponder.core import Generation, Message, Prompt, Request
from ponder.engines.http import HttpEngine
from ponder.errors import EngineError


@dataclass(frozen=True)
class Reply:
    """`body` is sent as it is if bytes, else as JSON; `declared` is a false length for it. `lingers`: the
    seconds that the connection then stays open. `pieces` are sent in its place, each as it is made."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    declared: int | None = None
    lingers: float = 0.0
    content_type: str = "application/json"
    pieces: Iterable[bytes] | None = None


@dataclass(frozen=True)
class Got:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


def chat(*texts: str | None, usage: Any = None, **message: Any) -> dict[str, Any]:
    """A chat completion with these contents; `message` adds fields to each message."""
    choices = [
        {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
        for i, text in enumerate(texts)
    ]
    return {"object": "chat.completion", "choices": choices} | ({} if usage is None else {"usage": usage})


def usage(prompt: Any, completion: Any, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


def tried(body: Mapping[str, Any]) -> bool:
    """Whether this request is the trial of several choices."""
    return body.get("n") == 2 and 1 in (body.get("max_tokens"), body.get("max_completion_tokens"))


def good(got: Got) -> Reply:
    """A server that does everything right: `n` choices of three tokens (or the cap), all counted."""
    n = got.body.get("n", 1)
    tokens = min(3, got.body.get("max_tokens") or got.body.get("max_completion_tokens") or 3)
    answer = chat(*[f"answer {i}" for i in range(n)], usage=usage(7, n * tokens))
    for choice in answer["choices"]:
        choice["finish_reason"] = "length" if tokens < 3 else "stop"
    return Reply(answer)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self._answer(json.loads(body))

    def _answer(self, body: dict[str, Any]) -> None:
        upstream = self.server.upstream
        got = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        with upstream.lock:
            upstream.got.append(got)
        reply = upstream.models if self.path.endswith("/models") else upstream.answer(got)
        time.sleep(reply.delay)
        if reply.pieces is not None:
            self._write(reply.content_type, reply.pieces)
            return
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        try:
            self.send_response(reply.status)
            self.send_header("content-type", reply.content_type)
            self.send_header("content-length", str(reply.declared or len(content)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()
            if reply.lingers:
                upstream.lingering.set()
                time.sleep(reply.lingers)
        except OSError:
            upstream.broken_off.set()
        if reply.declared is not None:
            self.close_connection = True

    def _write(self, content_type: str, pieces: Iterable[bytes]) -> None:
        self.close_connection = True
        try:
            self.send_response(200)
            self.send_header("content-type", content_type)
            self.send_header("connection", "close")
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:
            self.server.upstream.broken_off.set()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    upstream: Upstream

    def handle_error(self, request: Any, client_address: Any) -> None:
        if isinstance(sys.exc_info()[1], ConnectionError):
            self.upstream.broken_off.set()
        else:
            super().handle_error(request, client_address)


class Upstream:
    """`answer` says what comes of a completion, `models` of the list of models; `got` is what was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[Got], Reply] = good
        self.models = Reply({"object": "list", "data": [{"id": "M"}]})
        self.got: list[Got] = []
        self.broken_off = threading.Event()
        self.lingering = threading.Event()
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.upstream = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def completions(self) -> list[dict[str, Any]]:
        """The bodies of the completion requests, trials left out."""
        return [got.body for got in self.got if got.body and not tried(got.body)]

    def always(self, *replies: Reply) -> None:
        """Answer with these in turn, the last one for ever. Trials are answered well."""
        waiting = list(replies)

        def answer(got: Got) -> Reply:
            if tried(got.body):
                return good(got)
            with self.lock:
                return waiting.pop(0) if len(waiting) > 1 else waiting[0]

        self.answer = answer


# ---------------------------------------------------------------- asking it

PROMPT = Prompt((Message("user", "What is 2 + 6?"),), "2 + 6 =")
ONE = Reply(chat("8", usage=usage(7, 3)))
KEY = "sk-very-secret-0123456789"

Opener = Callable[..., Awaitable[HttpEngine]]


async def ask(engine: HttpEngine, **request: Any) -> Generation:
    return await engine.start(Request(PROMPT, **{"max_tokens": 16, **request})).result()


def assert_one_sentence(error: BaseException | None, kind: type[EngineError]) -> str:
    assert type(error) is kind
    text = str(error)
    assert "\n" not in text
    assert text.endswith(".")
    assert KEY not in text
    return text
