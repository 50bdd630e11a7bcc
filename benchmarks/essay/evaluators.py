"""What an evaluator who may draw n samples, or read k tokens, sees of what 4,096 samples would show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from benchmarks.laws.figures import Result
from numpy.typing import NDArray

from ponder.errors import LawUndefined
from ponder.laws import Counts
from ponder.laws.compare import chosen
from ponder.laws.coverage import COVERAGE_LAWS, pass_at
from ponder.laws.fit import interval, resampling
from ponder.laws.voting import vote_at
from ponder.train.recorded import Recorded, estimated, load

__all__ = ["CHECKPOINTS", "SAMPLES", "chain", "seen_by_samples"]

RECORDED = Path(__file__).parents[1] / "results" / "ladder" / "recorded"
CHECKPOINTS = ("28k-steps-random-0-6", "154k-steps-random-0-4", "154k-steps-random-0-6")
"""The most capable of those that 4,096 replies to each problem are recorded of."""

SEARCH = "154k-search-random-0-6.char-countdown-numbers-4-search-true"
SAMPLES = (1, 4, 16, 64, 256, 1024, 4096)
FITTED = (16, 64, 256, 1024)
"""Samples of each problem that the evaluator's law is fitted to."""

RARE = 0.03
"""The share of replies up to which a problem that is solved at all is rarely solved."""

LIMITS = (16, 32, 64, 128, 256, 512)
_REFITS = 200

Floats = NDArray[np.float64]


def seen_by_samples(name: str) -> Result:
    """Of one checkpoint: by samples the share of problems with a right reply among them (for who can check),
    of all and of those that are rarely solved, and the share that votes get right (for who cannot), each also
    over what 4,096 samples solve; and what a law of few samples foretells of 4,096."""
    recorded = load(RECORDED / f"{name}.char-countdown-numbers-4.jsonl.xz")
    counts = Counts.from_recorded(recorded)
    ks = np.array(SAMPLES)
    passed, voted = pass_at(counts, ks), vote_at(counts, ks)
    assert counts.tokens is not None
    tokens = float(counts.tokens.mean())
    rare = (counts.right > 0) & (counts.right <= RARE * counts.draws)
    tiers = {
        "checked": _estimates(passed),
        "rare": _resampled(passed[rare]),
        "voted": _estimates(voted),
        "checked_share": _over_last(passed),
        "voted_share": _over_last(voted, passed),
    }
    rows: list[Result] = [
        {"samples": k, "tokens": k * tokens, **{name: each[place] for name, each in tiers.items()}}
        for place, k in enumerate(SAMPLES)
    ]
    return {
        "name": recorded.name,
        "problems": len(counts.ids),
        "rare": {"most": RARE, "problems": int(rare.sum())},
        "rows": rows,
        "laws": [_foretold(counts, n, rows[-1]["checked"]) for n in FITTED],
    }


def _estimates(values: Floats) -> list[Result]:
    return [_told(each.value, each.low, each.high) for each in estimated(values)]


def _told(value: float, low: float, high: float) -> Result:
    return {"value": value, "low": low, "high": high}


def _over_last(values: Floats, whole: Floats | None = None) -> list[Result]:
    """The mean of each column of `values` [P, K] over the mean of the last of `whole`, with the interval of
    problems that are resampled for both together."""
    most = (values if whole is None else whole)[:, -1:]
    return _resampled(values, most)


def _resampled(values: Floats, over: Floats | None = None) -> list[Result]:
    """The mean of each column of `values` [P, K], over that of `over` [P, 1] where there is one. No
    pseudo-problem joins: one that is always solved would be none of those that are rarely solved."""
    weights = resampling((len(values),), _REFITS * 5, np.random.default_rng(0))
    ratios = (weights @ values) / (weights @ (np.ones((len(values), 1)) if over is None else over))
    low, high = interval(ratios[0], ratios[1:], level=0.9, problems=len(values))
    return [_told(*map(float, each)) for each in zip(ratios[0], low, high, strict=True)]


def _foretold(counts: Counts, n: int, truth: Result) -> Result:
    """The law that n samples choose among all, by what they foretell of each other, and its word on all;
    whether its interval and the truth's overlap."""
    first, _ = counts.thinned(n, np.random.default_rng(0))
    try:
        fitted, _ = chosen(first, COVERAGE_LAWS, seen=pass_at, draws=_REFITS)
    except LawUndefined as error:
        return {"samples": n, "undefined": str(error)}
    said = fitted.predict([counts.least])
    told = _told(float(said.value[0]), float(said.low[0]), float(said.high[0]))
    return {
        "samples": n,
        "law": fitted.law.name,
        "foretold": told,
        "holds": told["low"] <= truth["high"] and truth["low"] <= told["high"],
    }


def chain(limits: Sequence[int] = LIMITS) -> Result:
    """Of the checkpoint that writes its search out: what one chain gets right that is cut off after so many
    tokens, and where its end may not be seen at all."""
    recorded: Recorded = load(RECORDED / f"{SEARCH}.jsonl.xz")
    right = _estimates(recorded.cut_at(limits))
    rows = [{"tokens": limit, **each} for limit, each in zip(limits, right, strict=True)]
    mean = float(recorded.tokens.mean())
    return {"name": recorded.name, "rows": rows, "whole": _estimates(recorded.passed([1]))[0],
            "mean_tokens": mean}  # fmt: skip
