"""What the searches over steps share: paths, how they grow, and what is answered in the end. No I/O.

A path is a sample whose text is the whole reply so far. It is unfinished while the last step ended at the
step's stop string (finish "step"); any other end finishes it, as does a step without text.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, islice, repeat
from random import Random
from typing import Any

from ponder.core import Answer, Draw, Question, Reply, Sample, Score, Wave
from ponder.strategies._steps import majority

__all__ = ["ROOT", "Path", "Search", "fittest", "log_step_weight", "log_weight", "resampled", "worth"]

_LOG_SCORES = ("likelihood",)
# Those that sum up a whole path, so that its earlier steps count in every later score.
_CUMULATIVE_SCORES = ("likelihood", "process_min", "process_product")
_LARGEST = 1e100


@dataclass(frozen=True, slots=True)
class Path:
    """The reply up to here as one sample, its score (None: not told) and its number of steps."""

    sample: Sample
    score: float | None = None
    steps: int = 0

    @property
    def unfinished(self) -> bool:
        return self.sample.finish == "step"

    @property
    def text(self) -> str:
        return self.sample.text


ROOT = Path(Sample("", finish="step", tokens=0, logprob=0.0))


@dataclass(slots=True)
class Search:
    """The walk of one strategy over the steps of one question.

    `step` is the stop string that ends a step ("\\n" may be spelled with a backslash, as on a command line),
    `depth` the most steps of a path: the last one runs on to the end. `by` names the scorer. `finished` are
    all the finished paths so far, `final` says that the budget is spent and nothing more may be drawn.
    """

    question: Question
    by: str
    step: str
    depth: int
    finished: list[Path] = field(default_factory=list)
    final: bool = False

    def __post_init__(self) -> None:
        self.step = self.step.replace("\\n", "\n")

    def extend(self, paths: Sequence[Path], n: int) -> Generator[Wave, Reply, list[list[Path]]]:
        """Draw `n` next steps, spread evenly over the unfinished `paths`, the first ones first, and score
        them: a wave each. Gives the longer paths of each path, fewer than asked when the budget ends."""
        return (yield from self.score((yield from self.draw(paths, n))))

    def draw(self, paths: Sequence[Path], n: int) -> Generator[Wave, Reply, list[list[Path]]]:
        """As `extend`, without scores."""
        shares = [n // len(paths) + (i < n % len(paths)) for i in range(len(paths))]
        return (yield from self._draw(paths, shares, self.step))

    def roll_out(self, paths: Sequence[Path]) -> Generator[Wave, Reply, list[Path | None]]:
        """Follow each path, drawn and not yet scored, to its end in one draw, and score the ends. A finished
        path is its own end; None where the budget ended first."""
        going = [path for path in paths if path.unfinished and not self.final]
        drawn = iter((yield from self._draw(going, [1] * len(going), None)))
        ends = [[path] if not path.unfinished else next(drawn, []) for path in paths]
        scored = yield from self.score(ends)
        return [end[0] if end else None for end in scored]

    def score(self, groups: Sequence[Sequence[Path]]) -> Generator[Wave, Reply, list[list[Path]]]:
        """The same paths with their scores; the finished ones are remembered for the answer."""
        samples = tuple(path.sample for group in groups for path in group)
        if not samples:
            return [[] for _ in groups]
        # Asked even when the budget is spent: most scorers cost nothing, and the others then say None.
        reply = yield Wave((Score(samples, self.by),))
        self.final = self.final or reply.final
        told = chain(reply.scores[0], repeat(None))
        scored = [[replace(path, score=_known(next(told))) for path in group] for group in groups]
        self.finished += [path for group in scored for path in group if not path.unfinished]
        return scored

    def answer(self, rng: Random) -> Answer:
        """The finished path with the best score; of several the most common choice. Where nothing is scored
        all vote. Abstains when no finished path has a choice."""
        able = [path for path in self.finished if path.sample.choice is not None]
        told = [path.score for path in able if path.score is not None]
        best = [path for path in able if path.score == max(told)] if told else able
        chosen = majority([path.sample for path in best], rng)
        same = sum(path.sample.choice == chosen.choice for path in able)
        return replace(chosen, agreement=same / len(able) if able else None)

    def _draw(
        self, paths: Sequence[Path], shares: Sequence[int], step: str | None
    ) -> Generator[Wave, Reply, list[list[Path]]]:
        """One draw a text: what is asked of equal paths is one call, and is dealt out in order."""
        asks: dict[str, Draw] = {}
        for path, n in zip(paths, shares, strict=True):
            n += asks[path.text].n if path.text in asks else 0
            asks |= {path.text: self._ask(path, n, step)} if n else {}
        if not asks:
            return [[] for _ in paths]
        reply = yield Wave(tuple(asks.values()))
        self.final = self.final or reply.final
        dealt = {text: iter(drawn) for text, drawn in zip(asks, reply.samples, strict=True)}
        return [
            [self._longer(path, sample) for sample in islice(dealt.get(path.text, iter(())), n)]
            for path, n in zip(paths, shares, strict=True)
        ]

    def _ask(self, path: Path, n: int, step: str | None) -> Draw:
        """`n` continuations of a path, up to the next `step` unless it is the last, within what is left of
        the question's tokens."""
        last = step is None or path.steps + 1 >= self.depth
        return Draw(
            n,
            prefix=self._prefix(path),
            stop=() if last else (self.step,),
            max_tokens=self._room(path) if path.text else None,
            logprobs=self.by in ("likelihood", "confidence"),
        )

    def _prefix(self, path: Path) -> str:
        return path.text + self.step if path.text else ""

    def _room(self, path: Path) -> int:
        spent = path.sample.tokens
        return max(1, self.question.max_tokens - (spent or 0))

    def _longer(self, path: Path, sample: Sample) -> Path:
        tokens, logprob = _sum(path.sample.tokens, sample.tokens), _sum(path.sample.logprob, sample.logprob)
        empty = not sample.text.strip()
        finish = sample.finish
        if finish == "step" and (empty or path.steps + 1 >= self.depth):
            finish = "stop"
        elif finish == "step" and tokens is not None and tokens >= self.question.max_tokens:
            finish = "length"
        text = path.text if empty else self._prefix(path) + sample.text
        whole = replace(sample, text=text, tokens=tokens, logprob=logprob, logprobs=None, finish=finish)
        return Path(whole, steps=path.steps + 1)


