"""What a campaign draws and computes, in pieces that are kept: an interrupted one goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.defence.analysis import Series
from benchmarks.defence.errors import draw_folds
from benchmarks.defence.items import Items, Written, attack, draw_items, problems_of
from benchmarks.defence.reading import Floats, Reader, Sight, Told
from benchmarks.defence.solving import RULES, Solved, solve, suspicions

__all__ = ["ATTACKERS", "Campaign", "Plan"]

READERS = {
    "read": (
        "8k-steps-random-1/6",
        "28k-steps-random-0/6",
        "154k-steps-random-0/6",
        "448k-steps-random-0/6",
        "1m-steps-random-0/6",
    ),
    "read half-trained": (
        "8k-steps-random-1/4",
        "28k-steps-random-0/4",
        "154k-steps-random-0/4",
        "448k-steps-random-0/4",
    ),
}
SOLVERS = (
    "28k-steps-random-0/4",
    "28k-steps-random-0/5",
    "8k-steps-random-1/6",
    "28k-steps-random-0/6",
    "154k-steps-random-0/6",
)
"""The first one's law comes first: on other problems it neither failed nor was perfect."""
ATTACKERS = {
    "8k": "8k-steps-random-0/6",
    "28k": "28k-steps-curated-0/6",
    "154k": "154k-steps-curated-0/6",
}
LOOKS = "28k-steps-random-1/6"
"""Whose word on what looks right attackers go by. It is no detector, and no attacker is one."""

_WIDTH = 8  # steps of a solution that are compared, two more than a right one has


@dataclass(frozen=True)
class Plan:
    """How much: `clean` problems whose solutions set thresholds, of which `known` have the known families'
    errors too; `attacked` problems; `draws` of a solver; `drafts` of an attacker; `held_out` families
    in turn."""

    seed: int
    ladder: Path
    place: Path
    clean: int = 250
    known: int = 100
    attacked: int = 200
    draws: int = 64
    drafts: int = 16
    held_out: int = 7

    @property
    def folder(self) -> Path:
        """Of this plan's pieces."""
        numbers = (self.clean, self.known, self.attacked, self.draws, self.drafts)
        return self.place / "-".join(map(str, (self.seed, *numbers)))


class Campaign:
    """A campaign under way."""

    def __init__(self, plan: Plan, say: Callable[[str], None] = print) -> None:
        self.plan, self.say = plan, say
        plan.folder.mkdir(parents=True, exist_ok=True)
        self.folds = draw_folds(plan.seed, plan.held_out)
        self.problems = problems_of(plan.seed, plan.clean, plan.attacked)
        self.work: dict[str, float] = {}

    @cached_property
    def items(self) -> Items:
        """All that is inspected."""
        path = self.plan.folder / "models.json"
        if not path.exists():
            folders = {name: self.plan.ladder / folder for name, folder in ATTACKERS.items()}
            looks = self.plan.ladder / LOOKS
            wrong, flop = attack(
                folders, looks, self.problems[1], drafts=self.plan.drafts, seed=self.plan.seed
            )
            rows = [[each.problem, each.kind, each.sight.prompt, list(each.sight.steps)] for each in wrong]
            _keep(path, json.dumps({"wrong": rows, "flop": flop}).encode())
            self.say(f"attackers: {len(wrong):,} wrong solutions")
        kept = json.loads(path.read_text("utf-8"))
        self.work |= {f"attacker {name}": flop for name, flop in kept["flop"].items()}
        models = [Written(at, kind, Sight(prompt, tuple(steps))) for at, kind, prompt, steps in kept["wrong"]]
        return draw_items(self.plan.seed, *self.problems, known=self.plan.known, models=models)

    @cached_property
    def sights(self) -> list[Sight]:
        return [each.sight for each in self.items.all]

    def _mean(self, flop: Floats) -> float:
        """Of what is inspected in the attacked problems, right and wrong."""
        return float(flop[len(self.items.clean) + len(self.items.known) :].mean())

    def _told(self, name: str, make: Callable[[], Told]) -> Told:
        found = self._piece(name, lambda: {"flop": (told := make()).flop, **told.suspicion})
        return Told({rule: each for rule, each in found.items() if rule != "flop"}, found["flop"])

    def _piece(self, name: str, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Arrays by name, made once."""
        path = self.plan.folder / f"{name.replace('/', '-').replace(' ', '-')}.npz"
        if not path.exists():
            fresh = path.with_name(f".{path.name}")
            with fresh.open("wb") as file:
                np.savez(file, **make())
            fresh.rename(path)
            self.say(name)
        with np.load(path, allow_pickle=False) as kept:
            return dict(kept)

    # ------------------------------------------------ detectors

    def reading(self, name: str) -> Series:
        """One pass of a model, the models of rising size."""
        models = READERS[name]
        told = [self._told(f"read {each}", partial(self._read, self.plan.ladder / each)) for each in models]
        for model, each in zip(models, told, strict=True):
            self.work[f"reading {model}"] = float(each.flop.sum())
        by_rule, compute = _stacked(told), np.array([self._mean(each.flop) for each in told])
        return Series(name, "read", models, compute, by_rule)

    def _read(self, folder: Path) -> Told:
        return Reader(folder).read(self.sights)

    def solving(self, name: str) -> Series:
        """1 to `draws` solutions of one model."""
        ks = [1 << power for power in range(self.plan.draws.bit_length())]
        asked = [problem for some in self.problems for problem in some]
        kept = self._piece(
            f"solve {name}",
            lambda: vars(
                solve(self.plan.ladder / name, asked, self.plan.draws, seed=self.plan.seed + 1, width=_WIDTH)
            ),
        )
        solved = Solved(kept["values"], kept["last"], kept["flop"])
        self.work[f"solving {name}"] = float(solved.flop[:, -1].sum())
        first_attacked, clean = self.plan.clean, len(self.items.clean) + len(self.items.known)
        places = [
            each.problem + (first_attacked if at >= clean else 0) for at, each in enumerate(self.items.all)
        ]
        each_k = [suspicions(solved, places, self.sights, k) for k in ks]
        by_rule = {rule: np.column_stack([told[rule] for told in each_k]) for rule in RULES}
        compute = [self._mean(solved.flop[places, k - 1]) for k in ks]
        return Series(f"solve {name}", "solve", tuple(map(str, ks)), np.array(compute), by_rule)


def _keep(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}")
    fresh.write_bytes(content)
    fresh.rename(path)


def _stacked(told: Sequence[Told]) -> dict[str, Floats]:
    return {rule: np.column_stack([each.suspicion[rule] for each in told]) for rule in told[0].suspicion}
