"""Fit a law, named or given, to whatever holds its data: a bank, a recording, a curve, or data of laws."""

from __future__ import annotations

from typing import Any

from ponder.bank import TaskBank
from ponder.errors import InputError, UnknownName
from ponder.laws.compute import ComputeSigmoid
from ponder.laws.coverage import COVERAGE_LAWS
from ponder.laws.data import Counts, Scores
from ponder.laws.fit import Data, Fit, Law
from ponder.laws.fit import fit as fit_data
from ponder.laws.grid import Grid
from ponder.laws.joint import JointLaw
from ponder.laws.voting import VOTING_LAWS
from ponder.measure.bank import Bank
from ponder.measure.curve import Curve
from ponder.measure.stored import StoredBank
from ponder.train.recorded import Recorded

__all__ = ["LAWS", "Source", "data_of", "fit", "law_named"]

Source = Data | Bank | StoredBank | TaskBank | Recorded | Curve

_COUNTED = (*COVERAGE_LAWS, *VOTING_LAWS)

LAWS: dict[str, Law[Any]] = {
    **{law.name: law for law in _COUNTED},
    "vote": VOTING_LAWS[0],
    "sigmoid": ComputeSigmoid(),
    "joint law in samples": JointLaw("samples"),
    "joint law in flop": JointLaw("flop"),
}
"""Laws by name. "vote" is short for "vote as drawn"."""

_KINDS: dict[type[Any], str] = {
    Counts: "counts of right draws: a bank, a recording, or Counts",
    Scores: "scores against compute: a measured curve, or Scores",
    Grid: "a family at several amounts of inference: a Grid",
}


def law_named(name: str) -> Law[Any]:
    """Raises UnknownName, which tells the names."""
    if name not in LAWS:
        raise UnknownName("law", name, LAWS)
    return LAWS[name]


def data_of(source: Source) -> Data:
    """What laws are fitted to: counts of a bank or a recording, scores of a curve, and data of laws as they
    are. Raises InputError for anything else."""
    if isinstance(source, Curve):
        return Scores.from_curve(source)
    if isinstance(source, Recorded):
        return Counts.from_recorded(source)
    if isinstance(source, TaskBank):
        return Counts.from_drawn(source)
    if isinstance(source, Bank | StoredBank):
        return Counts.from_bank(source, source.questions[0].task)
    if not hasattr(source, "units"):
        raise InputError(
            f"data: a law is fitted to a bank, a recording, or a measured curve, not {type(source).__name__}."
        )
    return source


def fit(source: Source, law: Law[Any] | str, *, draws: int = 1000, level: float = 0.9, seed: int = 0) -> Fit:
    """Fit a law to a curve or a bank, with `draws` refits to resampled problems for its intervals.

    `source` is a bank (in memory, read from the ledger, imported), a recording, a curve of a measurement, or
    `Counts`, `Scores` or a `Grid`. `law` is a law or the name of one: those of coverage and of votes are
    fitted to banks and recordings, "sigmoid" (a bounded sigmoid of log compute) to curves.

    Raises UnknownName, InputError for data of another kind than the law is of, and LawUndefined for data that
    do not bear it.
    """
    chosen = law_named(law) if isinstance(law, str) else law
    data = data_of(source)
    wanted = _kind_of(chosen)
    if wanted is not None and not isinstance(data, wanted):
        raise InputError(
            f"data: {chosen.name} is fitted to {_KINDS[wanted]}; not to {type(source).__name__}."
        )
    return fit_data(data, chosen, draws=draws, level=level, seed=seed)


def _kind_of(law: Law[Any]) -> type[Any] | None:
    """None for a law of somebody else's."""
    if isinstance(law, ComputeSigmoid):
        return Scores
    if isinstance(law, JointLaw):
        return Grid
    return Counts if isinstance(law, tuple(type(each) for each in _COUNTED)) else None
