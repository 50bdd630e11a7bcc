"""A key's own requests, newest first, with what each took and what the key's limits have left.

Without keys there is no such list: nobody could tell there whose a request was, and an answer is seen by who
knows its address.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from ponder.ledger import Ledger, RunUse, request_usage
from ponder.report import words
from ponder.serve.audit import own_requests
from ponder.serve.page.accounts import account
from ponder.serve.page.desk import Desk, route
from ponder.serve.page.look import page
from ponder.serve.page.session import Visitor

__all__ = ["answer_pages"]

_PAGE = 50


def answer_pages(desk: Desk) -> list[BaseRoute]:
    return [route(desk, "/answers", _list, "user", "operator")]


async def _list(desk: Desk, request: Request, who: Visitor) -> Response:
    assert who.key is not None, "these roles are a key's"
    before, ledger = request.query_params.get("before"), desk.house.ledger
    uses = await asyncio.to_thread(own_requests, ledger, who.key.id, before, limit=_PAGE)
    rows = await asyncio.to_thread(lambda: [_line(ledger, use) for use in uses])
    more = "/answers?" + urlencode({"before": rows[-1]["id"]}) if len(rows) == _PAGE else None
    limits = account(desk, who.key)["limits"]
    return page("answers.html", who, "Answers", rows=rows, more=more, first=before is None, limits=limits)


def _line(ledger: Ledger, use: RunUse) -> dict[str, Any]:
    config, usage = use.run.config, request_usage(use.usage, use.last)
    erased = config.get("erased", False)
    return {
        "id": config["request"],
        "question": None if erased else ledger.problems(use.run.id)[0][0].text,
        "created": use.run.created,
        "api": config["api"],
        "effort": config["effort"],
        "strategy": config["strategy"],
        "state": "erased" if erased else use.last or "started",
        "there": "told" in use.events and not erased and config["api"] == "page",
        "samples": f"{usage.samples:,}",
        "tokens": words.compact(usage.tokens),
        "flop": words.compact(usage.flop),
    }
