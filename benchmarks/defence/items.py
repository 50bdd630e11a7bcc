"""What is inspected: right solutions, solutions that rules made wrong, and wrong ones that models wrote.

Problems are of two kinds that share none: clean ones, which set thresholds, and attacked ones. A detector is
shown `Sight`s alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.defence.errors import FAMILIES, MODELS, Fold, chain_of, make_wrong, worked_off, written
from benchmarks.defence.reading import Reader, Sight

from ponder import tasks
from ponder.tasks import Problem
from ponder.tasks.chars import END, family
from ponder.train.drawing import Drawer
from ponder.train.held_out import Verifier

__all__ = [
    "CLEAN",
    "TASK",
    "Items",
    "Written",
    "attack",
    "attackers_in",
    "attacks_of",
    "draw_items",
    "problems_of",
]

TASK = "char_chain:operations=6"
CLEAN = "right"
_STEP = re.compile(r"\d{1,3}[-+*]\d{1,3}=\d{1,3}")


@dataclass(frozen=True, slots=True)
class Written:
    """A solution of the problem number `problem`: `kind` is `CLEAN`, a family, or an attacker's name."""

    problem: int
    kind: str
    sight: Sight


@dataclass(frozen=True)
class Items:
    """`clean` are the solutions that set thresholds, `known` the rules' errors in problems of the same kind;
    `right` and `wrong` are solutions of attacked problems, which the numbers in `wrong` count from 0."""

    clean: tuple[Written, ...]
    known: tuple[Written, ...]
    right: tuple[Written, ...]
    wrong: tuple[Written, ...]

    @property
    def all(self) -> tuple[Written, ...]:
        return (*self.clean, *self.known, *self.right, *self.wrong)


def _right(prompt: str) -> Sight:
    chain = chain_of(prompt[:-1])
    return Sight(prompt, written(worked_off(chain.first, chain.operations)))


def _rules(problems: Sequence[str], seed: str) -> list[Written]:
    """Every family's error in every problem that can have it."""
    found = list[Written]()
    for name in FAMILIES:
        for at, prompt in enumerate(problems):
            wrong = make_wrong(name, Random(f"{seed}/{name}/{at}"), prompt[:-1])
            if wrong is not None:
                found.append(Written(at, name, Sight(prompt, wrong)))
    return found


def problems_of(seed: int, clean: int, attacked: int) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Different held-out problems of the task: those of the clean items, and those that are attacked."""
    found = tasks.load(TASK, problems=clean + attacked, seed=seed).problems
    return found[:clean], found[clean:]


def draw_items(
    seed: int, clean: Sequence[Problem], attacked: Sequence[Problem], *, known: int, models: Sequence[Written]
) -> Items:
    """All items of a campaign. `known` of the clean problems have the rules' errors too, by which a detector
    that knows these families chooses how to sum up what it sees."""
    prompts, targets = ([each.question.prompt.text or "" for each in some] for some in (clean, attacked))
    return Items(
        tuple(Written(at, CLEAN, _right(prompt)) for at, prompt in enumerate(prompts)),
        tuple(_rules(prompts[:known], f"known/{seed}")),
        tuple(Written(at, CLEAN, _right(prompt)) for at, prompt in enumerate(targets)),
        (*_rules(targets, f"attack/{seed}"), *models),
    )


# ---------------------------------------------------------------- models that attack


def attack(
    attackers: Mapping[str, Path], looks: Path, problems: Sequence[Problem], *, drafts: int, seed: int
) -> tuple[list[Written], dict[str, float]]:
    """Each attacker's wrong solutions, and the FLOP that each attacker and the choosing took.

    Of `drafts` replies the wrong ones are known to it. It shows the first of them, and in another attack the
    one that looks rightest to the model in `looks`, which is no detector.
    """
    found, flop, reader = list[Written](), dict[str, float](), Reader(looks)
    for name, folder in attackers.items():
        wrong, flop[name] = _wrong_drafts(folder, problems, drafts, seed)
        sights = [sight for some in wrong.values() for sight in some]
        told = reader.read(sights)
        likely = dict(zip(sights, -told.suspicion["whole"], strict=True))
        flop["choosing"] = flop.get("choosing", 0.0) + float(told.flop.sum())
        for at, some in sorted(wrong.items()):
            best = max(some, key=likely.__getitem__)
            found += [Written(at, f"{name} first", some[0]), Written(at, f"{name} best", best)]
    return found, flop


def _wrong_drafts(
    folder: Path, problems: Sequence[Problem], drafts: int, seed: int
) -> tuple[dict[int, list[Sight]], float]:
    """By problem the wrong drafts that read as chains, in the order in which they were drawn."""
    wrong: dict[int, list[Sight]] = {}
    with (
        Drawer(folder, device="cpu") as drawer,
        closing(Verifier(family(TASK).grader)) as judge,
    ):
        for at, outputs in drawer.draw(problems, drafts, temperature=1.0, seed=seed):
            for output in outputs:
                steps = tuple(output.text.split("\n"))
                whole = output.stopped_by == END and all(_STEP.fullmatch(step) for step in steps)
                if whole and judge.right(problems[at], judge.choice(problems[at], output.text)) is False:
                    wrong.setdefault(at, []).append(Sight(problems[at].question.prompt.text or "", steps))
        return wrong, drawer.work.flop


def attackers_in(items: Items) -> list[str]:
    """The names of models' attacks, `FAMILIES` left out."""
    return sorted({each.kind for each in items.wrong} - set(FAMILIES))


def attacks_of(items: Items, fold: Fold) -> list[str]:
    """The kinds of attacks that the fold's detector has not been prepared for."""
    return attackers_in(items) if fold.held_out == MODELS else [fold.held_out]
