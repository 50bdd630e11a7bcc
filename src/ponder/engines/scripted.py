"""An engine whose answers are written down: for tests, of ponder and of what is built on it.

It counts words as tokens, keeps to `max_tokens` and stop strings as a model would, and draws sample
`offset + i` from (seed, offset + i, prompt) alone, so that any division into calls gives the same samples.
It can also fail, dawdle and misreport, since endpoints do.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import Any

from ponder.core import (
    Attempt,
    Capabilities,
    Generation,
    Growth,
    Model,
    Output,
    Prompt,
    Request,
    Trace,
    Usage,
    digest,
)
from ponder.engines._common import cut, stopped_by
from ponder.errors import CallFailed

__all__ = ["Faults", "ScriptedEngine", "words"]

Writer = Callable[[Request, int], "str | Output"]
Distribution = Mapping[str, float]

ABLE = Capabilities(
    samples_per_call=16,
    parallel=64,
    prompt_once=True,
    raw_text=True,
    logprobs=True,
    prefix=True,
    seed=True,
    halt=True,
    tells_stop=True,
    exact_prompt=True,
    streams=True,
)


def words(text: str) -> list[str]:
    """The engine's tokens: each word with the space before it."""
    return re.findall(r"\s*\S+", text)


@dataclass(frozen=True, slots=True)
class Faults:
    """How to misbehave.

    `fail(k)` is the error of the k-th try (from 0, over all calls), or None; each call has `retries`
    further tries. `seconds` is how long a try takes. `report` turns the true usage of a finished try into
    the one that is told, `unmetered` leaves out the samples' own counts, `excess` is how many tokens a long
    sample runs on beyond its cap, `short` samples are left out of each call.
    """

    fail: Callable[[int], Exception | None] = lambda k: None
    retries: int = 0
    seconds: float = 0.0
    report: Callable[[Usage], Usage] = lambda usage: usage
    unmetered: bool = False
    excess: int = 0
    short: int = 0


class ScriptedEngine:
    """Answers by `write(request, position)`, the text of the sample at `position` of its stream.

    An `Output` that it returns is passed on as it is. `calls`, `tries` and `requests` tell what was asked.
    """

    def __init__(
        self,
        write: Writer,
        *,
        model: Model | None = None,
        capabilities: Capabilities = ABLE,
        faults: Faults | None = None,
    ) -> None:
        self._write, self._capabilities = write, capabilities
        self._model = model or Model("scripted", "scripted")
        self.faults = faults or Faults()
        self.requests: list[Request] = []
        self.tries = 0
        self._tasks: set[asyncio.Task[Generation]] = set()

    @classmethod
    def drawing(
        cls, texts: Distribution | Callable[[Prompt], Distribution], **options: Any
    ) -> ScriptedEngine:
        """Draw each sample from text → weight, the same for every prompt or made for each.

        At temperature 0 the likeliest text comes. A sample's log-probabilities add up to that of its text.
        """

        def write(request: Request, position: int) -> Output:
            weights = texts(request.prompt) if callable(texts) else texts
            return _drawn(weights, request, position)

        return cls(write, **options)

    @classmethod
    def queued(cls, texts: Iterable[str | Output], **options: Any) -> ScriptedEngine:
        """Hand out these in the order in which samples are asked for; a call that finds none left fails."""
        waiting = deque(texts)

        def write(request: Request, position: int) -> str | Output:
            if not waiting:
                raise CallFailed("The script has no more samples: queue as many as are asked for.")
            return waiting.popleft()

        return cls(write, **options)

    @property
    def calls(self) -> int:
        return len(self.requests)

    @property
    def model(self) -> Model:
        return self._model

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def facts(self) -> Mapping[str, Any]:
        return MappingProxyType({"engine": "scripted", "model": self._model.name})

    def prompt_tokens_bound(self, prompt: Prompt, prefix: str = "") -> int:
        """Exact: the words of the prompt and the prefix."""
        text = prompt.text if prompt.text is not None else " ".join(m.content for m in prompt.messages)
        return len(words(text)) + len(words(prefix))

    def start(self, request: Request) -> ScriptedCall:
        self.requests.append(request)
        call = ScriptedCall(self, request)
        self._tasks.add(call.task)
        call.task.add_done_callback(self._tasks.discard)
        return call

    async def close(self) -> None:
        """Let the calls in flight end."""
        here = [task for task in self._tasks if task.get_loop() is asyncio.get_running_loop()]
        await asyncio.gather(*here)

    def sample(self, request: Request, position: int) -> Output:
        """One sample, cut as a model would have stopped: at a halt, a stop string, or `max_tokens`."""
        written = self._write(request, position)
        if isinstance(written, Output) and written.tokens is not None:
            return written
        output = written if isinstance(written, Output) else Output(written)
        text = cut(output.text, request.stop)
        pieces = words(text)
        ended = len(pieces) + 1  # the end is a token too
        step = -1.0 if output.logprobs is None else math.fsum(output.logprobs) / ended
        natural = ended if request.halt is None else _halted(request.halt, pieces, step)
        tokens = min(natural, request.max_tokens + self.faults.excess)
        return Output(
            text if tokens == ended else "".join(pieces[:tokens]),
            output.reasoning,
            None if self.faults.unmetered else tokens,
            (step,) * tokens if request.logprobs else None,
            "length" if tokens < natural else "stop",
            stopped_by(output.text, request.stop) if tokens == ended else None,
        )


def _halted(halt: Callable[[Trace], bool], pieces: list[str], step: float) -> int:
    """The tokens after which `halt` stops the sample, or all with the end."""
    ids = tuple(int.from_bytes(hashlib.sha256(piece.encode()).digest()[:3], "big") for piece in pieces)
    lengths = range(1, len(pieces) + 1)
    return next((n for n in lengths if halt(Trace(ids[:n], (step,) * n))), len(pieces) + 1)


def _drawn(weights: Distribution, request: Request, position: int) -> Output:
    texts, whole = list(weights), math.fsum(weights.values())
    if request.sampling.temperature == 0:
        text = max(texts, key=lambda t: weights[t])
    else:
        name = [request.seed, position, request.prompt.to_json(), request.prefix]
        point = random.Random(digest(name)).random() * whole
        sums = accumulate(weights.values())
        text = next((t for t, edge in zip(texts, sums, strict=True) if point < edge), texts[-1])
    return Output(text, logprobs=(math.log(weights[text] / whole),))


def _tell(heard: Callable[[Growth], None], outputs: Sequence[Output]) -> None:
    """Word by word, one output after the other."""
    for index, output in enumerate(outputs):
        ends = [0, *accumulate(map(len, words(output.text)))]
        ends[-1] = len(output.text)
        for place, (start, end) in enumerate(pairwise(ends)):
            heard(Growth(index, output.text[start:end], "" if place else output.reasoning or ""))


class ScriptedCall:
    """Started when made, in the running event loop."""

    def __init__(self, engine: ScriptedEngine, request: Request) -> None:
        self._engine, self._request = engine, request
        self._stop = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def result(self) -> Generation:
        return await asyncio.shield(self.task)

    def cancel(self) -> None:
        self._stop.set()

    async def _run(self) -> Generation:
        faults, attempts = self._engine.faults, list[Attempt]()
        while True:
            began, clock = time.time(), time.perf_counter()
            number, self._engine.tries = self._engine.tries, self._engine.tries + 1
            error = faults.fail(number)
            if faults.seconds and await self._stopped_within(faults.seconds):
                attempts.append(Attempt("cancelled", self._used([], clock), began))
                return Generation((), tuple(attempts))
            if error is None:
                try:
                    return self._drawn(attempts, began, clock)
                except CallFailed as exhausted:
                    error = exhausted
            attempts.append(Attempt("failed", self._used([], clock), began, 0, str(error)))
            admit = self._request.admit
            if len(attempts) > faults.retries or (admit is not None and not admit()):
                return Generation((), tuple(attempts), error)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _drawn(self, attempts: list[Attempt], began: float, clock: float) -> Generation:
        request, faults = self._request, self._engine.faults
        count = max(0, request.n - faults.short)
        outputs = [self._engine.sample(request, request.offset + i) for i in range(count)]
        if request.heard is not None:
            _tell(request.heard, outputs)
        usage = faults.report(self._used(outputs, clock))
        return Generation(tuple(outputs), (*attempts, Attempt("ok", usage, began, len(outputs))))

    def _used(self, outputs: list[Output], clock: float) -> Usage:
        tokens = [output.tokens for output in outputs]
        known = [n for n in tokens if n is not None]
        return replace(
            Usage(flop=None, usd=None, cached_tokens=None),
            calls=1,
            samples=len(outputs),
            prompt_tokens=self._engine.prompt_tokens_bound(self._request.prompt, self._request.prefix),
            completion_tokens=sum(known) if len(known) == len(tokens) else None,
            seconds=time.perf_counter() - clock,
        )
