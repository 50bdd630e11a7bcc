"""A ladder's checkpoint with its recordings, and a run of imported samples: what cards are made from."""

from __future__ import annotations

import json
import random
import shutil
from datetime import date
from pathlib import Path

from ponder.bank import Wanted, gather, store
from ponder.config import Settings
from ponder.govern.card import Card, Options, card, fleet_choice
from ponder.ledger import Ledger
from tests.laws.recordings import write_ladder

REPOSITORY = Path(__file__).parents[2]
CHECKPOINTS = REPOSITORY / "benchmarks" / "results" / "ladder" / "checkpoints"
NAME = "28k-steps-random-0/3"
DRAWS, PROBLEMS = 16, 30
DAY = date(2026, 11, 26)


def write_checkpoint(folder: Path) -> Path:
    """A checkpoint of the ladder with synthetic recordings of a whole ladder beside it."""
    write_ladder(folder / "recorded")
    place = folder / "checkpoints" / NAME
    shutil.copytree(CHECKPOINTS / NAME, place)
    return place


def write_run(
    folder: Path,
    *,
    model: str = "smollm2",
    tasks: tuple[str, ...] = ("sums",),
    draws: int = DRAWS,
    tokens: int | None = 9,
) -> str:
    """The ledger of a run named "made", of problems of all difficulties."""
    rng = random.Random(0)
    rows = [
        {"id": f"p{problem}", "question": f"{problem} + 1?", "task": task, "model": model, "tokens": tokens,
         "prompt_tokens": 40, "sample": "", "choice": str(choice), "correct": choice == 0}
        for task in tasks
        for problem in range(PROBLEMS)
        for choice in [0 if rng.random() < problem / PROBLEMS else rng.randint(1, 3) for _ in range(draws)]
    ]  # fmt: skip
    source, ledger = folder / "made.jsonl", folder / "made.db"
    source.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (gathered,), _ = gather([source], Wanted())
    with Ledger.open(ledger, write=True) as opened:
        store(opened, gathered, run="made")
    return str(ledger)


def made(source: str | Path, ledger: str = "", chips: str = "1000xH100", **options: object) -> Card:
    """A card with few draws, as of one day."""
    model = options.pop("model", None)
    assert model is None or isinstance(model, str)
    chosen = Options(fleet=fleet_choice(chips, model=model), on=DAY, refits=60, draws=200, **options)  # type: ignore[arg-type]
    return card(str(source), Settings(ledger=ledger) if ledger else Settings(), chosen)
