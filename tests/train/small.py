"""A model that learns within seconds, and what it learns from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ponder.core import Shape
from ponder.tasks.chars import Example, Split, examples
from ponder.train.models import EOS, VOCABULARY, new_model
from ponder.train.supervised import Schedule, Trained, fit

TASK = "char_facts:given=true,pairs=2"
SHAPE = Shape(layers=2, d_model=32, heads=2, kv_heads=2, d_head=16, d_ff=64, vocab=len(VOCABULARY), tied=True)


def stream(start: int, *, split: Split = "train") -> Iterator[Example]:
    """Training texts."""
    return examples([(TASK, "steps", 1.0)], recipe="random", split=split, seed=0, start=start)


def schedule(tokens: int, **changes: Any) -> Schedule:
    return Schedule(**{"tokens": tokens, "learning_rate": 1e-2, "warm_up": 20_000, "batch": 2048, **changes})


def train(tokens: int, state: Path | None = None, **changes: Any) -> tuple[Any, Trained]:
    """A fresh model, trained on `tokens`."""
    model = new_model(SHAPE, 0)
    return model, fit(model, stream, schedule(tokens, **changes), state=state, identity={"task": TASK})


@torch.no_grad()
def greedy(model: Any, prompts: list[str], most: int) -> list[str]:
    """The greedy replies to prompts of one length."""
    letters = {i: c for c, i in VOCABULARY.items()}
    ids = torch.tensor([[VOCABULARY[c] for c in prompt] for prompt in prompts])
    for _ in range(most):
        ids = torch.cat([ids, model(input_ids=ids).logits[:, -1:].argmax(-1)], 1)
    return [
        "".join(letters[i] for i in row[len(prompt) :]).split(letters[EOS])[0]
        for row, prompt in zip(ids.tolist(), prompts, strict=True)
    ]


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
