"""Diffusion: when each actor reaches a capability, and what each reaches at a date.

An actor's money buys training compute at a falling price, and algorithms make the compute worth more, later
for who lags (Pilz, Heim & Brown 2023, Increased Compute Efficiency and the Diffusion of AI Capabilities,
arXiv 2311.15377). In decades of plain training compute at today's leading algorithms,

    training_k(t)  = log10(budget · growth^t · FLOP per USD · 2^(t/T_h)) + (t - lag_k)/T_a · log10 2
    inference_k(t) = min(weight · log10(answer_k · 2^(t/T_h) · 2^((t - late_k)/T_i)), span)  once it is known

and a capability is reached where the two together are. Both are straight lines from the year in which
inference begins to count to that in which it counts in full, and after it; so the date has a closed form. The
technique of inference spreads by itself: until an actor has it, at `late_k` or when it is published, an
answer is a plain one. With open weights every actor has the leader's training, `released` years later. The
access effect is the date at which a capability is reached, the performance effect what is reached at a date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import product

import numpy as np
from scipy.special import expit

from ponder.govern._measured import beyond_measured, gain_of_inference
from ponder.govern.calculator import (
    Calculator,
    Chart,
    Choice,
    Floats,
    Group,
    Input,
    Inputs,
    Output,
    Outputs,
    Row,
    Settings,
    Table,
)

__all__ = [
    "AHEAD",
    "CALCULATOR",
    "Actor",
    "Gain",
    "Level",
    "Line",
    "Policy",
    "World",
    "cost_doubling",
    "inference",
    "level",
    "training",
]

AHEAD = 30.0
"""Years that an access is looked for."""

_LOG2 = float(np.log10(2.0))
_LEVEL = (0.05, 0.5, 0.95)
_STILL = float(np.finfo(np.float64).tiny)  # decades a year of what does not rise


@dataclass(frozen=True)
class Actor:
    """What an actor has [B]: `budget` USD of its largest run now, its `growth` a year, years of `lag` in
    training technique, years until it is `late` to the technique of inference, and what an `answer` may cost,
    in times a plain one."""

    budget: Floats
    growth: Floats
    lag: Floats
    late: Floats
    answer: Floats


@dataclass(frozen=True)
class World:
    """What holds for all [B]: FLOP per USD now, doubling times in years, and what inference is worth."""

    flop_per_usd: Floats
    hardware: Floats
    algorithms: Floats
    inference: Floats
    weight: Floats
    span: Floats

    @cached_property
    def cost_halves(self) -> Floats:
        """Years in which the cost of a fixed performance halves, without lags."""
        return cost_doubling(self.hardware, self.algorithms)

    @cached_property
    def training_gains(self) -> Floats:
        """Decades a year by which a dollar comes to buy more training, by hardware and algorithms."""
        return _LOG2 / self.cost_halves

    @cached_property
    def inference_gains(self) -> Floats:
        """Likewise more inference, by hardware and its own technique."""
        return _LOG2 / cost_doubling(self.hardware, self.inference)

    @cached_property
    def worth_gains(self) -> Floats:
        """Decades of training a year that these are worth."""
        return self.weight * self.inference_gains


@dataclass(frozen=True)
class Policy:
    """Years [B] until the technique of inference is `published`, and by which released weights are behind the
    best; None is never."""

    published: Floats | None = None
    released: Floats | None = None


@dataclass(frozen=True)
class Line:
    """Decades [B] that grow evenly: so many `now`, and so many more a `year`."""

    now: Floats | float
    year: Floats | float

    def at(self, t: Floats | float) -> Floats:
        """[B] at `t` [B] years from now."""
        return np.asarray(self.now + self.year * t)

    def earlier(self, years: Floats) -> Line:
        """What it was so many years before."""
        return Line(self.now - self.year * years, self.year)

    def __add__(self, other: Line) -> Line:
        return Line(self.now + other.now, self.year + other.year)


@dataclass(frozen=True)
class Gain:
    """Decades of training [B] that an actor's inference is worth: none up to year `start`, `rising` from then
    to year `end`, and `span` from there on."""

    start: Floats
    rising: Line
    end: Floats
    span: Floats

    def at(self, t: Floats) -> Floats:
        """[B] at `t` [B] years from now."""
        risen = np.where(t < self.end, self.rising.at(t), self.span)
        return np.where(t < self.start, 0.0, risen)

    def pieces(self) -> tuple[tuple[Floats | float, Line, Floats | float], ...]:
        """From which year, the line, and to which year, within those that are looked ahead."""
        start, end = np.minimum(self.start, AHEAD), np.minimum(self.end, AHEAD)
        return (0.0, Line(0.0, 0.0), start), (start, self.rising, end), (end, Line(self.span, 0.0), AHEAD)


@dataclass(frozen=True)
class Level:
    """Decades of plain training compute at today's leading algorithms that an actor has: the highest of the
    `training` it may use, and the gain of its inference."""

    training: tuple[Line, ...]
    gain: Gain

    def at(self, t: Floats) -> Floats:
        """[B] at `t` [B] years from now."""
        highest: Floats = reduce(np.maximum, [each.at(t) for each in self.training])
        return highest + self.gain.at(t)

    def access(self, wanted: Floats) -> Floats:
        """[B]: in how many years it first reaches `wanted` [B]: 0 where it has, infinite where it does not
        within the years that are looked ahead."""
        first: Floats = reduce(
            np.minimum,
            [
                _crossed(line + gain, wanted, start, end)
                for start, gain, end in self.gain.pieces()
                for line in self.training
            ],
        )
        return first


def _crossed(line: Line, wanted: Floats, start: Floats | float, end: Floats | float) -> Floats:
    """[B]: when a line first is at `wanted` from `start` on and before `end`; else infinite."""
    lacks = wanted - line.at(start)
    with np.errstate(over="ignore"):  # what does not rise is waited for without end
        at = start + np.maximum(lacks, 0.0) / np.maximum(line.year, _STILL)
    return np.where(at < end, at, np.inf)


def cost_doubling(hardware: Floats, algorithms: Floats) -> Floats:
    """The time in which the cost of a fixed performance halves: 1/T = 1/T_hardware + 1/T_algorithms."""
    out: Floats = 1.0 / (1.0 / hardware + 1.0 / algorithms)
    return out


def training(actor: Actor, world: World) -> Line:
    """log10 of an actor's training compute at today's leading algorithms."""
    now = np.log10(actor.budget * world.flop_per_usd) - _LOG2 * actor.lag / world.algorithms
    return Line(now, np.log10(actor.growth) + world.training_gains)


def inference(actor: Actor, world: World, policy: Policy) -> Gain:
    """What an actor's inference is worth; nothing before it has the technique."""
    late = actor.late if policy.published is None else np.minimum(actor.late, policy.published)
    now = np.log10(actor.answer) - _LOG2 * late / world.inference
    start = np.maximum(late, -now / world.inference_gains)
    rising = Line(world.weight * now, world.worth_gains)
    weighs = rising.year > 0.0
    with np.errstate(over="ignore"):  # what rises all but never has its whole in no time that can be told
        whole = np.where(weighs, (world.span - rising.now) / np.where(weighs, rising.year, 1.0), np.inf)
    return Gain(start, rising, np.maximum(start, whole), world.span)


