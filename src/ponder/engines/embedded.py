"""The embedded engine: OpenVINO GenAI's continuous batching on this machine's processor.

One thread owns the pipeline and steps it while requests are in flight, so that many requests share
each step. Log-probabilities are those of the untempered model. Generated tokens are counted from the
token ids, stop string and end token included; the library's own counter undercounts.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import queue
import re
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

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
)
from ponder.engines._common import cut, line_of, mix, require_whole, stopped_by
from ponder.engines._embedded_growth import Telling
from ponder.engines._embedded_stops import unwritten_stop, unwritten_tokens, widening
from ponder.errors import CallFailed, InputError, MissingExtra, ModelUnsupported

__all__ = ["EmbeddedEngine"]

MAX_SEQUENCES = 256
_DRAINING_STEPS = 8
_CONTROL = re.compile(r"<\|([A-Za-z0-9_]{1,40})\|>")


def _genai() -> Any:
    try:
        import openvino_genai
    except ImportError:
        raise MissingExtra("The embedded engine", "embedded") from None
    return openvino_genai


@dataclass(eq=False)
class _Part:
    """One request in the pipeline: `sequences` samples of one prompt, from one random stream."""

    handle: Any
    sequences: int
    seen: dict[int, tuple[list[int], list[float]]] = field(default_factory=dict)
    reasons: dict[int, Any] = field(default_factory=dict)
    stopped: bool = False


@dataclass(eq=False)
class _Job:
    """One call: its parts, and the future its caller waits for. `tellings`: what of each part was told."""

    request: Request
    prompt_tokens: int
    started: float
    clock: float
    future: Future[Generation]
    parts: list[_Part] = field(default_factory=list)
    cancelled: bool = False
    tellings: list[Telling] = field(default_factory=list)


class _EmbeddedCall:
    def __init__(self, engine: EmbeddedEngine, job: _Job) -> None:
        self._engine, self._job = engine, job

    async def result(self) -> Generation:
        return await asyncio.shield(asyncio.wrap_future(self._job.future))

    def cancel(self) -> None:
        self._engine._post(functools.partial(self._engine._cancel, self._job))


class EmbeddedEngine:
    """Samples from a GGUF file of the Llama family.

    `first_token`: raw texts begin with the tokenizer's first token (BOS). The library's tokenizer does not
    put it; chat templates write it themselves.
    `cache_gigabytes` is a whole number. Raises InputError for another one, MissingExtra, or ModelUnsupported
    when OpenVINO cannot run the file.
    """

    def __init__(
        self,
        path: Path,
        model: Model,
        *,
        precision: Literal["auto", "f32", "bf16"] = "auto",
        cache_gigabytes: float = 1.0,
        first_token: bool = False,
    ) -> None:
        genai = _genai()
        self._genai, self._model = genai, model
        self._pipeline = _pipeline(genai, path, precision, cache_gigabytes)
        self._tokenizer = self._pipeline.get_tokenizer()
        known = self._pipeline.get_config()
        ends = {self._tokenizer.get_eos_token_id(), known.eos_token_id, *known.stop_token_ids}
        self._end_tokens = {int(token) for token in ends}
        self._first_token = str(self._tokenizer.get_bos_token()) if first_token else ""
        self._precision = precision if precision != "auto" else _native_precision()
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._jobs: list[_Job] = []
        self._requests = 0
        self._closed = False
        self._lengths: dict[tuple[Prompt, str], int] = {}
        self._thread = threading.Thread(target=self._loop, name="ponder-embedded", daemon=True)
        self._thread.start()
        self._at_exit = _stop_at_exit(self)

    @property
    def model(self) -> Model:
        return self._model

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            samples_per_call=MAX_SEQUENCES,
            parallel=2 * MAX_SEQUENCES,
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

    @property
    def facts(self) -> Mapping[str, Any]:
        return MappingProxyType(
            {
                "engine": "embedded",
                "openvino_genai": str(self._genai.__version__),
                "precision": self._precision,
                "weights_sha256": self._model.fingerprint,
            }
        )

    def render(self, prompt: Prompt, prefix: str = "") -> str:
        """The text the model continues: the prompt's raw text, or its messages in the chat template.

        What a message holds is text: a chat's control token in it is broken up, since the library's tokenizer
        would take it for the token itself, and a question could end its own turn.
        Raises CallFailed for half a surrogate pair, ModelUnsupported for messages without a chat template.
        """
        require_whole(prompt, prefix)
        if prompt.text is not None:
            return self._first_token + prompt.text + prefix
        turns = [{"role": m.role, "content": _CONTROL.sub(r"<| \1 |>", m.content)} for m in prompt.messages]
        try:
            text = str(self._tokenizer.apply_chat_template(turns, add_generation_prompt=True))
        except RuntimeError as error:
            raise ModelUnsupported(
                f"{self._model.name} has no usable chat template ({line_of(error, -1)}): "
                "use a task with a raw prompt."
            ) from None
        return text + prefix

    def prompt_tokens_bound(self, prompt: Prompt, prefix: str = "") -> int:
        """Exact: counted by the model's own tokenizer."""
        key = (prompt, prefix)
        if key not in self._lengths:
            if len(self._lengths) > 4096:
                self._lengths.clear()
            self._lengths[key] = self._encode(prompt, prefix).shape[1]
        return self._lengths[key]

    def start(self, request: Request) -> _EmbeddedCall:
        future: Future[Generation] = Future()
        job = _Job(request, 0, time.time(), time.perf_counter(), future)
        if self._closed:
            future.set_result(_failure(job, CallFailed("The engine is closed; open it again.")))
        else:
            self._post(functools.partial(self._submit, job))
        return _EmbeddedCall(self, job)

    async def close(self) -> None:
        """Stop the thread; calls in flight come back as cancelled."""
        if not self._closed:
            self._stop()
            await asyncio.to_thread(self._thread.join)

    # ------------------------------------------------ everything below runs in the engine's thread

    def _post(self, command: Callable[[], None] | None) -> None:
        self._inbox.put(command)

    def _stop(self) -> None:
        self._closed = True
        self._post(None)
        atexit.unregister(self._at_exit)

    def _loop(self) -> None:
        """Serve commands and step while there is work. Whatever goes wrong ends the jobs in flight with an
        error: a caller must never wait for a thread that has died."""
        while True:
            try:
                command = self._inbox.get(block=not self._jobs)
            except queue.Empty:
                self._guarded(self._advance)
                # A step holds Python's global lock; whoever waits for what it finished goes first.
                time.sleep(0)
                continue
            if command is None:
                for job in list(self._jobs):
                    self._guarded(functools.partial(self._cancel, job))
                self._guarded(self._drain)
                return
            self._guarded(command)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            failure = CallFailed(f"The embedded engine failed: {line_of(error, -1)}.")
            for job in list(self._jobs):
                self._jobs.remove(job)
                if not job.future.done():
                    job.future.set_result(_failure(job, failure))
                with contextlib.suppress(RuntimeError):  # else it went on beside later calls, uncounted
                    self._stop_parts(job)

    def _advance(self) -> None:
        self._pipeline.step()
        running = self._genai.GenerationStatus.RUNNING
        for job in list(self._jobs):
            if job.request.halt is not None:
                self._halt(job)
            if job.request.heard is not None:
                self._tell(job, job.request.heard)
            if all(part.stopped or part.handle.get_status() != running for part in job.parts):
                self._finish(job)

    def _drain(self) -> None:
        """A stopped request gives its cache blocks back at the next step."""
        for _ in range(_DRAINING_STEPS):
            if not self._pipeline.has_non_finished_requests():
                return
            self._pipeline.step()

    def _encode(self, prompt: Prompt, prefix: str = "") -> Any:
        """Token ids, [1, tokens]."""
        return self._tokenizer.encode(self.render(prompt, prefix), add_special_tokens=False).input_ids

    def _submit(self, job: _Job) -> None:
        request = job.request
        self._jobs.append(job)
        try:
            tokens = self._encode(request.prompt, request.prefix)
            length = int(tokens.shape[1])
            room = (self._model.context or 1 << 30) - length
            if room < 1 or length < 1:
                # Nothing ran, so nothing is counted. The tokenizer may have cut a longer text.
                raise CallFailed(
                    f"The prompt has {length} tokens{' or more' if length else ''}; {self._model.name} takes "
                    f"1 to {(self._model.context or 0) - 1}."
                )
            job.prompt_tokens = length
            for first, sequences in _split(request):
                config = self._config(request, first, sequences, min(request.max_tokens, room))
                handle = self._pipeline.add_request(self._requests, tokens, config)
                self._requests += 1
                job.parts.append(_Part(handle, sequences))
        except (CallFailed, ModelUnsupported) as error:
            self._finish(job, error)
        except (RuntimeError, ValueError) as error:
            self._finish(job, CallFailed(f"The embedded engine refused the request: {line_of(error, -1)}."))

    def _config(self, request: Request, first: int, sequences: int, max_tokens: int) -> Any:
        config = self._pipeline.get_config()
        config.max_new_tokens = max_tokens
        config.apply_chat_template = False
        config.num_return_sequences = sequences
        config.do_sample = request.sampling.temperature > 0
        if config.do_sample:
            config.temperature = request.sampling.temperature
            config.top_p = request.sampling.top_p
            config.top_k = 0
        config.rng_seed = mix(request.seed, request.offset + first)
        config.logprobs = 1 if request.logprobs or request.halt else 0
        if request.stop:
            config.stop_strings = {*request.stop, *widening(request.stop, self._tokens)}
            config.include_stop_str_in_output = True
        return config

    def _tokens(self, text: str) -> int:
        return int(self._tokenizer.encode(text, add_special_tokens=False).input_ids.shape[1])

    def _halt(self, job: _Job) -> None:
        assert job.request.halt is not None
        for part in job.parts:
            self._read(part)
            for tokens, logprobs in part.seen.values():
                if not part.stopped and job.request.halt(Trace(tuple(tokens), tuple(logprobs))):
                    part.handle.stop()
                    part.stopped = True

    def _tell(self, job: _Job, heard: Callable[[Growth], None]) -> None:
        job.tellings = job.tellings or [Telling(job.request.stop) for _ in job.parts]
        for index, (part, telling) in enumerate(zip(job.parts, job.tellings, strict=True)):
            if not telling.due:
                continue
            self._read(part)
            ids = next(iter(part.seen.values()), ([], []))[0]
            if piece := telling.look(ids, self._tokenizer.decode):
                heard(Growth(index, piece))

    def _read(self, part: _Part) -> None:
        while part.handle.can_read():
            for key, output in part.handle.read().items():
                tokens, logprobs = part.seen.setdefault(key, ([], []))
                tokens.extend(output.generated_ids)
                logprobs.extend(output.generated_log_probs)
                part.reasons[key] = output.finish_reason

    def _cancel(self, job: _Job) -> None:
        if not job.future.done():
            job.cancelled = True
            self._stop_parts(job)
            self._finish(job)

    def _stop_parts(self, job: _Job) -> None:
        running = [p for p in job.parts if p.handle.get_status() == self._genai.GenerationStatus.RUNNING]
        for part in running:
            self._read(part)  # what is stopped can be read no more
            part.handle.stop()
        if running:
            with contextlib.suppress(RuntimeError):
                self._pipeline.step()

    def _finish(self, job: _Job, error: Exception | None = None) -> None:
        if job in self._jobs:
            self._jobs.remove(job)
        if job.future.done():
            return
        for part in job.parts:
            if error is not None:
                part.handle.stop()
            self._read(part)
            if not part.seen and part.handle.get_status() == self._genai.GenerationStatus.FINISHED:
                # All its samples ended at once, at a stop string whose only token is left out.
                part.seen = {sequence: ([], []) for sequence in range(part.sequences)}
                part.reasons = dict.fromkeys(part.seen, self._genai.GenerationFinishReason.STOP)
        if error is None and not job.cancelled and not any(part.seen for part in job.parts):
            error = CallFailed("The request does not fit the key-value cache; raise cache_gigabytes.")
        job.future.set_result(self._generation(job, error))

    def _generation(self, job: _Job, error: Exception | None) -> Generation:
        """The call's outputs in the order drawn. Each part has read the prompt and is an attempt."""
        outputs: list[Output] = []
        attempts: list[Attempt] = []
        for part in job.parts:
            keys = sorted(part.seen)
            drawn = [part.seen[key] for key in keys]
            texts = self._tokenizer.decode([ids for ids, _ in drawn]) if drawn else []
            generated = 0
            for key, (ids, logprobs), text in zip(keys, drawn, texts, strict=True):
                told = tuple(logprobs) if job.request.logprobs else None
                finish = self._finish_of(part, key, job, error)
                stop, whole = stopped_by(text, job.request.stop), cut(text, job.request.stop)
                if (
                    stop is None
                    and finish == "stop"
                    and not part.stopped
                    and self._end_tokens.isdisjoint(ids[-1:])
                ):
                    stop, whole = unwritten_stop(text, job.request.stop)
                left_out = stop is not None and not text.startswith(whole + stop)
                count = len(ids) + (unwritten_tokens(stop, self._tokens) if stop and left_out else 0)
                generated += count
                outputs.append(Output(whole, None, count, told, finish, stop))
            if job.cancelled:
                generated = max(generated, _generated(part))
            attempts.append(_attempt(job, error, len(drawn), generated))
        if not attempts:
            attempts.append(_attempt(job, error, 0, 0))
        return Generation(tuple(outputs), tuple(attempts), error)

    def _finish_of(
        self, part: _Part, key: int, job: _Job, error: Exception | None
    ) -> Literal["stop", "length", "cancelled", "failed"]:
        reason, reasons = part.reasons.get(key), self._genai.GenerationFinishReason
        if reason == reasons.LENGTH:
            return "length"
        if reason == reasons.STOP or part.stopped:
            return "stop"
        return "failed" if error is not None and not job.cancelled else "cancelled"


