"""What keys may spend and have spent: one's own, and for the operator everybody's."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from ponder.errors import ConfigError
from ponder.ledger import SERVE
from ponder.report import words
from ponder.serve.alerting import RUN
from ponder.serve.erasing import erase
from ponder.serve.failing import ApiError
from ponder.serve.keys import Key
from ponder.serve.limits import UNITS
from ponder.serve.metering import report
from ponder.serve.metering_page import metering_html
from ponder.serve.page.aside import aside
from ponder.serve.page.desk import Desk, form, moved, route
from ponder.serve.page.look import page
from ponder.serve.page.session import Visitor

__all__ = ["account", "account_pages"]

_MOST_ALERTS = 50
_MOST_ORDERS = 50
_NAMES = {"flop": "FLOP", "usd": "US dollars"}
_UNITS = {unit: _NAMES.get(unit, unit) for unit in UNITS}


def account_pages(desk: Desk) -> list[BaseRoute]:
    return [
        route(desk, "/usage", _usage, "local", "user", "auditor", "operator"),
        route(desk, "/keys", _keys, "operator"),
        route(desk, "/report", _report, "local", "operator"),
        route(desk, "/erase", _erasures, "local", "operator"),
        route(desk, "/erase", _erase, "local", "operator", method="POST"),
    ]


async def _usage(desk: Desk, request: Request, who: Visitor) -> Response:
    return page("usage.html", who, "Usage", units=_UNITS, account=account(desk, who.key))


async def _keys(desk: Desk, request: Request, who: Visitor) -> Response:
    keyring = desk.house.keyring
    assert keyring is not None, "an operator has a key"
    try:
        keys = keyring.keys
    except ConfigError:
        raise ApiError(503, "The keys cannot be read; see their file.", code="no_keys") from None
    ordered = sorted(keys, key=lambda key: key.revoked is not None)
    rows = [{"key": key, "account": account(desk, key)} for key in ordered]
    running, most = desk.house.purse.running, desk.house.options.concurrency
    alerts = await asyncio.to_thread(_alerts, desk)
    values: dict[str, Any] = {"rows": rows, "units": _UNITS, "running": running, "most": most}
    return page("keys.html", who, "Keys", alerts=alerts, **values)


def _alerts(desk: Desk) -> list[dict[str, Any]]:
    """The latest, newest first."""
    told = [event for event in desk.house.ledger.events(RUN) if event.kind == "alerted"]
    return [{"at": each.at, **each.detail} for each in reversed(told[-_MOST_ALERTS:])]


async def _report(desk: Desk, request: Request, who: Visitor) -> Response:
    """The provider's report over all that is on the ledger: a page that is also written to a file."""
    house = desk.house
    made = functools.partial(report, house.ledger, house.settings.ledger, capacity=house.options.capacity)
    told = await aside(lambda: metering_html(made(), home="/"))
    return HTMLResponse(told, headers={"content-security-policy": "frame-ancestors 'none'; sandbox"})


async def _erasures(desk: Desk, request: Request, who: Visitor) -> Response:
    orders = await asyncio.to_thread(desk.house.ledger.erasures)
    latest = list(reversed(orders[-_MOST_ORDERS:]))
    return page("erase.html", who, "Erase", orders=latest, more=len(orders) - len(latest), prefix=SERVE)


async def _erase(desk: Desk, request: Request, who: Visitor) -> Response:
    fields = await form(request)
    await erase(desk.house, who.key, fields.get("request", ""), fields.get("reason", ""))
    return moved("/erase")


def account(desk: Desk, key: Key | None) -> dict[str, Any]:
    """In words: what is spent in each window by unit, what each limit has left, how many run now."""
    purse, owner = desk.house.purse, "" if key is None else key.id
    spent = {
        window: {unit: words.compact(amounts[unit]) for unit in UNITS}
        for window, amounts in purse.spent(owner).items()
    }
    limits = [
        {
            "unit": _NAMES.get(limit["unit"], limit["unit"]),
            "window": limit["window"],
            "limit": words.compact(limit["limit"]),
            "left": words.compact(limit["left"]),
            "used": min(1.0, 1.0 - limit["left"] / limit["limit"]) if limit["limit"] else 1.0,
        }
        for limit in (() if key is None else purse.left(key))
    ]
    known = purse.accounts.get(owner)
    return {"spent": spent, "limits": limits, "running": 0 if known is None else known.running}
