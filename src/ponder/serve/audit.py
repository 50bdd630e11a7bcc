"""What an auditor reads: every request whole, by search, and as an export. Nothing here writes."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from ponder.core import canonical_json
from ponder.errors import UnknownName
from ponder.ledger import SERVED, Ledger, RunUse, checkpoint, request_usage
from ponder.ledger.signing import sign
from ponder.serve.calling import caller, page_limit
from ponder.serve.failing import ApiError
from ponder.serve.house import House, run_of
from ponder.serve.monitoring import OUTCOMES
from ponder.serve.purse import RUN

__all__ = [
    "audit_routes",
    "erased_by",
    "export",
    "is_request",
    "outcome_of",
    "own_requests",
    "record",
    "requests",
]

_FIRST, _END = SERVED
_MOST = 200
_PAGE = 50

Handler = Callable[[House, Request], Awaitable[Response]]


def audit_routes(house: House) -> list[BaseRoute]:
    """The auditor's paths."""
    paths: dict[str, Handler] = {
        "requests": _list,
        "requests/{id}": _get,
        "export": _all,
        "checkpoint": _checkpoint,
    }
    return [
        Route(f"/v1/audit/{path}", functools.partial(_guarded, house, handler))
        for path, handler in paths.items()
    ]


async def _guarded(house: House, handler: Handler, request: Request) -> Response:
    await caller(house, request, "auditor")
    return await handler(house, request)


async def _list(house: House, request: Request) -> Response:
    """Requests, newest first: `before` an id, `text` that stands in one, `monitor` what the monitor made of
    it, at most `limit`."""
    query = request.query_params
    limit = page_limit(query.get("limit"), _PAGE, _MOST)
    before, text = query.get("before"), query.get("text", "")
    data = await requests(house, before, text, outcome_of(query.get("monitor")), limit=limit)
    more = len(data) == limit
    return JSONResponse({"object": "list", "data": data, "next": data[-1]["id"] if more else None})


async def requests(
    house: House, before: str | None, text: str, outcome: str | None, *, limit: int
) -> list[dict[str, Any]]:
    """Requests, newest first: before an id, with this text in a question, a sample or a thought, with this
    outcome of the monitor."""
    rows = await asyncio.to_thread(
        house.ledger.runs_between,
        _FIRST,
        _END if before is None else min(_END, run_of(before)),
        limit=limit,
        holding=text or None,
        event=outcome,
    )
    uses = await asyncio.to_thread(house.ledger.uses_of, [row.id for row in rows])
    return [_line(use) for use in uses]


def own_requests(ledger: Ledger, key: str, before: str | None, *, limit: int) -> list[RunUse]:
    """A key's requests, by the key's id, newest first; `before`: those that began before this one. Whose a
    request is says its reservation, in which nothing is of its body, and which is short."""
    reserved = ledger.events_before(
        RUN,
        "reserved",
        holding=canonical_json({"key": key})[1:-1],
        before=None if before is None else run_of(before),
        limit=limit,
    )
    return ledger.uses_of([run_of(event.detail["request"]) for event in reserved])


def is_request(run: str) -> bool:
    """Whether a run of this name is a request's."""
    return _FIRST <= run < _END


def outcome_of(stated: str | None) -> str | None:
    if stated is not None and stated not in OUTCOMES:
        raise ApiError(
            400,
            f"monitor: it must be one of {', '.join(OUTCOMES)}.",
            code="invalid_value",
            param="monitor",
        )
    return stated


def _line(use: RunUse) -> dict[str, Any]:
    """A request in a list."""
    config = use.run.config
    return {
        "id": config["request"],
        "created": use.run.created,
        "key": config["key"],
        "api": config["api"],
        "effort": config["effort"],
        "strategy": config["strategy"],
        "state": use.last or "started",
        "monitor": [kind for kind in use.events if kind in OUTCOMES],
        "usage": request_usage(use.usage, use.last).to_json(),
    }


async def _get(house: House, request: Request) -> Response:
    run = run_of(request.path_params["id"])
    if not is_request(run):
        raise _missing()
    try:
        return JSONResponse(await asyncio.to_thread(record, house.ledger, run))
    except UnknownName:
        raise _missing() from None


def _missing() -> ApiError:
    return ApiError(404, "id: there is no such request; list them.", code="not_found", param="id")


def record(ledger: Ledger, run: str) -> dict[str, Any]:
    """A request whole: what was asked, every call and every draw with its thought, the scores, the answer as
    the strategy gave it and as it was shown. Of one whose texts were erased, the figures. Raises
    UnknownName."""
    config = ledger.config(run)
    erased = config.get("erased", False)
    draws = [
        {"problem": drawn.problem_id, "stream": drawn.stream, "call": drawn.call_id, **asdict(drawn.sample)}
        for drawn in ([] if erased else ledger.draws(run))
    ]
    answers = [
        {
            "problem": row.problem_id,
            "strategy": row.strategy,
            **asdict(row.answer),
            "stopped_by": row.stopped_by,
        }
        for row in ledger.answers(run)
    ]
    questions, events = [] if erased else ledger.problems(run), ledger.events(run)
    return {
        "id": config["request"],
        "created": ledger.created(run),
        "asked": config,
        "erased": erased_by(ledger, run) if erased else None,
        "questions": [question.to_json() for question, _ in questions],
        "calls": [asdict(call) for call in ledger.calls(run)],
        "samples": draws,
        "answers": answers,
        "events": [{"at": e.at, "kind": e.kind, "detail": e.detail} for e in events],
        "usage": request_usage(ledger.usage(run), events[-1].kind if events else None).to_json(),
    }


def erased_by(ledger: Ledger, run: str) -> dict[str, Any] | None:
    """The order by which a run's texts were taken out: when, by whom and why."""
    found = next((order for order in ledger.erasures() if run in order.runs), None)
    return None if found is None else {"at": found.at, "by": found.by, "reason": found.reason}


async def _all(house: House, request: Request) -> Response:
    return export(house)


def export(house: House) -> Response:
    """Every request whole, newest first, a JSON line each, then the ledger's checkpoint."""

    async def lines() -> AsyncIterator[bytes]:
        end = _END
        while rows := await asyncio.to_thread(house.ledger.runs_between, _FIRST, end, limit=_PAGE):
            for row in rows:
                yield _json(await asyncio.to_thread(record, house.ledger, row.id))
            end = rows[-1].id
        yield _json({"checkpoint": await asyncio.to_thread(_state, house)})

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"


async def _checkpoint(house: House, request: Request) -> Response:
    return JSONResponse(await asyncio.to_thread(_state, house))


def _state(house: House) -> dict[str, Any]:
    """The ledger's checkpoint, signed where the operator gave a key."""
    state, key = checkpoint(house.settings.ledger), house.options.sign
    return state if key is None else sign(state, key)
