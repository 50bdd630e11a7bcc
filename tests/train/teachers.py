"""A teacher that knows two-step chains, and students that have forgotten a part of it.

The teacher in `teacher/` was trained by `python -m tests.train.teachers` (2.5 M tokens, a few minutes on one
thread); it answers 98 % of held-out chains.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from ponder.core import Shape
from ponder.tasks.chars import Example, examples
from ponder.train.models import VOCABULARY, new_model, open_checkpoint, write_checkpoint
from ponder.train.supervised import Schedule, fit

TEACHER = Path(__file__).parent / "teacher"
TASK = "char_chain:operations=2"
SHAPE = Shape(layers=2, d_model=32, heads=4, kv_heads=4, d_head=8, d_ff=96, vocab=len(VOCABULARY), tied=True)
TOKENS = 2_500_000


def damaged(folder: Path, share: float) -> Path:
    """The teacher with noise in its matrices, of so large a share of their own spread, as a checkpoint."""
    model, noise = open_checkpoint(TEACHER).model, torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.add_(torch.randn(parameter.shape, generator=noise) * parameter.std() * share)
    write_checkpoint(folder, model, {"name": folder.name, "stages": []})
    return folder


def _stream(start: int) -> Iterator[Example]:
    return examples([(TASK, "steps", 1.0)], recipe="random", seed=0, start=start)


def main() -> None:
    model = new_model(SHAPE, 0)
    plan = Schedule(TOKENS, 1e-2, warm_up=50_000, decay=TOKENS // 3, batch=2048)
    done = fit(model, _stream, plan)
    training = {
        "name": "teacher",
        "texts": [[TASK, "steps", 1.0]],
        "recipe": "random",
        "seed": 0,
        "loss": done.loss,
        "stages": [{"stage": "pretrain", **done.work.to_json()}],
    }
    write_checkpoint(TEACHER, model, training)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
