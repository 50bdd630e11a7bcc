"""What many draws of a checkpoint came to, problem by problem: counts, answers and lengths, no texts.

A file is JSONL under xz: first a line about the checkpoint and how it was drawn from, then a line a problem.
Every estimate that needs only counts is had from it: pass@k, votes, chains that are cut short, FLOP.
"""

from __future__ import annotations

import json
import lzma
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder import flop
from ponder.core import Shape
from ponder.errors import InputError
from ponder.measure import estimators
from ponder.measure.intervals import Estimate, resample
from ponder.train.held_out import LEVEL

__all__ = ["LISTED", "Recorded", "Tally", "estimated", "head", "is_recording", "load", "save"]

Floats = NDArray[np.float64]

LISTED = 32
"""How many answers of a problem a file names; of the others it has how often each was given."""

FORMAT = "ponder draws"
_VERSION = 1
_UNREADABLE = (OSError, EOFError, lzma.LZMAError, ValueError, RecursionError)
_ROUNDS = 4  # random orders of a problem's draws, each read from 64 starts


@dataclass(frozen=True, slots=True)
class Tally:
    """The draws of one problem. `prompt_tokens` is the prompt's length, `silent` counts the draws without an
    answer, `ungraded` those that the verifier could not tell of (they count as wrong), `cut` those that ended
    at the limit.

    `choices` holds how often each named answer was given and whether it is right; `rest_right` and
    `rest_wrong` how many further answers were given so many times. `lengths_right` and `lengths_wrong` count
    the draws by their tokens.
    """

    id: str
    prompt_tokens: int
    draws: int
    right: int
    silent: int
    ungraded: int
    cut: int
    choices: Mapping[str, tuple[int, bool]]
    lengths_right: Mapping[int, int]
    lengths_wrong: Mapping[int, int]
    rest_right: Mapping[int, int] = field(default_factory=dict)
    rest_wrong: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: Tally) -> Tally:
        """Both together. An answer that only one of them names counts as one that the other has not."""
        if (self.id, self.prompt_tokens) != (other.id, other.prompt_tokens):
            raise ValueError(f"tallies of different problems: {self.id} and {other.id}")
        choices = dict(self.choices)
        for choice, (count, right) in other.choices.items():
            choices[choice] = (choices.get(choice, (0, right))[0] + count, right)
        sums: dict[str, Any] = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        for name in _TABLES:
            sums[name] = Counter(getattr(self, name)) + Counter(getattr(other, name))
        return replace(self, choices=choices, **sums)

    def listed(self, most: int = LISTED) -> Tally:
        """With the `most` most frequent answers named and the others counted."""
        ranked = sorted(self.choices.items(), key=lambda item: (-item[1][0], item[0]))
        rest = {True: Counter(self.rest_right), False: Counter(self.rest_wrong)}
        for _, (count, right) in ranked[most:]:
            rest[right][count] += 1
        return replace(self, choices=dict(ranked[:most]), rest_right=rest[True], rest_wrong=rest[False])

    def ballots(self) -> tuple[list[int], list[bool]]:
        """How often each answer was given, and whether it is right."""
        given = list(self.choices.values())
        given += [(count, True) for count, number in self.rest_right.items() for _ in range(number)]
        given += [(count, False) for count, number in self.rest_wrong.items() for _ in range(number)]
        return [count for count, _ in given], [right for _, right in given]

    def to_json(self) -> dict[str, Any]:
        plain = ("id", "prompt_tokens", *_COUNTS)
        return {
            **{name: getattr(self, name) for name in plain},
            "choices": [[choice, count, right] for choice, (count, right) in self.choices.items()],
            **{name: _sorted(getattr(self, name)) for name in _TABLES},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tally:
        """Raises ValueError, KeyError or TypeError for what `to_json` does not make."""
        choices = {str(choice): (_count(n), bool(right)) for choice, n, right in value["choices"]}
        told: dict[str, Any] = {name: _count(value[name]) for name in ("prompt_tokens", *_COUNTS)}
        for name in _TABLES:
            told[name] = {int(k): _count(n) for k, n in value[name].items()}
        tally = cls(id=str(value["id"]), choices=choices, **told)
        lengths = sum(tally.lengths_right.values()), sum(tally.lengths_wrong.values())
        right, wrong = (
            sum(count for count, mark in choices.values() if mark is side)
            + sum(count * number for count, number in rest.items())
            for side, rest in ((True, tally.rest_right), (False, tally.rest_wrong))
        )
        if lengths != (tally.right, tally.draws - tally.right) or right != tally.right:
            raise ValueError(f"the counts of {tally.id!r:.60} do not add up")
        if right + wrong + tally.silent != tally.draws:
            raise ValueError(f"the answers of {tally.id!r:.60} do not add up")
        return tally


_COUNTS = ("draws", "right", "silent", "ungraded", "cut")
_TABLES = ("lengths_right", "lengths_wrong", "rest_right", "rest_wrong")


def _sorted(table: Mapping[int, int]) -> dict[str, int]:
    return {str(key): table[key] for key in sorted(table)}


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r:.40} is no count")
    return value


