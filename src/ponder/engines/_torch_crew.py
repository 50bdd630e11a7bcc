"""Workers that hold a folder's model and grow batches of samples: in this process, or in processes of one
thread each, which on a processor beat one process of several threads for small models."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ponder.child import Child, Limits
from ponder.core import Output, Sampling
from ponder.engines._common import rows_that_fit
from ponder.errors import CallFailed, ChildError, InputError, OutOfMemory

if TYPE_CHECKING:
    from ponder.engines._torch_batch import Ask, Batch, Done, Work
    from ponder.engines._torch_folder import ModelFolder
    from ponder.engines._torch_text import Text

__all__ = ["ChildWorker", "Crew", "LocalWorker", "Progress", "Worker", "open_crew", "open_local"]

BATCH = 1024
CACHE_GIGABYTES = 2.0
_MODULE = "ponder.engines._torch_crew"
_OPEN_SECONDS = 600.0
_CALL_SECONDS = 3600.0
# Address space, most of which PyTorch reserves and never touches.
_CHILD_LIMITS = Limits(memory_bytes=64 << 30, open_files=256, start_seconds=300.0, reply_bytes=1 << 30)


@dataclass(frozen=True, slots=True)
class Progress:
    """What came of a stretch of work: the asks that are finished, and the rows still there."""

    done: Sequence[Done]
    rows: int


class Worker(Protocol):
    """One batch of samples on its way."""

    @property
    def work(self) -> Work:
        """What was computed since the beginning; of a process that died the most that it can have been."""
        ...

    def limit(self, positions: int) -> int:
        """How many rows of so many positions it runs side by side."""
        ...

    def advance(self, asks: Sequence[Ask], cancelled: Sequence[int], seconds: float) -> Progress:
        """Take up asks, end others, and step for about so long. Raises OutOfMemory or CallFailed; what was in
        flight is then lost."""
        ...

    def clear(self) -> None:
        """Forget what is in flight."""
        ...

    def close(self) -> None: ...


class LocalWorker:
    """Works in the calling thread."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    @property
    def position_bytes(self) -> int:
        return self._batch.net.position_bytes

    @property
    def device(self) -> str:
        return str(self._batch.net.device.type)

    def confine(self, cache_bytes: float) -> None:
        """Let the cache take so much at most."""
        self._batch.cache_bytes = cache_bytes

    @property
    def work(self) -> Work:
        return self._batch.work

    def limit(self, positions: int) -> int:
        return self._batch.rows_at_once(positions)

    def advance(self, asks: Sequence[Ask], cancelled: Sequence[int], seconds: float) -> Progress:
        self._batch.admit(asks)
        done = [each for number in cancelled for each in self._batch.cancel(number)]
        done += self._batch.advance(seconds)
        return Progress(done, self._batch.rows)

    def clear(self) -> None:
        self._batch.clear()

    def close(self) -> None:
        self._batch.clear()


class ChildWorker:
    """Works in a process of one thread, which dies with this one."""

    def __init__(self, path: Path, capacity: int, cache_bytes: float) -> None:
        operations = [f"{_MODULE}:{name}" for name in ("child_open", "child_advance", "child_clear")]
        self._child = Child(operations, preload=[_MODULE], limits=_CHILD_LIMITS)
        self._path, self._capacity, self._cache_bytes = path, capacity, cache_bytes
        self._position_bytes, self._loaded = 1, False
        self._account = _Account()

    @property
    def work(self) -> Work:
        return self._account.work

    def open(self) -> None:
        """Start the process and load the model. Raises CallFailed."""
        given = {"path": str(self._path), "capacity": self._capacity, "cache_bytes": self._cache_bytes}
        self._position_bytes = int(self._call("child_open", given, _OPEN_SECONDS))
        self._loaded = True

    def _call(self, name: str, arguments: dict[str, Any], seconds: float) -> Any:
        try:
            return self._child.call(f"{_MODULE}:{name}", arguments, seconds=seconds)
        except ChildError as error:
            self._loaded = False
            self._account.died()
            raise CallFailed(f"A sampling process failed: {error}") from None

    def limit(self, positions: int) -> int:
        return rows_that_fit(self._capacity, self._cache_bytes, self._position_bytes * positions)

    def advance(self, asks: Sequence[Ask], cancelled: Sequence[int], seconds: float) -> Progress:
        if not self._loaded:
            self.open()
        sent = {"asks": [_written(ask) for ask in asks], "cancelled": list(cancelled), "seconds": seconds}
        self._account.begin(asks)
        reply = self._call("child_advance", sent, _CALL_SECONDS)
        self._account.report(reply["work"])
        if "memory" in reply:
            self._account.clear()
            raise OutOfMemory(reply["memory"])
        progress = _progress(reply)
        self._account.end(progress.done)
        return progress

    def clear(self) -> None:
        if self._loaded:
            self._call("child_clear", {}, _CALL_SECONDS)
            self._account.clear()

    def close(self) -> None:
        self._child.close()


