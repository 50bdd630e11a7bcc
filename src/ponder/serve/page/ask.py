"""Asking: the form, the thought as it goes, and the answer at an address of its own."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from ponder.core import Budget, Message, Usage
from ponder.errors import UnknownName
from ponder.ledger import Ledger
from ponder.report import words
from ponder.serve.asking import Asked, check_conversation
from ponder.serve.failing import ApiError
from ponder.serve.following import Events, Following
from ponder.serve.house import run_of
from ponder.serve.page.desk import EVENTS, Desk, form, moved, route, trouble
from ponder.serve.page.look import page
from ponder.serve.page.session import COOKIE, Visitor, close_session, open_session
from ponder.serve.telling import Progress, Told, pieces

__all__ = ["Shown", "ask_routes", "shown"]

_ASKING = ("local", "user", "operator")


def ask_routes(desk: Desk) -> list[BaseRoute]:
    """The form, where it is sent, and the answers; signing in and out."""
    everybody = ("nobody", "local", "user", "auditor", "operator")
    return [
        route(desk, "/", _home, *everybody),
        route(desk, "/sign-in", _sign_in, *everybody, method="POST"),
        route(desk, "/sign-out", _sign_out, *everybody, method="POST"),
        route(desk, "/ask", _ask, *_ASKING, method="POST"),
        route(desk, "/answers/{id}", _answer, *_ASKING),
    ]


async def _home(desk: Desk, request: Request, who: Visitor) -> Response:
    if who.role == "auditor":
        return moved("/requests")
    if who.role == "nobody":
        return page("sign_in.html", who, "Sign in", wrong="")
    return _form(desk, who, "Ask")


def _form(desk: Desk, who: Visitor, title: str, **values: Any) -> Response:
    usual = {"question": "", "effort": desk.house.options.usual, "shown": None, "forecast": None}
    told = {"efforts": list(_efforts(desk)), "model": desk.house.engine.model.name, **usual, **values}
    return page("ask.html", who, title, **told)


def _efforts(desk: Desk) -> Iterator[tuple[str, str]]:
    """Each effort word with what it may take at most."""
    for word, row in desk.house.planner.efforts.items():
        most = Budget.parse(row.budget) if row.budget else Budget()
        if row.strategy == "direct":
            yield word, "no thought"
        elif most.samples is None:
            yield word, row.strategy
        else:
            yield word, "1 sample" if most.samples == 1 else f"up to {most.samples:,}"


async def _sign_in(desk: Desk, request: Request, who: Visitor) -> Response:
    keyring = desk.house.keyring
    if keyring is None:
        return moved("/")
    key = await keyring.find((await form(request)).get("key", "").strip())
    if key is None:
        wrong = "This key is not in force. Copy it whole, from pk- on, or ask the operator for a new one."
        return page("sign_in.html", who, "Sign in", status=401, wrong=wrong)
    response = moved("/")
    open_session(desk.sessions, key, request, response)
    return response


async def _sign_out(desk: Desk, request: Request, who: Visitor) -> Response:
    close_session(desk.sessions, request)
    response = moved("/")
    response.delete_cookie(COOKIE)
    return response


# ---------------------------------------------------------------- asking


async def _ask(desk: Desk, request: Request, who: Visitor) -> Response:
    fields = await form(request)
    question, effort = fields.get("question", "").replace("\r\n", "\n"), fields.get("effort")
    if not question.strip():
        raise ApiError(400, "question: it is empty; write what you want to know.", code="invalid_value")
    stream = EVENTS in request.headers.get("accept", "")
    asked = Asked(
        "page",
        check_conversation([Message("user", question)], "question"),
        {"question": question, "effort": effort},
        effort=effort or None,
        stream=stream,
        progress=stream,
    )
    budget = desk.house.planner.plan(asked).budget
    await desk.forecasts.of(effort, patience=0)  # so that a law may be fitted meanwhile
    events = Events(functools.partial(_Events, most=budget.samples))
    return Following(await desk.house.begin(asked, who.key), events, functools.partial(_lead, who))


def _lead(who: Visitor, told: Told | ApiError) -> Response:
    """To the answer's page, where nothing was streamed."""
    return trouble(told, who) if isinstance(told, ApiError) else moved(f"/answers/{told.id}")


