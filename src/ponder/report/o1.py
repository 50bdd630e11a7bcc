"""The numbers of the o1 figure: accuracy against training compute, and against inference compute.

They are had from recordings of checkpoints (`ponder train record`) and the results of reinforcement learning
(`rl.json` with the checkpoint's `ponder.json` beside it). The package holds those of the committed runs.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ponder import flop
from ponder.errors import InputError
from ponder.tasks import chars
from ponder.train.record import training_flop
from ponder.train.recorded import Recorded, estimated, head, load

__all__ = ["O1", "Line", "Point", "committed", "gather", "read"]

Panel = Literal["training", "inference"]
Kind = Literal["pretraining", "rl", "vote", "any", "chain"]

FORMAT = "ponder o1 figure"
_VERSION = 1
_PACKAGED = "o1.json"
_SHOWN_SIZES = 3  # on the right, where each has several lines
_SHORTEST_CHAIN, _CHAINS = 16, 10
_RECIPE = "random"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)


@dataclass(frozen=True, slots=True)
class Point:
    """An accuracy with its 90 % interval from resampling problems, at a mean FLOP: of training in all, or of
    inference a problem. `at` is what was varied: a checkpoint, a number of samples or of tokens."""

    flop: float
    value: float
    low: float
    high: float
    at: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel: of models of one size, whose name is that of the ladder's."""

    panel: Panel
    kind: Kind
    size: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class O1:
    """The figure: its task, how many held-out problems there are, sizes from the smallest to the largest with
    their parameters, and the lines."""

    task: str
    title: str
    problems: int
    sizes: Mapping[str, int]
    lines: tuple[Line, ...]
    sources: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": _VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> O1:
        """Raises ValueError, KeyError or TypeError for what `to_json` does not make."""
        if value["format"] != FORMAT or value["version"] != _VERSION:
            raise ValueError(f"it is not {FORMAT!r}, version {_VERSION}")
        lines = tuple(
            Line(each["panel"], each["kind"], each["size"], tuple(map(_point, each["points"])))
            for each in value["lines"]
        )
        if {line.panel for line in lines} - {"training", "inference"} or not lines:
            raise ValueError("its lines are none, or not of training and inference")
        sizes = {str(name): int(count) for name, count in value["sizes"].items()}
        if not {line.size for line in lines} <= set(sizes):
            raise ValueError("a line is of a size that it does not name")
        return cls(
            value["task"], value["title"], int(value["problems"]), sizes, lines, tuple(value["sources"])
        )


def _point(told: Mapping[str, Any]) -> Point:
    flop, value, low, high = (float(told[name]) for name in ("flop", "value", "low", "high"))
    if not all(map(math.isfinite, (flop, value, low, high))):
        raise ValueError("a point of a line is no number")
    return Point(flop, value, low, high, str(told["at"]))


def committed() -> O1:
    """The numbers that the package holds. Raises InputError where it holds none."""
    found = resources.files("ponder.data").joinpath(_PACKAGED)
    if not found.is_file():
        raise InputError("runs: this package holds no recorded runs; give a folder with --runs.")
    return O1.from_json(json.loads(found.read_text("utf-8")))


def read(path: Path) -> O1:
    """The numbers in a file that an earlier figure wrote. Raises InputError."""
    try:
        return O1.from_json(json.loads(path.read_text("utf-8")))
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"runs: {path} cannot be read ({reason}): give a folder of recordings, or a figure's numbers."
        ) from None


def gather(folder: Path, task: str) -> O1:
    """The numbers of all recordings and results of reinforcement learning below `folder`.

    Checkpoints of the random recipe alone are shown. On the right there are at most three sizes: the
    smallest, the largest and one between, each at its last checkpoint. Raises InputError for files that
    cannot be read, and where there is no recording of the task.
    """
    family = chars.family(task)
    found = _recordings(folder, {family.name, _search_task(task)})
    of_task = [each for each in found if each.task == family.name and _is_rung(each)]
    if not of_task:
        raise InputError(
            f"runs: {folder} has no recording of {family.name} with known training compute; make one with "
            "`ponder train record`."
        )
    searching = [each for each in found if each.task == _search_task(task) and _is_rung(each)]
    sizes = {_size(each): flop.parameters(each.shape) for each in of_task}
    ordered = dict(sorted(sizes.items(), key=lambda item: item[1]))
    lines = [
        *_pretraining(of_task, list(ordered)),
        *_reinforced(folder, family.name, set(ordered)),
        *_inference(of_task, searching, _few(list(ordered))),
    ]
    return O1(
        family.name,
        family.title,
        len(of_task[0].tallies),
        ordered,
        tuple(lines),
        tuple(
            f"{each.name}: {len(each.tallies)} problems, {each.draws} draws"
            for each in [*of_task, *searching]
        ),
    )


def _recordings(folder: Path, tasks: set[str | None]) -> list[Recorded]:
    """Those of these tasks; files of other tasks, which may be many, are not read on."""
    heads = ((path, head(path)) for path in sorted(folder.glob("**/*.jsonl.xz")))
    return [load(path) for path, about in heads if about is not None and about.get("task") in tasks]


