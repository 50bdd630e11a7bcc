"""A lifecycle from what was booked: a run on the ledger, a checkpoint's own record, a trainer_state.json."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ponder.errors import CheckpointInvalid, InputError, UnknownName
from ponder.govern.accounting.reading import Devices
from ponder.govern.accounting.stages import KINDS, Estimate, Lifecycle, Stage, by_hardware, total
from ponder.ledger import Ledger, StageRow
from ponder.train.imported import read_trainer_state
from ponder.train.models import TRAINING, read_training
from ponder.train.stages import training_run

__all__ = ["from_checkpoint", "from_run", "from_trainer_state", "is_trained_folder"]

_REPEATED = "repeated"
_NOTICEABLE = 0.05
_LEARNS = ("pretrain", "sft", "rl_update", "imported")


def from_run(name: str, ledger: str, models: Sequence[str] = (), devices: Devices | None = None) -> Lifecycle:
    """The stages of a training run ("latest": the last one), summed by kind and part; of `models` alone,
    where they are named. What a crash made to be done twice is a failed stage: it is in no model. By the
    chips' hours they are the seconds of each piece on its device, where `devices` tells what that could do.

    Raises UnknownName for a run or a model that is not there, InputError for a run without a stage.
    """
    with Ledger.open(ledger, write=False) as store:
        run = training_run(store, name)
        rows = store.stages(run)
    if not rows:
        raise InputError(f"run: {run} has no training stages; `ponder runs` lists what there is.")
    there = list(dict.fromkeys(row.model for row in rows))
    for model in models:
        if model not in there:
            raise UnknownName("model", model, there, f"It must be one that {run} ran.")
    kept = [row for row in rows if not models or row.model in models]
    return Lifecycle(
        model=models[0] if len(models) == 1 else run,
        stages=tuple(_summed(run, f"run {run}", kept, devices)),
        notes=(*_several(run, kept), *_unknown_peaks(kept, devices)),
    )


def _unknown_peaks(rows: Iterable[StageRow], devices: Devices | None) -> tuple[str, ...]:
    if devices is None:
        return ()
    found = {row.device for row in rows}
    unknown = sorted(each or "a device not told" for each in found if devices.flop_per_second(each) is None)
    if not unknown:
        return ()
    return (
        f"The chips' hours on {', '.join(unknown[:3])} are not counted: what it can do is unknown. Give "
        "--peak, that of one chip or core, and --utilisation.",
    )


def _several(run: str, rows: Iterable[StageRow]) -> tuple[str, ...]:
    learnt = list(dict.fromkeys(row.model for row in rows if row.stage in _LEARNS))
    if len(learnt) < 2:
        return ()
    shown = ", ".join(learnt[:3]) + (", ..." if len(learnt) > 3 else "")
    return (
        f"{run} trained {len(learnt)} models ({shown}), and this is the sum over all. For one of them name "
        "it with --of, or give its checkpoint's folder.",
    )


def _summed(run: str, origin: str, rows: Iterable[StageRow], devices: Devices | None) -> Iterable[Stage]:
    groups: dict[tuple[str, str], list[StageRow]] = {}
    for row in rows:
        lost = _REPEATED in (row.part or "")
        name = f"{row.stage}, {row.part}" if row.part else row.stage
        groups.setdefault(("failed" if lost else row.stage, name), []).append(row)
    for (kind, name), group in groups.items():
        flop = [(row.flop, row.flop_counted) for row in group]
        yield _by_chips(_booked(kind, f"{run}: {name}", origin, flop), group, devices)


def _by_chips(stage: Stage, rows: Sequence[StageRow], devices: Devices | None) -> Stage:
    """With what its devices could have done, and did; as it is where that is unknown of a piece."""
    possible = None if devices is None else _possible(rows, devices)
    if devices is None or possible is None:
        return stage
    utilisation = devices.reached()
    hours = math.fsum(row.seconds or 0.0 for row in rows) / 3600.0
    where = ", ".join(sorted({str(row.device) for row in rows}))
    note = (
        f"the chips' hours are the ledger's, {hours:.3g} on {where}; small models and batches leave chips "
        "idle, of which a utilisation of larger runs knows nothing"
    )
    return replace(
        stage,
        hardware=by_hardware(possible, Estimate.point(1.0), utilisation),
        possible=possible,
        utilisation=utilisation,
        notes=(*stage.notes, note),
    )


def _possible(rows: Sequence[StageRow], devices: Devices) -> Estimate | None:
    """FLOP of all pieces' devices at their peak; None where one's seconds or device are unknown."""
    found = []
    for row in rows:
        peak = devices.flop_per_second(row.device)
        if peak is None or row.seconds is None:
            return None
        found.append(peak * row.seconds)
    return total(found)


def _booked(kind: str, name: str, origin: str, flop: Sequence[tuple[float | None, float | None]]) -> Stage:
    """From each piece's FLOP by formula and by a counter of operations, taken where the first is unknown."""
    known = [first if first is not None else second for first, second in flop]
    told = [each for each in known if each is not None]
    whole = Estimate.point(math.fsum(told)) if len(told) == len(known) else None
    return Stage(kind=kind, name=name, architecture=whole, notes=_counter(flop), origin=origin)


