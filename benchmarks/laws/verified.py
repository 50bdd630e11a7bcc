"""Best-of-N on the embedded model's bank, by scorers that know no key: what their ROC curves foretell, tried
on draws held back and read far past the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
from benchmarks.laws.draws import fitted_to, looked_until
from benchmarks.laws.figures import LEVEL, Result, difference, share
from benchmarks.laws.sources import MODEL
from benchmarks.peers.bank import Banked, by_task
from benchmarks.peers.bank import load as load_bank
from benchmarks.peers.table import grading
from numpy.typing import NDArray

from ponder.core import Sample
from ponder.errors import LawUndefined
from ponder.laws import BestOf, Verified, fit
from ponder.laws.compare import forecasts
from ponder.laws.fit import Fit, interval
from ponder.laws.verified import best_at

__all__ = ["SCORERS", "curve_under", "verified", "within"]

Floats = NDArray[np.float64]
LEVELS = 16
_EVEN = 0.5

SCORERS: dict[str, Callable[[Sample], float]] = {
    "likelihood": lambda sample: _logprob(sample),
    "confidence": lambda sample: _logprob(sample) / max(sample.tokens or 0, 1),
}
"""The sum of a sample's log-probabilities, and their mean."""


def verified(problems: Sequence[Banked] | None = None, *, draws: int) -> Result:
    """Each scorer on each task."""
    right = grading()
    rows = []
    for task, own in by_task(load_bank() if problems is None else problems).items():
        correct = np.array([[right(each, sample.text) for sample in each.samples] for each in own], np.bool_)
        for scorer, score in SCORERS.items():
            scores = np.array([[_scored(score, sample) for sample in each.samples] for each in own])
            data = Verified.from_scores(f"{MODEL} on {task} by {scorer}", scores, correct, levels=LEVELS)
            head = {"task": task, "scorer": scorer, "problems": len(own), "draws": data.least}
            rows.append(head | _row(data, draws))
    return {"model": MODEL, "levels": LEVELS, "rows": rows}


def _logprob(sample: Sample) -> float:
    assert sample.logprob is not None
    return sample.logprob


def _scored(score: Callable[[Sample], float], sample: Sample) -> float:
    """A sample without an answer cannot be picked."""
    return float("nan") if sample.choice is None else score(sample)


def _row(data: Verified, draws: int) -> Result:
    seen = best_at(data, np.array([1, data.least]))
    told: Result = {
        "one": share(seen[:, 0]),
        "best": share(seen[:, 1]),
        "change": difference(seen[:, 1], seen[:, 0]),
    }
    try:
        law = BestOf(data.right.shape[1])
        (tried,) = forecasts(data, [law], seen=best_at, fit_to=fitted_to(data), draws=draws)
        found = fit(data, law, draws=draws)
    except LawUndefined as error:
        return told | {"undefined": str(error)}
    peak = found.peak(looked_until(data))
    far = found.predict([peak.most])
    return told | {
        "area": _area(found, len(data.right)),
        "area_within": share(within(data)),
        "misled": share((within(data) < _EVEN).astype(np.float64)),
        "fitted_to": tried.fitted_to,
        "samples": tried.samples,
        "predicted": asdict(tried.predicted),
        "seen": asdict(tried.seen),
        "difference": asdict(tried.difference),
        "relative_error": tried.error,
        "word": tried.word,
        "far": {name: float(getattr(far, name)[0]) for name in ("value", "low", "high")},
        "looked_until": peak.most,
        "highest_at": asdict(peak.x),
        "falls": peak.falls,
    }


def _area(found: Fit, problems: int) -> Result:
    """Under the ROC curve: the chance that a right sample scores above a wrong one, of the same problem or of
    another; a tie counts half."""
    value = curve_under(found.value[None, 2:])
    low, high = interval(value, curve_under(found.draws[:, 2:])[:, None], level=LEVEL, problems=problems)
    return {"value": float(value[0]), "low": float(low[0]), "high": float(high[0])}


def within(data: Verified) -> Floats:
    """The same chance for two samples of one problem, of each problem that has right and wrong ones."""
    both = (data.right.sum(axis=1) > 0) & (data.wrong.sum(axis=1) > 0)
    spread = [each[both] / each[both].sum(axis=1, keepdims=True) for each in (data.right, data.wrong)]
    return curve_under(np.concatenate(spread, axis=1))


def curve_under(spread: Floats) -> Floats:
    """[B, 2J], the chances of the levels for right samples and for wrong ones -> [B]."""
    right, wrong = np.split(spread, 2, axis=1)
    below = np.cumsum(wrong, axis=1) - wrong
    out: Floats = (right * (below + wrong / 2.0)).sum(axis=1)
    return out
