"""An answer that comes as server-sent events, its choices side by side.

Servers differ in where they state what an answer took: once for all choices, after the last (OpenAI, vLLM),
or for each choice by itself (llama.cpp: with the end of the choice, or in the event after it). A stream is
untrusted as any response is: lines and bodies are bounded, every field is checked.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ponder.core import Output, Request
from ponder.engines import _http_wire as wire
from ponder.engines._http_client import Answer, parse_body
from ponder.engines._http_errors import BodyTooLarge, Broken, ErrorInside
from ponder.engines._http_growth import Teller
from ponder.errors import BadResponse

__all__ = ["Events", "Grown"]

LONGEST_LINE = 1 << 20


class Events:
    """Server-sent events, put together from pieces of any size (WHATWG HTML, section 9.2).

    Comments and fields without use here are left out; lines end in LF or CRLF.
    """

    def __init__(self) -> None:
        self._line, self._name, self._data = bytearray(), "", list[bytes]()

    def feed(self, piece: bytes) -> list[tuple[str, bytes]]:
        """The (name, data) of each event that this piece completes. Raises BodyTooLarge."""
        *ended, rest = piece.split(b"\n")
        found = []
        for end in ended:
            self._extend(end)
            event = self._take(bytes(self._line.removesuffix(b"\r")))
            self._line.clear()
            if event is not None:
                found.append(event)
        self._extend(rest)
        return found

    def _extend(self, more: bytes) -> None:
        self._line += more
        if len(self._line) > LONGEST_LINE:
            raise BodyTooLarge(f"a line of its stream is longer than {LONGEST_LINE >> 10} KiB")

    def _take(self, line: bytes) -> tuple[str, bytes] | None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._name = value.strip().decode("utf-8", "replace")
        if line:
            return None
        event = (self._name, b"\n".join(self._data)) if self._data else None
        self._name, self._data = "", []
        return event


@dataclass(slots=True)
class _Choice:
    """A choice as far as it has come. `usage` is what was last stated of it alone."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    finish: str | None = None
    stop_reason: Any = None
    usage: Mapping[str, Any] | None = None

    def grow(self, row: Mapping[str, Any], api: wire.Api) -> None:
        delta = row.get("delta") or {} if api == "chat" else {"content": row.get("text")}
        if not isinstance(delta, dict):
            raise BadResponse("a choice of its stream is not an object")
        text, thought = wire.spoken(delta)
        self.texts.append(text)
        self.thoughts.append(thought or "")
        reason = row.get("finish_reason")
        if isinstance(reason, str) and reason:  # "": some servers' word for null
            self.finish, self.stop_reason = reason, row.get("stop_reason")

    def row(self, api: wire.Api) -> dict[str, Any]:
        """As it stands in an answer that is not streamed."""
        text, thought = "".join(self.texts), "".join(self.thoughts)
        said = (
            {"text": text} if api == "completions" else {"message": {"content": text, "reasoning": thought}}
        )
        return {**said, "finish_reason": self.finish, "stop_reason": self.stop_reason}

    def output(self, request: Request, api: wire.Api) -> Output:
        return wire.output(self.row(api), request, api)


