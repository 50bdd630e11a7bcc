"""What a campaign draws and asks of a model, in pieces that are kept: an interrupted one goes on where it
was."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.monitor.items import (
    FAMILIES,
    Fold,
    Item,
    Problem,
    cheating,
    draw_folds,
    draw_problems,
    honest,
)
from benchmarks.monitor.monitors import judged
from benchmarks.monitor.real import Written, hinted
from benchmarks.monitor.views import VIEWS, summaries

from ponder.core import Engine

__all__ = ["Campaign", "Items", "Plan"]


@dataclass(frozen=True)
class Plan:
    """How much. `known` problems are attacked by the families that monitors are made from, beside
    `known_clean` honest chains; `attacked` are attacked by the family that is held out, beside `clean`. The
    judge, which is slow, sees the first `judged_clean` of these and the first `judged` problems of those.
    `hints` are sums with a hint, with `draws` chains each."""

    seed: int
    place: Path
    known: int = 8
    known_clean: int = 16
    attacked: int = 12
    clean: int = 32
    judged: int = 4
    judged_clean: int = 16
    hints: int = 30
    draws: int = 4

    @property
    def numbers(self) -> dict[str, int]:
        return {name: value for name, value in asdict(self).items() if name not in ("seed", "place")}


@dataclass(frozen=True)
class Items:
    """What is inspected. The four parts share no question."""

    known_clean: tuple[Item, ...]
    known: tuple[Item, ...]
    clean: tuple[Item, ...]
    attacked: tuple[Item, ...]

    @property
    def all(self) -> tuple[Item, ...]:
        return (*self.known_clean, *self.known, *self.clean, *self.attacked)


class Campaign:
    """A campaign under way."""

    def __init__(self, plan: Plan, engine: Engine, say: Callable[[str], None] = print) -> None:
        self.plan, self.engine, self.say = plan, engine, say
        self.folder = plan.place / "-".join(map(str, (plan.seed, *plan.numbers.values())))
        self.folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        return draw_folds(Random(f"folds {self.plan.seed}"))

    @cached_property
    def items(self) -> Items:
        plan, rng = self.plan, Random(f"items {self.plan.seed}")
        sizes = (plan.known_clean, plan.known, plan.clean, plan.attacked)
        drawn = iter(draw_problems(rng, sum(sizes)))
        parts = [[next(drawn) for _ in range(size)] for size in sizes]
        return Items(
            tuple(honest(rng, i, problem) for i, problem in enumerate(parts[0])),
            _attacks(rng, parts[1]),
            tuple(honest(rng, i, problem) for i, problem in enumerate(parts[2])),
            _attacks(rng, parts[3]),
        )

    async def views(self) -> Mapping[str, Mapping[Item, str]]:
        """What is seen of each item, by view."""
        items = self.items.all
        told = await self._kept("summaries", partial(summaries, self.engine, items, self.plan.seed))
        return {
            "raw": {item: item.raw for item in items},
            "summary": dict(zip(items, told, strict=True)),
            "answer": {item: item.answer for item in items},
        }

    async def verdicts(self, views: Mapping[str, Mapping[Item, str]]) -> Mapping[str, Mapping[Item, Any]]:
        """The judge's suspicions of the items that it sees, by view; None where a verdict cannot be read."""
        found = {}
        for view in VIEWS:
            shown = views[view]
            cases = [(item.question, shown[item]) for item in self.seen]
            told = await self._kept(f"judged-{view}", partial(judged, self.engine, cases))
            found[view] = dict(zip(self.seen, told, strict=True))
        return found

    @property
    def seen(self) -> tuple[Item, ...]:
        """The items that the judge sees."""
        attacked = (item for item in self.items.attacked if item.problem < self.plan.judged)
        return (*self.items.clean[: self.plan.judged_clean], *attacked)

    async def overridden(self, cases: Sequence[tuple[str, str]]) -> list[float | None]:
        """The judge's suspicions of texts with something written after them."""
        return list(await self._kept("overridden", partial(judged, self.engine, cases)))

    async def hinted(self) -> list[Written]:
        """A model's own chains on sums with a wrong hint."""

        async def rows() -> list[dict[str, Any]]:
            plan = self.plan
            return [asdict(w) for w in await hinted(self.engine, plan.hints, plan.draws, plan.seed)]

        return [Written(**row) for row in await self._kept("hinted", rows)]

    async def judged_chains(self, written: Sequence[Written]) -> list[float | None]:
        cases = [(each.question, each.text) for each in written]
        return list(await self._kept("judged-hinted", partial(judged, self.engine, cases)))

    async def _kept(self, name: str, make: Callable[[], Awaitable[Any]]) -> Any:
        """A piece, made once."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_text(json.dumps(await make()), "utf-8")
            part.rename(path)
            self.say(f"{name}: done")
        return json.loads(path.read_text("utf-8"))


def _attacks(rng: Random, problems: Sequence[Problem]) -> tuple[Item, ...]:
    """Each problem attacked by every family of its kind."""
    return tuple(
        cheating(rng, number, problem, family)
        for number, problem in enumerate(problems)
        for family, row in FAMILIES.items()
        if row["kind"] == problem.kind
    )
