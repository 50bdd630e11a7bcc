"""A request's answer on its way out: whole or in events, while the caller is there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ponder.serve.asking import Asked
from ponder.serve.failing import ApiError, outside
from ponder.serve.guard import answer_error
from ponder.serve.house import Job
from ponder.serve.telling import Progress, Told

__all__ = ["Api", "Events", "Following"]

BEAT_SECONDS = 0.5
QUIET_BEATS = 10
"""After so many beats without an event a comment keeps the connection alive."""

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Events:
    """How a stream of events is worded. `end` stands after the last one; `named`: each is sent under its
    type."""

    stream: Callable[[str, float, Asked], Stream]
    end: bytes = b""
    named: bool = False


@dataclass(frozen=True, slots=True)
class Api:
    """One API's words."""

    read: Callable[[Mapping[str, Any]], Asked]
    body: Callable[[Told, Asked], Event]
    events: Events

    def respond(self, asked: Asked, told: Told | ApiError) -> Response:
        """What came of a request as one response."""
        return answer_error(told) if isinstance(told, ApiError) else JSONResponse(self.body(told, asked))


class Stream(Protocol):
    """The events of one request, in order."""

    def begin(self) -> Iterator[Event]:
        """Before anything is thought."""
        ...

    def progress(self, now: Progress) -> Event | None:
        """How far the thought is, if the API has a place for it."""
        ...

    def written(self, index: int, text: str) -> Iterator[Event]:
        """A further piece of a choice's answer, which is not at its end."""
        ...

    def finish(self, told: Told) -> Iterator[Event]:
        """What came of it, as far as it was not written before."""
        ...

    def fail(self, error: ApiError) -> Iterator[Event]:
        """That nothing came of it."""
        ...


class Following(Response):
    """Answers with what comes of a job: in events where that was asked for, else by `respond`. The job is
    ended when the caller leaves."""

    def __init__(self, job: Job, events: Events, respond: Callable[[Told | ApiError], Response]) -> None:
        super().__init__()
        self._job, self._events, self._respond = job, events, respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_gone(receive))
        try:
            if self._job.asked.stream:
                await self._stream(send, gone)
            else:
                await self._whole(scope, receive, send, gone)
        finally:
            # Whatever ended us, nobody waits for the job any more.
            self._job.cancel()
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone

    async def _whole(self, scope: Scope, receive: Receive, send: Send, gone: asyncio.Future[None]) -> None:
        await asyncio.wait((self._job.task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not self._job.task.done():
            return
        await self._respond(_result(self._job))(scope, receive, send)

    async def _stream(self, send: Send, gone: asyncio.Future[None]) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        job, stream = self._job, self._events.stream(self._job.id, self._job.created, self._job.asked)
        await self._send(send, stream.begin())
        beats, clock = 0, asyncio.get_running_loop().time
        due = clock() + BEAT_SECONDS
        while not job.task.done():
            await self._news(gone, due - clock())
            if gone.done():
                return
            if job.live is not None:
                async for index, text in job.live.look():
                    await self._send(send, stream.written(index, text))
            if clock() < due:
                continue
            beats, due = beats + 1, clock() + BEAT_SECONDS
            event = stream.progress(job.tape.progress) if job.asked.progress else None
            if event is not None and not job.task.done():
                await self._send(send, iter([event]))
            elif beats % QUIET_BEATS == 0:
                await send({"type": "http.response.body", "body": b": thinking\n\n", "more_body": True})
        told = _result(job)
        events = stream.fail(told) if isinstance(told, ApiError) else stream.finish(told)
        await self._send(send, events)
        await send({"type": "http.response.body", "body": self._events.end, "more_body": False})

    async def _news(self, gone: asyncio.Future[None], seconds: float) -> None:
        """Wait until something happened, for so long at most."""
        live = self._job.live
        written = None if live is None else asyncio.ensure_future(live.changed.wait())
        waited = [each for each in (self._job.task, gone, written) if each is not None]
        try:
            await asyncio.wait(waited, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if written is not None:
                written.cancel()

    async def _send(self, send: Send, events: Iterator[Event]) -> None:
        for event in events:
            name = b"event: " + event["type"].encode() + b"\n" if self._events.named else b""
            line = (
                name
                + b"data: "
                + json.dumps(event, separators=(",", ":"), allow_nan=False).encode()
                + b"\n\n"
            )
            await send({"type": "http.response.body", "body": line, "more_body": True})


async def _gone(receive: Receive) -> None:
    """Ends when the caller has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _result(job: Job) -> Told | ApiError:
    try:
        return job.task.result()
    except (Exception, asyncio.CancelledError) as error:
        return outside(error)
