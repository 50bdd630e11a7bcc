"""What a strategy will ask for, found by driving it over made-up replies before anything is paid for.

So a strategy that needs what an engine cannot do is refused at the start, in one sentence, and nobody has to
declare beside the code what the code says.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random

from ponder.core import Draw, Question, Reply, Sample, Score, Scorer, Wave
from ponder.strategies import Plan

__all__ = ["DUMMY", "Needs", "probe"]

DUMMY = Sample("0", choice="0", tokens=1, logprob=-0.1, logprobs=(-0.1,))
"""A sample that every scorer which can score a question at all can score."""

_WAVES = 16
_TEXT = "1 + 1 = 2"


@dataclass(slots=True)
class Needs:
    """What a strategy, and the scorers it asks, want: capabilities by role, scorers by name.

    `forms` are the question's own prompts that it draws from. `bank`: it asks for nothing but whole samples
    of these prompts, so that it is a function of a bank.
    """

    capabilities: dict[str, set[str]] = field(default_factory=dict)
    scorers: set[str] = field(default_factory=set)
    forms: set[str] = field(default_factory=set)
    bank: bool = True


def probe(plan: Plan, question: Question, scorers: Mapping[str, Scorer]) -> Needs:
    """Drive `plan` over replies that agree, differ, say nothing, run long, or are steps."""
    needs = Needs()
    for scenario in (_agree, _differ, _silent, _long, _steps):
        _follow(plan.begin(question, Random(0)), scenario(), question, scorers, needs, own=True)
    return needs


def _follow(
    asking: Generator[Wave, Reply, object],
    replies: Iterator[Sample],
    question: Question,
    scorers: Mapping[str, Scorer],
    needs: Needs,
    *,
    own: bool,
) -> object:
    """Serve it for so many waves at most. `own`: it is the strategy itself, not a scorer."""
    try:
        wave = next(asking)
        for _ in range(_WAVES):
            reply = _serve(wave, replies, question, scorers, needs, own=own)
            wave = asking.send(reply)
        asking.send(Reply(tuple(() for _ in wave.asks), _no_scores(wave), final=True))
    except StopIteration as end:
        return end.value
    finally:
        asking.close()
    return None


def _no_scores(wave: Wave) -> tuple[tuple[float | None, ...], ...]:
    return tuple((None,) * len(ask.samples) if isinstance(ask, Score) else () for ask in wave.asks)


def _serve(
    wave: Wave,
    replies: Iterator[Sample],
    question: Question,
    scorers: Mapping[str, Scorer],
    needs: Needs,
    *,
    own: bool,
) -> Reply:
    samples: list[tuple[Sample, ...]] = []
    scores: list[tuple[float | None, ...]] = []
    for ask in wave.asks:
        if isinstance(ask, Draw):
            _note_draw(ask, question, needs, own=own)
            samples.append(tuple(next(replies) for _ in range(ask.n)))
            scores.append(())
            continue
        needs.scorers.add(ask.by)
        samples.append(())
        told = None
        if ask.by in scorers:
            asking = scorers[ask.by].score(question, ask.samples)
            told = _follow(asking, replies, question, scorers, needs, own=False)
        scores.append(told if isinstance(told, tuple) else (0.5,) * len(ask.samples))
    return Reply(tuple(samples), tuple(scores))


def _note_draw(draw: Draw, question: Question, needs: Needs, *, own: bool) -> None:
    forms = {None: "worked", question.prompt: "worked", question.direct: "direct"}
    wanted = {
        "prefix": bool(draw.prefix),
        "logprobs": draw.logprobs,
        "halt": draw.halt is not None,
        "response_format": question.response_format is not None and draw.prompt in forms,
    }
    needs.capabilities.setdefault(draw.role, set()).update(name for name, yes in wanted.items() if yes)
    plain = (draw.prefix, draw.stop, draw.max_tokens, draw.temperature, draw.halt) == (
        "",
        (),
        None,
        None,
        None,
    )
    form = forms.get(draw.prompt) if plain and draw.role == "solver" else None
    if form is None or not own:
        needs.bank = False
    else:
        needs.forms.add(form)


def _agree() -> Iterator[Sample]:
    for _ in count():
        yield Sample(_TEXT, "2", tokens=3, logprob=-0.3, logprobs=(-0.1,) * 3)


def _differ() -> Iterator[Sample]:
    for i in count():
        yield Sample(f"{i} = {i}", str(i), i, tokens=3, logprob=-0.3 * i, logprobs=(-0.1 * i,) * 3)


def _silent() -> Iterator[Sample]:
    for _ in count():
        yield Sample("", None)


def _long() -> Iterator[Sample]:
    for i in count():
        yield Sample(_TEXT, None, i, tokens=40, logprob=-4.0, logprobs=(-0.1,) * 40, finish="length")


def _steps() -> Iterator[Sample]:
    for i in count():
        yield Sample(f"step {i}", None, i, tokens=3, logprob=-0.3, logprobs=(-0.1,) * 3, finish="step")
