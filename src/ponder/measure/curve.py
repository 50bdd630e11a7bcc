"""Accuracy against compute: what `measure` computes and `report` draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ponder.core import Usage

__all__ = ["Curve", "Example", "Gain", "Measurement", "Point", "TaskResult", "Timing"]


@dataclass(frozen=True, slots=True)
class Point:
    """One budget: `k` is the strategy's scale, for most the samples a problem. Accuracy in [0, 1] with its
    90 % interval; tokens, FLOP and samples are the mean cost of one problem (prompt and generation; a
    strategy may draw less or more than k), None where unknown."""

    k: int
    accuracy: float
    low: float
    high: float
    tokens: float | None
    flop: float | None
    samples: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """One policy on one task. `oracle` marks a bound that needs the answer key (coverage), which no
    keyless strategy may be compared with as an equal."""

    task: str
    strategy: str
    points: tuple[Point, ...]
    oracle: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    """One problem with a few of its samples, for the reader's eyes: (text, choice, correct)."""

    question: str
    key: str
    samples: tuple[tuple[str, str | None, bool], ...]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Everything measured on one task. `constant` is the score of the best constant guess and
    `constant_guess` that guess; None where no constant can be an answer."""

    task: str
    title: str
    problems: int
    samples: int
    constant: float | None
    constant_guess: str | None
    curves: tuple[Curve, ...]
    examples: tuple[Example, ...] = ()
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Gain:
    """What a strategy's largest budget adds to one sample: the difference in accuracy, the mean over tasks
    of equal weight, with its 90 % interval from resampling problems (each problem paired with itself)."""

    strategy: str
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the wall-clock time went, in seconds."""

    stage: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """A finished run: configuration, results by task, what it cost, where the time went.

    `flop_method` says how FLOP were had ("shape", "2N", "unknown"); `notes` are sentences that a reader
    must see (fallbacks, unknowns). `reproducible` says what a rerun would repeat and what not.
    """

    run: str
    created: float
    config: Mapping[str, Any]
    tasks: tuple[TaskResult, ...]
    usage: Usage
    new_usage: Usage
    tokens_per_second: float | None
    timings: tuple[Timing, ...]
    flop_method: str
    ledger_head: str
    reproducible: str
    notes: tuple[str, ...] = field(default=())
    gains: tuple[Gain, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives an equal measurement back."""
        return asdict(replace(self, config=dict(self.config)))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Measurement:
        """Undo `to_json`."""
        return cls(
            **{
                **value,
                "tasks": tuple(_task(task) for task in value["tasks"]),
                "usage": Usage(**value["usage"]),
                "new_usage": Usage(**value["new_usage"]),
                "timings": tuple(Timing(**timing) for timing in value["timings"]),
                "notes": tuple(value.get("notes", ())),
                "gains": tuple(Gain(**gain) for gain in value.get("gains", ())),
            }
        )


def _task(value: Mapping[str, Any]) -> TaskResult:
    curves = tuple(
        Curve(**{**curve, "points": tuple(Point(**point) for point in curve["points"])})
        for curve in value["curves"]
    )
    examples = tuple(
        Example(shown["question"], shown["key"], tuple((t, c, r) for t, c, r in shown["samples"]))
        for shown in value["examples"]
    )
    return TaskResult(**{**value, "curves": curves, "examples": examples})