class _Account:
    """The work of a worker's processes, one after another: what each reported, and of one that died also the
    most that it can have done since its last report."""

    def __init__(self) -> None:
        from ponder.engines._torch_batch import Work

        self._nothing = self._before = self._reported = Work()
        self._open: dict[int, Ask] = {}
        self._prompts = self._made = 0  # the most that the process can have read and made

    @property
    def work(self) -> Work:
        return self._before + self._reported

    def begin(self, asks: Sequence[Ask]) -> None:
        for ask in asks:
            self._open[ask.number] = ask
            self._prompts += len(ask.prompt)
            self._made += ask.n * ask.max_tokens

    def report(self, amounts: Sequence[int]) -> None:
        self._reported = type(self._nothing)(*amounts)

    def end(self, done: Sequence[Done]) -> None:
        for each in done:
            ask = self._open.pop(each.number)
            self._made -= ask.n * ask.max_tokens - sum(output.tokens or 0 for output in each.outputs)

    def clear(self) -> None:
        """Nothing is in flight any more."""
        self._open = {}
        self._prompts, self._made = self._reported.prompt_tokens, self._reported.generated

    def died(self) -> None:
        """Another process begins anew. Every token unreported may have run through the model."""
        known = self._reported
        unknown = self._prompts - known.prompt_tokens + self._made - known.generated
        self._before += replace(
            known,
            prompt_tokens=self._prompts,
            generated=self._made,
            positions=known.positions + unknown,
        )
        self._reported = self._nothing
        self.clear()


@dataclass(frozen=True, slots=True)
class Crew:
    """The workers of one model, and its tokenizer."""

    folder: ModelFolder
    text: Text
    workers: Sequence[Worker]

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


def open_crew(
    path: Path,
    *,
    processes: int = 1,
    device: str = "auto",
    batch: int = BATCH,
    cache_gigabytes: float = CACHE_GIGABYTES,
) -> Crew:
    """Load a folder's model into this process, or into several of one thread each.

    `batch` rows at most run side by side in each worker, and their cache takes `cache_gigabytes` at most.
    Raises CheckpointInvalid, ModelUnsupported, MissingExtra or InputError.
    """
    from ponder.engines._torch_folder import read_folder
    from ponder.engines._torch_text import Text

    if processes < 1 or batch < 1:
        name = "processes" if processes < 1 else "batch"
        raise InputError(f"{name}: it must be at least 1.")
    folder = read_folder(path)
    text = Text(folder.path, folder.config)
    share = cache_gigabytes * 1e9 / processes
    workers: list[LocalWorker | ChildWorker] = []
    try:
        if processes == 1:
            workers.append(open_local(folder, text, device=device, batch=batch, cache_bytes=share))
        else:
            children = [ChildWorker(folder.path.resolve(), batch, share) for _ in range(processes)]
            workers.extend(children)
            with ThreadPoolExecutor(processes) as threads:
                list(threads.map(ChildWorker.open, children))
    except BaseException:
        for worker in workers:
            worker.close()
        raise
    return Crew(folder, text, workers)


def open_local(
    folder: ModelFolder, text: Text, *, device: str = "auto", batch: int = BATCH, cache_bytes: float
) -> LocalWorker:
    """Load the model into this process. Raises CheckpointInvalid, ModelUnsupported or MissingExtra."""
    from ponder.engines._torch_batch import Batch
    from ponder.engines._torch_net import load_net

    return LocalWorker(Batch(load_net(folder, device), text, capacity=batch, cache_bytes=cache_bytes))


# ------------------------------------------------------------------------------------ the child's wire


def _written(ask: Ask) -> dict[str, Any]:
    names = ("number", "prompt", "n", "max_tokens", "stream", "first", "stop", "logprobs")
    return {name: getattr(ask, name) for name in names} | {"sampling": asdict(ask.sampling)}


def _ask(written: dict[str, Any]) -> Ask:
    from ponder.engines._torch_batch import Ask

    given = {**written, "prompt": tuple(written["prompt"]), "stop": tuple(written["stop"])}
    return Ask(**(given | {"sampling": Sampling(**written["sampling"])}))


def _progress(reply: dict[str, Any]) -> Progress:
    from ponder.engines._torch_batch import Done

    done = [Done(number, tuple(map(_output, rows))) for number, rows in reply["done"]]
    return Progress(done, reply["rows"])


def _output(row: list[Any]) -> Output:
    text, tokens, logprobs, finish, stop = row
    return Output(text, None, tokens, None if logprobs is None else tuple(logprobs), finish, stop)


# ------------------------------------------------------------------------------------ inside the child

_in_child: list[LocalWorker] = []


def child_open(path: str, capacity: int, cache_bytes: float) -> int:
    """Load the model in this process: the bytes of cache that one position of a row takes."""
    import torch

    from ponder.engines._torch_folder import read_folder
    from ponder.engines._torch_text import Text

    torch.set_num_threads(1)
    folder = read_folder(Path(path))
    text = Text(folder.path, folder.config)
    worker = open_local(folder, text, device="cpu", batch=capacity, cache_bytes=cache_bytes)
    _in_child[:] = [worker]
    return worker.position_bytes


def child_advance(asks: list[dict[str, Any]], cancelled: list[int], seconds: float) -> dict[str, Any]:
    """`LocalWorker.advance`, with JSON on both sides."""
    (worker,) = _in_child
    try:
        progress = worker.advance([_ask(ask) for ask in asks], cancelled, seconds)
    except OutOfMemory as error:
        return {"memory": str(error), "work": astuple(worker.work)}
    done = [
        [each.number, [[o.text, o.tokens, o.logprobs, o.finish, o.stopped_by] for o in each.outputs]]
        for each in progress.done
    ]
    return {"done": done, "rows": progress.rows, "work": astuple(worker.work)}


def child_clear() -> None:
    """Forget what is in flight."""
    (worker,) = _in_child
    worker.clear()
