"""Counts by name: of a run on the ledger, measured or imported, or of a recording's file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ponder import bank
from ponder.errors import InputError
from ponder.laws.data import Counts
from ponder.ledger import Ledger
from ponder.measure import run_id
from ponder.train.recorded import is_recording, load

__all__ = ["counts_of"]


def counts_of(run: str, ledger: str, tasks: Sequence[str] = ()) -> tuple[Counts, ...]:
    """One for each task. `run` is a recording's file, or the name of a run on `ledger` ("latest": the last
    finished measurement); `tasks` names some of its tasks.

    Raises InputError for a file that is no recording, UnknownName for a run or task that is not there,
    LawUndefined for a run without grades.
    """
    path = Path(run)
    if path.is_file():
        if not is_recording(path):
            raise InputError(f"run: {path} is no recording; samples are read by `ponder bank import {path}`.")
        recorded = Counts.from_recorded(load(path))
        if tasks and recorded.task not in tasks:
            raise InputError(f"task: {path} holds {recorded.task} alone; leave --task out.")
        return (recorded,)
    with Ledger.open(ledger, write=False) as store:
        return tuple(Counts.from_drawn(each) for each in bank.load(store, run_id(store, run), tasks))
