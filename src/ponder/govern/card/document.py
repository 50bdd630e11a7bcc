"""The compute card as a document: the fields, what each means, and the JSON Schema that they make.

The schema is public and versioned. It is of one version exactly and refuses fields that it does not know, so
that none is misspelt. A later one of the same major version adds fields alone: none is taken away or changes
its meaning. What is unknown is null and never 0, and a sentence beside it says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ponder.govern.assumptions import Origin

__all__ = [
    "SCHEMA_ID",
    "VERSION",
    "Assumption",
    "Card",
    "Curve",
    "Effort",
    "Figure",
    "Fleet",
    "Forecast",
    "Gain",
    "Identity",
    "Law",
    "Made",
    "Place",
    "Rule",
    "Spent",
    "Stage",
    "Task",
    "Training",
    "schema",
]

VERSION = "1.1"
SCHEMA_ID = f"urn:ponder:schema:compute-card:{VERSION}"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

Confidence = Literal["high", "medium", "low"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Figure(_Part):
    """A number with the ends of its 90 % interval, which are the number itself where it is certain."""

    value: float
    low: float
    high: float


class Assumption(_Part):
    """A number that answers of this card rest on, and where it comes from."""

    name: str
    what: str
    unit: str
    value: Figure | None
    origin: Origin = Field(description="measured: by this run; published; assumed; yours: given by the maker")
    source: str | None
    date: str | None
    confidence: Confidence | None
    moves: float | None = Field(
        description="By how many decades an answer's cost moves between the ends of the interval; "
        "null where there is no interval or no cost"
    )


class Identity(_Part):
    """Which model it is."""

    name: str
    title: str | None
    license: str | None
    parameters: float | None = Field(description="All parameters")
    active_parameters: float | None = Field(description="Those that take part in a token")
    shape: dict[str, int | bool] | None = Field(description="Layers, widths, heads, vocabulary")
    context: int | None = Field(description="Tokens of the longest context")
    precision: str | None = Field(description="How its weights were multiplied when it was measured")
    weights_sha256: str | None
    engine: str | None = Field(description="What it was run by when it was measured")


class Spent(_Part):
    """What measuring it took, failed and cancelled calls included. It is in no stage of training."""

    samples: int
    tokens: float | None = Field(description="Read and generated")
    flop: float | None
    usd: float | None


class Made(_Part):
    """What the card was made from, and how."""

    kind: Literal["run", "checkpoint"]
    source: str = Field(description="The run's name, or the checkpoint's")
    on: str = Field(description="The day whose law the rules are asked about")
    measured: str | None = Field(description="The day on which the samples were begun to be drawn")
    ledger_head: str | None = Field(description="The last hash of the ledger that holds the run")
    recordings: dict[str, str] = Field(description="SHA-256 of each recording, by its file's name")
    sampling: dict[str, float | int | str | None] = Field(description="Temperature, top-p, seed, cap")
    spent: Spent
    ponder: str = Field(description="The version that made the card")


# ---------------------------------------------------------------- training


class Stage(_Part):
    """A stage of the model's life by the methods of the EU guidelines' Annex A.2."""

    kind: str
    what: str
    name: str
    flop: Figure | None = Field(description="Operations counted; null is unknown")
    flop_by_hardware: Figure | None = Field(description="Chips, times time, peak and utilisation")
    origin: Origin
    source: str | None
    date: str | None
    confidence: Confidence | None
    notes: list[str]


class Rule(_Part):
    """One rule that draws a line in training compute."""

    rule: str
    title: str
    short: str
    standing: str
    counted: list[Figure] = Field(description="One sum; two where the methods disagree; none where unknown")
    lower_end: bool = Field(description="A counted stage is unknown, so that the sum is a lower end")
    unit: str
    line: Figure | None = Field(description="null where the rule asks nothing of this model")
    side: Literal["over", "under", "undecided", "not asked", "depends on the reading"]
    applies: str = Field(description="yes, no or open; would or might where the rule does not bind")
    words: list[str]
    source: str
    date: str
    confidence: str


class Training(_Part):
    """Training compute, stage by stage, and as every rule counts it."""

    stages: list[Stage]
    rules: list[Rule]
    notes: list[str]


# ---------------------------------------------------------------- accuracy against inference compute


class Place(_Part):
    """Accuracy at one amount of inference. Tokens and FLOP are the mean of a problem, its prompt's included,
    which is read once.
    `beyond`: more than was drawn, so that the law is extrapolated."""

    samples: float
    tokens: float | None
    flop: float | None
    accuracy: Figure
    beyond: bool


class Forecast(_Part):
    """What the law that was fitted to a few draws said of those that were held back."""

    fitted_to: int
    samples: int
    predicted: Figure
    seen: Figure
    relative_error: float | None


class Law(_Part):
    """A fitted law: `word` is law where its forecast passed, else trend. `reach` is the range of samples that
    was fitted."""

    name: str
    word: Literal["law", "trend"]
    parameters: dict[str, Figure]
    reach: tuple[float, float]
    problems: int
    forecast: Forecast


class Curve(_Part):
    """One way to spend samples. `oracle`: it needs the key to pick the right one, and bounds the others."""

    strategy: Literal["vote", "coverage"]
    oracle: bool
    measured: list[Place]
    law: Law | None
    told: list[Place] = Field(
        description="The law at places, from where its interval meets the measured one to some times the "
        "draws; none without a law"
    )
    undefined: str | None = Field(description="Why there is no law")


class Gain(_Part):
    """Compute-equivalent gain: how many times the training compute the plain family needs to do as well.

    `low` 0 and `high` null are without bound. `at_least` and `at_most` are read off the models that there
    are, without a law. Undefined is a finding: `undefined` says which."""

    strategy: Literal["vote", "coverage"]
    samples: int
    inference_ratio: float | None = Field(description="FLOP of an answer over those of a plain one")
    value: float | None
    low: float | None
    high: float | None
    of_flop: float | None = Field(
        description="The training FLOP that `value` multiplies: what the law of plain models needs for this "
        "model's single answer"
    )
    extrapolated: bool | None
    at_least: float | None
    at_most: float | None
    bounds_of_flop: float = Field(
        description="The training FLOP that `at_least` and `at_most` multiply: of the cheapest plain model "
        "that is as good as this one's single answer"
    )
    undefined: str | None


class Effort(_Part):
    """What one effort word takes and gets on the task. Cost, energy and answers a day are the fleet's."""

    effort: str
    strategy: str
    most: int = Field(description="The most samples that the word allows")
    token_budget: int | None = Field(
        description="The most tokens that the word allows, which may end a vote sooner; null is no limit"
    )
    samples: Figure | None
    generated_tokens: Figure | None = Field(description="Of all samples, without the prompt's")
    flop: Figure | None = Field(description="Of all samples, and of reading the prompt once")
    accuracy: Figure | None
    accuracy_by: Literal["measured", "foretold"] | None = Field(
        description="foretold by the law of votes where fewer samples than `most` were drawn"
    )
    usd: Figure | None
    joules: Figure | None
    answers_a_day: Figure | None
    right_a_day: Figure | None


