"""What laws are fitted to, by name: a run on the ledger, measured or imported, or a recording's file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ponder import bank
from ponder.config import load as settings
from ponder.errors import InputError
from ponder.laws.data import Counts, Unit
from ponder.laws.spending import Way, ways_of_recording, ways_of_run
from ponder.ledger import Ledger
from ponder.measure import finished, run_id
from ponder.train.recorded import Recorded, is_recording, load

__all__ = ["counts_of", "ways_of"]


def counts_of(run: str | Path, ledger: str | None = None, tasks: Sequence[str] = ()) -> tuple[Counts, ...]:
    """One for each task. `run` is a recording's file, or the name of a run on `ledger` ("latest": the last
    finished measurement; without `ledger`: that of the settings); `tasks` names some of its tasks.

    Raises InputError for a file that is no recording, UnknownName for a run or task that is not there,
    LawUndefined for a run without grades.
    """
    recorded = _recording(run, tasks)
    if recorded is not None:
        return (Counts.from_recorded(recorded),)
    with _opened(ledger) as store:
        return tuple(Counts.from_drawn(each) for each in bank.scan(store, run_id(store, str(run)), tasks))


def ways_of(
    runs: Sequence[str], ledger: str | None = None, tasks: Sequence[str] = (), *, unit: Unit | None = None
) -> tuple[Way, ...]:
    """The ways to spend compute of recordings and of finished runs; where there are several, their names
    begin with the model's or the run's.

    Raises as `counts_of` does, InputError for a run that is not finished and for another unit than FLOP of a
    recording.
    """
    found: list[Way] = []
    for run in runs:
        recorded = _recording(run, tasks)
        if recorded is not None:
            if unit not in (None, "FLOP"):
                raise InputError(f"unit: a recording is told in FLOP, not in {unit}; leave --unit out.")
            found += ways_of_recording(recorded, prefix=f"{recorded.name} " if len(runs) > 1 else "")
            continue
        with _opened(ledger) as store:
            name = run_id(store, run)
            measurement = finished(store, name)
        prefix = f"{name} " if len(runs) > 1 else ""
        found += ways_of_run(measurement, tasks, unit=unit, prefix=prefix, first=len(found))
    return tuple(found)


def _opened(ledger: str | None) -> Ledger:
    return Ledger.open(settings({"ledger": ledger}).ledger, write=False)


def _recording(run: str | Path, tasks: Sequence[str]) -> Recorded | None:
    """None for what is no file."""
    path = Path(run)
    if not str(run).strip():
        raise InputError("run: its name is empty; give a run from `ponder runs`, or a recording's file.")
    if path.is_dir():
        raise InputError(
            f"run: {path} is a folder; give a file of it, or the folder to `ponder law exchange` or `worth`."
        )
    if not path.is_file():
        if path.suffix == ".xz" or path.is_absolute() or len(path.parts) > 1:
            raise InputError(f"run: there is no file {path}; give a recording, or a run from `ponder runs`.")
        return None
    if not is_recording(path):
        raise InputError(f"run: {path} is no recording; samples are read by `ponder bank import {path}`.")
    recorded = load(path)
    if tasks and recorded.task not in tasks:
        raise InputError(f"task: {path} holds {recorded.task} alone; leave --task out.")
    return recorded