def level(name: str, actors: Mapping[str, Actor], world: World, policy: Policy) -> Level:
    """What an actor has. Released weights are those of who had most training so many years ago."""
    lines = [training(actors[name], world)]
    if policy.released is not None:
        lines += [training(each, world).earlier(policy.released) for each in actors.values()]
    return Level(tuple(lines), inference(actors[name], world, policy))


# ---------------------------------------------------------------- the calculator


def _actors(x: Inputs, about: Settings) -> dict[str, Actor]:
    found = {}
    for name in about.groups["actors"]:
        of = {each.name: x[f"actors.{name}.{each.name}"] for each in _ACTOR}
        lag, late = of["lag"] * x["secrecy"], of["late"] * x["secrecy"]
        found[name] = Actor(of["budget"], of["growth"], lag, late, of["answer"])
    return found


def _world(x: Inputs) -> World:
    return World(
        flop_per_usd=x["peak"] * x["utilisation"] * _HOUR / x["chip_hour"],
        hardware=x["hardware"],
        algorithms=x["algorithms"] / _MONTHS,
        inference=x["inference"] / _MONTHS,
        weight=x["weight"],
        span=x["span"],
    )


def _policy(x: Inputs, weights: str, technique: str) -> Policy:
    return Policy(
        published=x["published"] if technique == "published" else None,
        released=x["released"] if weights == "open" else None,
    )


