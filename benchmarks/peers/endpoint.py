"""An OpenAI-compatible endpoint on loopback that serves recorded samples in order, or a live model, and
keeps the truth about tokens.

Every client has its own address, `.../CLIENT/v1`. `begin(client, problem)` sets a client's place in a
problem's samples to the first; from then on each gets what it asks for: n choices are the next n samples.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from benchmarks.peers.bank import TEMPERATURE, Banked
from benchmarks.peers.truth import OUTSIDE, Books, Truth
from benchmarks.peers.wire import Incoming, Refused, Server

__all__ = [
    *("AT_ONCE", "LIVE", "MOST_CHOICES"),
    *("Asked", "Choice", "Endpoint", "Pace", "Replay", "Served", "Source"),
]

MODEL = "M"
MOST_CHOICES = 16  # of one request
TRIAL_TOKENS = 4  # a prompt that is no problem's is answered up to this length: a client's trial


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for completions, as far as it matters here. `text`: what the model is shown."""

    client: str
    problem: str
    api: Literal["chat", "completions"]
    text: str
    n: int
    max_tokens: int | None
    logprobs: bool
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """One sample of an answer; `tokens` are all that were generated for it."""

    text: str
    tokens: int
    finish: str
    logprobs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """An answer and the usage that the server states, which need not be the truth."""

    choices: tuple[Choice, ...]
    prompt_tokens: int
    stated_completion_tokens: int


class Source(Protocol):
    """What answers. `serve` writes what it spends into `truth` as it goes, also when it is cancelled."""

    def begin(self, client: str, problem: str) -> None: ...

    async def serve(self, asked: Asked, truth: Truth) -> Served: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a replayed sample takes: `seconds_per_token` each, `slots` of a problem at a time, as a
    server with so many slots would serve one client that works on one problem. What a system that gives up
    requests has spent by then depends on it: `LIVE` is about what a small model on a processor takes. What
    any other system spends does not, so it is not made to wait.
    """

    seconds_per_token: float
    slots: int = 16


LIVE = Pace(0.008)
AT_ONCE = Pace(0.0001)


@dataclass(slots=True)
class _Place:
    """Where a client is in a problem's samples."""

    order: list[int]
    free: asyncio.Semaphore
    next: int = 0


class Replay:
    """Recorded samples, in the order drawn, or for `repeat` > 0 in one random order a problem. `counts_all`
    False: usage states the first choice's tokens only, as some servers do."""

    def __init__(
        self, problems: Iterable[Banked], pace: Pace, *, repeat: int = 0, counts_all: bool = True
    ) -> None:
        self._problems = {each.question.id: each for each in problems}
        self._pace, self._repeat, self._counts_all = pace, repeat, counts_all
        self._places: dict[tuple[str, str], _Place] = {}

    def begin(self, client: str, problem: str) -> None:
        order = list(range(len(self._problems[problem].samples)))
        if self._repeat:
            random.Random(f"{self._repeat}/{problem}").shuffle(order)
        self._places[client, problem] = _Place(order, asyncio.Semaphore(self._pace.slots))

    async def serve(self, asked: Asked, truth: Truth) -> Served:
        if asked.n > MOST_CHOICES:
            raise Refused(400, f"n must be at most {MOST_CHOICES}")
        if asked.problem == OUTSIDE or not asked.text.endswith(self._problems[asked.problem].text):
            return self._stated(_trial(asked, truth))
        banked = self._problems[asked.problem]
        _require_same_sampling(asked, banked)
        place = self._places[asked.client, asked.problem]
        began = asyncio.Event()
        drawn = [
            asyncio.ensure_future(self._sample(place, banked, truth, began, asked.logprobs))
            for _ in range(asked.n)
        ]
        try:
            choices = tuple(await asyncio.gather(*drawn))
        finally:
            for task in drawn:
                task.cancel()
            await asyncio.gather(*drawn, return_exceptions=True)
        return self._stated((choices, banked.prompt_tokens))

    def _stated(self, answer: tuple[tuple[Choice, ...], int]) -> Served:
        """The choices and the prompt's tokens, with the usage that this server states."""
        choices, prompt_tokens = answer
        counted = choices if self._counts_all else choices[:1]
        return Served(choices, prompt_tokens, sum(choice.tokens for choice in counted))

    async def _sample(
        self, place: _Place, banked: Banked, truth: Truth, began: asyncio.Event, logprobs: bool
    ) -> Choice:
        """The next sample, taken when its slot is free: one that was cancelled while it waited is not used
        up, for nothing of it was generated."""
        async with place.free:
            if place.next == len(place.order):
                raise Refused(400, f"the bank holds {place.next} samples of {banked.question.id}, no more")
            sample = banked.samples[place.order[place.next]]
            place.next += 1
            if not began.is_set():
                began.set()
                truth.begin_request(banked.prompt_tokens)
            tokens = sample.tokens or 0
            start = asyncio.get_running_loop().time()
            truth.samples += 1
            try:
                await asyncio.sleep(tokens * self._pace.seconds_per_token)
            except asyncio.CancelledError:
                passed = asyncio.get_running_loop().time() - start
                generated = min(tokens, int(passed / self._pace.seconds_per_token))
                truth.completion_tokens += generated
                truth.cancelled_tokens += generated
                truth.cancelled_samples += 1
                raise
            truth.completion_tokens += tokens
            told = sample.logprobs if logprobs else None
            return Choice(sample.text, tokens, sample.finish, told)


