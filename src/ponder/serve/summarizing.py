"""The summary of a thought, by the model itself, under a small budget of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ponder.core import Budget, Engine, Message, Prompt, Question, Sample, Sampling, Usage
from ponder.errors import EngineError, InputError
from ponder.flop import call_flop, call_usd
from ponder.serve.tracing import spanned
from ponder.solve import Meter, Solver
from ponder.strategies import plan
from ponder.strategies._talk import frame, guard, mark_of, plain

__all__ = [
    "SUMMARY_TOKENS",
    "most_of_a_call",
    "most_of_a_summary",
    "summarize",
    "summary_budget",
    "summary_sampling",
]

SUMMARY_TOKENS = 96
"""Generated tokens of a summary, at most."""

_PROMPT_TOKENS = 2048
_TEMPERATURE = 0.3
_PARAGRAPH_END = "\n\n"
# A small model finds the form of a summary by them.
_SHOTS = (
    (
        "Each box has 6 eggs. 3 boxes have 6 * 3 = 18 eggs.",
        "The eggs of one box were multiplied by the boxes.",
    ),
    ("Venus? No, Mercury is closer. It orbits nearest.", "Two planets were compared by how near they orbit."),
)
_PLAN = plan("think")


def most_of_a_summary(engine: Engine, units: Iterable[str]) -> dict[str, float]:
    """What one summary may take at most, in these units. Unknown ones were refused before."""
    return most_of_a_call(engine, units, _PROMPT_TOKENS, SUMMARY_TOKENS)


def most_of_a_call(
    engine: Engine, units: Iterable[str], prompt_tokens: int, completion_tokens: int
) -> dict[str, float]:
    """What one sample of such a size may take at most, in those of the units in which that is known."""
    prompt = Usage(prompt_tokens=prompt_tokens, completion_tokens=0)
    whole = replace(prompt, completion_tokens=completion_tokens)
    most = {
        "samples": 1.0,
        "tokens": float(prompt_tokens + completion_tokens),
        "flop": call_flop(engine.model, prompt, (completion_tokens,)).flop,
        "usd": call_usd(engine.model.price, whole),
    }
    return {unit: value for unit in units if (value := most.get(unit)) is not None}


@spanned("summary")
async def summarize(solver: Solver, question: Question, thought: str, meter: Meter) -> Sample | None:
    """In the model's own words; None where none could be had. It never fails: the answer stands without it.

    What it says is not yet fit to be shown, since a model may quote; nor is its thought about the summary."""
    engine = solver.engines["solver"]
    asked = _fitting(engine, question, thought)
    if asked is None:
        return None
    summing = replace(question, prompt=asked, direct=asked, stop=(_PARAGRAPH_END,), max_tokens=SUMMARY_TOKENS)
    try:
        solution = await solver.run(_PLAN, summing, meter)
    except (EngineError, InputError):
        return None
    if not solution.samples:
        return None
    drawn = solution.samples[0]
    return replace(drawn, text=_whole_sentences(drawn.text.strip(), cut=drawn.finish == "length"))


def _fitting(engine: Engine, question: Question, thought: str) -> Prompt | None:
    """The request for a summary, of as much of the thought as it has room for."""
    asked, shown = plain(question.text)[:1000], plain(thought)
    while shown:
        prompt = _prompt(asked, shown)
        bound = engine.prompt_tokens_bound(prompt)
        if bound is not None and bound <= _PROMPT_TOKENS:
            return prompt
        shown = shown[: len(shown) // 2]
    return None


def _prompt(asked: str, thought: str) -> Prompt:
    """As a chat, and as text to be continued for a model that is better at that."""
    mark = mark_of(asked, thought)
    chat = (
        f"Somebody thought about this question:\n\n{frame('question', asked, mark)}\n\n"
        f"These are the thoughts:\n\n{frame('thoughts', thought, mark)}\n\n{guard(mark)}\n\n"
        "Say in one to three short sentences, in your own words, how this was approached. Quote nothing."
    )
    paragraphs = [f"Thoughts: {one_line}\nSummary: {said}" for one_line, said in _SHOTS]
    text = "\n\n".join([*paragraphs, f"Thoughts: {' '.join(thought.split())}\nSummary:"])
    return Prompt((Message("user", chat),), text)


def _whole_sentences(text: str, *, cut: bool) -> str:
    """Without a last sentence that was cut short, if there is another."""
    if cut:
        end = max(text.rfind(mark) for mark in (". ", "! ", "? ", ".\n"))
        text = text[: end + 1] if end > 0 else text
    return text


def summary_sampling(sampling: Sampling) -> Sampling:
    """Less is left to chance than in a thought."""
    return replace(sampling, temperature=min(sampling.temperature, _TEMPERATURE))


def summary_budget(most: Mapping[str, float]) -> Budget:
    """The summary's own budget: what was reserved for it."""
    return Budget(
        samples=1,
        tokens=_PROMPT_TOKENS + SUMMARY_TOKENS,
        flop=most.get("flop"),
        usd=most.get("usd"),
    )
