"""What the pages share: who may see which, and errors as pages."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

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

__all__ = ["EVENTS", "Desk", "Handler", "form", "moved", "route", "trouble"]

EVENTS = "text/event-stream"
_MOST_FIELDS = 20


@dataclass(frozen=True, slots=True)
class Desk:
    """What the pages are made from."""

    house: House
    forecasts: Forecasts
    sessions: Sessions = field(default_factory=Sessions)


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


def trouble(error: Exception, who: Visitor) -> Response:
    """An error as a page. It is logged and worded as the API's are."""
    plain = answer_error(error)
    sentence = json.loads(bytes(plain.body))["error"]["message"]
    shown = page("trouble.html", who, "That did not work", status=plain.status_code, sentence=sentence)
    if "retry-after" in plain.headers:
        shown.headers["retry-after"] = plain.headers["retry-after"]
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
