"""Many short samples against one longer chain, at equal FLOP.

A checkpoint that learnt search traces writes one long chain, in which it takes steps back. Beside it is the
checkpoint of the same size, seed and training tokens that learnt plain steps, and spends the same FLOP on a
vote, or on samples of which any may be right (anyone can check Countdown's answers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from benchmarks.laws.figures import Result, difference, share
from benchmarks.laws.sources import SEARCH, STEPS, renamed
from numpy.typing import NDArray

from ponder.laws.ladder import Ladder
from ponder.laws.spending import SpendingStudy, study_spending, ways_of_recording
from ponder.train.recorded import Recorded

__all__ = ["chains", "ways"]

Floats = NDArray[np.float64]

_WHOLE = 1 << 40  # tokens: more than any chain
_ENDLESS = "plain samples: one chain"


def chains(ladder: Ladder, spent: tuple[str, SpendingStudy] | None) -> Result:
    """Every checkpoint that learnt search traces, and what `ways` found."""
    return {
        "checkpoints": [_row(search, steps) for search, steps in _pairs(ladder)],
        "ways": None if spent is None else {"name": spent[0], **spent[1].to_json()},
    }


def _pairs(ladder: Ladder) -> list[tuple[Recorded, Recorded]]:
    """Each search checkpoint with the plain one of the same size, seed and rung, by training compute."""
    if SEARCH not in ladder.tasks or STEPS not in ladder.tasks:
        return []
    plain = {each.name: each for each in ladder.pretrained(STEPS)}
    found = sorted(ladder.pretrained(SEARCH), key=lambda each: each.training_flop or 0.0)
    named = [(each, each.name.replace("-search-", "-steps-")) for each in found]
    return [(each, plain[name]) for each, name in named if name in plain]


def _row(search: Recorded, steps: Recorded) -> Result:
    chain = search.cut_at([_WHOLE])[:, 0]
    flop = float(search.chain_flop([_WHOLE]).mean())
    samples = _samples(steps, flop)
    rivals: Result = {
        name: {"accuracy": share(values), "chain_less_it": difference(chain, values)}
        for name, values in (
            ("vote", _at(samples, lambda ks: steps.vote(ks, rng=np.random.default_rng(0)))),
            ("pass", _at(samples, steps.passed)),
        )
    }
    return {
        "search": search.name,
        "steps": steps.name,
        "problems": len(chain),
        "training_flop": {"search": search.training_flop, "steps": steps.training_flop},
        "chain": {
            "tokens": float(search.tokens.mean()),
            "inference_flop": flop,
            "accuracy": share(chain),
        },
        "samples_at_equal_flop": samples,
        **rivals,
    }


def _samples(steps: Recorded, flop: float) -> float:
    """How many samples so much compute buys in the mean, at least one and at most what was drawn."""
    one, two = steps.flop([1, 2]).mean(axis=0)
    return float(np.clip((flop - one) / (two - one) + 1.0, 1.0, steps.draws))


def _at(samples: float, values: Callable[[Sequence[int]], Floats]) -> Floats:
    """[P]: between whole numbers of samples by a straight line."""
    below = int(samples)
    part = samples - below
    if part == 0.0:
        return values([below])[:, 0]
    both = values([below, below + 1])
    out: Floats = (1.0 - part) * both[:, 0] + part * both[:, 1]
    return out


def ways(ladder: Ladder, *, draws: int) -> tuple[str, SpendingStudy] | None:
    """The ways to spend inference of the most trained pair on the same problems, each with its law, and the
    name of its search checkpoint; None without a pair. The answer of a plain chain is its end, so it is not
    cut off."""
    pairs = _pairs(ladder)
    if not pairs:
        return None
    search, steps = pairs[-1]
    every = [
        *ways_of_recording(renamed(search, STEPS), prefix="search chains: "),
        *ways_of_recording(steps, prefix="plain samples: "),
    ]
    return search.name, study_spending([way for way in every if way.name != _ENDLESS], draws=draws)
