"""Every outcome, appended durably: one JSON object a line. A rerun continues after the last whole line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Outcome", "Outcomes"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a system returned for a problem, what it says that took, and the truth.

    `stage` says what served it ("replay", "live" or "first choice"), `version` what code answered, `repeat`
    in which order of the samples, `digest` which samples a problem had. `problem` "" holds what was asked
    beside the problems, in whole tokens or a share of them. `text` None: the system failed, with `error`.
    """

    stage: str
    system: str
    version: str
    repeat: int
    problem: str
    digest: str
    text: str | None
    reported: dict[str, int | None]
    true: Mapping[str, float]
    seconds: float
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Outcomes:
    """The file of outcomes, which one process writes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("ab")
        self._mend()

    def _mend(self) -> None:
        """Cut off a last line that a kill left unfinished."""
        raw = self._path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            os.truncate(self._path, whole)

    def append(self, outcome: Outcome) -> None:
        self._file.write(json.dumps(outcome.to_json()).encode() + b"\n")
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Outcome]:
        yield from read(self._path)


def read(path: Path) -> Iterator[Outcome]:
    """The outcomes in a file, in the order written."""
    if path.exists():
        with path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield Outcome(**json.loads(line))
