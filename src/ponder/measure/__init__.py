"""Experiments over many problems: one bank of samples, every policy evaluated on it."""

from ponder.measure.curve import Curve, Example, Gain, Measurement, Point, TaskResult, Timing
from ponder.measure.run import Progress, finished, measure, run_id
from ponder.measure.spec import DEFAULT_STRATEGIES, Spec, roles_of

__all__ = [
    "DEFAULT_STRATEGIES",
    "Curve",
    "Example",
    "Gain",
    "Measurement",
    "Point",
    "Progress",
    "Spec",
    "TaskResult",
    "Timing",
    "finished",
    "measure",
    "roles_of",
    "run_id",
]
