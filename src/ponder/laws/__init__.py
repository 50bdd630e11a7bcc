"""How accuracy grows with samples and compute: laws fitted to recorded draws, intervals, forecasts."""

from __future__ import annotations

from ponder.laws.data import Ballot, Counts, Family, Member, Scores
from ponder.laws.fit import Data, Fit, Law, Prediction, fit

__all__ = ["Ballot", "Counts", "Data", "Family", "Fit", "Law", "Member", "Prediction", "Scores", "fit"]
