"""What a request to an endpoint carries for whoever made the call, beside what the engine itself sends."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

__all__ = ["HEADERS"]

HEADERS: ContextVar[Mapping[str, str]] = ContextVar("HEADERS", default=MappingProxyType({}))
"""Headers of every HTTP request of the calls that are started in this context: a trace's, for example."""
