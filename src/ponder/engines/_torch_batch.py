"""Batches of samples that grow together, one token a step, on one device.

Samples that begin at once form a cohort: their cache is as long as they are, so none waits for a longer one's
attention. Finished rows are left out of the cohort soon after. A batch holds several cohorts, so that new
requests need not wait for the last row of earlier ones.

A sample's randomness comes from its own stream and its place in it alone: one number a token, counted, not
drawn from a shared generator. So it does not depend on what runs beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ponder.core import Finish, Output, Sampling, Trace
from ponder.engines._common import cut, rows_that_fit, stopped_by
from ponder.engines._torch_net import Net, pad_left
from ponder.engines._torch_text import Text
from ponder.errors import OutOfMemory

__all__ = ["Ask", "Batch", "Done", "Work", "stream"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_IDLE_SHARE = 16
_PATIENCE_STEPS = 32
_COUNTER_BITS = np.uint64(41)
# What PyTorch says, in a plain RuntimeError, when the machine has no more memory.
_SHORT = ("not enough memory", "allocate memory")

Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]
Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Work:
    """What was computed. Prompts are read once an ask. `generated` are the samples' tokens, unfinished ones'
    too, `positions` all that ran through the model: prompts, padding, and rows that had ended but were not
    left out yet."""

    prompt_tokens: int = 0
    generated: int = 0
    positions: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.prompt_tokens + other.prompt_tokens,
            self.generated + other.generated,
            self.positions + other.positions,
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """`n` samples that continue `prompt`: samples `first` to `first + n - 1` of a random stream.

    `number` tells one ask from another in what comes back.
    """

    number: int
    prompt: tuple[int, ...]
    n: int
    max_tokens: int
    sampling: Sampling
    stream: int
    first: int = 0
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    halt: Callable[[Trace], bool] | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """An ask that is finished, with its outputs in the order drawn."""

    number: int
    outputs: tuple[Output, ...]


def stream(*names: object) -> int:
    """The 64-bit name of a random stream."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, names)).encode()).digest()[:8], "big")


def _mixed(words: Words) -> Words:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014), which makes counters look random."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _row_words(ask: Ask) -> Words:
    with np.errstate(over="ignore"):
        places = np.arange(ask.first, ask.first + ask.n, dtype=np.uint64) + np.uint64(1)
        return _mixed(np.uint64(ask.stream) + places * _GOLDEN)


def _uniform(words: Words, step: int) -> NDArray[np.float32]:
    """One number in [0, 1) for each row at this step; 23 bits, so that it is below 1 in float32 too."""
    with np.errstate(over="ignore"):
        drawn = _mixed(words + np.uint64(step + 1) * _GOLDEN) >> _COUNTER_BITS
    return drawn.astype(np.float32) * np.float32(2.0**-23)