@dataclass(frozen=True)
class Recorded:
    """A recording: `about` the checkpoint and the drawing, and a tally a problem, all of as many draws.

    Arrays are [P] or [P, K]: problems, and values of k.
    """

    about: Mapping[str, Any]
    tallies: tuple[Tally, ...]

    @property
    def draws(self) -> int:
        """Of each problem."""
        return self.tallies[0].draws

    @property
    def name(self) -> str:
        return str(self.about["name"])

    @property
    def task(self) -> str:
        return str(self.about["task"])

    @cached_property
    def shape(self) -> Shape:
        return Shape(**self.about["shape"])

    @property
    def training_flop(self) -> float | None:
        """FLOP of all training that led to the checkpoint; None where it is unknown."""
        value = self.about.get("training_flop")
        return None if value is None else float(value)

    @property
    def training_tokens(self) -> float | None:
        """Tokens that the checkpoint learnt from in all its training; None where they are unknown."""
        value = self.about.get("training_tokens")
        return None if value is None else float(value)

    @cached_property
    def right(self) -> NDArray[np.int64]:
        return np.array([tally.right for tally in self.tallies])

    @cached_property
    def tokens(self) -> Floats:
        """[P]: generated tokens of a draw, in the mean."""
        return self.chain_tokens([1 << 40])[:, 0]

    def passed(self, ks: Sequence[int]) -> Floats:
        """[P, K]: unbiased pass@k (Chen et al. 2021, arXiv 2107.03374 §2.1)."""
        return estimators.coverage(np.arange(self.draws)[None, :] < self.right[:, None], ks)

    def vote(self, ks: Sequence[int], *, rng: np.random.Generator | None = None) -> Floats:
        """[P, K]: the accuracy of a vote of k draws without replacement; exact up to 128 draws, beyond a mean
        over random orders from `rng`."""
        choice = np.full((len(self.tallies), self.draws), -1)
        correct = np.zeros(choice.shape, dtype=np.bool_)
        for row, tally in enumerate(self.tallies):
            counts, marks = tally.ballots()
            voted = sum(counts)
            choice[row, :voted] = np.repeat(np.arange(len(counts)), counts)
            correct[row, :voted] = np.repeat(marks, counts)
        return estimators.vote(choice, correct, ks, rng=rng, rounds=_ROUNDS)

    def cut_at(self, limits: Sequence[int]) -> Floats:
        """[P, L]: the share of draws that are right within so many tokens: the accuracy of one chain that is
        cut off there."""
        table = [
            [sum(n for tokens, n in tally.lengths_right.items() if tokens <= most) for most in limits]
            for tally in self.tallies
        ]
        return np.array(table, dtype=np.float64) / self.draws

    def chain_tokens(self, limits: Sequence[int]) -> Floats:
        """[P, L]: the tokens of one chain that is cut off at so many, in the mean."""
        return self._mean(lambda tally, tokens, most: min(tokens, most), limits)

    def chain_flop(self, limits: Sequence[int]) -> Floats:
        """[P, L]: FLOP of one chain that is cut off at so many tokens, its prompt's reading included."""
        shape = self.shape

        @cache  # of many draws few differ in their lengths
        def cost(prompt_tokens: int, tokens: int) -> float:
            return flop.decode_flop(shape, prompt_tokens, tokens)

        found = self._mean(lambda tally, tokens, most: cost(tally.prompt_tokens, min(tokens, most)), limits)
        return found + self._prefill

    def flop(self, ks: Sequence[int]) -> Floats:
        """[P, K]: FLOP of k draws whose prompt is read once."""
        one = self.chain_flop([1 << 40]) - self._prefill
        cost: Floats = one * np.asarray(ks, dtype=np.float64)[None, :] + self._prefill
        return cost

    @cached_property
    def _prefill(self) -> Floats:
        return np.array([[float(flop.prefill_flop(self.shape, t.prompt_tokens))] for t in self.tallies])

    def _mean(self, cost: Any, limits: Sequence[int]) -> Floats:
        out = np.zeros((len(self.tallies), len(limits)))
        for row, tally in enumerate(self.tallies):
            lengths = Counter(tally.lengths_right) + Counter(tally.lengths_wrong)
            for column, most in enumerate(limits):
                out[row, column] = sum(n * cost(tally, tokens, most) for tokens, n in lengths.items())
        return out / self.draws


