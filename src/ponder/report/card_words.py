"""A compute card in words and cells: what its page and the terminal say in common."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ponder.govern.accounting.rules import BINDING
from ponder.govern.card.document import Card, Curve, Effort, Figure, Gain, Identity, Place, Rule, Task
from ponder.report.govern_words import number
from ponder.report.words import UNKNOWN, compact, percent

__all__ = [
    "OF_RULES",
    "accuracy",
    "amount",
    "between",
    "counted",
    "curve",
    "effort_cells",
    "forecast",
    "forecast_short",
    "gain_base",
    "gain_cell",
    "gain_columns",
    "gain_of",
    "gain_reasons",
    "headline",
    "interval",
    "last",
    "middle",
    "name",
    "shape",
    "strategy",
    "whole",
]

OF_RULES = ("rule", "standing", "FLOP counted", "line", "side", "applies")


def name(of: Identity) -> str:
    """What the model is called."""
    return of.title or of.name


def shape(of: Identity) -> str:
    """30 layers, 9 heads (3 of keys and values) of 64, width 576, vocabulary 49,152."""
    told = of.shape
    if told is None:
        return UNKNOWN
    heads = f"{told['heads']} heads of {told['d_head']}"
    shared = f" ({told['kv_heads']} of keys and values)" if told["kv_heads"] != told["heads"] else ""
    experts = f", {told['experts_active']} of {told['experts']} experts" if told["experts"] else ""
    return (
        f"{told['layers']} layers, width {told['d_model']:,}, {heads}{shared}, feed-forward {told['d_ff']:,}"
        f"{experts}, vocabulary {told['vocab']:,}"
    )


def whole(value: float | None) -> str:
    """134,515,008."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def between(of: Figure) -> str:
    """195–197, in as many digits as the value, which so lies between them; nothing where the ends are written
    as it is."""
    value, low, high = map(number, (of.value, of.low, of.high))
    return "" if low == high == value else f"{low}–{high}"


def amount(value: float | None) -> str:
    """Three digits with an SI letter."""
    return compact(value)


def interval(of: Figure | None) -> str:
    """57.1 (54 to 60); the number alone where it is certain."""
    if of is None:
        return UNKNOWN
    value, low, high = map(number, (of.value, of.low, of.high))
    return value if low == high else f"{value} ({low} to {high})"


def accuracy(of: Figure | None) -> str:
    """57 % as the field writes it."""
    return UNKNOWN if of is None else percent(of.value)


def middle(of: Figure | None) -> str:
    """A figure without its interval."""
    return UNKNOWN if of is None else number(of.value)


def counted(of: Rule) -> str:
    """The sum in a cell: both where the methods disagree, a lower end where a stage is unknown."""
    if of.side == "not asked":
        return "–"
    if not of.counted:
        return UNKNOWN
    shown = " or ".join(number(each.value) for each in of.counted)
    return f"≥ {shown}" if of.lower_end else shown


# ---------------------------------------------------------------- accuracy


def curve(of: Task, kind: str) -> Curve | None:
    """The task's curve of a kind."""
    return next((each for each in of.curves if each.strategy == kind), None)


def last(of: Curve) -> Place:
    """At all that every problem has."""
    return of.measured[-1]


def strategy(kind: str, samples: float) -> str:
    """vote@64; of coverage, any of 64."""
    return f"vote@{samples:.0f}" if kind == "vote" else f"any of {samples:.0f}"


def forecast(of: Curve) -> str:
    """The law in one sentence: what it is called, how it was tried, where it ends."""
    law = of.law
    if law is None:
        return f"No law: {of.undefined}"
    tried = law.forecast
    said, seen = percent(tried.predicted.value), percent(tried.seen.value)
    return (
        f"{law.name}, a {law.word}. Fitted to {tried.fitted_to} draws it foretold {said} for "
        f"{tried.samples} others, which had {seen}; measured up to {law.reach[1]:,.0f} samples.{_missed(of)}"
    )


