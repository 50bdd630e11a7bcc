"""A small run of reinforcement learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ponder.ledger import Ledger, StageRow
from ponder.train.rl import RlSettings, train_rl
from ponder.train.rl_result import RlResult

CHAIN = "char_chain:operations=2"
STEPS = 4


def chosen(folder: Path, **changes: Any) -> RlSettings:
    usual: dict[str, Any] = {
        "task": CHAIN,
        "steps": STEPS,
        "group": 8,
        "prompts": 8,
        "learning_rate": 1e-3,
        "eval_every": 2,
        "eval_problems": 6,
        "eval_samples": 4,
        "save_every": 1,
    }
    return RlSettings(model=folder, **{**usual, **changes})


def learn(place: Path, settings: RlSettings, **more: Any) -> tuple[RlResult, list[StageRow]]:
    with Ledger.open(place / "ledger.sqlite", write=True) as store:
        result = train_rl(settings, ledger=store, out=place / "out", device="cpu", **more)
        return result, store.stages(result.run)
