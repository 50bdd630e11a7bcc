"""How accuracy grows with samples and compute: laws fitted to recorded draws, intervals, forecasts."""

from __future__ import annotations

from ponder.laws.data import Ballot, Counts, Scores
from ponder.laws.fit import Data, Fit, Law, Prediction, fit
from ponder.laws.grid import Grid

__all__ = ["Ballot", "Counts", "Data", "Fit", "Grid", "Law", "Prediction", "Scores", "fit"]
