"""Examples to batches: one example a row, padded on the right, rows of like length together.

The order is a function of the stream alone, so that training goes on from any place as if it had never
stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ponder.errors import InputError
from ponder.tasks.chars import ALPHABET, Example
from ponder.train.models import CONTEXT, EOS, PAD, VOCABULARY

if TYPE_CHECKING:
    import torch

__all__ = ["IGNORED", "Batch", "LossOn", "Place", "Stream", "batches", "encode", "epochs"]

Stream = Callable[[int], Iterator[Example]]
"""Examples from place i on: `stream(i)` begins with what `stream(0)` gives after i examples."""

LossOn = Literal["reply", "all"]
IGNORED = -100
"""The label of a position that no loss is taken on, as PyTorch's cross-entropy has it."""

_WINDOW = 4096  # examples that are sorted by length together
_OUTSIDE = 255
_IDS = np.full(256, _OUTSIDE, np.uint8)
_IDS[np.frombuffer(ALPHABET.encode("ascii"), np.uint8)] = [VOCABULARY[c] for c in ALPHABET]
_TABLE = _IDS.tobytes()


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a stream: the first example of a window, and the batch within the window."""

    example: int = 0
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """`ids` and `labels`, each of shape (rows, length): labels[i, t] is what position t is to predict.

    `tokens` are the rows' own, the end tokens included; padding is not.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    tokens: int

    @property
    def rows(self) -> int:
        return int(self.ids.shape[0])

    @property
    def length(self) -> int:
        return int(self.ids.shape[1])

    @property
    def positions(self) -> int:
        """Positions computed, padding included."""
        return self.rows * self.length

    def to(self, device: Any) -> Batch:
        return Batch(self.ids.to(device), self.labels.to(device), self.tokens)


def encode(example: Example) -> tuple[bytes, int]:
    """The token ids of an example, the end token last, and how many of them are its prompt.

    Raises InputError for a character outside the alphabet and for a text that is too long.
    """
    try:
        ids = (example.prompt + example.reply).encode("ascii").translate(_TABLE)
    except UnicodeEncodeError:
        raise InputError(_unfit(example)) from None
    if _OUTSIDE in ids or len(ids) >= CONTEXT:
        raise InputError(_unfit(example))
    return ids + bytes((EOS,)), len(example.prompt)


def _unfit(example: Example) -> str:
    text = example.prompt + example.reply
    strange = sorted(set(text) - set(ALPHABET))
    if strange:
        return f"examples: {text[:40]!r} has {strange[0]!r}, which is not in the alphabet; leave it out."
    return f"examples: {text[:40]!r}... has {len(text)} characters; the most is {CONTEXT - 1}."


def batches(
    stream: Stream, *, start: Place = Place(), positions: int, loss_on: LossOn = "reply"
) -> Iterator[tuple[Batch, Place]]:
    """Batches of about `positions` positions each, and the place after each. Ends when the stream does."""
    examples, at, skip = stream(start.example), start.example, start.batch
    while window := [encode(example) for example in islice(examples, _WINDOW)]:
        groups = _groups(window, positions)
        Random(f"batches/{at}").shuffle(groups)
        for number, group in enumerate(groups[skip:], skip + 1):
            last = number == len(groups)
            place = Place(at + len(window), 0) if last else Place(at, number)
            yield _batch([window[i] for i in group], loss_on), place
        at, skip = at + len(window), 0


def _groups(window: Sequence[tuple[bytes, int]], positions: int) -> list[list[int]]:
    """Rows of like length together, about as many tokens in each group."""
    order = sorted(range(len(window)), key=lambda i: (len(window[i][0]), i))
    ends = np.cumsum([len(window[i][0]) for i in order])
    count = max(1, round(int(ends[-1]) / positions))
    cuts = np.searchsorted(ends, np.arange(1, count) * (ends[-1] / count))
    parts = np.split(np.array(order), np.unique(cuts))
    return [part.tolist() for part in parts if len(part)]


def _batch(rows: Sequence[tuple[bytes, int]], loss_on: LossOn) -> Batch:
    import torch

    lengths = np.array([len(ids) for ids, _ in rows])
    length = int(lengths.max())
    flat = b"".join(ids.ljust(length, bytes((PAD,))) for ids, _ in rows)
    ids = np.frombuffer(flat, np.uint8).reshape(len(rows), length).astype(np.int64)
    first = np.array([prompt if loss_on == "reply" else 1 for _, prompt in rows])
    labels = np.full_like(ids, IGNORED)
    labels[:, :-1] = ids[:, 1:]
    place = np.arange(1, length + 1)
    labels[(place < first[:, None]) | (place >= lengths[:, None])] = IGNORED
    return Batch(torch.from_numpy(ids), torch.from_numpy(labels), int(lengths.sum()))


def epochs(examples: Sequence[Example], *, seed: int) -> Stream:
    """A fixed set again and again without end, in another order each time."""
    if not examples:
        raise InputError("examples: there are none to train on; give at least one.")

    def stream(start: int) -> Iterator[Example]:
        epoch, skip = divmod(start, len(examples))
        while True:
            order = list(range(len(examples)))
            Random(f"epoch/{seed}/{epoch}").shuffle(order)
            for place in order[skip:]:
                yield examples[place]
            epoch, skip = epoch + 1, 0

    return stream
