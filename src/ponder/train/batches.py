"""Examples to batches: one example a row, padded on the right, rows of like length in one part.

A batch is a run of the stream as it comes: sorting a longer stretch by length would make every step one of a
single task, which learns far worse. Its parts are computed one after another and make one step together, so
that little is spent on padding. The order is a function of the stream alone: training goes on from any place
as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ponder.errors import InputError
from ponder.tasks.chars import ALPHABET, Example
from ponder.train.models import CONTEXT, EOS, PAD, VOCABULARY

if TYPE_CHECKING:
    import torch

__all__ = ["IGNORED", "Batch", "LossOn", "Part", "Stream", "batches", "encode", "epochs", "in_parts"]

Stream = Callable[[int], Iterator[Example]]
"""Examples from place i on: `stream(i)` begins with what `stream(0)` gives after i examples."""

Row = tuple[bytes, int]
"""An example as token ids, and how many of them are its prompt."""

LossOn = Literal["reply", "all"]
IGNORED = -100
"""The label of a position that no loss is taken on, as PyTorch's cross-entropy has it."""

_PADDING = 128
"""The most padded positions in a part: about as many as another part of a small model costs in overhead."""

_OUTSIDE = 255
_IDS = np.full(256, _OUTSIDE, np.uint8)
_IDS[np.frombuffer(ALPHABET.encode("ascii"), np.uint8)] = [VOCABULARY[c] for c in ALPHABET]
_TABLE = _IDS.tobytes()


@dataclass(frozen=True, slots=True)
class Part:
    """`ids` and `labels`, each of shape (rows, length): labels[i, t] is what position t is to predict."""

    ids: torch.Tensor
    labels: torch.Tensor
    targets: int

    @property
    def rows(self) -> int:
        return int(self.ids.shape[0])

    @property
    def length(self) -> int:
        return int(self.ids.shape[1])

    def to(self, device: Any) -> Part:
        return Part(self.ids.to(device), self.labels.to(device), self.targets)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from. `tokens` are the rows' own, the end tokens included; padding is not.
    `targets` are the positions that a loss is taken on."""

    parts: tuple[Part, ...]
    tokens: int

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def positions(self) -> int:
        """Positions computed, padding included."""
        return sum(part.rows * part.length for part in self.parts)

    @property
    def targets(self) -> int:
        return sum(part.targets for part in self.parts)


def encode(example: Example) -> Row:
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
    stream: Stream, *, start: int = 0, tokens: int, loss_on: LossOn = "reply"
) -> Iterator[tuple[Batch, int]]:
    """Batches of at least `tokens` real tokens each, and the place in the stream after each. Ends when the
    stream does."""
    rows: list[Row] = []
    held, place = 0, start
    for example in stream(start):
        rows.append(encode(example))
        held, place = held + len(rows[-1][0]), place + 1
        if held >= tokens:
            yield Batch(tuple(_part(some, loss_on) for some in in_parts(rows)), held), place
            rows, held = [], 0
    if rows:
        yield Batch(tuple(_part(some, loss_on) for some in in_parts(rows)), held), place


def in_parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows from the longest to the shortest, cut where padding would pass its most."""
    order = sorted(rows, key=lambda row: len(row[0]), reverse=True)
    first = padding = 0
    for place, (ids, _) in enumerate(order):
        padding += len(order[first][0]) - len(ids)
        if padding > _PADDING:
            yield order[first:place]
            first, padding = place, 0
    yield order[first:]


def _part(rows: Sequence[Row], loss_on: LossOn) -> Part:
    import torch

    lengths = np.array([len(ids) for ids, _ in rows])
    length = int(lengths[0])
    flat = b"".join(ids.ljust(length, bytes((PAD,))) for ids, _ in rows)
    ids = np.frombuffer(flat, np.uint8).reshape(len(rows), length).astype(np.int64)
    first = np.array([prompt if loss_on == "reply" else 1 for _, prompt in rows])
    predicted = np.arange(1, length)
    taught = (predicted >= first[:, None]) & (predicted < lengths[:, None])
    labels = np.full_like(ids, IGNORED)
    labels[:, :-1][taught] = ids[:, 1:][taught]
    return Part(torch.from_numpy(ids), torch.from_numpy(labels), int(taught.sum()))


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
