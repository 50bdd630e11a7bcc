"""What happens while a request is thought about: the record behind it, and how far it is."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ponder.core import FINISHED, Attempt, Question, Request, Sample, Scorer, Scoring, Spent, Usage
from ponder.errors import LedgerError
from ponder.ledger import Ledger, Row, RunRecorder
from ponder.ledger.chain import text_hash
from ponder.serve.telling import Progress

__all__ = ["HeardScorer", "Tape"]

_HELD_SECONDS = 0.05
"""Calls that end within so long are written together, a request's last ones with its end."""


@dataclass(slots=True)
class Tape:
    """A recorder of one new request: it writes what `behind` makes of it, and adds up what it sees.

    `samples` are all that any model gave, with the role that it was asked in, by question.
    """

    behind: RunRecorder
    ledger: Ledger
    began: float = field(default_factory=time.monotonic)
    usage: Usage = field(default_factory=Usage)
    samples: dict[str, list[tuple[str, Sample]]] = field(default_factory=dict)
    scores: list[Mapping[str, Any]] = field(default_factory=list)
    _held: list[Row] = field(default_factory=list)
    _writing: list[Future[None]] = field(default_factory=list)

    def finished(self, question: Question, stream: str) -> Mapping[int, Sample]:
        """Nothing: a request is new."""
        return {}

    def spent(self, question: Question) -> Sequence[Spent]:
        return ()

    async def record(
        self,
        question: Question,
        stream: str,
        role: str,
        request: Request,
        attempts: Sequence[Attempt],
        samples: Sequence[Sample],
    ) -> None:
        self.samples.setdefault(question.id, []).extend((role, sample) for sample in samples)
        for attempt in attempts:
            self.usage += attempt.usage
        if self._writing and self._writing[-1].done():
            self._writing[-1].result()  # nothing more is spent once nothing can be written
        # Not waited for: what a killed server had spent is charged in full anyway, and `close` comes before
        # anything is told. So a request waits for the disk twice, however many calls it takes.
        if not self._held:
            asyncio.get_running_loop().call_later(_HELD_SECONDS, self._write)
        self._held += self.behind.rows(question, stream, role, request, attempts, samples)

    def _write(self, *last: Row) -> None:
        rows, self._held = [*self._held, *last], []
        try:
            if rows:
                self._writing.append(self.ledger.append(rows))
        except LedgerError as error:
            failed: Future[None] = Future()
            failed.set_exception(error)
            self._writing.append(failed)

    async def close(self, last: Sequence[Row]) -> None:
        """Write the last rows behind all others, and wait until everything is durable. Raises LedgerError."""
        self._write(*last)
        await asyncio.gather(*map(asyncio.wrap_future, self._writing))

    @property
    def progress(self) -> Progress:
        drawn = [sample for each in self.samples.values() for _, sample in each if sample.finish in FINISHED]
        votes = Counter(sample.choice for sample in drawn if sample.choice is not None)
        agreement = max(votes.values()) / votes.total() if votes else None
        seconds = round(time.monotonic() - self.began, 3)
        return Progress(seconds, len(drawn), self.usage.tokens, self.usage.flop, agreement)


class HeardScorer:
    """A scorer whose scores are put on a tape, each with the sample's index, choice and text's hash."""

    def __init__(self, behind: Scorer, tape: Tape) -> None:
        self.name, self._behind, self._tape = behind.name, behind, tape

    def score(self, question: Question, samples: tuple[Sample, ...]) -> Scoring:
        scores = yield from self._behind.score(question, samples)
        pairs = zip(samples, scores, strict=True)
        scored = [[s.index, s.choice, score, text_hash(s.text)] for s, score in pairs]
        self._tape.scores.append({"problem": question.id, "by": self.name, "scores": scored})
        return scores