def fittest(paths: Sequence[Path], k: int, rng: Random) -> list[Path]:
    """The `k` different paths with the best scores, best first; an unknown score is behind all others, and
    ties are broken by `rng`, whatever the order of the paths."""
    texts = {path.text: path for path in sorted(paths, key=_key)}
    shuffled = rng.sample([texts[text] for text in sorted(texts)], len(texts))
    return sorted(shuffled, key=_key, reverse=True)[:k]


def resampled(paths: Sequence[Path], log_weights: Sequence[float], n: int, rng: Random) -> list[Path]:
    """`n` paths, each drawn in proportion to its weight (natural log) by systematic resampling: one random
    offset, so that a path of weight share w comes n w times, rounded down or up. All alike when no weight is
    positive; none when there are no paths."""
    if not paths:
        return []
    highest = max(log_weights)
    weights = [1.0 if highest == -math.inf else math.exp(w - highest) for w in log_weights]
    sums = list(accumulate(weights))
    offset = rng.random()
    points = [(offset + i) * sums[-1] / n for i in range(n)]
    return [paths[min(bisect_right(sums, point), len(paths) - 1)] for point in points]


def log_weight(path: Path, by: str) -> float:
    """The natural log of `worth`; minus infinity where that is not positive, or unknown."""
    if by in _LOG_SCORES and path.score is not None:
        return path.score
    return math.log(path.score) if path.score is not None and path.score > 0 else -math.inf


def log_step_weight(path: Path, parent: Path, by: str) -> float:
    """The natural log of the factor by which the last step of `path` multiplies the path's weight.

    A cumulative score tells the whole path's weight, so this is what it changed since `parent`, and the
    factors of all steps multiply to the path's `worth`. Any other score is taken as the last step's own.
    """
    now = log_weight(path, by)
    before = log_weight(parent, by) if by in _CUMULATIVE_SCORES else 0.0
    # A parent of weight zero or unknown (the root) has nothing to be taken off.
    return now - before if before > -math.inf else now


def worth(path: Path, by: str) -> float | None:
    """A path's score as a weight: a likelihood is told in nats, every other score is what it is."""
    return math.exp(min(path.score, 0.0)) if by in _LOG_SCORES and path.score is not None else path.score


def _key(path: Path) -> float:
    return -math.inf if path.score is None else path.score


def _sum(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a + b


def _known(score: float | None) -> float | None:
    """None for what is no number, and for what is too large to be squared and summed."""
    return score if score is not None and abs(score) < _LARGEST else None