def draw(logits: torch.Tensor, sampling: Sampling, uniform: NDArray[np.float32]) -> torch.Tensor:
    """One token a row [B] from logits [B, vocab], by the inverse of the cumulative distribution."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    likely = torch.softmax(logits if sampling.temperature == 1 else logits / sampling.temperature, -1)
    order = None
    if sampling.top_p < 1:
        likely, order = likely.sort(dim=-1, descending=True, stable=True)
        # The smallest set of tokens that holds top_p: whatever begins beyond it is left out.
        likely = likely.masked_fill(likely.cumsum(-1) - likely >= sampling.top_p, 0.0)
    reached = likely.cumsum(-1)
    target = torch.from_numpy(uniform).to(logits.device)[:, None] * reached[:, -1:]
    chosen = torch.searchsorted(reached, target, right=True).clamp_max_(logits.shape[-1] - 1)
    return chosen[:, 0] if order is None else order.gather(1, chosen)[:, 0]


class _Cohort:
    """Samples that began together. Arrays go by row as asked; `live` names the rows in the cache."""

    def __init__(self, net: Net, text: Text, asks: Sequence[Ask], stop_flags: Callable[..., Flags]) -> None:
        self._net, self._text, self.asks, self.step_count = net, text, asks, 0
        counts = [ask.n for ask in asks]
        self._owner: Whole = np.repeat(np.arange(len(asks)), counts)
        self._words = np.concatenate([_row_words(ask) for ask in asks])
        self._limit: Whole = np.repeat([ask.max_tokens for ask in asks], counts)
        room = int(self._limit.max())
        rows = len(self._owner)
        self._tokens: Whole = np.zeros((rows, min(room, 64)), dtype=np.int64)
        self._logprobs = np.zeros(self._tokens.shape, np.float32) if self._watched() else None
        self._length: Whole = np.zeros(rows, dtype=np.int64)
        self._ending: list[Finish | None] = [None] * rows
        stops = sorted({ask.stop for ask in asks})
        self._stop_flags = np.stack([stop_flags(stop) for stop in stops]) if any(stops) else None
        self._stop_row: Whole = np.repeat([stops.index(ask.stop) for ask in asks], counts)
        self._ends = np.zeros(text.size, dtype=bool)
        self._ends[list(text.end_tokens)] = True
        self._halting = [row for row in range(rows) if asks[self._owner[row]].halt is not None]
        self.live: Whole = np.arange(rows)
        self.running = np.ones(rows, dtype=bool)
        self._left = np.array(counts)
        prompts, starts = pad_left([ask.prompt for ask in asks], net.device)
        self._positions = prompts.shape[1] + room
        logits, state = net.read(prompts, starts, room)
        owners = torch.from_numpy(self._owner).to(net.device)
        self._state, self._logits = net.spread(state, owners), logits[owners]
        self.work = Work(sum(len(ask.prompt) for ask in asks), 0, prompts.numel())

    @property
    def cache_bytes(self) -> int:
        """What its cache takes, or will take before its end."""
        return self._net.held(self._state) * self._positions * self._net.position_bytes

    def _watched(self) -> bool:
        return any(ask.logprobs or ask.halt is not None for ask in self.asks)

    def advance(self) -> list[Done]:
        """Draw one token for every row: the asks that are finished by it."""
        at, live = self.step_count, self.live
        chosen = draw(self._logits, self.asks[0].sampling, _uniform(self._words[live], at))
        tokens = chosen.cpu().numpy()
        self._note(at, live, chosen, tokens)
        self.step_count += 1
        running = self.running[live]
        self._length[live[running]] = at + 1
        self.work += Work(0, int(running.sum()), 0)
        done = self._settle(live, tokens, running)
        self._compact()
        if len(self.live):
            fed = torch.from_numpy(self._tokens[self.live, at]).to(self._net.device)
            self._logits = self._net.step(fed, self._state)
            self.work += Work(0, 0, len(self.live))
        return done

    def _note(self, at: int, live: Whole, chosen: torch.Tensor, tokens: Whole) -> None:
        if at >= self._tokens.shape[1]:
            self._tokens = np.concatenate([self._tokens, np.zeros_like(self._tokens)], axis=1)
            if self._logprobs is not None:
                self._logprobs = np.concatenate([self._logprobs, np.zeros_like(self._logprobs)], axis=1)
        self._tokens[live, at] = tokens
        if self._logprobs is not None:
            known = torch.log_softmax(self._logits, -1).gather(1, chosen[:, None])[:, 0]
            self._logprobs[live, at] = known.cpu().numpy()

    def _settle(self, live: Whole, tokens: Whole, running: Flags) -> list[Done]:
        """Note which rows end here: at the end token, a stop string, the caller's word, the length."""
        ended = self._ends[tokens] & running
        for row in live[ended]:
            self._ending[row] = "stop"
        if self._stop_flags is not None:
            for row in live[self._stop_flags[self._stop_row[live], tokens] & running & ~ended]:
                if self._at_stop(row):
                    self._ending[row] = "stop"
        for row in self._halting:
            if self.running[row] and self._ending[row] is None and self._halted(row):
                self._ending[row] = "stop"
        for row in live[(self._length[live] >= self._limit[live]) & running]:
            self._ending[row] = self._ending[row] or "length"
        return self._retire([int(row) for row in live[running] if self._ending[row] is not None])

    def _retire(self, rows: Sequence[int]) -> list[Done]:
        self.running[rows] = False
        np.subtract.at(self._left, self._owner[rows], 1)
        finished = {int(self._owner[row]) for row in rows if self._left[self._owner[row]] == 0}
        return [Done(self.asks[at].number, self.outputs(at)) for at in sorted(finished)]

    def _ids(self, row: int) -> list[int]:
        ids: list[int] = self._tokens[row, : self._length[row]].tolist()
        return ids

    def _at_stop(self, row: int) -> bool:
        ask = self.asks[self._owner[row]]
        return self._text.stopped(self._ids(row), ask.prompt[-1], ask.stop)

    def _halted(self, row: int) -> bool:
        ask = self.asks[self._owner[row]]
        assert ask.halt is not None
        assert self._logprobs is not None
        told = self._logprobs[row, : self._length[row]].tolist()
        return bool(ask.halt(Trace(tuple(self._ids(row)), tuple(told))))

    def _compact(self) -> None:
        """Leave ended rows out once they are worth the copying: rows from the end take their places."""
        running = self.running[self.live]
        count = int(running.sum())
        idle = len(self.live) - count
        if count and idle * _IDLE_SHARE < len(self.live):
            return
        places = np.arange(count)
        places[~running[:count]] = np.nonzero(running[count:])[0] + count
        self.live = self.live[places]
        if count and idle:
            self._net.keep(self._state, torch.from_numpy(places).to(self._net.device))

    def cancel(self, number: int) -> list[Done]:
        """End an ask's rows as they are."""
        for at, ask in enumerate(self.asks):
            if ask.number == number and self._left[at]:
                rows = [int(row) for row in np.nonzero((self._owner == at) & self.running)[0]]
                for row in rows:
                    self._ending[row] = "cancelled"
                return self._retire(rows)
        return []

    def outputs(self, at: int) -> tuple[Output, ...]:
        """The samples of one ask, in the order drawn."""
        ask = self.asks[at]
        return tuple(self._output(ask, int(row)) for row in np.nonzero(self._owner == at)[0])

    def _output(self, ask: Ask, row: int) -> Output:
        ids, finish = self._ids(row), self._ending[row]
        text = self._text.decode(ids, ask.prompt[-1])
        told: tuple[float, ...] | None = None
        if ask.logprobs and self._logprobs is not None:
            told = tuple(self._logprobs[row, : len(ids)].tolist())
        stop = stopped_by(text, ask.stop)
        return Output(cut(text, ask.stop), None, len(ids), told, finish or "cancelled", stop)


