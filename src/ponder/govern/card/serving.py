"""What each effort takes and gets on one task, and what a fleet makes of it: cost, energy, answers a day.

One calculator for both, so that every number behind them is an assumption on show, and is drawn, moved and
overridden as those of every other question of governance are. The fleet is `ponder govern scale`'s roofline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ponder.core import Model, Shape
from ponder.data.rows import named, row
from ponder.errors import InputError, LawUndefined
from ponder.flop import parameters
from ponder.govern import efforts
from ponder.govern.calculator import Calculator, Choice, Floats, Input, Measured, Output, Settings
from ponder.govern.card.document import Effort, Figure, Fleet
from ponder.govern.card.measured import rounded
from ponder.govern.card.subject import Drawn
from ponder.govern.efforts import BUDGETED, EFFORTS, accuracy_of, efforts_of, samples_of
from ponder.govern.fleet import CHIP_CHOICES, CHIP_INPUTS, MODEL_INPUTS, fleet_of
from ponder.govern.outcome import Outcome, evaluate
from ponder.govern.scenario import read, resolve
from ponder.laws.fit import resampling
from ponder.quantity import Quantity, from_draws, parse, point

__all__ = [
    "HEADLINE",
    "OF_A_MODEL",
    "OWN",
    "FleetChoice",
    "Served",
    "fleet_choice",
    "fleet_of_outcome",
    "serve",
]

_REFITS = 500
OWN = "this model"
OF_A_MODEL = tuple(each.name for each in MODEL_INPUTS)
HEADLINE = "medium"
"""The effort whose cost says which assumption matters most."""

_TASK_INPUTS = (
    Input("prompt_tokens", "token", "Tokens of a task's prompt, read once an answer", optional=True),
    Input("sample_tokens", "token", "Tokens that one sample generates", optional=True),
    Input("prompt_flop", "FLOP", "Operations of reading a prompt", optional=True),
    Input("sample_flop", "FLOP", "Operations of one sample without its prompt", optional=True),
)
_TAKEN = (
    ("samples", "", "Samples of an answer"),
    ("accuracy", "", "Share of answers that are right"),
    ("tokens", "token", "Tokens generated for an answer"),
    ("flop", "FLOP", "Operations of an answer"),
)
_OF_FLEET = (
    ("usd", "USD", "What an answer costs"),
    ("joules", "J", "Energy of an answer, with the site's"),
    ("answers", "1/day", "Answers a day, if the fleet does nothing else"),
    ("right", "1/day", "Right answers a day"),
)
_RATES = (
    Output("tokens_a_second", "token/s", "Tokens that the fleet generates, if it only generates"),
    Output("instance", "chip", "Chips that share one copy of the weights"),
)


@dataclass(frozen=True, slots=True)
class FleetChoice:
    """A fleet that was asked about: how many (a number or an interval as text), of which row of the table of
    chips. `model` is the published model that is served, None for the card's own; `sets` are assumptions that
    the asker gives, NAME=VALUE."""

    chips: str
    chip: str
    precision: str = "bf16"
    model: str | None = None
    sets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Served:
    """The rows of one task's efforts, and the outcome that they are of."""

    rows: list[Effort]
    outcome: Outcome


def fleet_choice(
    chips: str, *, model: str | None = None, precision: str = "bf16", sets: Sequence[str] = ()
) -> FleetChoice:
    """From a text such as "1000xH100". Raises InputError for another form, UnknownName for a chip or a model
    that the tables lack."""
    count, times, chip = chips.replace("×", "x").partition("x")
    if not times or not count.strip() or not chip.strip():
        raise InputError(f"chips: {chips[:60]!r} is no fleet; write it as 1000xH100.")
    parse(count.strip(), "chips").within("chips", positive=True)
    served = None if model is None else named("published_models", model, "model")
    return FleetChoice(count.strip(), named("chips", chip.strip(), "chip"), precision, served, tuple(sets))


def serve(drawn: Drawn, model: Model, asked: FleetChoice | None, *, draws: int, seed: int) -> Served:
    """The efforts on one task, on a fleet where one is given. Raises LawUndefined for too few draws and for
    draws whose answers are unknown, InputError for a fleet that cannot be asked about."""
    of = _calculator(asked)
    given = {}
    if asked is not None:
        given = {"chips": asked.chips, "chip": asked.chip, "precision": asked.precision}
        given |= {"model": asked.model} if asked.model is not None else {}
    scenario = read(of, given, () if asked is None else asked.sets)
    outcome = evaluate(resolve(of, scenario, _measured(drawn, model, asked)), draws=draws, seed=seed)
    return Served([_row(each, drawn, outcome) for each in EFFORTS], outcome)


def fleet_of_outcome(outcome: Outcome, asked: FleetChoice) -> Fleet:
    """The fleet as the card tells it."""
    told = _results(outcome)
    served = OWN if asked.model is None else row("published_models", asked.model)["title"]
    return Fleet(
        chips=_known(_assumed(outcome, "chips")),
        chip=asked.chip,
        title=row("chips", asked.chip)["title"],
        precision=asked.precision,
        served=served,
        tokens_a_second=told["tokens_a_second"],
        chips_of_an_instance=told["instance"],
        draws=outcome.draws,
        seed=outcome.seed,
    )


# ---------------------------------------------------------------- the calculator


