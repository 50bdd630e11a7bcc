"""What a training run's stages add up to: by stage, and inference's share of the training compute.

Generating text to learn from (synthetic data, rollouts) is inference, whether the text was kept or not.
Learning is the rest, a reference model's scoring passes included. Evaluation teaches the model nothing: it
is shown, and is part of neither.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.errors import InputError, UnknownName
from ponder.ledger import Ledger, Stage, StageRow

__all__ = ["INFERENCE", "StageSum", "Stages", "stages", "training_run"]

INFERENCE: frozenset[Stage] = frozenset({"synthetic_data", "rollouts"})
NO_TRAINING: frozenset[Stage] = frozenset({"evaluation"})
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class StageSum:
    """One stage's pieces of one part, added up. A sum with an unknown in it is None.

    `flop` are by formula and `flop_counted` by an operation counter; `compute` takes each piece's count only
    where its formula's figure is unknown. `methods`, `models` and `devices` name every one that occurs.
    """

    stage: Stage
    part: str | None
    pieces: int
    samples: int | None
    tokens: int | None
    padded_tokens: int | None
    flop: float | None
    flop_counted: float | None
    compute: float | None
    seconds: float | None
    methods: tuple[str, ...]
    models: tuple[str, ...]
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stages:
    """A training run's stages in the order in which they began."""

    run: str
    sums: tuple[StageSum, ...]

    @property
    def training_flop(self) -> float | None:
        """FLOP of all stages but evaluation."""
        return _total(s.compute for s in self.sums if s.stage not in NO_TRAINING)

    @property
    def inference_flop(self) -> float | None:
        """FLOP of generating what was learned from, or discarded. An imported run does not tell them."""
        if any(s.stage == "imported" for s in self.sums):
            return None
        return _total(s.compute for s in self.sums if s.stage in INFERENCE)

    @property
    def inference_share(self) -> float | None:
        """Inference's share of the training compute, 0 to 1; unknown where a part of it is."""
        whole, part = self.training_flop, self.inference_flop
        return part / whole if whole and part is not None else None

    @property
    def kept_share(self) -> float | None:
        """The share of the generated samples that were kept to learn from; None where nothing tells."""
        kept = [s.samples for s in self.sums if s.stage in INFERENCE and s.part == "kept"]
        discarded = [s.samples for s in self.sums if s.stage in INFERENCE and s.part == "discarded"]
        whole, part = _total([*kept, *discarded]), _total(kept)
        return part / whole if whole and part is not None else None

    def share(self, each: StageSum) -> float | None:
        """A stage's share of the training compute, 0 to 1; None for what is no part of it."""
        whole = self.training_flop
        if each.stage in NO_TRAINING or each.compute is None or not whole:
            return None
        return each.compute / whole

    @property
    def unknown(self) -> tuple[str, ...]:
        """The stages whose FLOP nobody knows, which leaves the shares unknown."""
        names = {s.stage for s in self.sums if s.stage not in NO_TRAINING and s.compute is None}
        return tuple(sorted(names))

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "stages": [_sum_json(each) | {"share": self.share(each)} for each in self.sums],
            "training_flop": self.training_flop,
            "inference_flop": self.inference_flop,
            "inference_share": self.inference_share,
            "kept_share": self.kept_share,
        }


def stages(ledger: Ledger, run: str) -> Stages:
    """The sums of a run. Raises UnknownName, or InputError for a run without a stage."""
    rows = ledger.stages(run)
    if not rows:
        raise InputError(f"run: {run} has no training stages; `ponder runs` lists what there is.")
    groups: dict[tuple[Stage, str | None], list[StageRow]] = {}
    for row in rows:
        groups.setdefault((row.stage, row.part), []).append(row)
    return Stages(run, tuple(_sum(group) for group in groups.values()))


def training_run(ledger: Ledger, run: str) -> str:
    """The run's name; of "latest" that of the last training run. Raises UnknownName."""
    if run != LATEST:
        return run
    for summary in reversed(ledger.runs(requests=False)):
        if summary.kind == "train":
            return summary.id
    raise UnknownName("run", LATEST, [], "Train something first: see `ponder train --help`.")


def _sum(rows: Sequence[StageRow]) -> StageSum:
    return StageSum(
        stage=rows[0].stage,
        part=rows[0].part,
        pieces=len(rows),
        samples=_whole(row.samples for row in rows),
        tokens=_whole(row.tokens for row in rows),
        padded_tokens=_whole(row.padded_tokens for row in rows),
        flop=_total(row.flop for row in rows),
        flop_counted=_total(row.flop_counted for row in rows),
        compute=_total(row.flop if row.flop is not None else row.flop_counted for row in rows),
        seconds=_total(row.seconds for row in rows),
        methods=_names(row.flop_method for row in rows),
        models=_names(row.model for row in rows),
        devices=_names(row.device for row in rows),
    )


def _total(values: Iterable[float | None]) -> float | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return math.fsum(known) if len(known) == len(found) else None


def _whole(values: Iterable[int | None]) -> int | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None


def _names(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value is not None))


def _sum_json(each: StageSum) -> dict[str, Any]:
    return {
        "stage": each.stage,
        "part": each.part,
        "pieces": each.pieces,
        "samples": each.samples,
        "tokens": each.tokens,
        "padded_tokens": each.padded_tokens,
        "flop": each.flop,
        "flop_counted": each.flop_counted,
        "flop_methods": list(each.methods),
        "seconds": each.seconds,
        "models": list(each.models),
        "devices": list(each.devices),
    }
