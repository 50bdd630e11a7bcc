"""A campaign of training in pieces, each done once: drawing, learning, scoring.

A piece that is finished lies in the campaign's folder as a small file with its result and its rows for the
ledger. Run again, a campaign finds it there; rows that the ledger lacks are booked then. A kill costs the
piece under way, and what that had done is booked too, as repeated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.core import canonical_json
from ponder.errors import CheckpointInvalid, InputError, LedgerLocked, RunChanged
from ponder.ledger import Ledger, RunRecorder, Stage
from ponder.ledger.sqlite import Lock
from ponder.train import state as states
from ponder.train.rl_state import replace_text
from ponder.train.state import Work

__all__ = ["STATE", "Piece", "Pieces", "lost", "pieces_in", "stage_row"]

STATE = ".safetensors"
"""The suffix of a training's state among a piece's files."""

_CAMPAIGN = "campaign.json"


@dataclass(frozen=True, slots=True)
class Piece:
    """What came of a piece, as JSON, and its rows: arguments of `RunRecorder.stage` without a position."""

    result: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]


class Pieces:
    """The pieces of one campaign, done one after another in the same order each time."""

    def __init__(self, folder: Path, recorder: RunRecorder, next_position: int) -> None:
        self.folder = folder
        self.recorder = recorder
        self._next = next_position

    def do(self, name: str, work: Callable[[Path], Piece]) -> dict[str, Any]:
        """The result of the piece `name`, done now unless it has been. `work` is given a path without suffix
        for a training's state and for what is told of its work: both are removed once the piece is finished.

        Raises CheckpointInvalid for a file that cannot be read, and what `work` raises.
        """
        stem = self.folder / "pieces" / name
        path = stem.with_name(f"{name}.json")
        if not path.exists():
            stem.parent.mkdir(parents=True, exist_ok=True)
            piece = work(stem)
            rows = [{**row, "position": self._next + at} for at, row in enumerate(piece.rows)]
            replace_text(path, canonical_json({"result": dict(piece.result), "rows": rows}))
        states.remove(stem.with_suffix(STATE))
        result, rows = _read(path)
        for row in rows:
            self.recorder.stage(**row)
            self._next = max(self._next, row["position"] + 1)
        return result


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        value = json.loads(path.read_text("utf-8"))
        return dict(value["result"]), [dict(row) for row in value["rows"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointInvalid(
            f"out: {path} cannot be read ({str(error)[:80]}): remove it to have that piece done again."
        ) from None


@contextmanager
def pieces_in(folder: Path, config: Mapping[str, Any], ledger: Ledger, run: str) -> Iterator[Pieces]:
    """The pieces of the campaign in `folder`, whose run on the ledger is `run`. One process at a time.

    Raises InputError for a folder in use, RunChanged for one, or a run, of another configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = Lock(folder / ".lock", str(folder))
    except LedgerLocked:
        raise InputError(
            f"out: another process is working in {folder}; wait until it ends, or give another folder."
        ) from None
    try:
        _identify(folder, config)
        recorder = ledger.run(run, config)
        booked = [row.position for row in ledger.stages(recorder.run_id)]
        yield Pieces(folder, recorder, max(booked, default=-1) + 1)
    finally:
        lock.release()


def _identify(folder: Path, config: Mapping[str, Any]) -> None:
    path = folder / _CAMPAIGN
    wanted = json.loads(canonical_json(dict(config)))
    if not path.exists():
        replace_text(path, json.dumps(wanted, indent=1) + "\n")
        return
    try:
        before = dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        raise InputError(f"out: {path} cannot be read; give another folder.") from None
    changed = sorted(name for name in {*wanted, *before} if wanted.get(name) != before.get(name))
    if changed:
        raise RunChanged(
            f"{changed[0]}: the work in {folder} was begun with another {changed[0]}: repeat the old "
            "settings, or give another folder with --out."
        )


def stage_row(
    stage: Stage,
    part: str | None,
    work: Work,
    *,
    model: str,
    device: str,
    started: float,
    counted_ratio: float | None = None,
    detail: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A row of so much work by the formulas of the model's shape; `counted_ratio` is FLOP by PyTorch's
    operation counter over FLOP by formula."""
    return {
        "stage": stage,
        "part": part,
        "model": model,
        "samples": work.examples,
        "tokens": work.tokens,
        "padded_tokens": work.positions,
        "flop": work.flop,
        "flop_method": "shape",
        "flop_counted": None if counted_ratio is None else work.flop * counted_ratio,
        "seconds": work.seconds,
        "device": device,
        "started": started,
        "detail": dict(detail or {}),
    }


def lost(stem: Path) -> Work:
    """What killed starts of a piece had done, by what was told of them."""
    return states.told(stem) or Work()
