"""Steps and what they are worth: the share of continuations from each step on that end right.

Wang et al. 2024 (Math-Shepherd, arXiv 2312.08935 §3.3, "soft estimation"): replies are drawn, and from the
end of every step of theirs several continuations. Of a reply that ended by itself the last step has the
verifier's own word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.core import Output, digest
from ponder.engines.reward_folder import STEP_END
from ponder.ledger import Stage
from ponder.tasks import Problem
from ponder.train.held_out import Verifier
from ponder.train.piece_drawing import PieceDrawer
from ponder.train.pieces import Piece, Pieces
from ponder.train.state import Work
from ponder.verifiers.scorers.process import steps as steps_of

__all__ = ["How", "Marked", "draw_paths"]

_SHARD_SAMPLES = 16_384
_DIFFERENT = 3.0  # step ends of a reply that no other reply shares, roughly


@dataclass(frozen=True, slots=True)
class How:
    """How steps are drawn and marked: `replies` a problem, `rollouts` a step."""

    replies: int
    rollouts: int
    temperature: float
    seed: int


@dataclass(frozen=True, slots=True)
class Marked:
    """A reply to the problem number `problem`: its steps, and what each is worth, from 0 to 1."""

    problem: int
    question: str
    steps: tuple[str, ...]
    worth: tuple[float, ...]

    def to_json(self) -> list[Any]:
        return [self.problem, self.question, list(self.steps), list(self.worth)]

    @classmethod
    def from_json(cls, value: Sequence[Any]) -> Marked:
        problem, question, steps, worth = value
        return cls(int(problem), str(question), tuple(map(str, steps)), tuple(map(float, worth)))


def draw_paths(
    pieces: Pieces,
    name: str,
    drawer: PieceDrawer,
    problems: Sequence[Problem],
    how: How,
    *,
    grader: str,
    stage: Stage,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[list[Marked], float]:
    """The different replies to `problems` with what their steps are worth, and the FLOP that this took, as
    pieces of a campaign. Raises what `Drawer` raises."""
    size = max(1, int(_SHARD_SAMPLES / (how.replies * (1 + _DIFFERENT * how.rollouts))))
    found: list[Marked] = []
    flop = 0.0
    for number, first in enumerate(range(0, len(problems), size)):
        shard, some = f"{name}-{number:03d}", problems[first : first + size]
        result = pieces.do(
            shard,
            lambda stem, s=shard, p=some, f=first: _shard(drawer, s, p, f, how, grader, stage, stem),  # type: ignore[misc]
        )
        found += [Marked.from_json(value) for value in result["paths"]]
        flop += Work.from_json(result["work"]).flop
        tell(f"{name}: {first + len(some):,} of {len(problems):,} problems drawn and rolled out.")
    return found, flop


def _shard(
    drawer: PieceDrawer,
    name: str,
    problems: Sequence[Problem],
    first: int,
    how: How,
    grader: str,
    stage: Stage,
    stem: Path,
) -> Piece:
    drawer.begin(stem)
    before = drawer.drawer.work
    verifier = Verifier(grader)
    try:
        paths = _Paths(drawer, verifier, problems, how, name)
        marked = paths.marked(first)
    finally:
        verifier.close()
    work = drawer.drawer.work - before
    detail = {"problems": len(problems), "replies": how.replies, "rollouts": how.rollouts}
    rows = drawer.end(stage, {**detail, "paths": len(marked)})
    return Piece({"paths": [each.to_json() for each in marked], "work": work.to_json()}, rows)


Steps = tuple[str, ...]


class _Paths:
    """The replies of one shard, and what their beginnings are worth."""

    def __init__(
        self, drawer: PieceDrawer, verifier: Verifier, problems: Sequence[Problem], how: How, name: str
    ) -> None:
        self.drawer, self.verifier, self.problems, self.how = drawer, verifier, problems, how
        self.name = name

    def marked(self, first: int) -> list[Marked]:
        """Of each problem, from number `first` on, its different replies."""
        ends = self._replies()
        worth = self._rolled_out(ends)
        marked = []
        for (at, steps, ended), right in ends.items():
            told = [worth[at, steps[:n]] for n in range(1, len(steps))]
            told.append(right if ended else worth[at, steps])
            marked.append(Marked(first + at, self.problems[at].question.text, steps, tuple(told)))
        return marked

    def _replies(self) -> dict[tuple[int, Steps, bool], float]:
        """Whether each different reply is right, by problem, steps, and whether it ended by itself."""
        found: dict[tuple[int, Steps, bool], float] = {}
        drawn = self.drawer.draw(
            self.problems, self.how.replies, temperature=self.how.temperature, seed=self._seed("replies")
        )
        for at, outputs in sorted(drawn, key=lambda pair: pair[0]):
            for output in outputs:
                ended = output.finish != "length"
                text = output.text if ended else output.text.rpartition(STEP_END)[0]
                steps = tuple(steps_of(text))
                if steps:
                    found[at, steps, ended] = self._right(at, output.text)
        return found

    def _rolled_out(self, ends: Mapping[tuple[int, Steps, bool], float]) -> dict[tuple[int, Steps], float]:
        """What each beginning of the replies is worth, by problem and steps."""
        asks: dict[tuple[int, Steps], None] = {}
        for at, steps, ended in ends:
            asks |= {(at, steps[:n]): None for n in range(1, len(steps) + (not ended))}
        begun = list(asks)
        if not begun:
            return {}
        prefixes = ["".join(step + STEP_END for step in steps) for _, steps in begun]
        drawn = self.drawer.draw(
            [self.problems[at] for at, _ in begun],
            self.how.rollouts,
            temperature=self.how.temperature,
            seed=self._seed("rollouts"),
            prefixes=prefixes,
        )
        return {begun[i]: self._share(begun[i][0], prefixes[i], outputs) for i, outputs in drawn}

    def _share(self, at: int, prefix: str, outputs: Sequence[Output]) -> float:
        return sum(self._right(at, prefix + output.text) for output in outputs) / len(outputs)

    def _right(self, at: int, text: str) -> float:
        problem = self.problems[at]
        return float(self.verifier.right(problem, self.verifier.choice(problem, text)) is True)

    def _seed(self, what: str) -> int:
        return int(digest([self.how.seed, self.name, what])[:12], 16)