def _generated(part: _Part) -> int:
    """The tokens of a part that was stopped. Of one that was stopped while others ran on, the library gives
    no samples back; its counter takes their first tokens, which come of one pass, for one."""
    try:
        told = int(part.handle.get_perf_metrics().get_num_generated_tokens())
    except RuntimeError:  # it never began
        return 0
    return told + part.sequences - 1 if told else 0


def _attempt(job: _Job, error: Exception | None, samples: int, generated: int | None) -> Attempt:
    """One reading of the prompt with what was generated from it."""
    status: Literal["ok", "failed", "cancelled"] = "cancelled" if job.cancelled else "ok"
    usage = Usage(
        calls=1,
        samples=samples,
        prompt_tokens=job.prompt_tokens,
        cached_tokens=None,
        completion_tokens=generated,
        reasoning_tokens=0,
        flop=None,
        seconds=time.perf_counter() - job.clock,
        usd=None,
    )
    told = None if error is None else str(error)
    return Attempt(status if error is None else "failed", usage, job.started, samples, told)


def _failure(job: _Job, error: Exception) -> Generation:
    """A call that died: what it had generated is unknown unless it never began."""
    return Generation((), (_attempt(job, error, 0, None if job.parts else 0),), error)


def _split(request: Request) -> Sequence[tuple[int, int]]:
    """(first sample, samples) of each pipeline request. A greedy, watched or heard sample needs its own."""
    alone = request.sampling.temperature == 0 or request.halt is not None or request.heard is not None
    size = 1 if alone else MAX_SEQUENCES
    return [(first, min(size, request.n - first)) for first in range(0, request.n, size)]