def _levels(x: Inputs, about: Settings, world: World, policy: Policy) -> dict[str, Level]:
    actors = _actors(x, about)
    return {name: level(name, actors, world, policy) for name in actors}


def _score(over: Floats, x: Inputs) -> Floats:
    """What a test on which plain models at the capability reach half of the gain would show."""
    out: Floats = expit(x["slope"] * over)
    return out


def _compute(x: Inputs, about: Settings) -> Outputs:
    policy = _policy(x, about.choices["weights"], about.choices["technique"])
    wanted, world = np.log10(x["capability"]), _world(x)
    out = {"cost_halves": world.cost_halves, "cost_falls": np.exp2(1.0 / world.cost_halves)}
    for name, has in _levels(x, about, world, policy).items():
        over = has.at(x["date"]) - wanted
        out |= {
            f"{name} access": has.access(wanted),
            f"{name} reach": over,
            f"{name} score": _score(over, x),
        }
    return out


def _outputs(about: Settings) -> tuple[Output, ...]:
    of_actor = [
        (
            Output(
                f"{name} access",
                "year",
                f"Years until {name} reaches the capability; infinite: not in {AHEAD:g}.",
            ),
            Output(
                f"{name} reach", "decades", f"How far {name} is over the capability at the date, in training."
            ),
            Output(
                f"{name} score",
                "",
                f"What {name} scores at the date where plain models at the capability have half.",
            ),
        )
        for name in about.groups["actors"]
    ]
    return (
        *(each for one in of_actor for each in one),
        Output("cost_halves", "year", "Time in which the cost of a fixed performance halves, without lags."),
        Output("cost_falls", "times", "How much cheaper a fixed performance is after a year."),
    )


def _tables(x: Inputs, y: Outputs, about: Settings) -> Sequence[Table]:
    return _by_policy(x, about), _by_year(x, about)


def _by_policy(x: Inputs, about: Settings) -> Table:
    wanted, world = np.log10(x["capability"]), _world(x)
    rows = []
    for technique, weights in product(_TECHNIQUES, _WEIGHTS):
        for name, has in _levels(x, about, world, _policy(x, weights, technique)).items():
            found = has.access(wanted)
            low, middle, high = (float(e) for e in np.quantile(found, _LEVEL, method="inverted_cdf"))
            rows.append((name, technique, weights, middle, low, high))
    return Table(
        "policies",
        "When each actor reaches the capability, by what is kept secret",
        ("actor", "technique", "weights", "years", "years low", "years high"),
        tuple(rows),
    )


def _by_year(x: Inputs, about: Settings) -> Table:
    policy = _policy(x, about.choices["weights"], about.choices["technique"])
    wanted = np.log10(x["capability"])
    rows = []
    for name, has in _levels(x, about, _world(x), policy).items():
        for year in _YEARS:
            over = has.at(np.full_like(wanted, year)) - wanted
            low, middle, high = np.quantile(over, _LEVEL, method="inverted_cdf")
            rows.append((name, float(year), float(middle), float(low), float(high)))
    return Table(
        "performance",
        "What each actor reaches, in decades of training over the capability",
        ("actor", "year", "decades", "decades low", "decades high"),
        tuple(rows),
        Chart("year", "decades", by="actor"),
    )


def _notes(x: Inputs, y: Outputs, about: Settings) -> Sequence[str]:
    algorithms, hardware = (float(np.median(x[name])) for name in ("algorithms", "hardware"))
    share = 1.0 / (1.0 + algorithms / _MONTHS / hardware)
    return (
        "The cost of a capability falls by hardware and by algorithms together, for who has both; an actor "
        f"with a constant budget and a lag in algorithms is late by {share:.0%} of the lag, because the "
        "falling price of hardware, which it also has, makes up for the rest.",
        "The technique of inference does not spread with time alone: an actor without it has plain answers, "
        "however much compute it has.",
        "Who gains access gains what leaders had, and leaders have moved on: access and performance are two "
        "effects, and the first does not close the gap.",
        "Released weights bring training, not the compute or the technique of inference.",
        "A product of training and inference has no ceiling; here inference counts by its weight and up to "
        "its span.",
        "Gains of algorithms are taken to be the same at every scale; where they grow with scale, poorer "
        "actors are later than told (Gundlach et al. 2025, arXiv 2511.21622).",
        *beyond_measured(
            about, reduce(np.maximum, [x[f"actors.{name}.answer"] for name in about.groups["actors"]])
        ),
    )