class Task(_Part):
    """What was measured on one task."""

    task: str
    problems: int
    draws: int = Field(description="Of the problem that has fewest")
    guess: float | None = Field(description="Accuracy of a blind guess")
    prompt_tokens: Figure | None
    sample_tokens: Figure | None
    sample_flop: Figure | None
    curves: list[Curve]
    gains: list[Gain]
    gains_undefined: str | None = Field(description="Why no gain can be had at all")
    efforts: list[Effort]
    efforts_unknown: str | None


class Fleet(_Part):
    """The fleet that cost, energy and answers a day are told of, by a roofline."""

    chips: Figure
    chip: str
    title: str
    precision: str
    served: str = Field(description="The model that is served: this one, or a published one in its place")
    tokens_a_second: Figure | None
    chips_of_an_instance: Figure | None
    draws: int
    seed: int


class Card(_Part):
    """The compute card of one model: what its training took and how rules count it, what inference buys, and
    what that would cost at scale."""

    schema_version: Literal["1.1"]
    made: Made
    identity: Identity
    training: Training
    tasks: list[Task] = Field(min_length=1, description="The first is the one that the page shows most of")
    fleet: Fleet | None
    fleet_unknown: str | None
    assumptions: list[Assumption]
    notes: list[str]


def schema() -> dict[str, Any]:
    """The JSON Schema of a card (draft 2020-12)."""
    made: Mapping[str, Any] = Card.model_json_schema()
    return {"$schema": _DIALECT, "$id": SCHEMA_ID, **made}
