"""A folder of synthetic recordings, as a ladder's checkpoints leave them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy.special import expit

from ponder import flop
from ponder.core import Shape
from ponder.train.recorded import Tally, save

SHAPES = {
    "8k": Shape(layers=2, d_model=16, heads=2, kv_heads=2, d_head=8, d_ff=48, vocab=54, tied=True),
    "28k": Shape(layers=2, d_model=32, heads=2, kv_heads=2, d_head=16, d_ff=96, vocab=54, tied=True),
    "154k": Shape(layers=3, d_model=64, heads=4, kv_heads=4, d_head=16, d_ff=176, vocab=54, tied=True),
}
TOKENS = (1e6, 3e6, 1e7, 3e7)
TASK = "char_countdown:numbers=4"
DRAWS = 16


def write_ladder(
    folder: Path,
    *,
    task: str = TASK,
    problems: int = 40,
    curated: float | None = None,
    reinforced: str | None = None,
) -> None:
    """Every size after every amount of training, by the random recipe; with `curated` once more by the
    curated one, as if with so many times the training; with `reinforced` a checkpoint trained further on that
    task."""
    rng = np.random.default_rng(0)
    effects = rng.normal(0.0, 1.0, problems)
    for size, shape in SHAPES.items():
        for number, tokens in enumerate(TOKENS, 1):
            about = {"size": size, "mixture": "steps", "recipe": "random", "seed": 0}
            name = f"{size}-steps-random-0/{number}"
            _write(folder, name, task, shape, tokens, effects, about, tokens)
            if curated is not None:
                better = about | {"recipe": "curated"}
                name = f"{size}-steps-curated-0/{number}"
                _write(folder, name, task, shape, tokens, effects, better, tokens * curated)
    if reinforced is not None:
        about = {"size": "28k", "start": "28k-steps-random-0/4", "rl": {"task": reinforced}}
        _write(folder, "rl", task, SHAPES["28k"], 3e7, effects, about, 1e9)


def _write(
    folder: Path,
    name: str,
    task: str,
    shape: Shape,
    tokens: float,
    effects: np.ndarray,
    training: dict[str, object],
    as_if: float,
) -> None:
    rng = np.random.default_rng(len(name) + int(tokens))
    size = float(flop.parameters(shape))
    level = -0.5 + 1.2 * (np.log10(size) - 4.5) + 1.0 * (np.log10(as_if) - 6.7)
    about = {
        "name": name,
        "task": task,
        "shape": asdict(shape),
        "training_flop": 6.0 * size * tokens,
        "training_tokens": int(tokens),
        "training": training,
    }
    tallies = [
        _tally(f"{task}/0-{at:04d}", int(rng.binomial(DRAWS, expit(level + effect))), rng)
        for at, effect in enumerate(effects)
    ]
    save(folder / f"{name.replace('/', '-')}.{len(task)}.jsonl.xz", about, tallies)


def _tally(identity: str, right: int, rng: np.random.Generator) -> Tally:
    """The wrong draws fall on four answers."""
    wrong = Counter(f"w{each}" for each in rng.integers(0, 4, DRAWS - right))
    choices = {answer: (count, False) for answer, count in wrong.items()}
    if right:
        choices["right"] = (right, True)
    return Tally(
        id=identity,
        prompt_tokens=12,
        draws=DRAWS,
        right=right,
        silent=0,
        ungraded=0,
        cut=0,
        choices=choices,
        lengths_right={40: right} if right else {},
        lengths_wrong={30: DRAWS - right} if right < DRAWS else {},
    )
