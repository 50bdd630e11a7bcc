"""The auditor's pages: every request, by search, and each one whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from ponder.errors import LedgerErased, UnknownName
from ponder.ledger import EventRow, request_usage
from ponder.report import words
from ponder.serve.audit import erased_by, export, is_request, outcome_of, requests
from ponder.serve.failing import ApiError
from ponder.serve.house import run_of
from ponder.serve.monitoring import OUTCOMES
from ponder.serve.page.desk import Desk, route
from ponder.serve.page.look import page
from ponder.serve.page.session import Visitor
from ponder.serve.page.trace import problems_of

__all__ = ["audit_pages"]

_PAGE = 50
_MOST_DRAWS = 300
"""Samples on one page."""


def audit_pages(desk: Desk) -> list[BaseRoute]:
    """Reading is all that they offer."""
    return [
        route(desk, "/requests", _list, "auditor"),
        route(desk, "/requests/export", _export, "auditor"),
        route(desk, "/requests/{id}", _whole, "auditor"),
    ]


async def _list(desk: Desk, request: Request, who: Visitor) -> Response:
    query = request.query_params
    text, before, outcome = query.get("text", ""), query.get("before"), query.get("monitor", "")
    rows = await requests(desk.house, before, text, outcome_of(outcome or None), limit=_PAGE)
    more = None
    if len(rows) == _PAGE:
        more = "/requests?" + urlencode({"text": text, "monitor": outcome, "before": rows[-1]["id"]})
    lines = await asyncio.to_thread(lambda: [_line(desk, row) for row in rows])
    searched: dict[str, Any] = {"text": text, "outcome": outcome, "outcomes": OUTCOMES}
    return page("requests.html", who, "Requests", rows=lines, more=more, first=before is None, **searched)


def _line(desk: Desk, row: dict[str, Any]) -> dict[str, Any]:
    try:
        question: str | None = desk.house.ledger.problems(run_of(row["id"]))[0][0].text
    except LedgerErased:
        question = None
    counts = row["usage"]["prompt_tokens"], row["usage"]["completion_tokens"]
    tokens = words.UNKNOWN if None in counts else words.compact(sum(counts))
    flop = words.compact(row["usage"]["flop"])
    return {**row, "question": question, "tokens": tokens, "flop": flop}


async def _export(desk: Desk, request: Request, who: Visitor) -> Response:
    response = export(desk.house)
    response.headers["content-disposition"] = 'attachment; filename="ponder-requests.jsonl"'
    return response


async def _whole(desk: Desk, request: Request, who: Visitor) -> Response:
    run, first = run_of(request.path_params["id"]), _first(request.query_params.get("from"))
    if not is_request(run):
        raise _missing()
    try:
        values = await asyncio.to_thread(_read, desk, run, first)
    except UnknownName:
        raise _missing() from None
    return page("request.html", who, "Request", **values)


def _first(stated: str | None) -> int:
    if stated is None:
        return 0
    if not (stated.isascii() and stated.isdecimal() and len(stated) < 10):
        raise ApiError(400, "from: it must be a whole number.", code="invalid_value", param="from")
    return int(stated)


def _missing() -> ApiError:
    return ApiError(404, "There is no such request.", code="not_found")


def _read(desk: Desk, run: str, first: int) -> dict[str, Any]:
    ledger = desk.house.ledger
    config, events = ledger.config(run), ledger.events(run)
    erased = config.get("erased", False)
    draws = [] if erased else ledger.draws(run)
    last = first + _MOST_DRAWS
    return {
        "id": config["request"],
        "created": ledger.created(run),
        "config": config,
        "erased": erased_by(ledger, run) if erased else None,
        "body": "erased by order" if erased else _pretty(config["body"]),
        "spent": words.spending(request_usage(ledger.usage(run), events[-1].kind if events else None)),
        "problems": [] if erased else problems_of(ledger, run, events, draws[first:last]),
        "told": [event.detail for event in events if event.kind == "told" and not erased],
        "events": [_event(event) for event in events],
        "first": first,
        "last": min(last, len(draws)),
        "draws": len(draws),
        "earlier": f"?from={max(0, first - _MOST_DRAWS)}" if first else None,
        "later": f"?from={last}" if last < len(draws) else None,
    }


def _event(event: EventRow) -> dict[str, Any]:
    return {"at": event.at, "kind": event.kind, "detail": _pretty(event.detail) if event.detail else ""}


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)
