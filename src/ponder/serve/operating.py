"""What an operator reads: keys, limits, use, what is in flight, rules, alerts, the report, and the metrics.

No question, thought or answer is in any of it. Without keys everybody on this machine is the operator.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ponder.errors import ConfigError
from ponder.ledger import EventRow
from ponder.serve.alerting import RUN
from ponder.serve.calling import caller, page_limit
from ponder.serve.erasing import erasures, post_erasure
from ponder.serve.failing import ApiError
from ponder.serve.house import House, Job
from ponder.serve.keys import Key
from ponder.serve.metering import parse_moment, report

__all__ = ["operator_routes"]

_MOST = 1000
_PAGE = 100

Handler = Callable[[House, Request], Awaitable[Response]]


def operator_routes(house: House) -> list[BaseRoute]:
    """The operator's paths."""
    paths: dict[str, Handler] = {
        "/v1/operator/keys": _keys,
        "/v1/operator/limits": _limits,
        "/v1/operator/usage": _usage,
        "/v1/operator/requests": _requests,
        "/v1/operator/rules": _rules,
        "/v1/operator/alerts": _alerts,
        "/v1/operator/report": _report,
        "/v1/operator/erasures": erasures,
        "/metrics": _metrics,
    }
    reading = [Route(path, functools.partial(_guarded, house, handler)) for path, handler in paths.items()]
    return [*reading, Route("/v1/operator/erasures", functools.partial(_erase, house), methods=["POST"])]


async def _guarded(house: House, handler: Handler, request: Request) -> Response:
    if house.keyring is not None:
        await caller(house, request, "operator")
    return await handler(house, request)


async def _erase(house: House, request: Request) -> Response:
    key = None if house.keyring is None else await caller(house, request, "operator")
    return await post_erasure(house, key, request)


def _owners(house: House) -> list[tuple[str, Key | None]]:
    """Every key of the file, or the one account that there is without keys."""
    if house.keyring is None:
        return [("", None)]
    try:
        return [(key.id, key) for key in house.keyring.keys]
    except ConfigError:
        raise ApiError(503, "The keys cannot be read; see their file.", code="no_keys") from None


def _list(data: list[dict[str, Any]]) -> Response:
    return JSONResponse({"object": "list", "data": data})


async def _keys(house: House, request: Request) -> Response:
    """Who may ask, in which role, under which limits. No hash is given out."""
    shown = ("id", "name", "role", "limits", "concurrency", "created", "revoked")
    keys = [key for _, key in _owners(house) if key is not None]
    return _list([{**{n: getattr(key, n) for n in shown}, "declared": dict(key.factors)} for key in keys])


async def _limits(house: House, request: Request) -> Response:
    """What holds for all keys together, and what each key's limits have room for now."""
    options, purse = house.options, house.purse
    keys = [key for _, key in _owners(house) if key is not None and key.revoked is None]
    return JSONResponse(
        {
            "concurrency": options.concurrency,
            "running": purse.running,
            "usual_effort": options.usual,
            "ceiling": options.ceiling.to_json(),
            "max_tokens": options.max_tokens,
            "keys": [
                {
                    "id": key.id,
                    "name": key.name,
                    "concurrency": key.concurrency,
                    "running": _running(house, key.id),
                    "limits": purse.left(key),
                }
                for key in keys
            ],
        }
    )


def _running(house: House, owner: str) -> int:
    account = house.purse.accounts.get(owner)
    return 0 if account is None else account.running


async def _usage(house: House, request: Request) -> Response:
    """What each key was charged in the present windows; null where a part of it is unknown."""
    return _list(
        [
            {
                "id": owner,
                "name": _name(key),
                "running": _running(house, owner),
                "spent": house.purse.spent(owner),
            }
            for owner, key in _owners(house)
        ]
    )


def _name(key: Key | None) -> str | None:
    return None if key is None else key.name


async def _requests(house: House, request: Request) -> Response:
    """What is in flight, oldest first, and how far it is."""
    return _list([_job(job) for job in sorted(house.jobs, key=lambda job: job.created)])


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "created": job.created,
        "key": _name(job.key),
        "api": job.asked.api,
        "stream": job.asked.stream,
        "effort": job.planned.effort,
        "strategy": str(job.planned.plan),
        "budget": job.planned.budget.to_json(),
        "progress": job.tape.progress.to_json(),
    }


async def _rules(house: House, request: Request) -> Response:
    """The rules, and what each says of every key now: which factor was measured, which declared, which is not
    known."""
    owners = [(owner, key) for owner, key in _owners(house) if key is None or key.revoked is None]
    verdicts = [
        {
            "id": owner,
            "name": _name(key),
            "verdicts": [verdict.to_json() for verdict in house.alerts.verdicts(owner, key)],
        }
        for owner, key in owners
    ]
    return JSONResponse({"rules": [rule.to_json() for rule in house.alerts.rules], "keys": verdicts})


async def _alerts(house: House, request: Request) -> Response:
    """The alerts on the ledger, newest first, at most `limit`."""
    limit = page_limit(request.query_params.get("limit"), _PAGE, _MOST)
    events: list[EventRow] = await asyncio.to_thread(house.ledger.events, RUN)
    alerts = [event for event in reversed(events) if event.kind == "alerted"]
    return _list([{"at": event.at, **event.detail} for event in alerts[:limit]])


async def _report(house: House, request: Request) -> Response:
    """Who used how much, from `since` on and before `until`."""
    since, until = (_moment(request, name) for name in ("since", "until"))
    location, capacity = house.settings.ledger, house.options.capacity
    made = functools.partial(report, house.ledger, location, since, until, capacity)
    told = await asyncio.to_thread(lambda: made().to_json())
    return JSONResponse(told)


def _moment(request: Request, name: str) -> float | None:
    stated = request.query_params.get(name)
    return None if stated is None else parse_moment(name, stated)


async def _metrics(house: House, request: Request) -> Response:
    text, kind = house.metrics.text()
    return Response(text, headers={"content-type": kind})