def _native_precision() -> str:
    import openvino

    kind = str(openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT"))
    names = {"bfloat16": "bf16", "bf16": "bf16", "float32": "f32", "f32": "f32", "float16": "f16"}
    return next((short for long, short in names.items() if long in kind), kind)


def _pipeline(genai: Any, path: Path, precision: str, cache_gigabytes: float) -> Any:
    if cache_gigabytes < 1 or not float(cache_gigabytes).is_integer():
        raise InputError(
            "cache_gigabytes: the embedded engine's is a whole number of at least 1, not "
            f"{cache_gigabytes:g}; give 1 or more, or use a model folder, which takes fractions."
        )
    scheduler = genai.SchedulerConfig()
    scheduler.enable_prefix_caching = True
    scheduler.max_num_seqs = MAX_SEQUENCES
    scheduler.max_num_batched_tokens = 2048
    scheduler.cache_size = int(cache_gigabytes)
    properties = {} if precision == "auto" else {"INFERENCE_PRECISION_HINT": precision}
    try:
        return genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", properties)
    except RuntimeError as error:
        raise ModelUnsupported(
            f"{path} cannot be run by the embedded engine ({line_of(error, -1)}): "
            "serve it by another engine and pass http://HOST/v1#MODEL."
        ) from None


def _stop_at_exit(engine: EmbeddedEngine) -> Callable[[], None]:
    """Join the thread before the interpreter tears down the pipeline under it."""
    reference = weakref.ref(engine)

    def stop() -> None:
        alive = reference()
        if alive is not None and not alive._closed:
            alive._stop()
            alive._thread.join(timeout=30)

    atexit.register(stop)
    return stop
