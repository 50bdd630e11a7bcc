"""Problem sets: tuned presets, reasoning-gym's generators, Countdown, your own JSON-lines files, and problems
for character-level models."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ponder.core import Question
from ponder.core.checking import is_whole, require_texts
from ponder.errors import InputError, UnknownName
from ponder.tasks import chars, countdown, gym, jsonl
from ponder.tasks import presets as _presets
from ponder.tasks.countdown import checks
from ponder.tasks.gym import kept_child
from ponder.tasks.problems import Problem, ProblemSet, Questions
from ponder.tasks.prompts import PLACEHOLDER, PromptOverride, free_form, overridden, shown_text, zero_shot
from ponder.tasks.spec import Spec, parse

__all__ = [
    "Description",
    "Problem",
    "ProblemSet",
    "PromptOverride",
    "Questions",
    "checks",
    "describe",
    "kept_child",
    "load",
    "load_questions",
    "names",
    "question_from_text",
]

_COUNTDOWN = "countdown"
_MAX_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Description:
    """What a task is. `parameters` are those set unless a spec says otherwise."""

    name: str
    title: str
    grader: str
    parameters: Mapping[str, Any]
    source: str


def names() -> tuple[str, ...]:
    """The tasks of our own: those with a tuned prompt, and those for character-level models. Every
    reasoning-gym generator works by its own name, too."""
    return (*_presets.presets(), _COUNTDOWN, *chars.FAMILIES)


def describe(name: str) -> Description:
    """What the task `name` is. Raises UnknownName."""
    if name == _COUNTDOWN:
        return Description(name, countdown.TITLE, "own", countdown.DEFAULTS, "built in")
    if name in chars.FAMILIES:
        of = chars.family(name)
        return Description(name, of.title, of.grader, of.defaults, "built in")
    preset = _presets.presets().get(name)
    if preset is not None:
        source = f"reasoning-gym's {preset.generator}"
        return Description(name, preset.title, preset.grader, preset.parameters, source)
    known = gym.generators()
    if name not in known:
        raise _unknown(name, known)
    return Description(name, _title(name), "own", MappingProxyType({}), f"reasoning-gym's {name}")


def load(spec: str, *, problems: int, seed: int, prompt: PromptOverride | None = None) -> ProblemSet:
    """The problems that `spec` names: `NAME`, `NAME:param=value,...`, a `.jsonl` file, or `-`.

    The same arguments give the same problems with the same ids. `problems` is at most that many: a file
    or a generator may have fewer. `seed` is a whole number from 0; files do not use it. Raises
    InputError (UnknownName, TaskFileError, ...) in one sentence, and MissingExtra.
    """
    require_texts(task=spec)
    if problems < 1:
        raise InputError(f"problems must be at least 1, not {problems}.")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, not {seed}.")
    if jsonl.is_file(spec):
        return jsonl.problem_set(spec, problems=problems, prompt=prompt)
    parsed = parse(spec)
    if parsed.name == _COUNTDOWN:
        return countdown.problem_set(
            str(parsed), parsed.parameters, problems=problems, seed=seed, prompt=prompt
        )
    if parsed.name in chars.FAMILIES:
        return chars.problem_set(str(parsed), problems=problems, seed=seed, prompt=prompt)
    if parsed.name in _presets.presets():
        return _presets.problem_set(parsed, problems=problems, seed=seed, prompt=prompt)
    return _generated(parsed, problems=problems, seed=seed, prompt=prompt)


def load_questions(spec: str, *, problems: int | None, usual: int, seed: int) -> Questions:
    """The questions that `spec` names, as `load` has them; in a file keys are optional.

    `problems` is at most that many: unless stated all of a file, and `usual` of a task. Raises InputError.
    """
    if problems is not None and problems < 1:
        raise InputError(f"problems must be at least 1, not {problems}.")
    if jsonl.is_file(spec):
        return jsonl.questions(spec, problems=problems)
    with kept_child():
        found = load(spec, problems=problems or usual, seed=seed)
    return Questions(tuple(problem.question for problem in found.problems), found, found.notes)


def question_from_text(text: str) -> Question:
    """A free question, asked as a chat; its answer is read by the general rule.

    Raises InputError when it is empty, or no Unicode.
    """
    asked = text.strip()
    if not asked:
        raise InputError("question: it is empty; write one.")
    if not is_whole(asked):
        raise InputError("question: it has half a surrogate pair, or bytes that are no UTF-8; write it anew.")
    identity = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return Question(
        id=f"ask/{identity}",
        text=asked,
        prompt=free_form(asked, worked=True),
        direct=free_form(asked, worked=False),
        max_tokens=_MAX_TOKENS,
    )


def _title(generator: str) -> str:
    return f"reasoning-gym's {generator.replace('_', ' ')}"


def _unknown(name: str, generators: list[str]) -> UnknownName:
    hint = "" if generators else "More tasks come with pip install 'ponder[gym]'."
    return UnknownName("task", name, {*names(), *generators}, hint)


def _generated(spec: Spec, *, problems: int, seed: int, prompt: PromptOverride | None) -> ProblemSet:
    """A generator without a preset: asked without examples, scored by reasoning-gym itself."""
    try:
        entries = gym.generate(spec.name, spec.parameters, seed=seed, count=problems)
    except gym.UnknownGenerator as error:
        raise _unknown(spec.name, error.known) from None
    name = str(spec)

    def question(identity: str, text: str) -> Question:
        asked = Question(
            id=identity,
            text=text,
            prompt=zero_shot(text, worked=True),
            direct=zero_shot(text, worked=False),
            task=name,
            max_tokens=_MAX_TOKENS,
            extract="block",
        )
        return overridden(asked, prompt)

    found = tuple(
        Problem(question(f"{name}/{seed}-{at:04d}", entry.question), entry.key, entry.handle)
        for at, entry in enumerate(entries)
    )
    example = question("", PLACEHOLDER).prompt
    return ProblemSet(name, _title(spec.name), found, "own", shown_text(example))
