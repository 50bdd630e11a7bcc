"""One request's texts taken out while the server runs, by an operator's order, which stands on the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ponder.errors import UnknownName
from ponder.ledger import Erasure
from ponder.serve.asking import Fields
from ponder.serve.audit import is_request
from ponder.serve.calling import page_limit, read_body
from ponder.serve.failing import ApiError
from ponder.serve.house import House, run_of
from ponder.serve.keys import Key
from ponder.serve.strict import read_object

__all__ = ["erase", "erasures", "post_erasure", "told"]

_PAGE, _MOST = 100, 1000
_LONGEST_REASON = 500
NOBODY = "whoever is on this machine"
"""Who orders where there are no keys."""


async def erase(house: House, key: Key | None, identity: str, reason: str) -> Erasure:
    """Take out what a request's record says in words; the order, which may be an earlier one's.

    Raises ApiError: 400 for a reason that is empty or too long, 404 for an id that no request has, 409 for a
    request that is still thought about, 503 while the ledger's disk is full; LedgerError.
    """
    run = run_of(identity.strip())
    if not reason.strip() or len(reason) > _LONGEST_REASON:
        sentence = f"reason: it stands on the ledger; say it in 1 to {_LONGEST_REASON} characters."
        raise ApiError(400, sentence, code="invalid_value", param="reason")
    if not is_request(run):
        raise _missing()
    if any(run_of(job.id) == run for job in house.jobs):
        raise ApiError(409, "request: it is still thought about; wait for its end.", code="running")
    house.room.check()
    by = NOBODY if key is None else f"{key.name} ({key.id})"
    try:
        await asyncio.to_thread(house.ledger.erase, [run], by=by, reason=reason.strip())
    except UnknownName:
        raise _missing() from None
    orders = await asyncio.to_thread(house.ledger.erasures)
    return next(order for order in reversed(orders) if run in order.runs)


def _missing() -> ApiError:
    return ApiError(
        404,
        "request: there is none of this id; it stands in the reply, or in the address of the answer's page.",
        code="not_found",
        param="request",
    )


def told(order: Erasure) -> Mapping[str, Any]:
    """An order as JSON. `texts`: how many it took out."""
    return {
        "at": order.at,
        "by": order.by,
        "reason": order.reason,
        "runs": list(order.runs),
        "texts": order.texts,
    }


async def post_erasure(house: House, key: Key | None, request: Request) -> Response:
    """`request`: its id; `reason`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(
            415, "Send the body as JSON, with `Content-Type: application/json`.", code="content_type"
        )
    fields = Fields(read_object(await read_body(request)))
    identity, reason = fields.text("request") or "", fields.text("reason") or ""
    fields.done()
    return JSONResponse(told(await erase(house, key, identity, reason)))


async def erasures(house: House, request: Request) -> Response:
    """The orders so far, newest first, at most `limit`."""
    limit = page_limit(request.query_params.get("limit"), _PAGE, _MOST)
    orders = await asyncio.to_thread(house.ledger.erasures)
    return JSONResponse({"object": "list", "data": [told(order) for order in reversed(orders[-limit:])]})