def _missed(of: Curve) -> str:
    """Where the law's interval does not meet what was measured, so that its curve is left out."""
    first = of.told[0].samples if of.told else math.inf
    missed = [each for each in of.measured if each.samples < first]
    if not missed:
        return ""
    below = f"Below {first:,.0f} samples" if of.told else "Everywhere"
    return f" {below} it misses what was measured ({_points(missed)}), and is not drawn."


def _points(places: Sequence[Place]) -> str:
    return ", ".join(f"{percent(each.accuracy.value)} at {each.samples:,.0f}" for each in places)


def forecast_short(of: Curve) -> str:
    """The law in a line: what it is called, and what it foretold of the draws that were held back."""
    if of.law is None:
        return "no law"
    tried = of.law.forecast
    said, seen = percent(tried.predicted.value), percent(tried.seen.value)
    first = of.told[0].samples if of.told else math.inf
    whence = f", from {first:,.0f} samples on" if of.measured[0].samples < first < math.inf else ""
    return f"{of.law.name}, a {of.law.word}{whence}: foretold {said}, seen {seen}"


# ---------------------------------------------------------------- gains and efforts


def gain_base(of: Task) -> str:
    """The training compute that the task's gains multiply; a dash where none is defined."""
    return next((compact(each.of_flop) for each in of.gains if each.of_flop is not None), "–")


def gain_cell(of: Gain | None, reasons: Sequence[str]) -> tuple[str, str]:
    """1.47× and 1.4–1.6; where it is undefined, the number of its reason in the second place."""
    if of is None:
        return "", ""
    if of.value is None or of.low is None:
        return "undefined", str(reasons.index(of.undefined or "") + 1)
    high = "no bound" if of.high is None else number(of.high)
    beyond = ", beyond the ladder" if of.extrapolated else ""
    return f"{number(of.value)}×", f"{number(of.low)}–{high}{beyond}"


def gain_columns(of: Card) -> list[tuple[str, int]]:
    """The strategies, with their samples, that any task has a gain of."""
    return list(dict.fromkeys((each.strategy, each.samples) for task in of.tasks for each in task.gains))


def gain_reasons(of: Card) -> list[str]:
    """Why gains are undefined, each reason once."""
    return list(dict.fromkeys(each.undefined for t in of.tasks for each in t.gains if each.undefined))


def gain_of(of: Task, column: tuple[str, int]) -> Gain | None:
    """The task's gain in a column."""
    return next((each for each in of.gains if (each.strategy, each.samples) == column), None)


def effort_cells(of: Effort) -> tuple[str, ...]:
    """Word, samples, generated tokens, FLOP, accuracy, USD, J, answers a day."""
    told = accuracy(of.accuracy) + ("*" if of.accuracy_by == "foretold" else "")
    taken = (of.samples, of.generated_tokens, of.flop)
    values = [UNKNOWN if each is None else compact(each.value) for each in taken]
    return (of.effort, *values, told, middle(of.usd), middle(of.joules), middle(of.answers_a_day))


def headline(of: Card) -> str:
    """The findings in two sentences: the first task's accuracy at one sample and at all, and where training
    lies by the rules that bind."""
    task = of.tasks[0]
    drawn = curve(task, "vote") or task.curves[0]
    first, end = drawn.measured[0], last(drawn)
    times = f" for {number(end.flop / first.flop)} times the FLOP" if end.flop and first.flop else ""
    what = "a vote" if drawn.strategy == "vote" else "any"
    return (
        f"On {task.task}, one sample is right in {percent(first.accuracy.value)}, {what} of "
        f"{end.samples:.0f} in {percent(end.accuracy.value)}{times}. {_of_training(of)}"
    )


def _of_training(of: Card) -> str:
    flops = [each.flop for each in of.training.stages if each.flop is not None]
    unknown = len(flops) < len(of.training.stages)
    took = f"{'at least ' * unknown}{number(sum(each.value for each in flops))}" if flops else UNKNOWN
    binding = [each for each in of.training.rules if each.standing in BINDING and each.line is not None]
    beside = [f"{each.short}: {each.side}" for each in binding if each.side != "under"]
    said = "; ".join(beside) if beside else "under the line of every rule that binds"
    return f"Its stages of training took {took} FLOP: {said}."
