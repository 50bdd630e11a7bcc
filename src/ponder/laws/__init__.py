"""How accuracy grows with samples and compute: laws fitted to recorded draws, intervals, forecasts.

from ponder.laws import counts_of, fit
(counts,) = counts_of("recording.jsonl.xz")
fitted = fit(counts, "beta-binomial")
fitted.parameters, fitted.predict([1000]), fitted.draws
"""

from __future__ import annotations

from ponder.laws.data import Ballot, Counts, Scores
from ponder.laws.fit import Data, Fit, Law, Prediction
from ponder.laws.grid import Grid
from ponder.laws.named import LAWS, fit
from ponder.laws.sources import counts_of
from ponder.laws.verified import BestOf, Verified

__all__ = [
    "LAWS",
    "Ballot",
    "BestOf",
    "Counts",
    "Data",
    "Fit",
    "Grid",
    "Law",
    "Prediction",
    "Scores",
    "Verified",
    "counts_of",
    "fit",
]
