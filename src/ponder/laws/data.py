"""What laws are fitted to: counts of many draws of one model, and scores against compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ponder.bank import Drawn, TaskBank
from ponder.core import mean_of
from ponder.errors import LawUndefined
from ponder.measure.bank import Bank
from ponder.measure.curve import Curve, Point
from ponder.measure.stored import StoredBank
from ponder.train.recorded import Recorded

__all__ = ["Ballot", "Counts", "Scores", "Unit"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Unit = Literal["FLOP", "tokens", "samples"]


@dataclass(frozen=True, slots=True)
class Ballot:
    """How often each answer of one problem was given [M], and whether it is right [M]. Draws without an
    answer are in neither."""

    given: Ints
    right: Bools


@dataclass(frozen=True)
class Counts:
    """Draws of one model at P problems: how many [P], and how many of them were right [P].

    `ballots` holds each problem's answers where they are known, `tokens` and `flop` [P] the mean of a draw
    (flop without the reading of the prompt, `prompt_flop` that reading), `guess` the accuracy of a guess.
    None is unknown.
    """

    name: str
    task: str
    ids: tuple[str, ...]
    draws: Ints
    right: Ints
    ballots: tuple[Ballot, ...] | None = None
    tokens: Floats | None = None
    flop: Floats | None = None
    prompt_flop: Floats | None = None
    guess: float | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.ids) == len(self.draws) == len(self.right):
            raise ValueError("ids, draws and right must be of one length, not 0.")
        if (self.draws < 1).any() or (self.right < 0).any() or (self.right > self.draws).any():
            raise ValueError("every problem needs a draw, and no more right ones than draws.")

    @property
    def units(self) -> tuple[int, ...]:
        return (len(self.ids),)

    @property
    def least(self) -> int:
        """Draws of the problem that has fewest: the largest k of an unbiased pass@k."""
        return int(self.draws.min())

    @cached_property
    def unique(self) -> tuple[Ints, Ints, Ints]:
        """Draws [U] and right [U] of each distinct pair, and each problem's place among them [P]."""
        pairs = np.stack([self.draws, self.right], axis=1)
        found, place = np.unique(pairs, axis=0, return_inverse=True)
        return found[:, 0], found[:, 1], place.reshape(-1)

    def pooled(self, weights: Floats) -> Floats:
        """Weights of problems [B, P], summed over those with equal counts -> [B, U]."""
        draws, _, place = self.unique
        order = np.argsort(place, kind="stable")
        starts = np.searchsorted(place[order], np.arange(len(draws)))
        out: Floats = np.add.reduceat(weights[:, order], starts, axis=1)
        return out

    def thinned(self, k: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
        """A random k of every problem's draws, and the others. Tokens and FLOP stay as they are.

        Chance takes them, so the number of right ones is hypergeometric, and so are those of each answer.
        Raises LawUndefined where a problem has no more than k draws.
        """
        if self.least <= k:
            raise LawUndefined(
                f"samples: {self.name} has {self.least} a problem; to hold some back after {k}, draw more."
            )
        kept = rng.hypergeometric(self.right, self.draws - self.right, k)
        first, rest = self._thinned_ballots(k, rng)
        return (
            replace(self, draws=np.full_like(self.draws, k), right=kept, ballots=first),
            replace(self, draws=self.draws - k, right=self.right - kept, ballots=rest),
        )

    def _thinned_ballots(
        self, k: int, rng: np.random.Generator
    ) -> tuple[tuple[Ballot, ...] | None, tuple[Ballot, ...] | None]:
        if self.ballots is None:
            return None, None
        first, rest = list[Ballot](), list[Ballot]()
        for ballot, draws in zip(self.ballots, self.draws, strict=True):
            silent = draws - ballot.given.sum()
            kept = rng.multivariate_hypergeometric(np.append(ballot.given, silent), k)[:-1]
            first.append(Ballot(kept, ballot.right))
            rest.append(Ballot(ballot.given - kept, ballot.right))
        return tuple(first), tuple(rest)

    @classmethod
    def from_bank(cls, bank: Bank | StoredBank, name: str, *, task: str | None = None) -> Counts:
        """The samples of a measured run: in memory, or read back from the ledger. FLOP are not told."""
        rows = zip(bank.choice, bank.correct, strict=True)
        return cls(
            name=name,
            task=task or bank.questions[0].task,
            ids=tuple(question.id for question in bank.questions),
            draws=np.full(len(bank.choice), bank.choice.shape[1], dtype=np.int64),
            right=bank.correct.sum(axis=1).astype(np.int64),
            ballots=tuple(_ballot(choice, correct) for choice, correct in rows),
            tokens=_tokens(bank),
        )

    @classmethod
    def from_drawn(cls, bank: TaskBank) -> Counts:
        """The samples of a run on the ledger, measured or imported. FLOP are not told.

        Raises LawUndefined where none is graded.
        """
        told = [_told(one) for one in bank.counted]
        if not told:
            raise LawUndefined(
                f"run: {bank.run} has no graded samples of {bank.task}; import them with a score."
            )
        tokens = [each.tokens for each in told]
        guesses = [each.guess for each in told]
        silent = any(each.silent for each in told) or not any(len(each.ballot.given) for each in told)
        return cls(
            name=bank.model or bank.run,
            task=bank.task,
            ids=tuple(each.id for each in told),
            draws=np.array([each.draws for each in told], dtype=np.int64),
            right=np.array([each.right for each in told], dtype=np.int64),
            ballots=None if silent else tuple(each.ballot for each in told),
            tokens=None if None in tokens else np.array(tokens, dtype=np.float64),
            guess=None if None in guesses else float(np.mean(np.array(guesses, dtype=np.float64))),
        )

    @classmethod
    def from_recorded(cls, recorded: Recorded) -> Counts:
        """The draws of a recorded checkpoint."""
        spent = recorded.flop([1, 2])
        ballots = [tally.ballots() for tally in recorded.tallies]
        return cls(
            name=recorded.name,
            task=recorded.task,
            ids=tuple(tally.id for tally in recorded.tallies),
            draws=np.full(len(recorded.tallies), recorded.draws, dtype=np.int64),
            right=recorded.right.astype(np.int64),
            ballots=tuple(Ballot(np.array(n, np.int64), np.array(right, np.bool_)) for n, right in ballots),
            tokens=recorded.tokens,
            flop=spent[:, 1] - spent[:, 0],
            prompt_flop=2.0 * spent[:, 0] - spent[:, 1],
        )


def _ballot(choice: Ints, correct: Bools) -> Ballot:
    """An answer is right when most of its samples were graded so: a grader's word on equal answers may
    differ where it was cut off."""
    voted = choice >= 0
    names, place, given = np.unique(choice[voted], return_inverse=True, return_counts=True)
    right = np.bincount(place.reshape(-1), weights=correct[voted], minlength=len(names))
    return Ballot(given.astype(np.int64), 2.0 * right > given)


@dataclass(frozen=True, slots=True)
class _Told:
    """A problem without its samples' texts. `silent`: a right sample has no answer."""

    id: str
    draws: int
    right: int
    ballot: Ballot
    silent: bool
    tokens: float | None
    guess: float | None


def _told(one: Drawn) -> _Told:
    names: dict[str | None, int] = {None: -1}
    labels = np.array([names.setdefault(each.choice, len(names) - 1) for each in one.samples], np.int64)
    marks = np.array(one.correct, np.bool_)
    return _Told(
        id=one.question.id,
        draws=len(one.samples),
        right=one.right,
        ballot=_ballot(labels, marks),
        silent=bool((marks & (labels < 0)).any()),
        tokens=mean_of(sample.tokens for sample in one.samples),
        guess=one.guess,
    )


def _tokens(bank: Bank | StoredBank) -> Floats | None:
    """[P]: the mean of a sample."""
    if isinstance(bank, StoredBank):
        counts = bank.tokens
    else:
        told = [[sample.tokens for sample in drawn] for drawn in bank.samples]
        if any(None in row for row in told):
            return None
        counts = np.array(told, dtype=np.float64)
    means: Floats = counts.mean(axis=1)
    return means


@dataclass(frozen=True, slots=True)
class Scores:
    """Accuracy of one way to spend compute: `values` [P, X] in [0, 1] at `compute` [X], which rises. `unit`
    says what compute is counted in, `guess` is the accuracy of a guess where it is known."""

    name: str
    unit: str
    compute: Floats
    values: Floats
    guess: float | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.compute):
            raise ValueError(f"values must be [problems, {len(self.compute)}]; got {self.values.shape}.")
        if not (np.diff(self.compute) > 0).all() or (self.compute <= 0).any():
            raise LawUndefined(f"compute: the values of {self.name} must be distinct and above zero.")

    @property
    def units(self) -> tuple[int, ...]:
        return (len(self.values),)

    @classmethod
    def from_curve(
        cls, curve: Curve, *, unit: Unit | None = None, name: str | None = None, place: int = 0
    ) -> Scores:
        """A measured curve at 1, 2, 4, ... times its least scale, in one unit of compute; by default FLOP
        where they are known, else tokens, else samples.

        A curve tells no problems, so stand-ins take their place: resampled, they move each point as far as
        its own interval says. The luck of neighbouring points is all but the same, and that of the first and
        of the last independent: all were asked the same problems, so their true correlation is positive, and
        a slope is rather told as less sure than it is. Curves of different `place`, of up to 60, are
        independent. Raises LawUndefined for a unit that is not known, and for values that do not rise.
        """
        points = _doubled(curve.points)
        known: dict[Unit, list[float | None]] = {
            "FLOP": [point.flop for point in points],
            "tokens": [point.tokens for point in points],
            "samples": [point.samples for point in points],
        }
        told = [each for each, values in known.items() if None not in values]
        chosen: Unit = unit if unit is not None else (told or ["samples"])[0]
        compute = [value for value in known[chosen] if value is not None]
        if not points or len(compute) < len(points):
            raise LawUndefined(f"compute: the {chosen} of {curve.strategy} are unknown; take another unit.")
        return cls(
            name or curve.strategy,
            chosen,
            np.array(compute, dtype=np.float64),
            _stand_ins(points, np.array(compute), place),
        )


