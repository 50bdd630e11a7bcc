"""The state of a training on disk: weights, moments of the optimizer, how far it is, whose it is.

One safetensors file, replaced as a whole, whose header carries the rest as JSON: nothing is unpickled.
Beside it a small file tells every second how far the work is, so that what a kill made to be done twice
is known.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ponder.core import canonical_json
from ponder.errors import CheckpointInvalid, RunChanged

__all__ = ["Owner", "Progress", "Work", "copy", "load", "lost", "remove", "save", "tell", "told"]


@dataclass(frozen=True, slots=True)
class Work:
    """What training took: steps, examples, real tokens, positions computed, FLOP by formula, wall clock."""

    steps: int = 0
    examples: int = 0
    tokens: int = 0
    positions: int = 0
    flop: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Work) -> Work:
        return Work(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Work:
        """Raises ValueError for anything that `to_json` does not make."""
        if not isinstance(value, dict) or set(value) != {f.name for f in fields(cls)}:
            raise ValueError("not the counts of some work")
        numbers = {name: _amount(number) for name, number in value.items()}
        return cls(**numbers)


def _amount(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{value!r:.40} is no amount")
    return value


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is; see `Trained` for the fields. `place` is that in the stream, and `rated` are the
    tokens at which the last step took its learning rate."""

    work: Work
    repeated: Work
    place: int
    rated: int
    loss: float
    counted_ratio: float | None


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a state is: what must be equal for it to be continued, and where its learning rate falls: from
    `steady` tokens on, to zero at `tokens`."""

    identity: Mapping[str, Any]
    steady: int
    tokens: int


def save(path: Path, model: Any, optimizer: Any, owner: Owner, progress: Progress) -> None:
    """Replace the state file. A kill at any time leaves the old one or the new one."""
    from safetensors.torch import save_file

    names = _names(model)
    tensors = {f"model.{name}": parameter.detach().cpu() for name, parameter in names.items()}
    for name, parameter in names.items():
        for kind, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{kind}.{name}"] = value.detach().cpu()
    about = {
        "identity": dict(owner.identity),
        "falls": [owner.steady, owner.tokens],
        "work": progress.work.to_json(),
        "repeated": progress.repeated.to_json(),
        "place": progress.place,
        "rated": progress.rated,
        "loss": progress.loss if math.isfinite(progress.loss) else None,
        "counted_ratio": progress.counted_ratio,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    save_file(tensors, fresh, metadata={"ponder": canonical_json(about)})
    _replace(fresh, path)
    tell(path, progress.work)


def _replace(fresh: Path, path: Path) -> None:
    handle = os.open(fresh, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.replace(path)


def _names(model: Any) -> dict[str, Any]:
    """The trained parameters by name; a tied matrix is there once."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def load(path: Path, model: Any, optimizer: Any, owner: Owner) -> Progress | None:
    """Put a saved state into `model` and `optimizer`; None where there is no file.

    A state from before its learning rate fell may be continued by a schedule that falls elsewhere. Raises
    RunChanged for a state of something else, and CheckpointInvalid for one that cannot be read.
    """
    if not path.exists():
        return None
    try:
        tensors, about = _read(path)
        progress = _progress(about)
        known, before = json.loads(canonical_json(dict(owner.identity))), dict(about["identity"])
        steady, tokens = map(int, about["falls"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointInvalid(
            f"state: {path} cannot be read ({str(error)[:120]}): remove it to begin again."
        ) from None
    if (steady, tokens) != (owner.steady, owner.tokens) and progress.rated > min(steady, owner.steady):
        before |= {"tokens": tokens, "decay": tokens - steady}
        known |= {"tokens": owner.tokens, "decay": owner.tokens - owner.steady}
    for name in sorted({*before, *known}):
        if before.get(name) != known.get(name):
            raise RunChanged(
                f"{name}: the state in {path} was trained with {before.get(name)!r:.60}, not "
                f"{known.get(name)!r:.60}: repeat the old settings, or train into another folder."
            )
    _restore(path, tensors, model, optimizer)
    return progress


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["ponder"])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _progress(about: Mapping[str, Any]) -> Progress:
    loss, ratio = about["loss"], about["counted_ratio"]
    return Progress(
        Work.from_json(about["work"]),
        Work.from_json(about["repeated"]),
        int(_amount(about["place"])),
        int(_amount(about["rated"])),
        math.nan if loss is None else float(loss),
        None if ratio is None else float(_amount(ratio)),
    )


def _restore(path: Path, tensors: Mapping[str, Any], model: Any, optimizer: Any) -> None:
    import torch

    with torch.no_grad():
        for name, parameter in _names(model).items():
            saved = tensors.get(f"model.{name}")
            if saved is None or saved.shape != parameter.shape:
                raise CheckpointInvalid(f"state: {path} does not fit the model at {name}: begin again.")
            parameter.copy_(saved)
            optimizer.state[parameter] = {
                kind: tensors[f"{kind}.{name}"].to(parameter.device)
                for kind in ("step", "exp_avg", "exp_avg_sq")
                if f"{kind}.{name}" in tensors
            }


def copy(source: Path, target: Path) -> None:
    """Begin another training where this one is."""
    fresh = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, fresh)
    _replace(fresh, target)


# ---------------------------------------------------------------- what a kill made to be done twice


def _telling(path: Path) -> Path:
    return path.with_suffix(".work.json")


def tell(path: Path, work: Work) -> None:
    """Note how far the work is, for `lost`."""
    fresh = path.with_name(f".{_telling(path).name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh.write_text(canonical_json(work.to_json()), "utf-8")
    fresh.replace(_telling(path))


def told(path: Path) -> Work | None:
    """What was told last of the training whose state is at `path`; None where nothing can be read."""
    try:
        return Work.from_json(json.loads(_telling(path).read_text("utf-8")))
    except (OSError, ValueError):
        return None


def lost(path: Path, saved: Work) -> Work:
    """The work done after the last save, by what was told of it."""
    last = told(path)
    return Work() if last is None or last.steps <= saved.steps else last - saved


def remove(path: Path) -> None:
    """Remove a state and what was told of it."""
    path.unlink(missing_ok=True)
    _telling(path).unlink(missing_ok=True)
