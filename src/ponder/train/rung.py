"""Climb one rung: train its trunk to where the branch leaves, anneal the branch, write the checkpoint.

Everything is in files, so that it can be killed at any time and run again: what is done is not done again.
`climb_in_child` takes and returns JSON, for a child process of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ponder._version import __version__
from ponder.errors import CheckpointInvalid, PonderError
from ponder.train import state as states
from ponder.train.ladder_plan import Rung
from ponder.train.models import TRAINING, is_checkpoint, new_model, read_training, write_checkpoint
from ponder.train.state import Work
from ponder.train.supervised import Trained, Watch, fit

__all__ = ["booked", "climb", "climb_in_child", "done_of", "folder_of"]


def folder_of(rung: Rung, out: Path) -> Path:
    """Where the rung's checkpoint is, or will be."""
    return out / rung.trunk.name / str(rung.number)


def _trunk_state(rung: Rung, out: Path) -> Path:
    return out / rung.trunk.name / "trunk.safetensors"


def _branch_state(rung: Rung, out: Path) -> Path:
    return out / rung.trunk.name / f"branch-{rung.number}.safetensors"


def climb(
    rung: Rung, out: Path, *, device: str = "cpu", watch: Callable[[Watch], None] | None = None
) -> list[dict[str, Any]]:
    """Have the rung's checkpoint, and return the rows of its work for the ledger.

    The rung before it must have been climbed. Raises TrainingDiverged, OutOfMemory, RunChanged,
    CheckpointInvalid.
    """
    folder = folder_of(rung, out)
    if is_checkpoint(folder):
        return booked(folder)
    _require_below(folder)
    started = time.time()
    model = new_model(rung.trunk.size.shape, rung.trunk.seed).to(device)
    trunk, branch = _trunk_state(rung, out), _branch_state(rung, out)
    # While the branch is under way the trunk is where it left: its own fit returns at once.
    steady = fit(model, rung.trunk.stream, rung.steady, state=trunk, identity=rung.identity(), watch=watch)
    if not branch.exists():
        states.copy(trunk, branch)
    whole = fit(model, rung.trunk.stream, rung.falling, state=branch, identity=rung.identity(), watch=watch)
    before = _trunk_before(rung, out)
    training = _training(rung, before, steady, whole, device, started)
    write_checkpoint(folder, model, training)
    states.remove(branch)
    return booked(folder)


def _require_below(folder: Path) -> None:
    """Raise CheckpointInvalid where the trunk has gone on beyond a checkpoint that is not there any more."""
    higher = [path for path in folder.parent.glob("[0-9]*") if int(path.name) > int(folder.name)]
    if higher:
        raise CheckpointInvalid(
            f"checkpoint: {folder} is not complete any more and its trunk has gone on: put it back, or train "
            "into another folder."
        )


def _trunk_before(rung: Rung, out: Path) -> tuple[Work, Work]:
    """The trunk's work up to the rung before this one, and what had been repeated until then."""
    if rung.number == 1:
        return Work(), Work()
    folder = folder_of(rung, out).with_name(str(rung.number - 1))
    training = read_training(folder)
    try:
        return Work.from_json(training["trunk"]), Work.from_json(training["trunk_repeated"])
    except (KeyError, ValueError):
        raise CheckpointInvalid(
            f"checkpoint: {folder / TRAINING} does not tell its work: remove it."
        ) from None


def _training(
    rung: Rung, before: tuple[Work, Work], steady: Trained, whole: Trained, device: str, started: float
) -> dict[str, Any]:
    """What `ponder.json` says: what it is, the compute that led to it by stage, and the rows to book."""
    trunk = rung.trunk
    parts = (
        ("trunk", steady.work - before[0]),
        ("anneal", whole.work - steady.work),
        ("repeated", whole.repeated - before[1]),
    )
    detail = {
        "checkpoint": rung.name,
        "tokens": whole.work.tokens,
        "loss": whole.loss,
        "learning_rate": trunk.size.learning_rate,
    }
    about = {"model": rung.name, "device": _device_name(device), "started": started, "detail": detail}
    ratio = whole.counted_ratio
    return {
        "ponder": __version__,
        "name": rung.name,
        "size": trunk.size.name,
        "mixture": trunk.mixture,
        "recipe": trunk.recipe,
        "seed": trunk.seed,
        "texts": [list(row) for row in trunk.texts],
        "schedule": {**rung.falling.identity(), "tokens": rung.tokens, "decay": rung.decay},
        "loss": whole.loss,
        "stages": [{"stage": "pretrain", **_amounts(whole.work, ratio)}],
        "trunk": steady.work.to_json(),
        "trunk_repeated": steady.repeated.to_json(),
        "booked": [
            {"stage": "pretrain", "part": part, **about, **_amounts(work, ratio)}
            for part, work in parts
            if work.steps
        ],
    }


def _amounts(work: Work, counted_ratio: float | None) -> dict[str, Any]:
    return {
        "samples": work.examples,
        "tokens": work.tokens,
        "padded_tokens": work.positions,
        "flop": work.flop,
        "flop_method": "shape",
        "flop_counted": None if counted_ratio is None else work.flop * counted_ratio,
        "seconds": work.seconds,
    }


def _device_name(device: str) -> str:
    """As the ledger has it: the kind of device, with the threads or the model that it ran on."""
    import torch

    if device == "cpu":
        threads = torch.get_num_threads()
        return f"cpu, {threads} thread" + ("s" if threads > 1 else "")
    return str(torch.cuda.get_device_name(device))


def booked(folder: Path) -> list[dict[str, Any]]:
    """The rows for the ledger that a climbed rung has. Raises CheckpointInvalid."""
    rows = read_training(folder).get("booked")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CheckpointInvalid(f"checkpoint: {folder / TRAINING} has no rows to book: remove the folder.")
    return rows


# ---------------------------------------------------------------- in a child


def climb_in_child(rung: Mapping[str, Any], out: str) -> dict[str, Any]:
    """`climb`, with JSON for its arguments and its result; an error is told, not raised."""
    try:
        return {"rows": climb(Rung.from_json(rung), Path(out))}
    except PonderError as error:
        return {"error": type(error).__name__, "message": str(error)}


def done_of(rung: Rung, out: Path) -> int:
    """The tokens that a rung under way has done on its trunk or its branch, as far as it told."""
    told = (states.told(path) for path in (_branch_state(rung, out), _trunk_state(rung, out)))
    return max((work.tokens for work in told if work is not None), default=0)
