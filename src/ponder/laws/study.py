"""What a ladder's recordings tell of training and inference, put together for one task and one strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from ponder.errors import InputError, LawUndefined
from ponder.laws.compute import Ahead
from ponder.laws.contours import MeasuredContour, measured_contours
from ponder.laws.exchange import Exchange, Level, Split, best_split, exchange
from ponder.laws.fit import Fit, fit, stated
from ponder.laws.grid import Grid, Strategy
from ponder.laws.interaction import Gains, ProductForm, interaction, product_form, without_each_size
from ponder.laws.joint import JointLaw, law_of
from ponder.laws.ladder import Ladder, grid_of
from ponder.laws.upward import Choice, choose, forecast_up
from ponder.laws.worth import Frontier, Worth, worth
from ponder.measure.intervals import Estimate
from ponder.train.recorded import Recorded

__all__ = [
    "ENHANCEMENTS",
    "Enhancement",
    "ExchangeStudy",
    "WorthStudy",
    "study_exchange",
    "study_worth",
]

Enhancement = Literal["vote", "pass", "curated", "further"]

ENHANCEMENTS: dict[Enhancement, str] = {
    "vote": "a vote of many samples",
    "pass": "any of many samples right (an oracle bound)",
    "curated": "training texts that were chosen",
    "further": "training after pretraining",
}

_QUERIES = (1e2, 1e4, 1e6, 1e8)


@dataclass(frozen=True)
class ExchangeStudy:
    """The joint law of one task under one strategy, and what follows. `choice` says whether it has a ceiling,
    and why; `without` has the law's parameters when each size is left out;
    `in_flop` and `product` are the law in FLOP and the test of the product form. `forecast` is that of the
    form which the checkpoints of less training choose, None where nothing could be held back. `measured` has
    the contour of each level of `exchange` by the checkpoints alone."""

    task: str
    strategy: Strategy
    grid: Grid
    choice: Choice
    law: Fit
    in_flop: Fit
    forecast: Ahead | None
    exchange: Exchange
    measured: tuple[MeasuredContour, ...]
    splits: tuple[Split, ...]
    gains: tuple[Gains, ...]
    without: Mapping[float, Mapping[str, Estimate] | None]
    product: ProductForm

    @property
    def word(self) -> Literal["law", "trend"]:
        """What the fit may be called: a law only when a forecast has passed."""
        return "trend" if self.forecast is None else self.forecast.word

    @property
    def interaction_without(self) -> dict[float, Estimate | None]:
        """The coefficient of the interaction when each size is left out."""
        name = list(self.law.parameters)[4]
        return {size: None if each is None else each[name] for size, each in self.without.items()}

    @property
    def ceiling_is_bound(self) -> bool:
        """Whether the fitted ceiling is the lowest that was tried."""
        bound = law_of(self.law).least_ceiling(self.grid)
        return self.choice.fitted and self.law.parameters["ceiling"].value <= bound * (1.0 + 1e-9)

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not known is None."""
        return {
            "task": self.task,
            "strategy": self.strategy,
            "problems": len(self.grid.values),
            "models": list(self.grid.models),
            "amounts": [float(each) for each in self.grid.amounts],
            "unit": self.grid.unit,
            "word": self.word,
            "forecast": None if self.forecast is None else asdict(self.forecast),
            "ceiling": {**self.choice.to_json(), "is_bound": self.ceiling_is_bound},
            "law": _parameters(self.law.parameters),
            "law_in_flop": _parameters(self.in_flop.parameters),
            "levels": [
                _level_json(each, measured)
                for each, measured in zip(self.exchange.levels, self.measured, strict=True)
            ],
            "own_training_in_amounts": [
                {"size": size, "rate": None if rate is None else asdict(rate)}
                for size, rate in zip(self.exchange.sizes, self.exchange.by_size, strict=True)
            ],
            "cost_error": self.exchange.costs.error,
            "splits": [
                {**asdict(each), "inference_share": stated(each.inference_share)} for each in self.splits
            ],
            "gains": [{**asdict(each), "verdict": each.verdict} for each in self.gains],
            "without_size": [
                {"size": size, "law": None if each is None else _parameters(each)}
                for size, each in self.without.items()
            ],
            "product_form": asdict(self.product),
        }


