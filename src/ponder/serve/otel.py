"""Spans by OpenTelemetry's semantic conventions, sent by OTLP over HTTP.

HTTP: docs/http/http-spans.md of the conventions. Generative AI: gen-ai-spans.md and gen-ai-agent-spans.md, in
development. A request that thinks is an agent's invocation, so that a sum over the calls, "chat", counts each
token once.

Of what a stranger sent nothing is told but the method and the trace that he is in. Paths are told as the
route that they took: an answer's address opens it, and a query may hold what somebody searches for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ponder._version import __version__
from ponder.core import Call, Capabilities, Engine, Generation, Model, Prompt, Request, Usage
from ponder.engines.carried import HEADERS
from ponder.report import words
from ponder.serve.asking import MODEL
from ponder.serve.failing import word
from ponder.serve.metrics import Ended
from ponder.serve.tracing import TRACES

__all__ = ["CLOSING_SECONDS", "Traces", "sender"]

CLOSING_SECONDS = 1.0
"""How long the end of the server waits for the last spans to be taken."""

_LOG = logging.getLogger("ponder.serve")
_COMPLAINTS = logging.getLogger(OTLPSpanExporter.__module__)
_LOSSES = logging.getLogger("opentelemetry.sdk._shared_internal")
"""Where OpenTelemetry says that its queue is full."""
_LONGEST_REASON = 300
_W3C = TraceContextTextMapPropagator()
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
_PROVIDERS = {"http": "openai"}
"""By the conventions the provider is whose API is spoken; other engines are named by their own name."""

_USED = {
    "gen_ai.usage.input_tokens": "prompt_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
    "gen_ai.usage.output_tokens": "completion_tokens",
}

Attributes = dict[str, Any]


class Traces:
    """The spans of one server. They wait for the exporter in a queue of fixed length, and it works in a
    thread of its own: one that is down or slow loses spans and holds nothing up."""

    def __init__(self, exporter: SpanExporter) -> None:
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "ponder"}
        resource = Resource.create({**named, "service.version": __version__})
        # Its own end would wait for half a minute for an exporter that is down.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._sender = _Sender(exporter)
        self._provider.add_span_processor(BatchSpanProcessor(self._sender))
        self.tracer = self._provider.get_tracer("ponder", __version__)

    def around(self, app: ASGIApp) -> ASGIApp:
        """An application each of whose requests is a span."""
        return _Served(app, self)

    def engine(self, engine: Engine) -> Engine:
        """An engine each of whose calls is a span."""
        return _TracedEngine(engine, self)

    @contextlib.contextmanager
    def span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        context: Context | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Iterator[Span]:
        """A span of what is done inside, and the parent of those that are begun there."""
        with self.tracer.start_as_current_span(
            name, context, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                _fail(span, word(error))
                raise

    def tell(self, identity: str, ended: Ended) -> None:
        """What a request came to, on the present span."""
        span = trace.get_current_span()
        amounts = {
            "gen_ai.usage.reasoning.output_tokens": ended.hidden_tokens,
            "ponder.effort": ended.effort,
            "ponder.flop": ended.usage.flop,
            "ponder.usd": ended.usage.usd,
        }
        span.set_attributes(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.provider.name": "ponder",
                "gen_ai.agent.name": MODEL,
                "gen_ai.request.model": MODEL,
                "gen_ai.response.id": identity,
                "gen_ai.response.finish_reasons": list(ended.finishes),
                "ponder.samples": ended.usage.samples,
                **_known(amounts),
                **_used(ended.usage),
            }
        )

    async def close(self) -> None:
        """Send what is left, if that does not take long."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, CLOSING_SECONDS)
        if ending.is_alive():
            self._sender.leave()


def sender(address: str) -> SpanExporter:
    """Sends to a collector. Headers, certificates and patience are OpenTelemetry's environment variables."""
    return OTLPSpanExporter(address)


class _Sender(SpanExporter):
    """Says in the server's log when spans begin to be lost and when they are taken again, each once.
    OpenTelemetry would complain of every try, in words of its own."""

    def __init__(self, behind: SpanExporter) -> None:
        self._behind, self._losing, self._left = behind, False, False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        said: list[str] = []
        here = threading.get_ident()

        def keep(record: logging.LogRecord) -> bool:
            if record.thread != here:
                return True
            said.append(record.getMessage())
            return False

        _COMPLAINTS.addFilter(keep)
        try:
            result = self._behind.export(spans)
        except Exception as error:  # OpenTelemetry would print where it came from, every time
            result = SpanExportResult.FAILURE
            said.append(type(error).__name__)
        finally:
            _COMPLAINTS.removeFilter(keep)
        self._tell(result is not SpanExportResult.SUCCESS, said)
        return result

    def _tell(self, losing: bool, said: Sequence[str]) -> None:
        """The first thing said is why; what follows is of further tries."""
        if self._left:
            return
        if losing and not self._losing:
            _LOSSES.addFilter(_told)
            why = words.plain(said[0] if said else "no reason given")
            why = textwrap.shorten(why, _LONGEST_REASON, placeholder=" …")
            _LOG.warning("traces: the collector takes no spans, so they are lost until it does: %s", why)
        elif self._losing and not losing:
            _LOSSES.removeFilter(_told)
            _LOG.warning("traces: the collector takes spans again")
        self._losing = losing

    def leave(self) -> None:
        """The server ends, and whoever has spans in hand still may try on, but says nothing any more."""
        self._left = True
        if not self._losing:
            _LOG.warning("traces: the server ends before the collector has taken the last spans")
        _LOSSES.removeFilter(_told)

    def shutdown(self) -> None:
        self._behind.shutdown()
        _LOSSES.removeFilter(_told)