def _counter(flop: Sequence[tuple[float | None, float | None]]) -> tuple[str, ...]:
    """What the operation counter says against the formula, where both tell and they differ."""
    both = [(first, second) for first, second in flop if first and second]
    if len(both) < len(flop):
        return ()
    ratio = math.fsum(second for _, second in both) / math.fsum(first for first, _ in both)
    if abs(ratio - 1.0) < _NOTICEABLE:
        return ()
    return (f"an operation counter found {ratio:.3g} times the formula's FLOP, which are taken",)


def is_trained_folder(path: Path) -> bool:
    """Whether it is a folder that tells how its model was trained."""
    return (path / TRAINING).is_file()


def from_checkpoint(folder: Path) -> Lifecycle:
    """What a checkpoint's own record says went into it, from the first weights on.

    Raises CheckpointInvalid, also for a record without stages.
    """
    training = read_training(folder)
    booked = training.get("stages")
    if not isinstance(booked, list) or not booked or not all(isinstance(each, dict) for each in booked):
        raise CheckpointInvalid(f"checkpoint: {folder} has no record of its stages; give its run.")
    name, stages = str(training.get("name") or folder.name), []
    names = [f"{e.get('stage')}, {e['part']}" if e.get("part") else str(e.get("stage")) for e in booked]
    for place, (each, called) in enumerate(zip(booked, names, strict=True)):
        kind = each.get("stage")
        if not isinstance(kind, str) or kind not in KINDS:
            raise CheckpointInvalid(f"checkpoint: {folder} books an unknown stage, {str(kind)[:60]!r}.")
        again = names[:place].count(called)
        shown = f"{called} ({again + 1})" if names.count(called) > 1 else called
        stages.append(_booked(kind, shown, f"checkpoint {name}", [_flop(folder, each)]))
    return Lifecycle(model=name, stages=tuple(stages))


def _flop(folder: Path, row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    return _figure(folder, row.get("flop")), _figure(folder, row.get("flop_counted"))


def _figure(folder: Path, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e40:
        raise CheckpointInvalid(f"checkpoint: {folder} books {str(value)[:40]!r} as FLOP; correct it.")
    return float(value)


def from_trainer_state(path: Path, *, kind: str = "imported", parameters: float | None = None) -> Stage:
    """A Hugging Face run as a stage. `parameters` are the model's without its embedding.

    Raises InputError that names the field of the file.
    """
    state = read_trainer_state(path, parameters=parameters)
    return Stage(
        kind=kind,
        name=state.model,
        architecture=None if state.flop is None else Estimate.point(state.flop),
        notes=(state.caveat.rstrip("."),),
        origin=f"{path.name} (SHA-256 {state.sha256[:12]})",
    )
