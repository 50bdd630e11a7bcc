"""A folder of recorded checkpoints as the families that laws are fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ponder import flop
from ponder.errors import InputError, LawUndefined, UnknownName
from ponder.laws.grid import Grid, Strategy
from ponder.train.recorded import Recorded, head, load

__all__ = ["Ladder", "grid_of", "read"]

Floats = NDArray[np.float64]

_PLAIN = "random"  # the recipe of texts that were not chosen
_SHORTEST_CHAIN, _CHAINS = 8, 10
_VOTE_SEED = 0


@dataclass(frozen=True)
class Ladder:
    """Recordings of checkpoints, all with known training tokens and FLOP; `left_out` names the others.
    `there` are the tasks of all recordings in the folder, those that were not read included."""

    folder: Path
    recordings: tuple[Recorded, ...]
    left_out: tuple[str, ...]
    there: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """In the order of most checkpoints."""
        names = [each.task for each in self.recordings]
        return tuple(sorted(dict.fromkeys(names), key=lambda name: (-names.count(name), name)))

    def pretrained(self, task: str, *, recipe: str = _PLAIN) -> tuple[Recorded, ...]:
        """Checkpoints of pretraining alone, on texts of one recipe. Raises UnknownName, LawUndefined."""
        found = [
            each
            for each in self._of(task)
            if _is_pretrained(each) and _training(each, "recipe", _PLAIN) == recipe
        ]
        if not found:
            raise LawUndefined(
                f"models: {self.folder} has no checkpoint of {task} that was pretrained on {recipe} texts; "
                "record some with `ponder train record`."
            )
        return tuple(found)

    def trained_further(self, task: str) -> tuple[Recorded, ...]:
        """Checkpoints that something was done to after pretraining."""
        return tuple(each for each in self._of(task) if not _is_pretrained(each))

    def _of(self, task: str) -> list[Recorded]:
        if task not in self.tasks:
            raise UnknownName("task", task, self.there or self.tasks)
        return [each for each in self.recordings if each.task == task]


def read(folder: Path, tasks: Sequence[str] = ()) -> Ladder:
    """All recordings below a folder, or those of some `tasks` alone. Raises InputError for a file that cannot
    be read, and where there is none with known training compute, UnknownName where none is of these tasks."""
    heads = {path: about for path in sorted(folder.glob("**/*.jsonl.xz")) if (about := head(path))}
    there = tuple(sorted({str(about.get("task")) for about in heads.values()}))
    if there and tasks and not set(tasks) & set(there):
        raise UnknownName("task", tasks[0], there)
    found = [load(path) for path, about in heads.items() if not tasks or about.get("task") in tasks]
    known = tuple(each for each in found if each.training_flop and each.training_tokens)
    if not known:
        raise InputError(
            f"ladder: {folder} has no recording with known training tokens and FLOP; make some with "
            "`ponder train record`."
        )
    kept = {id(each) for each in known}
    left_out = tuple(f"{each.name} ({each.task})" for each in found if id(each) not in kept)
    return Ladder(folder, known, left_out, there)


def grid_of(
    recordings: Sequence[Recorded], strategy: Strategy, *, most: int | None = None, ends: bool = False
) -> Grid:
    """The recordings' accuracy under a strategy: at 1, 2, 4, ... samples, up to `most` or what all have; or
    of one chain that is cut off at so many tokens. With `ends` the least and the largest amount alone. A vote
    of two is left out, for it is that of one.

    Raises LawUndefined where they were not asked the same problems, or differ in what was recorded.
    """
    ids = [tuple(tally.id for tally in each.tallies) for each in recordings]
    if not recordings or len(set(ids)) != 1:
        raise LawUndefined("models: they were not asked the same problems in the same order.")
    if strategy == "chain":
        amounts = _outer(_limits(recordings, most), ends)
        values = [each.cut_at(amounts) for each in recordings]
        costs = [each.chain_flop(amounts).mean(axis=0) for each in recordings]
    else:
        told = [k for k in _samples(recordings, most) if not (strategy == "vote" and k == 2)]
        amounts = _outer(told, ends)
        values = [_scored(each, strategy, amounts) for each in recordings]
        costs = [each.flop(amounts).mean(axis=0) for each in recordings]
    return Grid(
        name=f"{strategy} on {recordings[0].task}",
        models=tuple(each.name for each in recordings),
        size=np.array([float(flop.parameters(each.shape)) for each in recordings]),
        tokens=np.array([each.training_tokens for each in recordings], dtype=np.float64),
        training_flop=np.array([each.training_flop for each in recordings], dtype=np.float64),
        amounts=np.array(amounts, dtype=np.float64),
        values=np.stack(values, axis=1),
        inference_flop=np.array(costs),
        runs=tuple(_run(each) for each in recordings),
        seeds=tuple(_seed(each) for each in recordings),
        unit="tokens" if strategy == "chain" else "samples",
    )


def _outer(amounts: list[int], ends: bool) -> list[int]:
    return sorted({amounts[0], amounts[-1]}) if ends else amounts


def _scored(recorded: Recorded, strategy: Strategy, ks: Sequence[int]) -> Floats:
    if strategy == "pass":
        return recorded.passed(ks)
    return recorded.vote(ks, rng=np.random.default_rng(_VOTE_SEED))


def _samples(recordings: Sequence[Recorded], most: int | None) -> list[int]:
    """Powers of two that every recording has draws for, and `most` itself."""
    least = min(each.draws for each in recordings)
    if most is not None and most > least:
        raise LawUndefined(f"samples: {most} were asked for, and {least} were drawn; record more draws.")
    top = most or least
    return sorted({top, *(1 << power for power in range(top.bit_length()) if 1 << power <= top)})


def _limits(recordings: Sequence[Recorded], most: int | None) -> list[int]:
    """Lengths of a chain, evenly in the logarithm, up to the longest that was drawn."""
    longest = max(max({**t.lengths_right, **t.lengths_wrong}) for each in recordings for t in each.tallies)
    top = min(longest, most or longest)
    return sorted({round(float(limit)) for limit in np.geomspace(min(_SHORTEST_CHAIN, top), top, _CHAINS)})


def _training(recorded: Recorded, name: str, default: str) -> str:
    return str((recorded.about.get("training") or {}).get(name, default))


def _is_pretrained(recorded: Recorded) -> bool:
    training = recorded.about.get("training") or {}
    return "rl" not in training and "start" not in training


def _run(recorded: Recorded) -> str:
    """What is trained over and over with other seeds: a size on texts of one mixture and recipe."""
    parts = [_training(recorded, name, "") for name in ("size", "mixture", "recipe")]
    return "-".join(parts) if any(parts) else recorded.name


def _seed(recorded: Recorded) -> int | None:
    seed = (recorded.about.get("training") or {}).get("seed")
    return None if seed is None else int(seed)