_HOUR = 3600.0
_MONTHS = 12.0
_YEARS = np.arange(11.0)
_TECHNIQUES = ("secret", "published")
_WEIGHTS = ("closed", "open")

_ACTOR = (
    Input("budget", "USD", "What its largest training run may cost now.", "1e8"),
    Input("growth", "times", "How the budget grows, a year.", "1"),
    Input("lag", "year", "How far its training technique is behind the leader's.", "0", positive=False,
          least=0.0),
    Input("late", "year", "Years from now until it has the technique of inference by itself.", "0",
          positive=False,
          least=0.0),
    Input("answer", "times", "Compute of an answer it can pay for now, over that of a plain answer.", "1",
          least=1.0),
)  # fmt: skip

_INPUTS = (
    Input("capability", "FLOP", "Plain training compute, with today's leading algorithms, that the "
          "capability takes.",
          "1e28", why="the question itself"),
    Input("date", "year", "Years from now at which performance is told.", "3", positive=False, least=0.0,
          why="the question itself"),
    Input("chip_hour", "USD/h", "What an hour of the chip costs now.", Row("chips", "$chip", "hour_price")),
    Input("peak", "FLOP/s", "What the chip does at most.", Row("chips", "$chip", "bf16")),
    Input("utilisation", "", "The share of it that training reaches.", Row("rates", "training_utilisation"),
          most=1.0),
    Input("hardware", "year", "Time in which a dollar comes to buy twice the compute.",
          Row("rates", "hardware_doubling")),
    Input("algorithms", "month", "Time in which algorithms double what training compute is worth.",
          Row("rates", "algorithmic_doubling")),
    Input("inference", "month", "Time in which technique doubles what inference compute is worth.", "4..24",
          why="unmeasured by itself; taken to be near that of training"),
    Input("weight", "", "Decades of training that a decade of inference is worth.", Row("rates",
          "exchange_weight"),
          positive=False),
    Input("span", "", "Decades of training that inference can replace at most.", Row("rates",
          "exchange_span"),
          positive=False),
    Input("slope", "", "How a test's score rises: logits a decade of training.", "1..4",
          why="depends on the test; laws of a ladder tell it for one"),
    Input("secrecy", "times", "How much longer secrecy makes every lag.", "1", why="a choice, not a fact"),
    Input("published", "year", "Years from now at which the technique of inference is published, where it "
          "is.", "0.5",
          positive=False, least=0.0, why="a choice, not a fact"),
    Input("released", "year", "How far released weights are behind the best, where they are released.",
          Row("rates", "open_lag")),
)  # fmt: skip

CALCULATOR = Calculator(
    name="diffuse",
    title="When each actor reaches a capability, and what each reaches at a date",
    inputs=_INPUTS,
    outputs=_outputs,
    compute=_compute,
    choices=(
        Choice("chip", "The chip that trains.", "h100-sxm", table="chips"),
        Choice(
            "technique", "Whether the technique of inference is published.", "secret", options=_TECHNIQUES
        ),
        Choice(
            "weights", "Whether the best models' weights are released, later.", "closed", options=_WEIGHTS
        ),
    ),
    groups=(
        Group(
            "actors",
            "Who trains and answers. Lags are behind the leader, whose own are 0.",
            _ACTOR,
            {
                "leader": {
                    "budget": "5e8..2e9",
                    "growth": Row("rates", "budget_growth"),
                    "lag": "0",
                    "late": "0",
                    "answer": "100..1000",
                },
                "follower": {
                    "budget": "5e7..2e8",
                    "growth": Row("rates", "budget_growth"),
                    "lag": "0.3..1",
                    "late": "0.5..2",
                    "answer": "10..100",
                },
                "poorer": {
                    "budget": "5e6..2e7",
                    "growth": "1.2..2",
                    "lag": "0.5..2",
                    "late": "1..4",
                    "answer": "3..30",
                },
                "small": {
                    "budget": "5e4..2e5",
                    "growth": "1..1.5",
                    "lag": "0.5..2",
                    "late": "1..4",
                    "answer": "1..10",
                },
            },
        ),
    ),
    tables=_tables,
    notes=_notes,
    law=gain_of_inference,
)