def _calculator(asked: FleetChoice | None) -> Calculator:
    """Of efforts alone; with a fleet where one is asked about. The card's own model is no row of a table: its
    inputs come from its shape, and what its shape does not have is unknown."""
    fleet = asked is not None
    own = asked is not None and asked.model is None
    of_model = [replace(each, default=_kept(each), optional=True) if own else each for each in MODEL_INPUTS]
    kinds = (*_TAKEN, *(_OF_FLEET if fleet else ()))
    outputs = tuple(
        Output(f"{each.word}.{name}", unit, f"{what}, effort {each.word}")
        for name, unit, what in kinds
        for each in EFFORTS
    )
    return Calculator(
        name="card",
        title="What each effort takes and gets, and what a fleet makes of it",
        inputs=(*(CHIP_INPUTS if fleet else ()), *_TASK_INPUTS, *(of_model if fleet else ())),
        outputs=(*outputs, *(_RATES if fleet else ())),
        compute=partial(_compute, fleet),
        choices=_choices(own) if fleet else (),
        groups=(BUDGETED,),
    )


def _kept(each: Input) -> str | None:
    """A default that is no row of a published model."""
    return each.default if isinstance(each.default, str) else None


def _choices(own: bool) -> tuple[Choice, ...]:
    return tuple(each for each in CHIP_CHOICES if not (own and each.name == "model"))


def _compute(fleet: bool, x: Mapping[str, Floats], about: Settings) -> Mapping[str, Floats]:
    samples = {each.word: samples_of(x, each.word, x["sample_tokens"]) for each in EFFORTS}
    right = {each.word: accuracy_of(x, each.word, x["sample_tokens"]) for each in EFFORTS}
    found: dict[str, Floats] = {}
    for word, number in samples.items():
        found[f"{word}.samples"], found[f"{word}.accuracy"] = number, right[word]
        found[f"{word}.tokens"] = number * x["sample_tokens"]
        found[f"{word}.flop"] = x["prompt_flop"] + number * x["sample_flop"]
    if not fleet:
        return found
    made = fleet_of(x, about, x["prompt_tokens"], x["sample_tokens"])
    for word, number in samples.items():
        seconds = made.chip_seconds(x["prompt_tokens"], number * x["sample_tokens"])
        found[f"{word}.usd"] = made.usd(seconds)
        found[f"{word}.joules"] = made.joules(seconds)
        found[f"{word}.answers"] = made.a_day(seconds)
        found[f"{word}.right"] = found[f"{word}.answers"] * right[word]
    found["tokens_a_second"] = made.chips * made.serving * made.layout.rate
    found["instance"] = made.layout.width
    return found


def _measured(drawn: Drawn, model: Model, asked: FleetChoice | None) -> Measured:
    """What the draws tell, and the card's own model's shape where it is what the fleet serves."""
    counts = drawn.counts
    if counts.ballots is None:
        raise LawUndefined(f"answers: those of {counts.name} are unknown, so no vote of them is.")
    told = efforts_of(counts)
    quantities = dict(told.quantities)
    if drawn.prompt_tokens is not None:
        weights = resampling(counts.units, _REFITS, np.random.default_rng(0))
        means = weights @ drawn.prompt_tokens / weights.sum(axis=1)
        quantities["prompt_tokens"] = from_draws(
            means[1:], value=float(means[0]), together=f"prompts of {counts.task}"
        )
    source = f"{len(counts.ids)} problems of {counts.task}, {counts.least} draws each"
    found = Measured(quantities, source)
    if asked is not None and asked.model is None and model.shape is not None:
        return found.beside(Measured(_of_shape(model.shape, model.context), "the model's own shape"))
    return found


def _of_shape(shape: Shape, context: int | None) -> dict[str, Quantity]:
    told: dict[str, float | None] = {
        "parameters": parameters(shape, active=False),
        "active": parameters(shape),
        "layers": shape.layers,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "d_head": shape.d_head,
        "experts": shape.experts or None,
        "experts_active": shape.experts_active or None,
        "window": context,
    }
    return {name: point(float(value)) for name, value in told.items() if value is not None}


# ---------------------------------------------------------------- an effort's row


def _row(of: efforts.Effort, drawn: Drawn, outcome: Outcome) -> Effort:
    told = _results(outcome)
    word = of.word
    # What no budget ends is told as it was measured, not as the median of its draws.
    whole = not _may_end(of, _assumed(outcome, "sample_tokens"))
    samples, accuracy = (
        _assumed(outcome, f"efforts.{word}.{name}") if whole else told[f"{word}.{name}"]
        for name in ("samples", "accuracy")
    )
    return Effort(
        effort=word,
        strategy=str(of.plan),
        most=of.most,
        token_budget=of.tokens,
        samples=samples,
        generated_tokens=told[f"{word}.tokens"],
        flop=told[f"{word}.flop"],
        accuracy=accuracy,
        accuracy_by=None if accuracy is None else "measured" if of.most <= drawn.counts.least else "foretold",
        usd=told.get(f"{word}.usd"),
        joules=told.get(f"{word}.joules"),
        answers_a_day=told.get(f"{word}.answers"),
        right_a_day=told.get(f"{word}.right"),
    )


def _may_end(of: efforts.Effort, sample_tokens: Figure | None) -> bool:
    """Whether the word's tokens may be spent before its most samples are drawn."""
    if of.tokens is None or sample_tokens is None:
        return False
    return of.most * sample_tokens.high > of.tokens


def _results(outcome: Outcome) -> dict[str, Figure | None]:
    return {each.name: _figure(each.median, each.low, each.high) for each in outcome.results}


def _assumed(outcome: Outcome, name: str) -> Figure | None:
    quantity = next(each.quantity for each in outcome.assumptions if each.name == name)
    return None if quantity is None else _figure(quantity.value, quantity.low, quantity.high)


def _figure(value: float | None, low: float | None, high: float | None) -> Figure | None:
    if value is None or low is None or high is None:
        return None
    return Figure(value=rounded(value), low=rounded(low), high=rounded(high))


def _known(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure
