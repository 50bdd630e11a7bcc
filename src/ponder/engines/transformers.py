"""The engine `transformers`: samples from a Hugging Face model folder through PyTorch.

Calls in flight are merged into large batches. Small models on a processor are also run by processes of one
thread each, which start when there is work enough for them. What a sample is depends on its seed and place
alone, and not on which process drew it or what ran beside it.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ponder.core import Attempt, Capabilities, Generation, Model, Output, Prompt, Request, Usage
from ponder.engines._common import line_of
from ponder.engines._torch_crew import BATCH, ChildWorker, Worker, open_local
from ponder.engines._torch_folder import ModelFolder, read_folder
from ponder.engines._torch_text import Text
from ponder.errors import CallFailed, OutOfMemory, PonderError

if TYPE_CHECKING:
    from ponder.engines._torch_batch import Ask

__all__ = ["TransformersEngine"]

SAMPLES_PER_CALL = 256
_SMALL_PARAMETERS = 20e6
_LARGE_PARALLEL = 256
_ROWS_WORTH_PROCESSES = 128
_SLICE_SECONDS = 0.05
_GATHER_SECONDS = 0.002


@dataclass(eq=False)
class _Part:
    """A part of a call that one worker draws: an attempt of its own, which reads the prompt."""

    job: _Job
    ask: Ask
    seat: _Seat | None = None
    outputs: tuple[Output, ...] | None = None
    error: Exception | None = None

    @property
    def settled(self) -> bool:
        return self.outputs is not None or self.error is not None


@dataclass(eq=False)
class _Job:
    """One call, and the future its caller waits for."""

    request: Request
    started: float
    clock: float
    future: Future[Generation]
    parts: list[_Part] = field(default_factory=list)


class _TransformersCall:
    def __init__(self, engine: TransformersEngine, job: _Job) -> None:
        self._engine, self._job = engine, job

    async def result(self) -> Generation:
        return await asyncio.shield(asyncio.wrap_future(self._job.future))

    def cancel(self) -> None:
        self._engine._cancel(self._job)


class TransformersEngine:
    """Samples from a model folder. `processes`: how many of one thread each may start; None: one a core for a
    small model on a processor, none otherwise. This process and they share `cache_gigabytes` equally.

    Raises CheckpointInvalid, ModelUnsupported or MissingExtra.
    """

    def __init__(
        self,
        folder: Path | ModelFolder,
        model: Model | None = None,
        *,
        device: str = "auto",
        batch: int = BATCH,
        cache_gigabytes: float = 1.0,
        processes: int | None = None,
    ) -> None:
        found = folder if isinstance(folder, ModelFolder) else read_folder(folder)
        self._folder, self._model = found, model or found.model
        self._text = Text(found.path, found.config)
        local = open_local(found, self._text, device=device, batch=batch, cache_bytes=cache_gigabytes * 1e9)
        on_processor = local.device == "cpu"
        small = on_processor and (self._model.active_parameters or _SMALL_PARAMETERS) < _SMALL_PARAMETERS
        self._device, self._wide = local.device, small or not on_processor
        self._processes = (_cores() if small else 0) if processes is None else processes
        self._batch, self._cache_bytes = batch, cache_gigabytes * 1e9 / (1 + self._processes)
        local.confine(self._cache_bytes)
        self._changed = threading.Condition()
        self._waiting: deque[_Part] = deque()
        self._encoded: dict[tuple[Prompt, str], tuple[int, ...]] = {}
        self._numbers, self._closed = 0, False
        self._seats: list[_Seat] = []
        self._seat(local, "local")

    @property
    def model(self) -> Model:
        return self._model

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            samples_per_call=SAMPLES_PER_CALL,
            parallel=BATCH if self._wide else _LARGE_PARALLEL,
            prompt_once=True,
            raw_text=True,
            logprobs=True,
            prefix=True,
            seed=True,
            halt=True,
            tells_stop=True,
            exact_prompt=True,
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        tokenizer = (self._folder.path / "tokenizer.json").read_bytes()
        return MappingProxyType(
            {
                "engine": "transformers",
                "torch": importlib.metadata.version("torch"),
                "transformers": importlib.metadata.version("transformers"),
                "device": self._device,
                "weights_sha256": self._folder.model.fingerprint,
                "tokenizer_sha256": hashlib.sha256(tokenizer).hexdigest(),
            }
        )

    def prompt_tokens_bound(self, prompt: Prompt, prefix: str = "") -> int:
        """Exact: counted by the model's own tokenizer."""
        return len(self._encode(prompt, prefix))

    def start(self, request: Request) -> _TransformersCall:
        job = _Job(request, time.time(), time.perf_counter(), Future())
        try:
            job.parts = [_Part(job, ask) for ask in self._asks(request)]
            self._queue(job.parts)
        except PonderError as error:
            job.future.set_result(Generation((), (_attempt(job, None, error, 0),), error))
        return _TransformersCall(self, job)

    def _queue(self, parts: Sequence[_Part]) -> None:
        """Let the workers find them. Raises CallFailed where there are none any more."""
        with self._changed:
            if self._closed:
                raise CallFailed("The engine is closed; open it again.")
            self._waiting.extend(parts)
            self._grow()
            self._changed.notify_all()

    async def close(self) -> None:
        """Stop the threads and processes; calls in flight come back as cancelled."""
        self._stop(None)
        for seat in self._seats:
            await asyncio.to_thread(seat.join)

    def _stop(self, error: Exception | None) -> None:
        """Take no further calls; those that wait are cancelled, or fail of `error`."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = list(self._waiting), deque()
            self._changed.notify_all()
        for part in waiting:
            self._settle(part, () if error is None else None, error)

    def _encode(self, prompt: Prompt, prefix: str) -> tuple[int, ...]:
        key = (prompt, prefix)
        if key not in self._encoded:
            if len(self._encoded) > 4096:
                self._encoded.clear()
            self._encoded[key] = self._text.encode(prompt, prefix)
        return self._encoded[key]

    def _asks(self, request: Request) -> list[Ask]:
        """A call in parts of at most SAMPLES_PER_CALL. Raises CallFailed for a prompt that does not fit."""
        from ponder.engines._torch_batch import Ask, stream

        ids = self._encode(request.prompt, request.prefix)
        room = min(request.max_tokens, (self._model.context or 1 << 30) - len(ids))
        if room < 1 or not ids:
            # Nothing ran, so nothing is counted.
            raise CallFailed(
                f"The prompt has {len(ids)} tokens; {self._model.name} takes 1 to "
                f"{(self._model.context or 1 << 30) - 1}."
            )
        asks = []
        for first in range(0, request.n, SAMPLES_PER_CALL):
            asks.append(
                Ask(
                    number=self._numbers,
                    prompt=ids,
                    n=min(SAMPLES_PER_CALL, request.n - first),
                    max_tokens=room,
                    sampling=request.sampling,
                    stream=stream(request.seed),
                    first=request.offset + first,
                    stop=tuple(stop for stop in request.stop if stop),
                    logprobs=request.logprobs,
                    halt=request.halt,
                )
            )
            self._numbers += 1
        return asks

    def _grow(self) -> None:
        """Start the processes once there is work enough to be worth their start."""
        rows = sum(part.ask.n for part in self._waiting) + sum(seat.rows for seat in self._seats)
        if len(self._seats) == 1 and self._processes > 1 and rows >= _ROWS_WORTH_PROCESSES:
            for at in range(self._processes):
                self._seat(ChildWorker(self._folder.path.resolve(), self._batch, self._cache_bytes), f"{at}")

    def _seat(self, worker: Worker, name: str) -> None:
        self._seats.append(_Seat(self, worker, name))
        self._seats[-1].start()

    def _cancel(self, job: _Job) -> None:
        with self._changed:
            idle = [part for part in job.parts if part in self._waiting]
            for part in idle:
                self._waiting.remove(part)
            for part in job.parts:
                if part.seat is not None and not part.settled:
                    part.seat.cancelled.append(part.ask.number)
        for part in idle:
            self._settle(part, ())

    def _settle(
        self, part: _Part, outputs: tuple[Output, ...] | None, error: Exception | None = None
    ) -> None:
        """Note what came of a part; the last one settles the call."""
        with self._changed:
            if part.settled:
                return
            part.outputs, part.error = outputs, error
            job = part.job
            if not all(each.settled for each in job.parts):
                return
        failed = next((each.error for each in job.parts if each.error is not None), None)
        drawn = tuple(output for each in job.parts for output in each.outputs or ())
        attempts = tuple(_attempt(job, each.outputs, each.error, len(each.ask.prompt)) for each in job.parts)
        job.future.set_result(Generation(drawn, attempts, failed))


def _attempt(
    job: _Job, outputs: tuple[Output, ...] | None, error: Exception | None, prompt_tokens: int
) -> Attempt:
    """One reading of the prompt with what was generated from it. A part without outputs never began; of one
    that failed, what it had generated is unknown."""
    began = error is not None and prompt_tokens > 0
    usage = Usage(
        calls=1,
        samples=len(outputs or ()),
        prompt_tokens=prompt_tokens if outputs or began else 0,
        cached_tokens=0,
        completion_tokens=None if began else sum(output.tokens or 0 for output in outputs or ()),
        reasoning_tokens=0,
        flop=None,
        seconds=time.perf_counter() - job.clock,
        usd=None,
    )
    if error is not None:
        return Attempt("failed", usage, job.started, 0, str(error))
    status = "cancelled" if any(o.finish == "cancelled" for o in outputs or ()) or not outputs else "ok"
    return Attempt("cancelled" if status == "cancelled" else "ok", usage, job.started, len(outputs or ()))


class _Seat:
    """A worker and the thread that drives it. The engine's lock guards all but the worker."""

    def __init__(self, engine: TransformersEngine, worker: Worker, name: str) -> None:
        self._engine, self._worker = engine, worker
        self.is_local = self.ready = not isinstance(worker, ChildWorker)
        self.running: dict[int, _Part] = {}
        self.cancelled: list[int] = []
        self._thread = threading.Thread(target=self._loop, name=f"ponder-torch-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def rows(self) -> int:
        return sum(part.ask.n for part in self.running.values())

    def join(self) -> None:
        self._thread.join()

    def _loop(self) -> None:
        """Work while there is any. Whatever goes wrong ends the parts in flight with an error: a caller must
        never wait for a thread that has died."""
        try:
            if isinstance(self._worker, ChildWorker):
                self._worker.open()
                with self._engine._changed:
                    self.ready = True
            while self._turn():
                pass
        except CallFailed:
            # A process that cannot start is done without: the others go on.
            return
        except Exception as error:
            self._fail(error)
            self._engine._stop(CallFailed(f"The engine failed: {line_of(error, -1)}."))
        finally:
            with self._engine._changed:  # nothing is left to a seat that is empty
                self.ready = False
                self._engine._changed.notify_all()
            self._worker.close()

    def _turn(self) -> bool:
        engine = self._engine
        with engine._changed:
            idle = not self.running
            while not (self.running or engine._closed or self._mine()):
                engine._changed.wait()
        if idle and not engine._closed:
            time.sleep(_GATHER_SECONDS)  # calls that start together shall run together
        with engine._changed:
            closing = engine._closed
            if closing and not self.running:
                return False
            taken = [] if closing else self._take()
            cancelled = list(self.running) if closing else self.cancelled
            self.cancelled = []
        try:
            progress = self._worker.advance([part.ask for part in taken], cancelled, _SLICE_SECONDS)
        except Exception as error:
            self._fail(error)
            return True
        for done in progress.done:
            with engine._changed:
                part = self.running.pop(done.number)
            engine._settle(part, done.outputs)
        return True

    def _mine(self) -> list[_Part]:
        """The waiting parts that this worker may take: those with a halt run where the caller's code is, the
        others in the processes as soon as there are any."""
        children = any(seat.ready for seat in self._engine._seats if not seat.is_local)
        return [p for p in self._engine._waiting if (p.ask.halt is not None or not children) == self.is_local]

    def _take(self) -> list[_Part]:
        """This worker's share of what is waiting, as far as it has room."""
        engine, mine = self._engine, self._mine()
        share = sum(part.ask.n for part in mine)
        if not self.is_local:
            share = -(-share // sum(seat.ready for seat in engine._seats if not seat.is_local))
        taken: list[_Part] = []
        for part in mine:
            room = self._worker.limit(len(part.ask.prompt) + part.ask.max_tokens) - self.rows
            if (taken or self.rows) and (room < part.ask.n or share <= 0):
                break
            engine._waiting.remove(part)
            part.seat, self.running[part.ask.number] = self, part
            taken.append(part)
            share -= part.ask.n
        return taken

    def _fail(self, error: Exception) -> None:
        known = isinstance(error, CallFailed | OutOfMemory)
        failure = error if known else CallFailed(f"The engine failed: {line_of(error, -1)}.")
        with self._engine._changed:
            lost, self.running = list(self.running.values()), {}
            self.cancelled = []
        for part in lost:
            self._engine._settle(part, None, failure)
        if not known:
            self._worker.clear()


def _cores() -> int:
    """The cores that this process may use; one alone is not worth a process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