class Grown:
    """What has come of one streamed request for `n` choices; it is there too when the stream broke. `teller`
    tells of it while it comes."""

    def __init__(self, api: wire.Api, n: int, teller: Teller | None = None) -> None:
        self._api, self._n, self._teller = api, n, teller
        self._choices: dict[int, _Choice] = {}
        self._last: _Choice | None = None
        self._total: Mapping[str, Any] | None = None
        self._statements = 0
        self._ended_when_stated = 0
        self._whole: dict[str, Any] | None = None

    @property
    def begun(self) -> bool:
        """Whether something was generated, as far as is known."""
        return bool(self._choices)

    @property
    def told(self) -> bool:
        """Whether something was told of it."""
        return self._teller is not None and bool(self._teller.told)

    async def read(self, answer: Answer) -> None:
        """Read to the end. Raises Broken, BadResponse, ErrorInside, BodyTooLarge."""
        if answer.streamed:
            await self._read_events(answer)
            return
        self._whole = parse_body(await answer.whole())  # the server takes no notice of `stream`
        if self._whole.get("error") and not self._whole.get("choices"):
            raise ErrorInside.of(self._whole["error"])

    async def _read_events(self, answer: Answer) -> None:
        events = Events()
        async with contextlib.aclosing(answer.pieces()) as pieces:
            async for piece in pieces:
                for name, data in events.feed(piece):
                    if data.strip() == b"[DONE]":
                        return
                    self._take(name, parse_body(data))
        if self._ended < self._n:
            raise Broken("the stream ended before its choices did")

    def _take(self, name: str, event: Mapping[str, Any]) -> None:
        rows = event.get("choices")
        problem = event.get("error") or (event if name == "error" else None)
        if problem and not rows:
            raise ErrorInside.of(problem)
        rows = [] if rows is None else rows
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BadResponse("a choice of its stream is not an object")
        for row in rows:
            place = row.get("index")
            if type(place) is not int or not 0 <= place < self._n:
                raise BadResponse("a choice of its stream has no place among those asked for")
            self._last = choice = self._choices.setdefault(place, _Choice())
            choice.grow(row, self._api)
            if (teller := self._teller) is not None:
                whole = functools.partial(choice.output, teller.request, self._api)
                teller.grew(place, choice.texts[-1], choice.thoughts[-1], whole)
        if isinstance(event.get("usage"), dict):
            self._note(event["usage"], len(rows))

    def _note(self, usage: Mapping[str, Any], beside: int) -> None:
        """A statement beside one choice is of that choice, and so is one that follows a choice's end."""
        last = self._last
        self._statements += 1
        self._ended_when_stated = self._ended
        follows = beside == 0 and last is not None and last.finish is not None and last.usage is None
        if last is not None and (beside == 1 or follows):
            last.usage = usage
        else:
            self._total = usage

    @property
    def _ended(self) -> int:
        return sum(choice.finish is not None for choice in self._choices.values())

    # ------------------------------------------------ what is believed of it

    def reading(self, request: Request) -> wire.Reading:
        """Of a stream that was read to its end. Raises BadResponse."""
        if self._whole is not None:
            return wire.reading(self._whole, request, self._api, self._n, proven=False)
        if not self._choices:
            raise BadResponse("the answer has no choices")
        choices = [self._choices[place] for place in sorted(self._choices)]
        drawn = [choice.output(request, self._api) for choice in choices]
        own, total = self._stated(choices)
        each = [wire.counts(u, [o], request.max_tokens) for u, o in zip(own, drawn, strict=True)]
        tokens = [count.completion for count in each]
        sums = wire.Counts(*self._prompt(), _sum(tokens), _sum([count.reasoning for count in each]))
        if total is not None:
            told = wire.counts(total, drawn, request.max_tokens)
            if sums.completion not in (None, told.completion):
                tokens = [None] * len(drawn)
                told = replace(told, completion=None, reasoning=None)
            sums = replace(told, prompt=sums.prompt, cached=sums.cached)
        outputs = [replace(o, tokens=t) for o, t in zip(drawn, tokens, strict=True)]
        rows = [choice.row(self._api) for choice in choices]
        return wire.Reading(outputs, sums, wire.closes_alone(rows, request, self._api))

    def kept(self, request: Request, finish: Literal["cancelled", "failed"]) -> wire.Reading:
        """Of a stream that broke: the choices that had ended or of which something was told, and before the
        last of them, in their places, what there was of those that had not. How many tokens these took nobody
        knows: the server may have been ahead of what arrived."""
        prompt, cached = self._prompt()
        ended = [place for place, choice in self._choices.items() if choice.finish is not None]
        own, _ = self._stated(list(self._choices.values()))
        usages = dict(zip(self._choices, own, strict=True))
        outputs = []
        known = [*ended, *(() if self._teller is None else self._teller.told)]
        for place in range(max(known, default=-1) + 1):
            output = self._choices.get(place, _Choice()).output(request, self._api)
            if place in ended:
                tokens = wire.counts(usages[place], [output], request.max_tokens).completion
                outputs.append(replace(output, tokens=tokens))
            else:
                outputs.append(replace(output, finish=finish))
        return wire.Reading(outputs, wire.Counts(prompt, cached, None, None))

    def _stated(self, choices: list[_Choice]) -> tuple[list[Mapping[str, Any] | None], Any]:
        """What is stated of each choice, and of all. A single statement after the end of several
        choices is of all, wherever it stood."""
        own = [choice.usage for choice in choices]
        if self._total is None and self._statements == 1 and len(choices) == self._ended_when_stated > 1:
            return [None] * len(own), next(usage for usage in own if usage is not None)
        return own, self._total

    def _prompt(self) -> tuple[int | None, int | None]:
        """(tokens, cached tokens) of the prompt, which is read once for all choices: what the statements
        agree on, and of cached tokens the fewest, which the choice that came first found."""
        stated = [choice.usage for choice in self._choices.values()] + [self._total]
        each = [wire.counts(usage, [], 0) for usage in stated if usage is not None]
        prompts = {count.prompt for count in each}
        cached = [count.cached for count in each]
        known = [n for n in cached if n is not None]
        prompt = prompts.pop() if len(prompts) == 1 else None
        return prompt, min(known) if known and len(known) == len(cached) and prompt is not None else None


def _sum(counts: list[int | None]) -> int | None:
    known = [n for n in counts if n is not None]
    return sum(known) if len(known) == len(counts) else None
