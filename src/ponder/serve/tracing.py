"""Traces of requests, for an operator who wants them; without one nothing of OpenTelemetry is loaded.

A span tells when, how long, by which model, how many tokens, and how it ended: no word of a prompt, a
thought, an answer or a key.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from ponder.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from ponder.serve.metrics import Ended
    from ponder.serve.otel import Traces

__all__ = ["TRACES", "collector", "open_traces", "spanned", "tell"]

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[P, Coroutine[Any, Any, T]]

TRACES: ContextVar[Traces | None] = ContextVar("TRACES", default=None)
"""What records the request that is served in this context; None: nothing does."""

_PATH = "/v1/traces"
_WHOLE, _BASE = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"


def collector(stated: str | None, environment: Mapping[str, str]) -> str | None:
    """The address that spans are sent to, by the rules of OpenTelemetry's environment variables (OTLP
    exporter configuration); None: they are not recorded. `stated` is a collector's base address, as in
    OTEL_EXPORTER_OTLP_ENDPOINT, and goes before the environment.

    Raises InputError for what is no such address, and for a protocol that is not spoken here.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    name, address, path = "traces", stated, _PATH
    if address is None and environment.get("OTEL_TRACES_EXPORTER", "").strip() == "none":
        return None
    if address is None and environment.get(_WHOLE):
        name, address, path = _WHOLE, environment[_WHOLE], ""
    elif address is None and environment.get(_BASE):
        name, address = _BASE, environment[_BASE]
    if address is None:
        return None
    for each in _PROTOCOLS:
        if environment.get(each, _SPOKEN) != _SPOKEN:
            raise InputError(f"{each}: spans are sent by {_SPOKEN} alone; set it to that, or unset it.")
    return _checked(name, address.strip()).removesuffix("/") + path


def _checked(name: str, address: str) -> str:
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise InputError(f"{name}: it is no address of a collector; write it as http://HOST:4318.")
    if "@" in parts.netloc:
        raise InputError(f"{name}: leave the password out; OTEL_EXPORTER_OTLP_HEADERS is the place for it.")
    return address


def open_traces(address: str) -> Traces:
    """Spans to the collector at this address. Raises MissingExtra."""
    try:
        from ponder.serve.otel import Traces, sender
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        raise MissingExtra("Sending traces", "otel") from None
    return Traces(sender(address))


def spanned(name: str) -> Callable[[Work[P, T]], Work[P, T]]:
    """Makes each call of a coroutine function a span of this name, where the request is traced."""

    def around(work: Work[P, T]) -> Work[P, T]:
        @functools.wraps(work)
        async def spanning(*args: P.args, **kwargs: P.kwargs) -> T:
            traces = TRACES.get()
            if traces is None:
                return await work(*args, **kwargs)
            with traces.span(name):
                return await work(*args, **kwargs)

        return spanning

    return around


def tell(identity: str, ended: Ended) -> None:
    """What a request came to, on the span that it is answered in."""
    traces = TRACES.get()
    if traces is not None:
        traces.tell(identity, ended)