def _size(recorded: Recorded) -> str:
    return str(recorded.about.get("training", {}).get("size") or recorded.name)


def _is_rung(recorded: Recorded) -> bool:
    """Whether it is of one of the ladder's own checkpoints of the random recipe, with known compute."""
    training = recorded.about.get("training", {})
    plain = "rl" not in training and "start" not in training
    return (
        plain
        and "mixture" in training
        and training.get("recipe", _RECIPE) == _RECIPE
        and bool(recorded.training_flop)
    )


def _search_task(task: str) -> str | None:
    """The same problems, answered by search; None where they cannot be."""
    try:
        return chars.family(task + ("," if ":" in task else ":") + "search=true").name
    except InputError:
        return None


def _few(sizes: Sequence[str]) -> list[str]:
    places = np.linspace(0, len(sizes) - 1, min(_SHOWN_SIZES, len(sizes))).round().astype(int)
    return [sizes[place] for place in places]


# ---------------------------------------------------------------- training


def _pretraining(recordings: Sequence[Recorded], sizes: Sequence[str]) -> list[Line]:
    """A line a size. Seeds of one checkpoint are averaged, problem by problem."""
    lines = []
    for size in sizes:
        rungs: dict[str, list[Recorded]] = defaultdict(list)
        for each in recordings:
            if _size(each) == size:
                rungs[each.name.rpartition("/")[2]].append(each)
        points = [_rung(name, seeds) for name, seeds in rungs.items()]
        lines.append(Line("training", "pretraining", size, _in_order(points)))
    return lines


def _rung(name: str, seeds: Sequence[Recorded]) -> Point:
    compute = [each.training_flop for each in seeds]
    assert all(value is not None for value in compute)  # `_is_rung` leaves the others out
    values = np.mean([each.passed([1]) for each in seeds], axis=0)
    (one,) = estimated(values)
    return Point(float(np.mean(np.array(compute, dtype=float))), one.value, one.low, one.high, name)


def _reinforced(folder: Path, task: str, sizes: set[str]) -> list[Line]:
    """A line for each run of reinforcement learning on the task, from the compute of its start on."""
    lines = []
    for path in sorted(folder.glob("**/rl.json")):
        try:
            result = json.loads(path.read_text("utf-8"))
            training = json.loads(path.with_name("ponder.json").read_text("utf-8"))
            if chars.family(result["task"]).name != task or training.get("size") not in sizes:
                continue
            points = _evaluations(result["evaluations"], training)
        except _UNREADABLE as error:
            reason = " ".join(str(error).split())[:120]
            raise InputError(f"runs: {path} cannot be read ({reason}): give another folder.") from None
        lines.append(Line("training", "rl", str(training["size"]), points))
    return lines


def _evaluations(evaluations: Sequence[Mapping[str, Any]], training: Mapping[str, Any]) -> tuple[Point, ...]:
    """Raises ValueError where the compute of the start is unknown."""
    whole = training_flop(training)
    if whole is None:
        raise ValueError("ponder.json does not tell what the start took")
    start = whole - float(evaluations[-1]["flop"])
    points = []
    for each in evaluations:
        one = each["passed"]["1"]
        at = f"step {each['step']}"
        points.append(Point(start + float(each["flop"]), one["value"], one["low"], one["high"], at))
    return _in_order(points)


# ---------------------------------------------------------------- inference


def _inference(
    recordings: Sequence[Recorded], searching: Sequence[Recorded], sizes: Sequence[str]
) -> list[Line]:
    lines = []
    for size in sizes:
        last = _last(recordings, size)
        if last is not None:
            ks = [1 << power for power in range(last.draws.bit_length()) if 1 << power <= last.draws]
            cost, names = last.flop(ks).mean(axis=0), [f"{k} samples" for k in ks]
            curves: tuple[tuple[Kind, Any], ...] = (("vote", last.vote(ks)), ("any", last.passed(ks)))
            for kind, values in curves:
                lines.append(Line("inference", kind, size, _points(cost, values, names)))
        chain = _last(searching, size)
        if chain is not None:
            longest = max(max({**t.lengths_right, **t.lengths_wrong}) for t in chain.tallies)
            limits = sorted({round(n) for n in np.geomspace(_SHORTEST_CHAIN, longest, _CHAINS)})
            cost, names = chain.chain_flop(limits).mean(axis=0), [f"{n} tokens" for n in limits]
            lines.append(Line("inference", "chain", size, _points(cost, chain.cut_at(limits), names)))
    return lines


def _last(recordings: Sequence[Recorded], size: str) -> Recorded | None:
    """The recording of the checkpoint with most training; of several seeds the first."""
    own = sorted((each for each in recordings if _size(each) == size), key=lambda each: each.name)
    return max(own, key=lambda each: each.training_flop or 0.0, default=None)


def _points(cost: Any, values: Any, names: Sequence[str]) -> tuple[Point, ...]:
    told = zip(cost, estimated(values), names, strict=True)
    return _in_order([Point(float(x), each.value, each.low, each.high, at) for x, each, at in told])


def _in_order(points: Sequence[Point]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: point.flop))
