"""What both APIs ask for, in one noun, and how a field of a request is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ponder.core import Budget, Message, Role
from ponder.errors import BudgetError
from ponder.serve.failing import ApiError, unsupported
from ponder.serve.formatting import KINDS, NAME, Format, flaw

__all__ = [
    "MODEL",
    "MOST_CHOICES",
    "MOST_MESSAGES",
    "MOST_STOPS",
    "MOST_STOP_CHARACTERS",
    "MOST_TOKENS",
    "ROLES",
    "SEEDS",
    "Asked",
    "Fields",
    "check_conversation",
    "check_model",
]

MODEL = "ponder"
"""The name under which the server's one model is asked for."""

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
"""Whose message it is, in the APIs' words."""

MOST_CHOICES = 128
MOST_STOPS = 4
MOST_STOP_CHARACTERS = 200
MOST_MESSAGES = 2000
MOST_TOKENS = 10**7
SEEDS = (-(2**63), 2**63 - 1)
_ABSENT = object()
_NO_TOOLS = "a reply is chosen from several samples and has no one call to make, so leave it out"
_WITHOUT_TOOLS: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "parallel_tool_calls": (True, False),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was read. None where the caller left it to the server.

    `max_tokens` caps each sample's generated tokens. `summary`: a summary of the thought is wanted.
    `progress`: so are events that tell how far the thought is. `format`: the form of the answer, None for
    plain text. `body` is what was sent.
    """

    api: Literal["chat", "responses", "page"]
    messages: tuple[Message, ...]
    body: Mapping[str, Any]
    effort: str | None = None
    strategy: str | None = None
    budget: Budget | None = None
    n: int = 1
    stop: tuple[str, ...] = ()
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    summary: bool = True
    stream: bool = False
    stream_usage: bool = False
    progress: bool = False
    format: Format | None = None


class Fields:
    """The fields of one object of a request; each is taken once, null is as if absent.

    Every reader raises ApiError (400) that names the field.
    """

    def __init__(self, table: Mapping[str, Any], name: str = "") -> None:
        self._left, self._name = dict(table), name

    def path(self, name: str) -> str:
        return f"{self._name}.{name}" if self._name else name

    def wrong(self, name: str, wanted: str) -> ApiError:
        path = self.path(name)
        return ApiError(400, f"{path}: it must be {wanted}.", code="invalid_value", param=path)

    def take(self, name: str) -> Any:
        """The value whatever it is."""
        return self._left.pop(name, None)

    def text(self, name: str) -> str | None:
        value = self.take(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong(name, "a string")
        return value

    def whole(self, name: str, least: int, most: int) -> int | None:
        value = self.take(name)
        if value is None:
            return None
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(name, f"a whole number from {least} to {most}")
        return int(value)

    def number(self, name: str, least: float, most: float) -> float | None:
        value = self.take(name)
        if value is None:
            return None
        if type(value) not in (int, float) or not least <= value <= most or not math.isfinite(value):
            raise self.wrong(name, f"a number from {least:g} to {most:g}")
        return float(value)

    def flag(self, name: str) -> bool | None:
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def table(self, name: str) -> Fields | None:
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return Fields(value, self.path(name))

    def only(self, name: str, *allowed: Any) -> None:
        """Take a field that is not supported but may state what is the case anyway."""
        value = self._left.pop(name, _ABSENT)
        if value is _ABSENT or value is None:
            return
        if not any(type(value) is type(each) and value == each for each in allowed):
            raise unsupported(self.path(name))

    def done(self) -> None:
        """Refuse what nobody took."""
        for name in self._left:
            shown = name if len(name) <= 60 and name.isprintable() else "a field"
            raise unsupported(self.path(shown))

    # ------------------------------------------------ fields that both APIs have

    def stops(self) -> tuple[str, ...]:
        value = self.take("stop")
        stops = [value] if isinstance(value, str) else ([] if value is None else value)
        sound = isinstance(stops, list) and len(stops) <= MOST_STOPS
        if not sound or not all(isinstance(s, str) and 0 < len(s) <= MOST_STOP_CHARACTERS for s in stops):
            raise self.wrong("stop", f"up to {MOST_STOPS} strings of 1 to {MOST_STOP_CHARACTERS} characters")
        return tuple(stops)

    def budget(self) -> Budget | None:
        """A budget as a text ("2000tok,30s") or as an object of its units."""
        value = self.take("budget")
        if value is None:
            return None
        try:
            if isinstance(value, str):
                return Budget.parse(value)
            if isinstance(value, dict):
                units = Fields(value, self.path("budget"))
                budget = Budget(
                    samples=units.whole("samples", 1, 10**9),
                    tokens=units.whole("tokens", 1, 10**15),
                    flop=units.number("flop", 0, 1e300),
                    seconds=units.number("seconds", 0, 1e9),
                    usd=units.number("usd", 0, 1e15),
                )
                units.done()
                return budget
        except BudgetError as error:
            raise ApiError(400, str(error), code="invalid_value", param=self.path("budget")) from None
        raise self.wrong("budget", 'a text such as "2000tok" or an object of samples, tokens, flop, ...')

    def own(self) -> dict[str, Any]:
        """What the `ponder` object states in both APIs."""
        return {
            "strategy": self.text("strategy"),
            "budget": self.budget(),
            "progress": self.flag("progress") or False,
        }

    def top_p(self) -> float | None:
        value = self.number("top_p", 0, 1)
        if value == 0:
            raise self.wrong("top_p", "a number above 0, at most 1")
        return value

    def content(self, *kinds: str) -> str:
        """A message's text: a string, or a list of text parts of these types."""
        value = self.take("content")
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
            raise self.wrong("content", "a string or a list of text parts")
        for part in value:
            if part.get("type") not in kinds:
                kind = str(part.get("type"))[:40]
                raise unsupported(self.path("content"), "send text", f"a part of type {kind!r}")
            if not isinstance(part.get("text"), str):
                raise self.wrong("content", "text parts with a text each")
        return "".join(part["text"] for part in value)

    def kind(self) -> str:
        """A format's type."""
        kind = self.text("type")
        if kind not in KINDS:
            raise self.wrong("type", f"one of {', '.join(KINDS)}")
        return kind

    def schema(self) -> dict[str, Any]:
        """A format's schema with its name, as the chat API has them."""
        name = self.text("name")
        if name is None or re.fullmatch(NAME, name) is None:
            raise self.wrong("name", "1 to 64 letters, digits, underscores and dashes")
        stated = {"name": name, "description": self.text("description"), "strict": self.flag("strict")}
        schema = self.take("schema")
        if (wanted := flaw(schema)) is not None:
            raise self.wrong("schema", wanted)
        return {name: value for name, value in stated.items() if value is not None} | {"schema": schema}

    def no_tools(self, *older: str) -> None:
        """Nothing is called here. `older`: the API's older names."""
        for name in ("tools", "tool_choice", "parallel_tool_calls", *older):
            try:
                self.only(name, *_WITHOUT_TOOLS[name])
            except ApiError:
                raise unsupported(self.path(name), _NO_TOOLS) from None

    def metadata(self) -> None:
        """Notes of the caller's own: they stay with the record."""
        value = self.take("metadata")
        if value is not None and not isinstance(value, dict):
            raise self.wrong("metadata", "an object")


def check_model(name: str | None) -> None:
    """Raises ApiError: 400 without a name, 404 for another than the server's."""
    if name is None:
        raise ApiError(400, f'model: it is missing; send "{MODEL}".', code="invalid_value", param="model")
    if name != MODEL:
        raise ApiError(
            404,
            f'model: there is none of this name here; send "{MODEL}".',
            code="model_not_found",
            param="model",
        )


def check_conversation(messages: Sequence[Message], param: str) -> tuple[Message, ...]:
    """The messages, if there is something to answer. Raises ApiError."""
    if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
        raise ApiError(
            400, f"{param}: it must end with a user's text to answer.", code="invalid_value", param=param
        )
    if len(messages) > MOST_MESSAGES:
        raise ApiError(
            400, f"{param}: it has more than {MOST_MESSAGES} messages.", code="invalid_value", param=param
        )
    return tuple(messages)