@dataclass(frozen=True, slots=True)
class _Events:
    """In words that the page shows as they are: it has no formats of its own. `most`: samples."""

    id: str
    created: float
    asked: Asked
    most: int | None

    def begin(self) -> Iterator[dict[str, Any]]:
        yield {"type": "begun", "most": self.most}

    def progress(self, now: Progress) -> dict[str, Any]:
        figures = {
            "elapsed": words.duration(now.seconds),
            "samples": f"{now.samples:,}",
            "tokens": words.compact(now.tokens),
            "flop": words.compact(now.flop),
            "agreement": "no votes yet" if now.agreement is None else words.percent(now.agreement),
        }
        return {"type": "progress", "done": now.samples, "figures": figures}

    def written(self, index: int, text: str) -> Iterator[dict[str, Any]]:
        yield {"type": "answer", "text": words.plain(text)}

    def finish(self, told: Told) -> Iterator[dict[str, Any]]:
        for piece in pieces(words.plain(told.choices[0].summary or "")):
            yield {"type": "summary", "text": piece}
        yield {"type": "told", "address": f"/answers/{told.id}"}

    def fail(self, error: ApiError) -> Iterator[dict[str, Any]]:
        yield {"type": "failed", "message": words.plain(str(error))}


# ---------------------------------------------------------------- the answer


@dataclass(frozen=True, slots=True)
class Shown:
    """What the asker of a request may see of it, and nothing else: not its samples, not its thoughts.

    `samples` are those that the answer was chosen from, `usage` is of the summary too."""

    id: str
    created: float
    question: str
    effort: str | None
    strategy: str
    answer: str
    summary: str | None
    cuts: int
    finish: str
    stopped_by: str | None
    agreement: float | None
    samples: int | None
    usage: Usage
    seconds: float


def shown(ledger: Ledger, run: str) -> Shown | None:
    """What was told of a page's request; None where nothing was. Raises UnknownName."""
    config, events = ledger.config(run), ledger.events(run)
    told = next((event for event in events if event.kind == "told"), None)
    if told is None or config.get("api") != "page" or config.get("erased"):
        return None
    detail: Mapping[str, Any] = told.detail
    answer, created = next(iter(ledger.answers(run)), None), ledger.created(run)
    return Shown(
        config["request"],
        created,
        config["body"]["question"],
        config["effort"],
        config["strategy"],
        detail["content"],
        detail["summary"],
        sum(detail["cuts"].values()),
        detail["finish"],
        None if answer is None else answer.stopped_by,
        None if answer is None else answer.answer.agreement,
        None if answer is None else answer.usage.samples,
        ledger.usage(run),
        told.at - created,
    )


async def _answer(desk: Desk, request: Request, who: Visitor) -> Response:
    """The asker's own, or without keys everybody's on this machine who knows its address."""
    run, ledger = run_of(request.path_params["id"]), desk.house.ledger
    try:
        config = await asyncio.to_thread(ledger.config, run)
        found = await asyncio.to_thread(shown, ledger, run) if _own(config, who) else None
    except UnknownName:
        found = None
    if found is None:
        raise ApiError(404, "There is no such answer of yours.", code="not_found")
    forecast = await desk.forecasts.of(found.effort)
    voted = found.agreement is not None and found.samples != 1
    spent = [
        ("Time", words.duration(found.seconds)),
        ("Samples", words.UNKNOWN if found.samples is None else f"{found.samples:,}"),
        ("Tokens", words.compact(found.usage.tokens)),
        ("FLOP", words.compact(found.usage.flop)),
        ("US dollars", words.UNKNOWN if found.usage.usd is None else f"{found.usage.usd:.4f}"),
        ("Agreeing", words.percent(found.agreement) if voted else "nothing was voted on"),
    ]
    return _form(
        desk,
        who,
        "Answer",
        question=found.question,
        effort=found.effort,
        shown=found,
        spent=spent,
        forecast=forecast,
    )


def _own(config: Mapping[str, Any], who: Visitor) -> bool:
    asker = config.get("key")
    return asker is None if who.key is None else asker is not None and asker["id"] == who.key.id
