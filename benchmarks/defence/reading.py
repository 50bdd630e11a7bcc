"""A detector that reads: how likely a model finds each character of a solution, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ponder.flop import forward_flop
from ponder.tasks.chars import END
from ponder.train.models import PAD, VOCABULARY, open_checkpoint

__all__ = ["Reader", "Sight", "Told", "batches"]

Floats = NDArray[np.float64]

_ROWS = 256


class Sight(NamedTuple):
    """All that a detector sees of an item: the question's text and the steps of a solution."""

    prompt: str
    steps: tuple[str, ...]

    @property
    def pieces(self) -> tuple[str, ...]:
        """The steps, each with its end."""
        ends = "\n" * (len(self.steps) - 1) + END
        return tuple(step + end for step, end in zip(self.steps, ends, strict=True))


@dataclass(frozen=True)
class Told:
    """Of N items: suspicions [N] by the rule that sums up what was seen, and the FLOP of each item [N]."""

    suspicion: Mapping[str, Floats]
    flop: Floats


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of items of like length together."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for first in range(0, len(order), _ROWS):
        yield order[first : first + _ROWS]


class Reader:
    """The checkpoint in `folder` as a reader of solutions."""

    def __init__(self, folder: Path) -> None:
        found = open_checkpoint(folder)
        self._model, self.shape = found.model.eval(), found.shape

    def read(self, sights: Sequence[Sight]) -> Told:
        """The surprise of a solution: of the whole, a character of it in the mean, its worst step, and its
        worst character; in nats."""
        pieces = [each.pieces for each in sights]
        surprise = self._surprises([each.prompt for each in sights], ["".join(some) for some in pieces])
        steps = [
            np.add.reduceat(each, np.cumsum([0, *map(len, some[:-1])]))
            for each, some in zip(surprise, pieces, strict=True)
        ]
        suspicion = {
            "whole": np.array([each.sum() for each in surprise]),
            "mean character": np.array([each.mean() for each in surprise]),
            "worst step": np.array([each.max() for each in steps]),
            "worst character": np.array([each.max() for each in surprise]),
        }
        # The last character is not fed: nothing after it is asked for.
        flop = [
            forward_flop(self.shape, len(each.prompt) + len(told) - 1, logits=len(told))
            for each, told in zip(sights, surprise, strict=True)
        ]
        return Told(suspicion, np.array(flop, dtype=np.float64))

    def _surprises(self, prompts: Sequence[str], replies: Sequence[str]) -> list[Floats]:
        """For each reply the surprise of every character."""
        import torch

        texts = [[VOCABULARY[c] for c in p + r] for p, r in zip(prompts, replies, strict=True)]
        found: list[Floats] = [np.empty(0)] * len(texts)
        with torch.inference_mode():
            for part in batches([len(text) for text in texts]):
                width = max(len(texts[at]) for at in part)
                # Padding is on the right and attention causal: no real token sees it.
                ids = torch.tensor([texts[at] + [PAD] * (width - len(texts[at])) for at in part])
                logits = self._model(input_ids=ids[:, :-1], use_cache=False).logits.float()
                logs = torch.log_softmax(logits, dim=-1).gather(2, ids[:, 1:, None])[..., 0].double().numpy()
                for line, at in zip(logs, part, strict=True):
                    begin = len(prompts[at]) - 1
                    found[at] = -line[begin : begin + len(replies[at])]
        return found
