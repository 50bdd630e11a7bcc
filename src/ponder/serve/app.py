"""The routes, and who may take them."""

from __future__ import annotations

import functools

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ponder.serve import chat, responses
from ponder.serve.asking import MODEL
from ponder.serve.audit import audit_routes
from ponder.serve.calling import caller, read_body
from ponder.serve.describing import openapi
from ponder.serve.failing import ApiError
from ponder.serve.following import Api, Following
from ponder.serve.guard import Guard
from ponder.serve.house import House
from ponder.serve.operating import operator_routes
from ponder.serve.page.desk import Desk, by_browser, lost, open_desk
from ponder.serve.page.routes import page_routes
from ponder.serve.strict import read_object

__all__ = ["application"]

APIS = {"/v1/chat/completions": chat.API, "/v1/responses": responses.API}


def application(house: House, *, hosts: tuple[str, ...] | None = ()) -> ASGIApp:
    """The whole server as one ASGI application. The house must be open as long as it runs."""
    desk = open_desk(house)
    routes: list[BaseRoute] = [
        Route("/v1/models", functools.partial(_models, house)),
        Route("/v1/models/{name}", functools.partial(_model, house)),
        Route("/v1/usage", functools.partial(_usage, house)),
        Route("/healthz", _health),
        Route("/openapi.json", functools.partial(_document, house)),
        *audit_routes(house),
        *operator_routes(house),
        *page_routes(desk),
    ]
    for path, api in APIS.items():
        routes.append(Route(path, functools.partial(_answer, house, api), methods=["POST"]))
    app = Guard(_Routed(Router(routes, redirect_slashes=False), desk), hosts=hosts)
    return app if house.traces is None else house.traces.around(app)


class _Routed:
    """Lets the router raise what it would else answer in words of its own; a browser gets a page for it."""

    def __init__(self, router: Router, desk: Desk) -> None:
        self._router, self._desk = router, desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        try:
            await self._router(scope, receive, send)
        except HTTPException as error:
            request = Request(scope)
            if not by_browser(request):
                raise
            await lost(self._desk, request, error)(scope, receive, send)


async def _answer(house: House, api: Api, request: Request) -> Response:
    key = await caller(house, request, "user", "operator")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(
            415, "Send the body as JSON, with `Content-Type: application/json`.", code="content_type"
        )
    asked = api.read(read_object(await read_body(request)))
    return Following(await house.begin(asked, key), api.events, functools.partial(api.respond, asked))


def _card() -> dict[str, object]:
    return {"id": MODEL, "object": "model", "created": 0, "owned_by": "ponder"}


async def _models(house: House, request: Request) -> Response:
    await caller(house, request, "user", "auditor", "operator")
    return JSONResponse({"object": "list", "data": [_card()]})


async def _model(house: House, request: Request) -> Response:
    await caller(house, request, "user", "auditor", "operator")
    if request.path_params["name"] != MODEL:
        raise ApiError(
            404, f'model: there is none of this name here; ask for "{MODEL}".', code="model_not_found"
        )
    return JSONResponse(_card())


async def _usage(house: House, request: Request) -> Response:
    """What the caller's own key has spent, and what its limits have room for."""
    key = await caller(house, request, "user", "auditor", "operator")
    if key is None:
        return JSONResponse({"name": None, "role": "user", "limits": [], "spent": house.purse.spent("")})
    limits, spent = house.purse.left(key), house.purse.spent(key.id)
    return JSONResponse({"name": key.name, "role": key.role, "limits": limits, "spent": spent})


async def _document(house: House, request: Request) -> Response:
    return JSONResponse(openapi(house.planner.efforts, keys=house.keyring is not None))


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})
