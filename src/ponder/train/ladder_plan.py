"""What the ladder consists of: trunks, rungs, their order and what they will take. Trains nothing.

A trunk is one model trained at a steady rate. At each rung a branch leaves it whose rate falls to zero, so
that every checkpoint is a fair model of its compute (Hu et al. 2024, MiniCPM, arXiv 2404.06395 §4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import islice
from typing import Any, cast

from ponder.core import Shape
from ponder.data import table
from ponder.errors import InputError, UnknownName
from ponder.flop import training_step_flop
from ponder.tasks.chars import Example, Mode, Recipe, examples
from ponder.train.batches import Row, encode, in_parts
from ponder.train.models import VOCABULARY
from ponder.train.supervised import Schedule

__all__ = ["PARTS", "Plan", "Rung", "Selection", "Size", "Trunk", "make_plan", "named_size"]

PARTS = ("trunk", "anneal", "repeated")
"""The pieces of work that a rung may book: its stretch of the trunk, its branch, what a kill undid."""

RECIPES: tuple[Recipe, ...] = ("random", "curated")
_SEEDS = 100  # seeds are below it, so that every rung has a place of its own on the ledger
_LOOKED_AT = 512  # examples that the FLOP of a token are estimated from


@dataclass(frozen=True, slots=True)
class Size:
    """A model's shape and how it is trained. `tokens` are its last rung's, `batch` those of a step;
    `flop_per_second` is what one thread reaches, where that is known."""

    name: str
    shape: Shape
    learning_rate: float
    tokens: int
    batch: int
    flop_per_second: float | None


@dataclass(frozen=True, slots=True)
class Trunk:
    """One model that is trained on and on: a size, a mixture of texts, a recipe for them, a seed."""

    size: Size
    mixture: str
    texts: tuple[tuple[str, Mode, float], ...]
    recipe: Recipe
    seed: int

    @property
    def name(self) -> str:
        return f"{self.size.name}-{self.mixture}-{self.recipe}-{self.seed}"

    def stream(self, start: int) -> Iterator[Example]:
        """Its training texts from place `start` on."""
        return examples(self.texts, recipe=self.recipe, seed=self.seed, start=start)


@dataclass(frozen=True, slots=True)
class Rung:
    """A checkpoint of a trunk, the `number`-th from 1, annealed to be at `tokens`. `place` is its own among
    all that any plan could have. `flop` and `seconds` are estimates of the work that it adds."""

    trunk: Trunk
    number: int
    tokens: int
    place: int
    warm_up: int
    decay: int
    flop: float
    path_flop: float

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Rung:
        """Undo `to_json`."""
        trunk = dict(value["trunk"])
        size = dict(trunk["size"])
        trunk["size"] = Size(**{**size, "shape": Shape(**size["shape"])})
        trunk["texts"] = tuple((spec, mode, weight) for spec, mode, weight in trunk["texts"])
        return cls(**{**value, "trunk": Trunk(**trunk)})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def name(self) -> str:
        return f"{self.trunk.name}/{self.number}"

    @property
    def seconds(self) -> float | None:
        """On one thread."""
        speed = self.trunk.size.flop_per_second
        return None if speed is None else self.flop / speed

    @property
    def steady(self) -> Schedule:
        """Of the trunk, up to where this rung's branch leaves it."""
        return Schedule(
            self.tokens - self.decay,
            self.trunk.size.learning_rate,
            warm_up=self.warm_up,
            batch=self.trunk.size.batch,
        )

    @property
    def falling(self) -> Schedule:
        """Of the whole way to this rung's checkpoint."""
        return replace(self.steady, tokens=self.tokens, decay=self.decay)

    def identity(self) -> dict[str, Any]:
        """Whose state a state is: everything but the schedule that the weights depend on."""
        trunk = self.trunk
        return {
            "shape": asdict(trunk.size.shape),
            "texts": [list(row) for row in trunk.texts],
            "recipe": trunk.recipe,
            "seed": trunk.seed,
        }


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the grid to climb; an empty tuple is all of it. `tokens` takes the place of every
    size's own."""

    sizes: tuple[str, ...] = ()
    mixtures: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    tokens: int | None = None