_STAND_INS = 128
_LEVEL = 0.9  # of a curve's intervals


def _doubled(points: Sequence[Point]) -> list[Point]:
    """Points at 1, 2, 4, ... times the least scale, and the last: evenly in the logarithm."""
    ordered = sorted(points, key=lambda each: each.k)
    kept = ordered[:1]
    for point in ordered:
        if point.k >= 2 * kept[-1].k:
            kept.append(point)
    return kept if kept[-1:] == ordered[-1:] else [*kept, ordered[-1]]


def _stand_ins(points: Sequence[Point], compute: Floats, place: int) -> Floats:
    """[128, X]: the means are the points', and so are the spreads of their means. Two waves of a frequency of
    the curve's own carry the luck of the first and of the last point, and between them it turns."""
    logs = np.log(compute)
    turn = np.pi / 2.0 * (logs - logs[0]) / max(float(logs[-1] - logs[0]), 1e-9)
    angle = 2.0 * np.pi * (place % (_STAND_INS // 2 - 2) + 1) * np.arange(_STAND_INS)[:, None] / _STAND_INS
    wave = np.sqrt(2.0) * np.cos(angle - turn[None, :])
    reach = special.stdtrit(_STAND_INS - 1, (1.0 + _LEVEL) / 2.0)
    spread = np.array([(point.high - point.low) / 2.0 / reach for point in points])
    values: Floats = (
        np.array([point.accuracy for point in points]) + np.sqrt(_STAND_INS - 1.0) * spread * wave
    )
    return values
