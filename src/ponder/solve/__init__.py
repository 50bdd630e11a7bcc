"""The only driver: it runs a strategy on a question inside a budget."""

from ponder.solve.driver import Limits, Solution, Solver, solve, stream_of
from ponder.solve.meter import Charge, Meter, worst_case

__all__ = ["Charge", "Limits", "Meter", "Solution", "Solver", "solve", "stream_of", "worst_case"]