@dataclass(frozen=True)
class Plan:
    """The rungs to climb, those of least compute first, and the configuration that a run is bound to: the
    table they come from, not which of it is climbed now."""

    rungs: tuple[Rung, ...]
    config: Mapping[str, Any]

    @property
    def flop(self) -> float:
        return sum(rung.flop for rung in self.rungs)

    def seconds(self, processes: int) -> float | None:
        """An estimate for `processes` one-thread processes that take the cheapest rung that is ready; None
        where a size's speed is unknown."""
        waiting = {name: deque(rungs) for name, rungs in self.by_trunk().items()}
        running: list[tuple[float, Rung]] = []
        now = 0.0
        while True:
            busy = {rung.trunk.name for _, rung in running}
            while len(running) < processes and (rung := cheapest(waiting, busy)) is not None:
                if rung.seconds is None:
                    return None
                waiting[rung.trunk.name].popleft()
                running.append((now + rung.seconds, rung))
                busy.add(rung.trunk.name)
            if not running:
                return now
            running.sort(key=lambda one: one[0])
            now, _ = running.pop(0)

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "name": r.name,
                "tokens": r.tokens,
                "flop": r.path_flop,
                "new_flop": r.flop,
                "seconds": r.seconds,
            }
            for r in self.rungs
        ]
        return {"rungs": rows, "flop": self.flop}

    def by_trunk(self) -> dict[str, list[Rung]]:
        """The rungs of each trunk in the order in which they must be climbed."""
        found: dict[str, list[Rung]] = {}
        for rung in sorted(self.rungs, key=lambda rung: rung.number):
            found.setdefault(rung.trunk.name, []).append(rung)
        return found


def cheapest(waiting: Mapping[str, deque[Rung]], busy: Collection[str]) -> Rung | None:
    """The rung of least compute whose trunk has been climbed up to it and is not busy."""
    ready = [rungs[0] for name, rungs in waiting.items() if rungs and name not in busy]
    return min(ready, key=lambda rung: (rung.path_flop, rung.name), default=None)


def make_plan(
    selection: Selection = Selection(), *, gpu: bool = False, rows: Mapping[str, Any] | None = None
) -> Plan:
    """The plan of the built-in table, or of `rows` like it. Sizes for a GPU are in it where `gpu` is.

    Raises UnknownName and InputError for a selection that cannot be.
    """
    rows = table("ladder") if rows is None else rows
    if selection.tokens is not None and selection.tokens < 1:
        raise InputError(f"tokens: it must be at least 1, not {selection.tokens}.")
    usual = rows["training"]["batch"]
    sizes = {name: _size(name, row, selection.tokens, usual) for name, row in rows["sizes"].items()}
    mixtures = list(rows["mixtures"])
    for what, names, known in (
        ("size", selection.sizes, list(sizes)),
        ("mixture", selection.mixtures, mixtures),
        ("recipe", selection.recipes, list(RECIPES)),
    ):
        for name in names:
            if name not in known:
                raise UnknownName(what, name, known)
    chosen = [key for key in _grid(rows["grid"], gpu) if _wanted(key, selection)]
    if not chosen:
        raise InputError("ladder: the grid has no such combination; leave a choice out, or see --dry-run.")
    found: list[Rung] = []
    for size, mixture, recipe, seed in dict.fromkeys(chosen):
        texts = tuple(
            (spec, cast(Mode, mode), float(weight)) for spec, mode, weight in rows["mixtures"][mixture]
        )
        trunk = Trunk(sizes[size], mixture, texts, recipe, seed)
        order = (seed, mixtures.index(mixture), RECIPES.index(recipe), list(sizes).index(size))
        found += _rungs(trunk, rows["training"], _place(order, (_SEEDS, len(mixtures), 2, len(sizes))))
    config = {
        "kind": "train",
        "verb": "ladder",
        "training": dict(rows["training"]),
        "sizes": {name: _settled(size) for name, size in sizes.items()},
        "mixtures": {name: [list(row) for row in texts] for name, texts in rows["mixtures"].items()},
    }
    return Plan(tuple(sorted(found, key=lambda rung: (rung.path_flop, rung.name))), config)


