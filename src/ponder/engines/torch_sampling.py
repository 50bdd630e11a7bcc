"""Bulk sampling from a model folder, for recording and for training code: synchronous, in large batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ponder.core import Model, Output, Prompt, Sampling
from ponder.engines._torch_crew import BATCH, CACHE_GIGABYTES, Crew, Progress, Worker, open_crew
from ponder.errors import InputError

if TYPE_CHECKING:
    from ponder.engines._torch_batch import Ask, Work

__all__ = ["Sampler"]

_SLICE_SECONDS = 0.25


@dataclass(slots=True)
class _Prompt:
    """One prompt's samples, which come in parts: by each part's first sample."""

    missing: int
    parts: dict[int, tuple[Output, ...]]


class Sampler:
    """Samples many prompts at once. Use it as a context manager, or `close()` it. One thread at a time.

    `work` is what was computed so far: prompt tokens, generated tokens, and all positions that ran through
    the model. Of a process that died it holds the most that it can have computed: what it reported last, and
    all that its unfinished samples could still have taken.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._closed = False

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        processes: int = 1,
        device: str = "auto",
        batch: int = BATCH,
        cache_gigabytes: float = CACHE_GIGABYTES,
    ) -> Sampler:
        """Load a Hugging Face model folder. `processes` above 1: so many processes of one thread each, on the
        processor; 1: this process with PyTorch's threads, on `device` ("auto", "cpu", "cuda").

        Raises CheckpointInvalid, ModelUnsupported, MissingExtra or InputError.
        """
        return cls(
            open_crew(
                Path(folder),
                processes=processes,
                device=device,
                batch=batch,
                cache_gigabytes=cache_gigabytes,
            )
        )

    @property
    def model(self) -> Model:
        return self._crew.folder.model

    @property
    def work(self) -> Work:
        from ponder.engines._torch_batch import Work

        return sum((worker.work for worker in self._crew.workers), Work())

    def sample(
        self,
        prompts: Sequence[str],
        n: int,
        *,
        sampling: Sampling,
        max_tokens: int,
        stop: tuple[str, ...] = (),
        seed: int,
        logprobs: bool = False,
        prefixes: Sequence[str] | None = None,
    ) -> Iterator[tuple[int, list[Output]]]:
        """The index of each prompt with its `n` outputs, in whatever order they are finished.

        `prefixes` are the beginnings of the replies that the samples continue, one a prompt. Sample j of
        prompt i depends on (seed, i, j) alone, whatever the batches and processes. Prompts are taken as they
        are needed, and only unfinished prompts are kept. Raises InputError for a prompt that does not fit,
        OutOfMemory with the batch to try.
        """
        self._check(prompts, n, max_tokens, stop, prefixes)
        asks = self._asks(prompts, n, sampling, max_tokens, stop, seed, logprobs, prefixes)
        waiting: dict[int, tuple[int, int]] = {}
        prompts_open: dict[int, _Prompt] = {}
        for done_number, outputs in self._run(asks, waiting):
            index, first = waiting.pop(done_number)
            kept = prompts_open.setdefault(index, _Prompt(n, {}))
            kept.parts[first] = outputs
            kept.missing -= len(outputs)
            if kept.missing == 0:
                del prompts_open[index]
                yield index, [output for at in sorted(kept.parts) for output in kept.parts[at]]

    def close(self) -> None:
        """Give the memory back and end the processes."""
        if not self._closed:
            self._closed = True
            self._crew.close()

    def __enter__(self) -> Sampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(
        self,
        prompts: Sequence[str],
        n: int,
        max_tokens: int,
        stop: tuple[str, ...],
        prefixes: Sequence[str] | None,
    ) -> None:
        if self._closed:
            raise InputError("The sampler is closed; open it again.")
        if n < 1 or max_tokens < 1:
            raise InputError(f"{'n' if n < 1 else 'max_tokens'}: it must be at least 1.")
        if any(not text for text in stop):
            raise InputError("stop: an empty stop string ends nothing; leave it out.")
        if prefixes is not None and len(prefixes) != len(prompts):
            raise InputError(f"prefixes: {len(prefixes)} for {len(prompts)} prompts; give one each.")

    def _asks(
        self,
        prompts: Sequence[str],
        n: int,
        sampling: Sampling,
        max_tokens: int,
        stop: tuple[str, ...],
        seed: int,
        logprobs: bool,
        prefixes: Sequence[str] | None,
    ) -> Iterator[tuple[int, Ask]]:
        """Each prompt's index with an ask for all its samples, or for as many as half a batch holds."""
        from ponder.engines._torch_batch import Ask, stream

        number = 0
        for index, prompt in enumerate(prompts):
            ids = self._crew.text.encode(Prompt((), prompt), prefixes[index] if prefixes else "")
            room = min(max_tokens, (self.model.context or 1 << 30) - len(ids))
            if room < 1 or not ids:
                raise InputError(
                    f"prompts: number {index} has {len(ids)} tokens; {self.model.name} takes 1 to "
                    f"{(self.model.context or 1 << 30) - 1}."
                )
            size = max(1, min(worker.limit(len(ids) + room) for worker in self._crew.workers) // 2)
            name = stream(seed, index)
            for first in range(0, n, size):
                part = min(size, n - first)
                yield (
                    index,
                    Ask(number, ids, part, room, sampling, name, first, stop, logprobs),
                )
                number += 1

    def _run(
        self, asks: Iterator[tuple[int, Ask]], waiting: dict[int, tuple[int, int]]
    ) -> Iterator[tuple[int, tuple[Output, ...]]]:
        """Keep every worker supplied until all asks are finished. `waiting` notes each ask's place."""
        workers = self._crew.workers
        rows = dict.fromkeys(range(len(workers)), 0)
        running: dict[Future[Progress], int] = {}
        with ThreadPoolExecutor(len(workers)) as threads:
            try:
                while True:
                    for at in sorted(set(rows) - set(running.values()), key=rows.__getitem__):
                        taken = _take(asks, workers[at], rows[at], waiting)
                        if taken or rows[at]:
                            running[threads.submit(workers[at].advance, taken, (), _SLICE_SECONDS)] = at
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        at, progress = running.pop(future), future.result()
                        rows[at] = progress.rows
                        for done in progress.done:
                            yield done.number, done.outputs
            finally:
                if waiting:
                    wait(running)
                    for worker in workers:
                        worker.clear()


def _take(
    asks: Iterator[tuple[int, Ask]], worker: Worker, rows: int, waiting: dict[int, tuple[int, int]]
) -> list[Ask]:
    """As many asks as keep the worker supplied for a while; none when there are no more."""
    taken: list[Ask] = []
    bound = rows + 1
    while rows < bound and (found := next(asks, None)) is not None:
        index, ask = found
        waiting[ask.number] = (index, ask.first)
        taken.append(ask)
        rows, bound = rows + ask.n, worker.limit(len(ask.prompt) + ask.max_tokens) * 3 // 2
    return taken
