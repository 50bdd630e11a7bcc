"""A collector of traces on loopback: it takes OTLP over HTTP, in protobuf, and keeps what it got."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ponder.serve.server import bind

KINDS = {
    Span.SPAN_KIND_INTERNAL: "internal",
    Span.SPAN_KIND_SERVER: "server",
    Span.SPAN_KIND_CLIENT: "client",
}


@dataclass(frozen=True)
class Got:
    """A span as it came."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    failed: bool
    seconds: float
    attributes: dict[str, Any]


@dataclass
class Collector:
    """`status` is what it answers, `seconds` how long it takes over it. `bodies` are what it was sent."""

    address: str = ""
    status: int = 200
    seconds: float = 0.0
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    service: dict[str, Any] = field(default_factory=dict)
    spans: list[Got] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        body = await request.body()
        self.headers.append(dict(request.headers))
        await asyncio.sleep(self.seconds)
        if self.status == 200:
            self.bodies.append(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.service = _values(resource.resource)
                self.spans += [_got(span) for scope in resource.scope_spans for span in scope.spans]
        return Response(status_code=self.status)

    def named(self, name: str) -> list[Got]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Got:
        (span,) = self.named(name)
        return span


def _values(of: Any) -> dict[str, Any]:
    told = {}
    for each in of.attributes:
        value = MessageToDict(each.value)
        kind, plain = next(iter(value.items()))
        if kind == "arrayValue":
            plain = [next(iter(part.values())) for part in plain.get("values", [])]
        told[each.key] = int(plain) if kind == "intValue" else plain
    return told


def _got(span: Span) -> Got:
    return Got(
        span.name,
        KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.status.code == 2,
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        _values(span),
    )


@contextmanager
def collecting(**how: Any) -> Iterator[Collector]:
    """One that runs in a thread of its own."""
    collector = Collector(**how)
    app = Starlette(routes=[Route("/v1/traces", collector.take, methods=["POST"])])
    listening = bind("127.0.0.1", 0)
    collector.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: server.run([listening]), name="collector")
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield collector
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
        assert not thread.is_alive(), "the collector did not end"
