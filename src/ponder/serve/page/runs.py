"""The runs on the ledger, and the reports of those that were measured."""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from ponder.errors import PonderError
from ponder.ledger import Ledger
from ponder.measure import finished
from ponder.report import words
from ponder.serve.failing import ApiError
from ponder.serve.page.aside import aside
from ponder.serve.page.desk import Desk, route
from ponder.serve.page.ledger_runs import listed, other_runs
from ponder.serve.page.look import page
from ponder.serve.page.session import Visitor

__all__ = ["run_pages"]

_MOST = 100
_KEPT = 8
"""Reports that are kept drawn."""

_WHO = ("local", "auditor", "operator")
# The report brings a policy of its own for its scripts. In a sandbox they have an origin that is nobody's.
_REPORT_HEADERS = {
    "content-security-policy": "frame-ancestors 'none'; sandbox allow-scripts",
    "cross-origin-opener-policy": "same-origin",
}


def run_pages(desk: Desk) -> list[BaseRoute]:
    turn, drawn = asyncio.Lock(), dict[tuple[str, bool], str]()

    async def report(desk: Desk, request: Request, who: Visitor) -> Response:
        wanted = request.path_params["id"], who.role == "auditor"
        async with turn:  # one at a time: drawing takes seconds
            if wanted not in drawn:
                told = await aside(lambda: _report(desk.house.ledger, *wanted))
                if len(drawn) >= _KEPT:
                    del drawn[next(iter(drawn))]
                drawn[wanted] = told
        return HTMLResponse(drawn[wanted], headers=_REPORT_HEADERS)

    return [
        route(desk, "/runs", _list, *_WHO),
        route(desk, "/runs/{id}/report", report, *_WHO),
    ]


async def _list(desk: Desk, request: Request, who: Visitor) -> Response:
    ledger = desk.house.ledger
    rows = await asyncio.to_thread(other_runs, ledger)
    found = await asyncio.to_thread(listed, ledger, rows[:_MOST])
    lines = [
        {
            "run": run,
            "samples": f"{run.usage.samples:,}",
            "tokens": words.compact(run.usage.tokens),
            "flop": words.compact(run.usage.flop),
        }
        for run in found
    ]
    can = all(importlib.util.find_spec(name) is not None for name in ("altair", "vl_convert"))
    return page("runs.html", who, "Runs", rows=lines, more=len(rows) - len(lines), can_report=can)


def _report(ledger: Ledger, run: str, whole: bool) -> str:
    """The run's report; if not whole, without its examples, which are traces."""
    try:
        measurement = finished(ledger, run)
    except PonderError:
        raise ApiError(404, "There is no such finished measurement.", code="not_found") from None
    if not whole:
        bare = tuple(replace(task, examples=()) for task in measurement.tasks)
        measurement = replace(measurement, tasks=bare)
    try:
        from ponder.report.page import page_of

        return page_of(measurement)
    except ImportError:
        raise ApiError(
            501, "Reports need `pip install 'ponder[report]'` where the server runs.", code="no_report"
        ) from None
