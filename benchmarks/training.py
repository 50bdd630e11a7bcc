"""Tokens/s of ponder's supervised loop as a ratio to a bare PyTorch loop, in one run.

Both train the same model on the same texts, 256 rows a step on average, taking turns. The bare loop is what
one would write by hand: stock `LlamaForCausalLM` with its mask and its loss, gradients clipped, AdamW; its
batches are made beforehand. ponder's side is `fit` as it is: encoding, batching, counting, saving its state.
A second ratio is to ponder's own tensor work alone, so that what its loop adds is seen apart from what its
loss saves. One thread, as the ladder trains. Writes benchmarks/results/training.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ponder.core import Shape
from ponder.tasks.chars import Example, examples
from ponder.train.batches import IGNORED, Batch, batches, encode
from ponder.train.models import PAD, VOCABULARY, new_model
from ponder.train.supervised import Schedule, _backward, fit

ROUNDS, ROWS, STEPS = 15, 256, 8
SHAPE = Shape(3, 64, 4, 4, 16, 176, len(VOCABULARY), tied=True)
TEXTS = [("char_countdown:numbers=4", "steps", 1.0)]
RESULT = Path(__file__).parent / "results" / "training.json"


def texts(count: int) -> list[Example]:
    return list(islice(examples(TEXTS, recipe="random", seed=0), count))  # type: ignore[arg-type]


def by_hand(some: list[Example]) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]]:
    """Batches as they come: ids, mask, labels as stock transformers takes them, and the real tokens."""
    made = []
    for start in range(0, len(some), ROWS):
        rows = [encode(example) for example in some[start : start + ROWS]]
        length = max(len(ids) for ids, _ in rows)
        ids = torch.full((len(rows), length), PAD)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
        for row, (text, prompt) in enumerate(rows):
            ids[row, : len(text)] = torch.tensor(list(text))
            mask[row, : len(text)] = 1
            labels[row, prompt : len(text)] = ids[row, prompt : len(text)]
        made.append((ids, mask, labels, int(mask.sum())))
    return made


def timed(work: Callable[[], int]) -> float:
    """Tokens a second."""
    began = time.perf_counter()
    tokens = work()
    return tokens / (time.perf_counter() - began)


def bare(made: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]]) -> Callable[[], int]:
    """The loop that one would write by hand."""
    model = new_model(SHAPE, 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def work() -> int:
        for ids, mask, labels, _ in made:
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return sum(tokens for *_, tokens in made)

    return work


def tensors_alone(made: list[Batch]) -> Callable[[], int]:
    """ponder's forward, loss, backward and step on batches made beforehand, with nothing around them."""
    model = new_model(SHAPE, 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def work() -> int:
        for batch in made:
            for part in batch.parts:
                _backward(model, part, batch.targets)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return sum(batch.tokens for batch in made)

    return work


def ours(some: list[Example], batch: int, tokens: int) -> int:
    """`fit` from a fresh model on; the tokens trained on."""

    def stream(start: int) -> Iterator[Example]:
        return iter(some[start:])

    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.safetensors"
        schedule = Schedule(tokens=tokens, learning_rate=1e-3, batch=batch)
        return fit(new_model(SHAPE, 0), stream, schedule, state=state).work.tokens


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--threads", type=int, default=1, help="two suffer more from whatever else runs")
    torch.set_num_threads(options.parse_args().threads)
    some = texts(ROWS * (STEPS + 8))
    hand = by_hand(some[: ROWS * STEPS])
    total = sum(tokens for *_, tokens in hand)
    batch = total // STEPS
    made = [batch for batch, _ in islice(batches(lambda start: iter(some[start:]), tokens=batch), STEPS)]
    sides: dict[str, Callable[[], int]] = {
        "bare": bare(hand),
        "tensors alone": tensors_alone(made),
        "ponder": lambda: ours(some, batch, total),
    }
    for work in sides.values():
        work()  # the first steps allocate
    rounds: list[dict[str, Any]] = []
    for number in range(ROUNDS):
        order = list(sides)[:: 1 if number % 2 else -1]
        speeds = {name: timed(sides[name]) for name in order}
        rounds.append(speeds)
        print(", ".join(f"{name} {speed:,.0f}" for name, speed in speeds.items()), "tokens/s", flush=True)
    result: dict[str, Any] = {"what": "training tokens/s of ponder over a bare PyTorch loop", "goal": 0.95}
    for name in ("bare", "tensors alone"):
        ratios = [speeds["ponder"] / speeds[name] for speeds in rounds]
        result[f"ratio to {name}"] = {
            "median": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
        }
        print(f"ponder / {name}: median {statistics.median(ratios):.3f}")
    result |= {
        "rounds": rounds,
        "parameters": new_model(SHAPE, 0).num_parameters(),
        "rows_a_step": ROWS,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(f"in {RESULT}")


if __name__ == "__main__":
    main()
