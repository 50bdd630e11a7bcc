"""What the pages share: who may see which, and errors as pages."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ponder.serve.calling import read_body
from ponder.serve.failing import ApiError
from ponder.serve.guard import answer_error
from ponder.serve.house import House
from ponder.serve.page.forecast import Forecasts
from ponder.serve.page.look import page
from ponder.serve.page.session import Sessions, Visitor, visitor

__all__ = [
    "EVENTS",
    "Desk",
    "Handler",
    "by_browser",
    "form",
    "lost",
    "moved",
    "open_desk",
    "route",
    "trouble",
]

EVENTS = "text/event-stream"
_MOST_FIELDS = 20
_TITLES = {404: "Not found", 405: "Nothing to open here"}
_LOST = {
    404: "There is nothing at this address; see whether it is typed right.",
    405: "A form sends to this address, and it shows nothing by itself.",
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What the pages are made from."""

    house: House
    forecasts: Forecasts
    sessions: Sessions = field(default_factory=Sessions)


def open_desk(house: House) -> Desk:
    model, location, efforts = house.engine.model.name, house.settings.ledger, house.planner.efforts
    return Desk(house, Forecasts(house.ledger, location, model, efforts, house.options.law, house.law_counts))


Handler = Callable[[Desk, Request, Visitor], Awaitable[Response]]


def route(desk: Desk, path: str, handler: Handler, *roles: str, method: str = "GET") -> Route:
    """A page that these roles may see. Others are told so, and who is not signed in is led to do it."""
    return Route(path, functools.partial(_answer, desk, handler, roles), methods=[method])


async def _answer(desk: Desk, handler: Handler, roles: tuple[str, ...], request: Request) -> Response:
    who = Visitor("nobody")
    try:
        who = visitor(desk.house, desk.sessions, request)
        if who.role in roles:
            return await handler(desk, request, who)
        if who.role == "nobody" and not _by_script(request):
            return moved("/")
        raise _refused(who)
    except ClientDisconnect:
        raise
    except Exception as error:
        if _by_script(request):
            raise
        return trouble(error, who)


def _refused(who: Visitor) -> ApiError:
    if who.role == "nobody":
        return ApiError(401, "Sign in again: the session has ended.", code="invalid_api_key")
    if who.role == "local":
        return ApiError(403, "This needs a key; start the server with --keys.", code="no_keys")
    return ApiError(403, f"A key of the role {who.role} may not see this.", code="role")


def _by_script(request: Request) -> bool:
    return EVENTS in request.headers.get("accept", "")


def by_browser(request: Request) -> bool:
    """Whether somebody opens an address, who reads pages and not JSON."""
    return "text/html" in request.headers.get("accept", "")


def lost(desk: Desk, request: Request, error: HTTPException) -> Response:
    """A page that says that there is none at this address, or none to open."""
    try:
        who = visitor(desk.house, desk.sessions, request)
    except ApiError:
        who = Visitor("nobody")
    opened = request.method in ("GET", "HEAD")
    return trouble(error, who, _LOST.get(error.status_code) if opened else None)


def trouble(error: Exception, who: Visitor, sentence: str | None = None) -> Response:
    """An error as a page. It is logged and, without a sentence of its own, worded as the API's are."""
    plain = answer_error(error)
    sentence = sentence or json.loads(bytes(plain.body))["error"]["message"]
    title = _TITLES.get(plain.status_code, "That did not work")
    shown = page("trouble.html", who, title, status=plain.status_code, sentence=sentence)
    for name in ("allow", "retry-after"):
        if name in plain.headers:
            shown.headers[name] = plain.headers[name]
    return shown


def moved(address: str) -> RedirectResponse:
    """To be read at another address, by GET."""
    return RedirectResponse(address, status_code=303)


async def form(request: Request) -> dict[str, str]:
    """The fields of a form. Raises ApiError (400, 415)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise ApiError(415, "Send the form from its page.", code="content_type")
    try:
        text = (await read_body(request)).decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise ApiError(400, "The form cannot be read; send it from its page.", code="invalid_value") from None
    return dict(pairs)
