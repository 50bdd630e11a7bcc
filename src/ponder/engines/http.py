"""Samples from any OpenAI-compatible endpoint.

One call is one HTTP request where the server gives several choices a request *and* counts the tokens of
all of them, be it only when it streams them; otherwise one request a sample, so that every sample has a true
count. Which it is, is tried out once, with two one-token samples that stand on the ledger like everything
else.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ponder.core import Capabilities, Model, Prompt, Request
from ponder.engines._http_call import HttpCall
from ponder.engines._http_client import Address, Client, parse_body
from ponder.engines._http_errors import FAULTS, ErrorInside, Failure, Where, diagnose, one_line
from ponder.engines._http_stream import Grown
from ponder.engines._http_wire import Api, Learned, names_of_models, raw_text
from ponder.errors import ConfigError, EngineError, ModelNotFound

__all__ = ["HttpEngine"]

SHOWN_NAMES = 12
MESSAGE_TOKENS = 16
RAW_TOKENS = 16
# The choices of streamed requests in flight, for each request that may be: so many that the last ones of a
# request leave no room unused, and so few that a server of a few slots comes to the end of each in time.
STREAMED_CROWD = 2


@dataclass(slots=True)
class Desk:
    """What belongs to one event loop: the client's connections, the turns, the lock of the trial. `lease` is
    closed with the loop, if not before, and closes the client."""

    client: Client
    lease: AsyncGenerator[None]
    turns: asyncio.Semaphore
    streams: asyncio.Semaphore
    trial: asyncio.Lock = field(default_factory=asyncio.Lock)

    @contextlib.asynccontextmanager
    async def turn(self, *, streamed: bool) -> AsyncIterator[None]:
        """Wait until one more request may be in flight."""
        async with self.streams if streamed else contextlib.nullcontext(), self.turns:
            yield


class HttpEngine:
    """An OpenAI-compatible endpoint, by its chat or its completions API.

    `timeout`: seconds a request may take with all its tries, from its first turn on; when a streamed one has
    used them, the choices that have ended are kept and a further try asks for the rest. `retries`: further
    tries after 408, 409, 429, 5xx and broken connections, from `backoff` seconds on, doubling, with
    jitter, or as Retry-After says. `concurrency`: the most requests in flight; of streamed ones, as many as
    ask for twice so many choices. `samples_per_call`: the most choices to ask for in one request.
    `prefill`: the chat server continues a last assistant message (vLLM, llama.cpp; OpenAI does not).
    `template_tokens`: the most that a chat template adds to the messages' own tokens.
    """

    def __init__(
        self,
        address: Address,
        model: Model,
        *,
        api: Api = "chat",
        api_key: str | None = None,
        concurrency: int = 16,
        timeout: float = 120.0,
        retries: int = 4,
        backoff: float = 0.5,
        samples_per_call: int = 16,
        prefill: bool = False,
        template_tokens: int = 256,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        key = (api_key or "").strip() or None
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ConfigError("api_key: it has characters that no key has; set PONDER_API_KEY anew.")
        self._address, self._model, self.api, self._key = address, model, api, key
        self._streams = max(1, STREAMED_CROWD * concurrency // max(1, samples_per_call))
        self._concurrency, self.timeout, self.retries, self.backoff = concurrency, timeout, retries, backoff
        self._prefill, self._template_tokens, self._headers = prefill, template_tokens, dict(headers)
        self.learned = Learned(most=samples_per_call)
        self._desks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Desk] = weakref.WeakKeyDictionary()
        self._calls: set[HttpCall] = set()
        self.closed = False

    @classmethod
    async def from_spec(
        cls,
        spec: str,
        *,
        model: Model | None = None,
        card: Callable[[str, str], Model] = Model,
        **options: Any,
    ) -> HttpEngine:
        """An engine for http://HOST:PORT/v1#MODEL; without #MODEL the only model that is served there.

        `model` says what is known of it, or `card(name, fingerprint)` does. `options` are those of
        the class. Raises ConfigError, or EngineError when the name has to be asked for and cannot be.
        """
        address = Address.parse(spec)
        name = model.name if model is not None else address.model
        if name is None:
            nameless = cls(address, Model("", address.base), **options)
            try:
                name = _only(await nameless.served(), address.base)
            finally:
                await nameless.close()
        return cls(address, model or card(name, f"{address.base}#{name}"), **options)

    @property
    def model(self) -> Model:
        return self._model

    @property
    def capabilities(self) -> Capabilities:
        """`samples_per_call` and `logprobs` as far as is known by now. Seeds are sent, but servers only
        do their best with them."""
        raw = self.api == "completions"
        return Capabilities(
            samples_per_call=1 if self.learned.several == "alone" else self.learned.most,
            parallel=self._concurrency,
            prompt_once=False,
            raw_text=raw,
            logprobs=self.learned.logprobs,
            logprobs_alone=self.learned.logprobs_alone,
            prefix=raw or self._prefill,
            response_format=not raw,
            streams=self.learned.live,
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        return MappingProxyType(
            {"engine": "http", "address": self._address.base, "model": self._model.name, "api": self.api}
        )

    @property
    def where(self) -> Where:
        return Where(self._address.base, self._model.name, self._key, self.timeout)

    def prompt_tokens_bound(self, prompt: Prompt, prefix: str = "") -> int:
        """An upper bound, without the tokenizer: byte-level and byte-fallback tokenizers make at most one
        token of a byte. Added are a start token or, for chat, 16 tokens a message and `template_tokens`
        for what the server's chat template puts around them."""
        if self.api == "completions":
            return len(raw_text(prompt, prefix).encode("utf-8", "replace")) + RAW_TOKENS
        contents = [message.content for message in prompt.messages] + ([prefix] if prefix else [])
        size = sum(len(text.encode("utf-8", "replace")) + MESSAGE_TOKENS for text in contents)
        return size + self._template_tokens

    def start(self, request: Request) -> HttpCall:
        """Send it from the running event loop; returns at once."""
        call = HttpCall(self, request)
        self._calls.add(call)
        call.task.add_done_callback(lambda _: self._calls.discard(call))
        return call

    async def close(self) -> None:
        """Cancel what is in flight and close the connections of this event loop."""
        self.closed = True
        calls = [call for call in self._calls if call.task.get_loop() is asyncio.get_running_loop()]
        for call in calls:
            call.cancel()
        await asyncio.gather(*(call.result() for call in calls))
        desk = self._desks.get(asyncio.get_running_loop())
        if desk is not None:
            await desk.lease.aclose()

    # ------------------------------------------------ before anything runs

    async def check(self) -> None:
        """Find what would fail every call, at no cost: nothing listens, the key is refused, the server
        has no such model. Raises EndpointDown, AuthFailed, ModelNotFound, BadResponse, ..."""
        names = await self.served()
        known = {name.partition(":latest")[0] for name in names or ()} | set(names or ())
        if self._model.name in known:
            return
        # Not every server lists all it serves. Servers look the model up before they refuse this.
        nothing: dict[str, Any] = {"prompt": ""} if self.api == "completions" else {"messages": []}
        try:
            await self.post({"model": self._model.name, **nothing, self.learned.cap: 1})
        except FAULTS as error:
            failure = diagnose(error, self.where)
            if failure.status in (401, 403, 404):
                raise (await self.explained(failure)).error from None

    async def served(self) -> list[str] | None:
        """The names that the server lists, None if it has no such list. Raises EngineError."""
        for attempt in range(self.retries + 1):
            try:
                async with asyncio.timeout(self.timeout):
                    return names_of_models(parse_body(await self.desk().client.get("/models")))
            except FAULTS as error:
                failure = diagnose(error, self.where)
            if failure.status in (404, 405, 501):
                return None
            if failure.status is None or not failure.again or attempt == self.retries:
                raise failure.error
            await asyncio.sleep(self.pause(attempt, failure))
        raise AssertionError("the last attempt returns or raises")

    async def explained(self, failure: Failure) -> Failure:
        """A missing model's failure, with the names that there are."""
        if not isinstance(failure.error, ModelNotFound):
            return failure
        names: list[str] | None = None
        with contextlib.suppress(EngineError):
            names = await self.served()
        hint = f"it serves {_listed(names)}" if names else "check the address, which usually ends in /v1"
        text = f"{self._address.base} has no model {self._model.name!r}: {hint}."
        return Failure(ModelNotFound(text), ran=False, status=404)

    # ------------------------------------------------ for its calls

    def desk(self) -> Desk:
        """The client and the turns of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._desks:
            client = Client(self._address, self._key, self._headers)
            lease = self._lease(loop, client)
            with contextlib.suppress(StopIteration):  # it waits for nothing before it yields
                lease.asend(None).send(None)
            turns, streams = asyncio.Semaphore(self._concurrency), asyncio.Semaphore(self._streams)
            self._desks[loop] = Desk(client, lease, turns, streams)
        return self._desks[loop]

    async def _lease(self, loop: asyncio.AbstractEventLoop, client: Client) -> AsyncGenerator[None]:
        """Open until it is closed, at the latest by its loop's end, as asynchronous generators are: an engine
        that is handed from one loop to the next would gather connections that nobody can close."""
        try:
            yield
        finally:
            self._desks.pop(loop, None)
            await client.close()

    @property
    def _path(self) -> str:
        return "/chat/completions" if self.api == "chat" else "/completions"

    async def post(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """One HTTP request. Raises FAULTS."""
        payload = parse_body(await self.desk().client.post(self._path, sent))
        problem = payload.get("error")
        if problem and not payload.get("choices"):
            raise ErrorInside.of(problem)
        return payload

    async def stream(self, sent: Mapping[str, Any], grown: Grown) -> None:
        """One HTTP request, streamed into `grown`. Raises FAULTS."""
        options = {"stream": True, "stream_options": {"include_usage": True}}
        async with self.desk().client.open("POST", self._path, {**sent, **options}) as answer:
            await grown.read(answer)

    def pause(self, failures: int, failure: Failure) -> float:
        """Seconds until the next try: what the server says, else doubling with jitter."""
        if failure.wait is not None:
            return failure.wait
        return min(30.0, self.backoff * 2.0**failures) * random.uniform(0.5, 1.0)


def _listed(names: list[str]) -> str:
    shown = ", ".join(one_line(name)[:80] for name in names[:SHOWN_NAMES])
    return shown + (f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else "")


def _only(names: list[str] | None, shown: str) -> str:
    if not names:
        raise ModelNotFound(f"{shown} does not list its models: name one as {shown}#MODEL.")
    if len(names) > 1:
        raise ModelNotFound(f"{shown} serves {_listed(names)}: choose one as {shown}#MODEL.")
    return names[0]