def estimated(values: Floats, *, seed: int = 0) -> list[Estimate]:
    """The mean of each column of shares [P, K], with its 90 % interval from resampling problems."""
    low, high = resample(values, level=LEVEL, rng=np.random.default_rng(seed))
    return [Estimate(*map(float, each)) for each in zip(values.mean(axis=0), low, high, strict=True)]


# ---------------------------------------------------------------- files


def save(path: Path, about: Mapping[str, Any], tallies: Iterable[Tally]) -> None:
    """Write a recording whole or not at all, with the most frequent answers named."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    with lzma.open(fresh, "wt", encoding="utf-8", preset=9) as file:
        file.write(json.dumps({"format": FORMAT, "version": _VERSION, **about}, allow_nan=False) + "\n")
        for tally in tallies:
            file.write(json.dumps(tally.listed().to_json(), separators=(",", ":")) + "\n")
    fresh.replace(path)


def head(path: Path) -> dict[str, Any] | None:
    """What a recording's first line says of it, without reading on; None for a file of another format, for
    those are kept under xz too."""
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            about = json.loads(next(file, ""))
    except _UNREADABLE:
        return None
    return about if isinstance(about, dict) and about.get("format") == FORMAT else None


def is_recording(path: Path) -> bool:
    """Whether its first line says that it is one."""
    return head(path) is not None


def load(path: Path) -> Recorded:
    """Read a recording. Raises InputError for a file that is none."""
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            about = json.loads(next(file, ""))
            tallies = tuple(Tally.from_json(json.loads(line)) for line in file)
        if about["format"] != FORMAT or about["version"] != _VERSION:
            raise ValueError(f"its first line is not of {FORMAT!r}, version {_VERSION}")
        recorded = Recorded(about, tallies)
        _check(recorded)
    except (*_UNREADABLE, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"recording: {path} cannot be read ({reason}): record it again.") from None
    return recorded


def _check(recorded: Recorded) -> None:
    """Raises ValueError, KeyError or TypeError for parts that do not fit together."""
    if not recorded.tallies or {tally.draws for tally in recorded.tallies} != {recorded.draws}:
        raise ValueError("its problems are none, or not of as many draws each")
    if recorded.draws < 1:
        raise ValueError("it has no draws")
    _ = recorded.name, recorded.task, recorded.shape, recorded.training_flop, recorded.training_tokens
