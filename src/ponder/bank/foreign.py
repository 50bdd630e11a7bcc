"""One sample of somebody else's run, whatever kind of file it came from; and what is wanted of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["EVERYTHING", "Asked", "Foreign", "Tokens", "Wanted"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read of a file. `score` names the score that says which samples are right, needed where there
    are several; from `right_at` on a number counts as right (None: 1 is right, 0 is wrong, and anything else
    is refused). `model` names the model in place of what the files say."""

    score: str | None = None
    right_at: float | None = None
    model: str | None = None


EVERYTHING = Wanted()


@dataclass(frozen=True, slots=True)
class Asked:
    """A question by its id within its task. `options` are those of a multiple-choice question."""

    task: str
    id: str
    text: str
    key: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one model read and wrote for a sample. None is unknown."""

    prompt: int | None = None
    completion: int | None = None
    reasoning: int | None = None
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """A sample as its file tells it. None is unknown or not told.

    `where` is the place in the file, for a sentence. `epoch` orders the samples of a file, which may stand in
    the order in which they ended. `score` names where `correct` was read ("": nowhere). `settings` say how
    it was sampled. `uid` tells it from every other sample, where its file gives it such a name. `judges` are
    the tokens of other models that worked on it, by name. `error` is why there is no sample: then only the
    tokens count. `seconds` and `started` (since 1970) are the sample's own.
    """

    asked: Asked
    where: str
    model: str | None
    epoch: int = 0
    text: str = ""
    reasoning: str | None = None
    choice: str | None = None
    correct: bool | None = None
    score: str = ""
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    tokens: Tokens = Tokens()
    flop: float | None = None
    finish: Literal["stop", "length"] = "stop"
    seconds: float | None = None
    started: float | None = None
    uid: str | None = None
    error: str | None = None
    judges: Mapping[str, Tokens] = field(default_factory=lambda: MappingProxyType({}))
