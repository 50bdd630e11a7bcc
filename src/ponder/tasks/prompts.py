"""Prompts: few-shot examples as raw text and as chat turns, a bare question, the user's own template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ponder.core import Message, Prompt, Question
from ponder.errors import ConfigError

__all__ = ["PromptOverride", "Shots", "few_shot", "free_form", "overridden", "shown_text", "zero_shot"]

PLACEHOLDER = "{question}"
_TEMPLATE_BYTES = 1 << 20

Shots = Sequence[tuple[str, str]]

_WORKED = 'Think step by step, then end with "Answer:" and the answer alone.'
_DIRECT = 'Reply with "Answer:" and the answer alone.'

# What any question can be asked with: a sum, a fact, a story. A large model does not need them; a small
# one finds the form of the answer by them (SmolLM2-135M-Instruct on "What is 8 + 7?": 12 of 16 samples
# right with them, 2 of 16 without).
_FREE_SHOTS = (
    ("What is 9 + 4?", "9 + 4 = 13.", "13"),
    ("Which planet is closest to the sun?", "The planet closest to the sun is Mercury.", "Mercury"),
    ("A box holds 6 eggs. How many eggs are in 3 boxes?", "6 * 3 = 18.", "18"),
)


@dataclass(frozen=True, slots=True)
class PromptOverride:
    """A prompt of the user's own in place of a task's worked prompt: `template` holds "{question}".

    `stop` and `max_tokens` None keep the task's. The direct (answer-only) prompt stays the task's own.
    Raises ConfigError when the template cannot be used.
    """

    template: str
    stop: tuple[str, ...] | None = None
    max_tokens: int | None = None
    source: str = "the prompt template"

    def __post_init__(self) -> None:
        if PLACEHOLDER not in self.template:
            raise ConfigError(
                f"prompt: {self.source} does not contain {PLACEHOLDER}; write it where the question belongs."
            )
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ConfigError(f"prompt: max_tokens must be at least 1, not {self.max_tokens}.")

    @classmethod
    def from_file(
        cls, path: str | Path, *, stop: tuple[str, ...] | None = None, max_tokens: int | None = None
    ) -> PromptOverride:
        """Read a template of at most 1 MiB of UTF-8. Line ends at the end of the file do not count.

        Raises ConfigError with the remedy.
        """
        try:
            with Path(path).open("rb") as file:
                raw = file.read(_TEMPLATE_BYTES + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigError(
                f"prompt: cannot read {path}: {reason}; give the path of a text file."
            ) from None
        if len(raw) > _TEMPLATE_BYTES:
            raise ConfigError(f"prompt: {path} is over 1 MiB; a template must be shorter.")
        try:
            template = raw.decode("utf-8-sig").replace("\r\n", "\n").rstrip("\n")
        except UnicodeDecodeError:
            raise ConfigError(f"prompt: {path} is not UTF-8 text; save it as UTF-8.") from None
        return cls(template, stop, max_tokens, str(path))

    def render(self, question: str) -> str:
        # replace, not format: braces elsewhere in the template and in the question are plain text.
        return self.template.replace(PLACEHOLDER, question)


def few_shot(question: str, shots: Shots, *, ask: str, reply: str) -> Prompt:
    """Examples, then the question: as text `ask reply ...` paragraphs that end with `reply`, ready to be
    continued, and as turns of a chat. `ask` holds "{question}", `reply` opens an answer."""

    def asked(text: str) -> str:
        return ask.replace(PLACEHOLDER, text)

    paragraphs = [f"{asked(shown)}\n{reply} {answer}" for shown, answer in shots]
    text = "\n\n".join([*paragraphs, f"{asked(question)}\n{reply}"])
    turns: list[Message] = []
    for shown, answer in shots:
        turns += [Message("user", asked(shown)), Message("assistant", answer)]
    return Prompt((*turns, Message("user", asked(question))), text)


def zero_shot(question: str, *, worked: bool) -> Prompt:
    """The question with an instruction, as a chat alone: without examples a model needs its chat form."""
    return Prompt((_instructed(question, worked),))


def free_form(question: str, *, worked: bool) -> Prompt:
    """Like `zero_shot`, after three short examples of unlike questions, for text that a person wrote."""
    turns: list[Message] = []
    for shown, steps, answer in _FREE_SHOTS:
        reply = f"{steps}\nAnswer: {answer}" if worked else f"Answer: {answer}"
        turns += [_instructed(shown, worked), Message("assistant", reply)]
    return Prompt((*turns, _instructed(question, worked)))


def _instructed(question: str, worked: bool) -> Message:
    return Message("user", f"{question}\n\n{_WORKED if worked else _DIRECT}")


def shown_text(prompt: Prompt) -> str:
    """A prompt as a reader should see it: the raw text, or else the turns with their roles."""
    if prompt.text is not None:
        return prompt.text
    return "\n\n".join(f"[{turn.role}]\n{turn.content}" for turn in prompt.messages)


def overridden(question: Question, override: PromptOverride | None) -> Question:
    """The question with the user's prompt in place of its worked one."""
    if override is None:
        return question
    text = override.render(question.text)
    return replace(
        question,
        prompt=Prompt((Message("user", text),), text),
        stop=question.stop if override.stop is None else override.stop,
        max_tokens=question.max_tokens if override.max_tokens is None else override.max_tokens,
    )
