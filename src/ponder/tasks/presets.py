"""Task presets: one row of `presets.toml` each. Adding a task is adding a row."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

from ponder.core import Question
from ponder.errors import InputError
from ponder.tasks import gym
from ponder.tasks.problems import Problem, ProblemSet
from ponder.tasks.prompts import PLACEHOLDER, PromptOverride, few_shot, overridden, shown_text
from ponder.tasks.spec import Spec

__all__ = ["Preset", "presets", "problem_set"]


@dataclass(frozen=True, slots=True)
class Preset:
    """One row. `pattern` finds the essence of the generator's wording and `question` says it in fewer words
    (its groups as in `re.Match.expand`). `shots` are worked, `direct_shots` have the answer alone."""

    name: str
    title: str
    generator: str
    parameters: Mapping[str, Any]
    pattern: str
    question: str
    ask: str
    reply: str
    extract: str
    grader: str
    stop: tuple[str, ...]
    max_tokens: int
    shots: tuple[tuple[str, str], ...]
    direct_shots: tuple[tuple[str, str], ...]

    def compact(self, wording: str) -> str:
        found = re.search(self.pattern, wording)
        return found.expand(self.question) if found else wording.strip()


@functools.cache
def presets() -> Mapping[str, Preset]:
    """All presets by name, in the order of the file."""
    raw = resources.files("ponder.tasks").joinpath("presets.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: _preset(name, row) for name, row in tomllib.loads(raw).items()})


def _preset(name: str, row: Mapping[str, Any]) -> Preset:
    lists = {"stop": tuple(row["stop"])}
    pairs = {field: tuple((q, a) for q, a in row[field]) for field in ("shots", "direct_shots")}
    return Preset(**{"name": name, **row, **lists, **pairs})


def problem_set(spec: Spec, *, problems: int, seed: int, prompt: PromptOverride | None) -> ProblemSet:
    """`problems` different problems of the preset `spec.name`, none of which is one of its examples.

    Fewer when the generator has no more. Raises InputError when it refuses the parameters, MissingExtra
    without reasoning-gym.
    """
    preset = presets()[spec.name]
    shown = {text for text, _ in preset.shots + preset.direct_shots}
    parameters = {**preset.parameters, **spec.parameters}
    entries = gym.generate(preset.generator, parameters, seed=seed, count=problems + len(shown))
    name = str(spec)
    found: list[Problem] = []
    for entry in entries:
        text = preset.compact(entry.question)
        if text not in shown and len(found) < problems:
            question = _question(preset, f"{name}/{seed}-{len(found):04d}", name, text)
            found.append(Problem(overridden(question, prompt), entry.key, entry.handle))
    if not found:
        raise InputError(
            f"task: {name} has no problem left beside the prompt's examples; widen its parameters."
        )
    example = overridden(_question(preset, "", name, PLACEHOLDER), prompt)
    return ProblemSet(name, preset.title, tuple(found), preset.grader, shown_text(example.prompt))


def _question(preset: Preset, identity: str, task: str, text: str) -> Question:
    return Question(
        id=identity,
        text=text,
        prompt=few_shot(text, preset.shots, ask=preset.ask, reply=preset.reply),
        direct=few_shot(text, preset.direct_shots, ask=preset.ask, reply=preset.reply),
        task=task,
        stop=preset.stop,
        max_tokens=preset.max_tokens,
        extract=preset.extract,
    )
