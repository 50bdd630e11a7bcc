"""Scorers that ask a model: each distinct text is asked about once, all in one wave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ponder.core import Draw, Question, Sample, Scoring, Wave
from ponder.strategies._talk import plain

__all__ = ["Asking"]


@dataclass(frozen=True, slots=True)
class Asking:
    """A scorer that asks one thing about a text and reads the score from the reply.

    `ask` makes the draw about a question and a text that went through `shown`; `read` gets both and the
    reply, which is untrusted, and says None where it is not in the form that was asked for. A sample that
    shows nothing, or came to its end without an answer, is not asked about.
    """

    name: str
    ask: Callable[[Question, str], Draw]
    read: Callable[[Question, str, Sample], float | None]
    shown: Callable[[str], str] = plain

    def score(self, question: Question, samples: tuple[Sample, ...]) -> Scoring:
        shown = [self.shown(s.text) if s.choice is not None or s.finish == "step" else "" for s in samples]
        texts = list(dict.fromkeys(filter(None, shown)))
        scores: dict[str, float | None] = {}
        if texts:
            reply = yield Wave(tuple(self._draw(question, text) for text in texts))
            for text, told in zip(texts, reply.samples, strict=True):
                scores[text] = self.read(question, text, told[0]) if told else None
        return tuple(scores.get(text) for text in shown)

    def _draw(self, question: Question, text: str) -> Draw:
        def read(reply: Sample) -> str | None:
            score = self.read(question, text, reply)
            return None if score is None else str(score)

        return replace(self.ask(question, text), read=read)
