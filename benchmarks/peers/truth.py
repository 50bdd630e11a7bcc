"""The truth about tokens: what was generated and read for each client and problem, whatever a client says.

Kept by the endpoint, for all systems alike. A cancelled sample counts as far as it had come.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["OUTSIDE", "Books", "Truth"]

# Requests that are of no problem: a client trying out what the server can do.
OUTSIDE = ""


@dataclass(slots=True)
class Truth:
    """What one problem took.

    `requests` are those that began to be served, each with its prompt in `prompt_tokens`, of which a server
    with a prefix cache would have kept `prompt_tokens_cached` from an earlier request of the same problem.
    `completion_tokens` are those of all samples, `cancelled_tokens` of them those of samples that the
    client did not wait for.
    """

    requests: int = 0
    samples: int = 0
    prompt_tokens: int = 0
    prompt_tokens_cached: int = 0
    completion_tokens: int = 0
    cancelled_samples: int = 0
    cancelled_tokens: int = 0
    refused: int = 0
    most_in_flight: int = 0

    def begin_request(self, prompt_tokens: int) -> None:
        """A request's prompt is read. The last token of a prompt is computed even when it is cached."""
        if self.prompt_tokens:
            self.prompt_tokens_cached += prompt_tokens - 1
        self.prompt_tokens += prompt_tokens
        self.requests += 1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class _Page:
    truth: Truth = field(default_factory=Truth)
    in_flight: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)


class Books:
    """One page a client and problem. `begin` opens a fresh one, `end` closes it once nothing is in flight."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], _Page] = {}

    def begin(self, client: str, problem: str) -> None:
        self._pages[client, problem] = _Page()

    def __getitem__(self, place: tuple[str, str]) -> Truth:
        return self._page(place).truth

    def _page(self, place: tuple[str, str]) -> _Page:
        return self._pages.setdefault(place, _Page())

    def enter(self, client: str, problem: str) -> None:
        """A request arrives."""
        page = self._page((client, problem))
        page.in_flight += 1
        page.truth.most_in_flight = max(page.truth.most_in_flight, page.in_flight)
        page.idle.clear()

    def leave(self, client: str, problem: str) -> None:
        """A request has ended, in whatever way, and is counted."""
        page = self._page((client, problem))
        page.in_flight -= 1
        if page.in_flight == 0:
            page.idle.set()

    async def end(self, client: str, problem: str) -> Truth:
        """The truth of a problem, once the requests that the client gave up are settled, too."""
        page = self._page((client, problem))
        if page.in_flight:
            await page.idle.wait()
        return self._pages.pop((client, problem)).truth
