"""Anyone's Hugging Face run, booked as a stage from the `trainer_state.json` that its Trainer wrote.

`total_flos` there is 6 · parameters · positions, the embedding left out of the parameters and the padding
left in the positions (transformers, `Trainer.floating_point_ops`). A trainer that does not count writes 0,
as TRL's for GRPO does: that is unknown, not 0. The file is anybody's: each value used is checked.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.errors import InputError, UnknownName
from ponder.flop import training_flop
from ponder.ledger import Ledger, RunRecorder, StageRow
from ponder.measure.spec import check_run_name

__all__ = ["ImportedRun", "book", "read_trainer_state"]

_LARGEST_BYTES = 64 * 2**20
# Far above anything ever computed, and low enough for sums to stay finite.
_MOST = {"total_flos": 1e40, "parameters": 1e18, "train_runtime": 1e12}
_MOST_COUNT = 2**62

_AS_COUNTED = (
    "total_flos is 6 x parameters x positions: padding is counted, attention and the embedding are not, and "
    "frozen parameters count as if they learned."
)
_BY_TOKENS = (
    "The FLOP are 6 x parameters x tokens seen, for learning once from each: generation, scoring by a "
    "reference model, attention and padding are not in them."
)
_UNKNOWN = (
    "The file has no total_flos (TRL's GRPO writes 0), so the FLOP are unknown; with --parameters they are "
    "6 x parameters x tokens, if the file tells the tokens."
)
_UNKNOWN_TOKENS = "The file has neither total_flos nor tokens seen, so the FLOP are unknown."


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """What a trainer_state.json tells. Unknown is None.

    `tokens` are those that the trainer says it saw; `padded_tokens` the positions that `total_flos` and the
    number of parameters imply; `caveat` says in words what the FLOP leave out.
    """

    model: str
    sha256: str
    parameters: float | None
    flop: float | None
    flop_method: str | None
    tokens: int | None
    padded_tokens: int | None
    seconds: float | None
    steps: int
    epoch: float | None
    loss: float | None
    caveat: str


def read_trainer_state(
    path: Path, *, parameters: float | None = None, model: str | None = None
) -> ImportedRun:
    """Read and check a trainer_state.json.

    `parameters` are the model's without its embedding; `model` names it (default: the file's folder).
    Raises InputError that names the field.
    """
    if parameters is not None and not 0 < parameters < _MOST["parameters"]:
        raise InputError(f"parameters: it must be a positive number of weights, not {parameters:g}.")
    text = _bytes(path)
    state = _mapping(path, text)
    steps = _count("global_step", state.get("global_step"))
    if steps is None:
        raise InputError(
            f"file: {path.name} has no global_step; give the trainer_state.json of a run that made a step."
        )
    history, flop = _history(state.get("log_history")), _number("total_flos", state.get("total_flos"))
    tokens = _count("num_input_tokens_seen", state.get("num_input_tokens_seen"))
    if tokens is None:
        tokens = _count("num_tokens", _last(history, "num_tokens"))
    padded, method, caveat = None, "total_flos", _AS_COUNTED
    if flop is not None and parameters is not None:
        padded = round(flop / (6 * parameters))
    elif flop is None and parameters is not None and tokens is not None:
        flop, method, caveat = training_flop(parameters, tokens), "6ND", _BY_TOKENS
    elif flop is None:
        caveat = _UNKNOWN if parameters is None else _UNKNOWN_TOKENS
    return ImportedRun(
        model=model or path.absolute().parent.name or "imported",
        sha256=hashlib.sha256(text).hexdigest(),
        parameters=parameters,
        flop=flop,
        flop_method=None if flop is None else method,
        tokens=tokens,
        padded_tokens=padded if padded is None or padded < _MOST_COUNT else None,
        seconds=_number("train_runtime", _last(history, "train_runtime")),
        steps=steps,
        epoch=_finite(state.get("epoch")),
        loss=_finite(_last(history, "loss", "train_loss")),
        caveat=caveat,
    )


def book(ledger: Ledger, imported: ImportedRun, *, run: str | None = None) -> tuple[StageRow, bool]:
    """Book an imported run as a stage of the training run `run` (default: a run of its own, named after the
    file's hash), which is made where it is not there. The stage, and whether it is new.

    A file that the run holds already is not booked twice. Raises InputError for a run of another kind, or
    one that holds the file with another number of parameters.
    """
    name = check_run_name(run) if run is not None else f"import-{imported.sha256[:12]}"
    try:
        config = ledger.config(name)
    except UnknownName:
        recorder = ledger.run(name, {"kind": "train", "method": "import"})
        stage = _stage(recorder, imported)
        recorder.event("finished")
        return stage, True
    if config.get("kind") != "train":
        raise InputError(f"run: {name} is not a training run; choose another name with --run.")
    for row in ledger.stages(name):
        if row.detail.get("sha256") == imported.sha256:
            if row.detail.get("parameters") != imported.parameters:
                raise InputError(
                    f"run: {name} holds this file with other --parameters; choose another name with --run."
                )
            return row, False
    return _stage(RunRecorder(ledger, name, {}), imported), True


def _stage(recorder: RunRecorder, imported: ImportedRun) -> StageRow:
    return recorder.stage(
        "imported",
        model=imported.model,
        tokens=imported.tokens,
        padded_tokens=imported.padded_tokens,
        flop=imported.flop,
        flop_method=imported.flop_method,
        seconds=imported.seconds,
        device=None,
        started=None,
        detail={
            "sha256": imported.sha256,
            "parameters": imported.parameters,
            "steps": imported.steps,
            "epoch": imported.epoch,
            "loss": imported.loss,
            "caveat": imported.caveat,
        },
    )


# ---------------------------------------------------------------- untrusted values


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"file: {path} is no file; give the trainer_state.json of a run.")
    with path.open("rb") as file:
        text = file.read(_LARGEST_BYTES + 1)
    if len(text) > _LARGEST_BYTES:
        limit = _LARGEST_BYTES // 2**20
        raise InputError(f"file: {path.name} is larger than {limit} MiB; leave its log_history out.")
    return text


def _mapping(path: Path, text: bytes) -> Mapping[str, Any]:
    try:
        state = json.loads(text)
    except RecursionError:
        raise InputError(f"file: {path.name} is nested too deeply to be a trainer_state.json.") from None
    except ValueError as error:
        why = str(error)[:80].rstrip(".")
        raise InputError(f"file: {path.name} is not JSON ({why}); give a run's trainer_state.json.") from None
    if not isinstance(state, dict):
        raise InputError(f"file: {path.name} is no JSON object; give the trainer_state.json of a run.")
    return state


def _history(value: Any) -> Sequence[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InputError("log_history: it must be a list of objects; give the file as the trainer wrote it.")
    return value


def _last(history: Sequence[Mapping[str, Any]], *names: str) -> Any:
    for entry in reversed(history):
        for name in names:
            if name in entry:
                return entry[name]
    return None


def _finite(value: Any) -> float | None:
    """A figure that is only shown: the number, or unknown for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST["total_flos"]:
        return None
    return float(value)


def _number(field: str, value: Any) -> float | None:
    """A positive number below a bound, None for nothing and for 0. Raises InputError."""
    if value is None:
        return None
    most = _MOST.get(field, float(_MOST_COUNT))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < most:
        shown = repr(value)[:40] if isinstance(value, int | float | str) else f"a {type(value).__name__}"
        raise InputError(f"{field}: it must be a number from 0 to {most:.0e}, not {shown}; correct the file.")
    return float(value) or None


def _count(field: str, value: Any) -> int | None:
    number = _number(field, value)
    if number is None:
        return None
    if number != math.floor(number):
        raise InputError(f"{field}: it must be a whole number, not {number!r}; correct the file.")
    return int(value)