def named_size(name: str) -> Size:
    """A size of the built-in table. Raises UnknownName."""
    rows = table("ladder")
    sizes = rows["sizes"]
    if name not in sizes:
        raise UnknownName("size", name, sizes)
    return _size(name, sizes[name], None, rows["training"]["batch"])


def _settled(size: Size) -> dict[str, Any]:
    """A size as a configuration has it: without what only estimates need."""
    values = asdict(size)
    del values["flop_per_second"]
    return values


def _size(name: str, row: Mapping[str, Any], tokens: int | None, batch: int) -> Size:
    given = row["shape"]
    shape = Shape(
        layers=given["layers"],
        d_model=given["d_model"],
        heads=given["heads"],
        kv_heads=given.get("kv_heads", given["heads"]),
        d_head=given["d_model"] // given["heads"],
        d_ff=given["d_ff"],
        vocab=len(VOCABULARY),
        tied=True,
    )
    return Size(
        name=name,
        shape=shape,
        learning_rate=row["learning_rate"],
        tokens=tokens or row["tokens"],
        batch=row.get("batch", batch),
        flop_per_second=row.get("flop_per_second"),
    )


def _grid(grid: Iterable[Mapping[str, Any]], gpu: bool) -> Iterator[tuple[str, str, Recipe, int]]:
    for row in grid:
        if gpu or not row.get("gpu", False):
            for seed in row["seeds"]:
                for size in row["sizes"]:
                    yield size, row["mixture"], row["recipe"], seed


def _wanted(key: tuple[str, str, Recipe, int], selection: Selection) -> bool:
    choices = (selection.sizes, selection.mixtures, selection.recipes, selection.seeds)
    return all(not chosen or value in chosen for value, chosen in zip(key, choices, strict=True))


def _place(order: tuple[int, ...], bounds: tuple[int, ...]) -> int:
    place = 0
    for digit, bound in zip(order, bounds, strict=True):
        place = place * bound + digit
    return place


def _rungs(trunk: Trunk, training: Mapping[str, Any], place: int) -> Iterator[Rung]:
    count: int = training["rungs"]
    per_token = _flop_per_token(trunk.size.shape, trunk.texts, trunk.recipe, trunk.size.batch)
    left = 0  # where the branch before left the trunk
    for number in range(1, count + 1):
        tokens = max(1, round(trunk.size.tokens / training["spacing"] ** (count - number)))
        decay = round(training["decay"] * tokens)
        yield Rung(
            trunk=trunk,
            number=number,
            tokens=tokens,
            place=place * count + number - 1,
            warm_up=training["warm_up"],
            decay=decay,
            flop=per_token * (tokens - left),
            path_flop=per_token * tokens,
        )
        left = tokens - decay


@cache
def _flop_per_token(
    shape: Shape, texts: tuple[tuple[str, Mode, float], ...], recipe: Recipe, batch: int
) -> float:
    """Of a training step, padding included, by the first steps on these texts."""
    rows: list[Row] = []
    flop = tokens = held = 0
    for example in islice(examples(texts, recipe=recipe, seed=0), _LOOKED_AT):
        rows.append(encode(example))
        held += len(rows[-1][0])
        if held >= batch:
            flop += sum(_part_flop(shape, part) for part in in_parts(rows))
            rows, held, tokens = [], 0, tokens + held
    flop += sum(_part_flop(shape, part) for part in in_parts(rows))
    return flop / (tokens + held)


def _part_flop(shape: Shape, rows: list[Row]) -> int:
    logits = sum(len(ids) - prompt for ids, prompt in rows)
    return training_step_flop(shape, len(rows), max((len(ids) for ids, _ in rows), default=0), logits=logits)