def _require_same_sampling(asked: Asked, banked: Banked) -> None:
    """Refuse what would not have drawn these samples."""
    temperature, top_p = asked.body.get("temperature"), asked.body.get("top_p", 1.0)
    if temperature != TEMPERATURE or top_p != 1.0:
        raise Refused(400, f"the bank was drawn at temperature {TEMPERATURE} and top_p 1, ask for that")
    if asked.max_tokens != banked.question.max_tokens:
        raise Refused(400, f"the bank was drawn with max_tokens {banked.question.max_tokens}, ask for that")


def _trial(asked: Asked, truth: Truth) -> tuple[tuple[Choice, ...], int]:
    """Something short for a prompt that is no problem's, and the prompt's tokens."""
    length = asked.max_tokens
    if length is None or length > TRIAL_TOKENS:
        raise Refused(400, "the bank has no problem that ends the prompt")
    truth.samples += asked.n
    prompt_tokens = len(asked.text.split()) + 1
    truth.begin_request(prompt_tokens)
    truth.completion_tokens += asked.n * length
    return (Choice(" Hi" * length, length, "length"),) * asked.n, prompt_tokens


# ---------------------------------------------------------------- HTTP


@dataclass(slots=True)
class Endpoint:
    """Serve `source` to many clients. Use as an async context manager."""

    source: Source
    problems: Iterable[Banked]
    books: Books = field(default_factory=Books)
    _server: Server = field(init=False)
    _by_ending: dict[str, list[tuple[str, str]]] = field(init=False)
    _texts: dict[str, str] = field(init=False)
    _open: dict[str, list[str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._server = Server(self._handle)
        self._by_ending, self._texts = {}, {}
        for each in self.problems:
            self._by_ending.setdefault(_ending(each.text), []).append((each.text, each.question.id))
            self._texts[each.question.id] = each.text

    async def __aenter__(self) -> Endpoint:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._server.__aexit__(*error)

    def address(self, client: str) -> str:
        """The base address of a client's API."""
        return f"{self._server.address}/{client}/v1"

    def begin(self, client: str, problem: str) -> None:
        """A client starts on a problem, from its first sample on."""
        self.books.begin(client, problem)
        self.source.begin(client, problem)
        self._open.setdefault(client, []).append(problem)

    async def end(self, client: str, problem: str) -> Truth:
        """What the problem took, once all its requests are settled."""
        self._open[client].remove(problem)
        return await self.books.end(client, problem)

    async def outside(self, client: str) -> Truth:
        """What a client's requests took that are of no problem, since the last call."""
        return await self.books.end(client, OUTSIDE)

    async def _handle(self, incoming: Incoming) -> dict[str, Any]:
        _, client, *rest = incoming.path.split("/", 2)
        route = rest[0] if rest else ""
        if route == "v1/models":
            return {"object": "list", "data": [{"id": MODEL, "object": "model"}]}
        if route not in ("v1/chat/completions", "v1/completions"):
            raise Refused(404, f"there is no {incoming.path}")
        asked = self._asked(client, "chat" if "chat" in route else "completions", incoming.body)
        self.books.enter(client, asked.problem)
        truth = self.books[client, asked.problem]
        try:
            served = await self.source.serve(asked, truth)
        except Refused:
            truth.refused += 1
            raise
        finally:
            self.books.leave(client, asked.problem)
        return _payload(asked, served)

    def _asked(self, client: str, api: Literal["chat", "completions"], body: Mapping[str, Any]) -> Asked:
        text = _shown(body) if api == "chat" else body.get("prompt")
        n, cap = body.get("n", 1), body.get("max_completion_tokens", body.get("max_tokens"))
        if not isinstance(text, str) or not isinstance(n, int) or not isinstance(cap, int | None):
            raise Refused(400, "prompt, messages, n or max_tokens are not what the API takes")
        if n < 1:
            raise Refused(400, "n must be at least 1")
        trial = cap is not None and cap <= TRIAL_TOKENS
        problem = self._problem(client, text, trial=trial)
        return Asked(client, problem, api, text, n, cap, bool(body.get("logprobs")), body)

    def _problem(self, client: str, text: str, *, trial: bool) -> str:
        """The problem whose text ends the prompt; else, but for a trial, the one that the client is at and
        that the prompt speaks of, or the only one that it is at; else none."""
        for known, problem in self._by_ending.get(_ending(text), ()):
            if text.endswith(known):
                return problem
        if trial:
            return OUTSIDE
        at = self._open.get(client, [])
        spoken = [problem for problem in at if self._texts[problem] in text]
        return (spoken or at)[0] if len(spoken or at) == 1 else OUTSIDE


def _ending(text: str) -> str:
    return text.rpartition("\n\n")[2]


def _shown(body: Mapping[str, Any]) -> str | None:
    """The contents of all messages, one after the other."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return None
    contents = [message.get("content") for message in messages]
    return "".join(content for content in contents if isinstance(content, str))


def _payload(asked: Asked, served: Served) -> dict[str, Any]:
    """The answer in the form of the API asked."""
    rows: list[dict[str, Any]] = []
    for index, choice in enumerate(served.choices):
        row: dict[str, Any] = {"index": index, "finish_reason": choice.finish}
        if asked.api == "chat":
            row["message"] = {"role": "assistant", "content": choice.text}
        else:
            row["text"] = choice.text
        if asked.logprobs and choice.logprobs is not None:
            row["logprobs"] = _logprobs(asked.api, choice.logprobs)
        rows.append(row)
    total = served.prompt_tokens + served.stated_completion_tokens
    return {
        "id": "cmpl-0",
        "object": "chat.completion" if asked.api == "chat" else "text_completion",
        "created": 0,
        "model": MODEL,
        "choices": rows,
        "usage": {
            "prompt_tokens": served.prompt_tokens,
            "completion_tokens": served.stated_completion_tokens,
            "total_tokens": total,
        },
    }


def _logprobs(api: str, values: tuple[float, ...]) -> dict[str, Any]:
    if api == "chat":
        return {"content": [{"token": "", "logprob": value, "top_logprobs": []} for value in values]}
    return {"tokens": [""] * len(values), "token_logprobs": list(values)}