def _told(record: logging.LogRecord) -> bool:
    """A filter for what the server's log says already."""
    return False


def _fail(span: Span, kind: str) -> None:
    """That it failed, by a class of errors: an error's words may hold anything."""
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _known(amounts: Mapping[str, Any]) -> Attributes:
    return {name: amount for name, amount in amounts.items() if amount is not None}


def _used(usage: Usage) -> Attributes:
    return _known({name: getattr(usage, count) for name, count in _USED.items()})


# ---------------------------------------------------------------- a request


class _Served:
    """The server's spans, of which each is in its caller's trace if he says that he is in one."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app, self._traces = app, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        TRACES.set(self._traces)  # in this request's own task
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        begun = _asked_by_http(scope, method)
        name = "HTTP" if method == "_OTHER" else method
        with self._traces.span(name, SpanKind.SERVER, _caller(scope), begun) as span:
            try:
                await self._app(scope, receive, sending)
            finally:
                _answered_by_http(span, scope, name, status)


def _caller(scope: Scope) -> Context:
    """The trace of the caller. His tracestate is left out: it is a text, and would be passed on."""
    stated = [value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"]
    return _W3C.extract({"traceparent": stated[0]} if len(stated) == 1 else {}, Context())


def _asked_by_http(scope: Scope, method: str) -> Attributes:
    host, port = scope.get("server") or (None, None)
    return _known(
        {
            "http.request.method": method,
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope["http_version"],
            "server.address": host,
            "server.port": port,
        }
    )


def _answered_by_http(span: Span, scope: Scope, name: str, status: int) -> None:
    path = getattr(scope.get("route"), "path", None)
    if path is not None:
        span.update_name(f"{name} {path}")
        span.set_attributes({"http.route": path, "url.path": path})
    if status:
        span.set_attribute("http.response.status_code", status)
    if status >= 500:
        _fail(span, str(status))


# ---------------------------------------------------------------- a call of a model


class _TracedEngine:
    def __init__(self, engine: Engine, traces: Traces) -> None:
        self._engine, self._traces = engine, traces

    @property
    def model(self) -> Model:
        return self._engine.model

    @property
    def capabilities(self) -> Capabilities:
        return self._engine.capabilities

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._engine.facts

    def prompt_tokens_bound(self, prompt: Prompt, prefix: str = "") -> int | None:
        return self._engine.prompt_tokens_bound(prompt, prefix)

    async def close(self) -> None:
        await self._engine.close()

    def start(self, request: Request) -> Call:
        about = _asked_of_model(self._engine, request)
        name = f"{about['gen_ai.operation.name']} {self.model.name}"
        span = self._traces.tracer.start_span(name, kind=SpanKind.CLIENT, attributes=about)
        headers: dict[str, str] = {}
        _W3C.inject(headers, trace.set_span_in_context(span))
        before = HEADERS.set(headers)
        try:
            return _TracedCall(self._engine.start(request), span)
        except BaseException as error:
            _fail(span, word(error))
            span.end()
            raise
        finally:
            HEADERS.reset(before)


class _TracedCall:
    def __init__(self, call: Call, span: Span) -> None:
        self._call, self._span = call, span

    async def result(self) -> Generation:
        generation = await self._call.result()
        if self._span.is_recording():
            _answered_by_model(self._span, generation)
            self._span.end()
        return generation

    def cancel(self) -> None:
        self._call.cancel()


def _asked_of_model(engine: Engine, request: Request) -> Attributes:
    facts, raw = engine.facts, engine.capabilities.raw_text and request.prompt.text is not None
    kind = str(facts.get("engine", "unknown"))
    address = urlsplit(str(facts.get("address", "")))
    return _known(
        {
            "gen_ai.operation.name": "text_completion" if raw else "chat",
            "gen_ai.provider.name": _PROVIDERS.get(kind, kind),
            "gen_ai.request.model": engine.model.name,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.temperature": request.sampling.temperature,
            "gen_ai.request.top_p": request.sampling.top_p,
            "gen_ai.request.choice.count": None if request.n == 1 else request.n,
            "server.address": address.hostname,
            "server.port": address.port,
        }
    )


def _answered_by_model(span: Span, generation: Generation) -> None:
    usage = sum((attempt.usage for attempt in generation.attempts), Usage())
    states = [attempt.status for attempt in generation.attempts]
    reasoning = {"gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens}
    span.set_attributes(
        {
            "gen_ai.response.finish_reasons": [output.finish for output in generation.outputs],
            "ponder.attempts": len(states),
            "ponder.attempts.failed": states.count("failed"),
            "ponder.attempts.cancelled": states.count("cancelled"),
            **_known(reasoning),
            **_used(usage),
        }
    )
    if generation.error is not None:
        _fail(span, type(generation.error).__name__)