class Batch:
    """All cohorts of one device. `capacity` rows at most run side by side, fewer where the cache of
    `cache_bytes` would not hold them. An ask that alone is too large for it runs alone."""

    def __init__(self, net: Net, text: Text, *, capacity: int, cache_bytes: float) -> None:
        self.net, self._text, self.capacity, self.cache_bytes = net, text, capacity, cache_bytes
        self._waiting: list[Ask] = []
        self._cohorts: list[_Cohort] = []
        self._flags: dict[tuple[str, ...], Flags] = {}
        self._past = Work()
        self._waited = 0

    @property
    def work(self) -> Work:
        """What was computed since the beginning."""
        return sum((cohort.work for cohort in self._cohorts), self._past)

    def rows_at_once(self, positions: int) -> int:
        """How many rows of so many positions may run side by side."""
        return rows_that_fit(self.capacity, self.cache_bytes, self.net.position_bytes * positions)

    @property
    def rows(self) -> int:
        """Samples that are waiting or running."""
        return sum(ask.n for ask in self._waiting) + self._running()

    def admit(self, asks: Sequence[Ask]) -> None:
        """Take up asks of at least one sample and one prompt token each."""
        self._waiting.extend(asks)

    def cancel(self, number: int) -> list[Done]:
        """End an ask: it comes back with what it has."""
        for ask in self._waiting:
            if ask.number == number:
                self._waiting.remove(ask)
                return [Done(number, ())]
        return [done for cohort in self._cohorts for done in cohort.cancel(number)]

    def clear(self) -> None:
        """Forget everything in flight."""
        self._past = self.work
        self._waiting, self._cohorts = [], []

    def advance(self, seconds: float) -> list[Done]:
        """Step for about so long, or until nothing is left: the asks that finished. Raises OutOfMemory."""
        until = time.perf_counter() + seconds
        done: list[Done] = []
        with torch.inference_mode(), self._memory():
            while self._waiting or self._cohorts:
                self._begin()
                for cohort in list(self._cohorts):
                    done += cohort.advance()
                    if not len(cohort.live):
                        self._past += cohort.work
                        self._cohorts.remove(cohort)
                if time.perf_counter() >= until:
                    break
        return done

    def _running(self) -> int:
        return sum(int(cohort.running.sum()) for cohort in self._cohorts)

    def _begin(self) -> None:
        """Let waiting asks begin together."""
        self._waited = self._waited + 1 if self._waiting else 0
        while self._waiting and self._worthwhile(self._waiting):
            asks = self._next()
            if not asks or not self._worthwhile(asks):
                return
            for ask in asks:
                self._waiting.remove(ask)
            self._cohorts.append(_Cohort(self.net, self._text, asks, self._stop_flags))
            self._waited = 0

    def _worthwhile(self, asks: Sequence[Ask]) -> bool:
        """Small cohorts are slow: so one begins when it is as large as all that runs, or has waited long."""
        running, waiting = self._running(), sum(ask.n for ask in asks)
        if not self._cohorts:
            return True
        return running * 2 <= self.capacity and (waiting >= running or self._waited >= _PATIENCE_STEPS)

    def _next(self) -> list[Ask]:
        """Asks of the first one's kind, prompts of like length, as many as there is room for beside what
        runs; where nothing runs, one at least."""
        kind = self._waiting[0].sampling
        alike = sorted((ask for ask in self._waiting if ask.sampling == kind), key=lambda a: len(a.prompt))
        chosen: list[Ask] = []
        rows, room, width = 0, 0, 0
        free_rows = self.capacity - self._running()
        free_bytes = self.cache_bytes - sum(cohort.cache_bytes for cohort in self._cohorts)
        for ask in alike:
            room, width, rows = max(room, ask.max_tokens), max(width, len(ask.prompt)), rows + ask.n
            # The prompts' own cache is there too until each row has its copy.
            positions = rows * (width + room) + (len(chosen) + 1) * width
            fits = rows <= free_rows and positions * self.net.position_bytes <= free_bytes
            if not fits and (chosen or self._cohorts):
                break
            chosen.append(ask)
        return chosen

    def _stop_flags(self, stops: tuple[str, ...]) -> Flags:
        if stops not in self._flags:
            self._flags[stops] = np.array(self._text.stop_tokens(stops))
        return self._flags[stops]

    @contextlib.contextmanager
    def _memory(self) -> Iterator[None]:
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            rows = self._running() or self.capacity
            self.clear()
            known = isinstance(error, MemoryError | torch.OutOfMemoryError)
            if not known and not any(words in str(error) for words in _SHORT):
                raise
            raise OutOfMemory(
                f"{rows} samples side by side do not fit into memory: try batch={max(1, rows // 2)}, "
                "or a smaller cache_gigabytes."
            ) from None
