"""Steps that strategies share. None of them does I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from random import Random
from typing import Any

from ponder.core import Answer, Draw, Reply, Sample, Score, Wave

__all__ = ["draw", "majority", "score", "top"]


def draw(n: int, **ask: Any) -> Generator[Wave, Reply, tuple[Sample, ...]]:
    """Ask for `n` samples; the other arguments are those of `Draw`."""
    reply = yield Wave((Draw(n=n, **ask),))
    return reply.samples[0]


def score(samples: tuple[Sample, ...], by: str) -> Generator[Wave, Reply, tuple[float | None, ...]]:
    """Ask a scorer about samples."""
    reply = yield Wave((Score(samples, by),))
    return reply.scores[0]


def majority(samples: Sequence[Sample], rng: Random) -> Answer:
    """The most common choice. Samples without a choice do not vote; ties are broken by `rng`, whatever
    the order of the samples; no vote at all is an abstention."""
    votes = Counter(s.choice for s in samples if s.choice is not None)
    if not votes:
        return Answer(None)
    most = max(votes.values())
    choice = rng.choice(sorted(c for c, n in votes.items() if n == most))
    text = min(s.text for s in samples if s.choice == choice)
    return Answer(choice, text, agreement=most / votes.total())


def top(samples: Sequence[Sample], scores: Sequence[float | None], rng: Random) -> Answer:
    """The choice with the highest score, ties broken by `rng`; abstains when nothing with a choice scores."""
    scored = [(v, s) for s, v in zip(samples, scores, strict=True) if v is not None and s.choice is not None]
    if not scored:
        return Answer(None)
    highest = max(v for v, _ in scored)
    chosen = rng.choice(sorted((s for v, s in scored if v == highest), key=lambda s: (s.choice, s.text)))
    same = sum(s.choice == chosen.choice for _, s in scored)
    return Answer(chosen.choice, chosen.text, agreement=same / len(scored))