@dataclass(frozen=True)
class WorthStudy:
    """What an enhancement is worth on one task, model by model. `breadth` says of each model whether the task
    is the one that it was trained further on ("narrow") or another ("broad"); None where no such training
    was."""

    task: str
    enhancement: Enhancement
    amount: int
    problems: int
    rows: tuple[Worth, ...]
    breadth: tuple[str | None, ...]
    frontier: Frontier

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not known is None."""
        frontier = self.frontier
        return {
            "task": self.task,
            "enhancement": self.enhancement,
            "samples": self.amount,
            "problems": self.problems,
            "models": [
                {**asdict(row), "breadth": breadth}
                for row, breadth in zip(self.rows, self.breadth, strict=True)
            ],
            "frontier": [
                {"model": name, "training_flop": float(compute), "score": float(score)}
                for name, compute, score in zip(
                    frontier.models, frontier.compute, frontier.scores, strict=True
                )
            ],
        }


def study_exchange(
    ladder: Ladder,
    task: str,
    strategy: Strategy,
    *,
    most: int | None = None,
    accuracies: Sequence[float] = (),
    budget: float | None = None,
    queries: Sequence[float] = (),
    draws: int = 1000,
) -> ExchangeStudy:
    """Everything about the exchange on one task. `budget` FLOP are split for each number of queries; by
    default as many as the most trained checkpoint took, and 1e2 to 1e8 queries, those that it can pay for.

    Raises LawUndefined where the ladder does not bear the law, InputError for settings that cannot be.
    """
    grid = grid_of(ladder.pretrained(task), strategy, most=most)
    choice = choose(grid)
    law = fit(grid, choice.law, draws=draws)
    in_flop = fit(grid, JointLaw("flop", ceiling=choice.law.ceiling), draws=draws)
    found = exchange(law, grid, accuracies=accuracies)
    levels = [each.accuracy for each in found.levels]
    return ExchangeStudy(
        task=task,
        strategy=strategy,
        grid=grid,
        choice=choice,
        law=law,
        in_flop=in_flop,
        forecast=_forecast(grid),
        exchange=found,
        measured=measured_contours(grid, levels, draws=draws, level=law.level),
        splits=_splits(law, grid, budget, queries),
        gains=interaction(law, grid),
        without=without_each_size(grid, choice.law, draws=max(100, draws // 10)),
        product=product_form(in_flop),
    )


def _forecast(grid: Grid) -> Ahead | None:
    """None where the checkpoints of less training do not bear the law."""
    try:
        return forecast_up(grid)
    except LawUndefined:
        return None


def study_worth(
    ladder: Ladder, task: str, enhancement: Enhancement, *, samples: int | None = None, draws: int = 1000
) -> WorthStudy:
    """What an enhancement is worth on one task: of a strategy at `samples` (default: all that were drawn), or
    of other training at one sample. Raises LawUndefined, UnknownName."""
    plain = ladder.pretrained(task)
    others: tuple[Recorded, ...] = ()
    if enhancement == "curated":
        others = ladder.pretrained(task, recipe="curated")
    elif enhancement == "further":
        others = ladder.trained_further(task)
        if not others:
            raise LawUndefined(
                f"models: {ladder.folder} has no checkpoint of {task} that was trained further."
            )
    if others and samples is not None:
        raise InputError("samples: training is compared at one sample; leave --samples out.")
    most = 1 if others else samples
    strategy: Strategy = "pass" if enhancement == "pass" or others else "vote"
    grid = grid_of([*plain, *others], strategy, most=most, ends=True)
    if not others and len(grid.amounts) < 2:
        raise InputError(f"samples: {_too_few(strategy, most)}.")
    of_plain = np.arange(len(grid.models)) < len(plain)
    rows, frontier = worth(grid, plain=of_plain, enhanced=~of_plain if others else of_plain, draws=draws)
    return WorthStudy(
        task=task,
        enhancement=enhancement,
        amount=int(grid.amounts[-1]),
        problems=len(grid.values),
        rows=rows,
        breadth=tuple(_breadth(each) for each in sorted(others or plain, key=_training_flop)),
        frontier=frontier,
    )


def _too_few(strategy: Strategy, most: int | None) -> str:
    if most is None:
        return "the recordings have too few draws; record more"
    if strategy == "vote" and most == 2:
        return "a vote of two is as good as one sample; give at least 3"
    return "one sample is the plain answer itself; give at least 2"


def _training_flop(recorded: Recorded) -> float:
    """In the order of which a worth is told."""
    return recorded.training_flop or 0.0


def _breadth(recorded: Recorded) -> str | None:
    trained = ((recorded.about.get("training") or {}).get("rl") or {}).get("task")
    if trained is None:
        return None
    return "narrow" if trained == recorded.task else "broad"


def _splits(law: Fit, grid: Grid, budget: float | None, queries: Sequence[float]) -> tuple[Split, ...]:
    """Those that the budget pays for; all must be paid for where the queries are given."""
    spend = float(grid.training_flop.max()) if budget is None else budget
    found = []
    for each in queries or _QUERIES:
        try:
            found.append(best_split(law, grid, budget=spend, queries=each))
        except LawUndefined:
            if queries:
                raise
    return tuple(found)


def _parameters(found: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: stated(each) for name, each in found.items()}


def _level_json(level: Level, measured: MeasuredContour) -> dict[str, Any]:
    return {
        "accuracy": level.accuracy,
        "rate": None if level.rate is None else asdict(level.rate),
        "training_span": level.training_span,
        "inference_span": level.inference_span,
        "contour": [
            {
                "training_flop": float(x),
                "inference_flop": float(y),
                "low": _or_none(low),
                "high": _or_none(high),
                "size": float(size),
            }
            for x, y, low, high, size in zip(
                level.training, level.inference, level.low, level.high, level.size, strict=True
            )
            if np.isfinite(y)
        ],
        "measured": {
            "rate": None if measured.rate is None else asdict(measured.rate),
            "without_one": measured.without_one,
            "training_span": measured.spans[0],
            "inference_span": measured.spans[1],
            "contour": [
                {"model": name, "training_flop": float(x), "inference_flop": float(y)}
                for name, x, y in zip(measured.models, measured.training, measured.inference, strict=True)
            ],
        },
    }


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
