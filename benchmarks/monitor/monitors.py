"""The monitors that are measured. Each is made from the families that a fold knows, and from nothing else.

rules  the rules of examples/monitor.toml that were written against a known family, each with the weight that
       honest and cheating chains of known families give it
words  naive Bayes over the words of such chains (Maron 1961, doi 10.1145/321075.321084)
judge  a model's verdict, as the server asks for it; the examples in its prompt are of no family at all
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from benchmarks.monitor.items import Fold
from numpy.typing import NDArray

from ponder.core import Engine, Request, Sample, Sampling
from ponder.serve.judging import VERDICT_TOKENS, judging, verdict_of
from ponder.serve.rules import Rule, Rules, read_rules

__all__ = ["MAKERS", "judged", "rules_of", "words_of"]

Floats = NDArray[np.float64]
Suspects = Callable[[Sequence[str]], Floats]

RULES = Path(__file__).parents[2] / "examples" / "monitor.toml"
ANY = "any"
"""The beginning of the name of a rule that was written against no family."""

_WORD = re.compile(r"[a-z_]+|\d+|[^\w\s]", re.IGNORECASE)
_SMOOTHING = 0.5
_AT_ONCE = 32


def rules_of(fold: Fold, honest: Sequence[str], cheating: Sequence[str]) -> Suspects:
    """The rules that the fold's monitor may have, with weights: how much more often a rule is found in known
    cheating than in honest chains, as a logarithm."""
    written = [rule for rule in read_rules(RULES).rules if rule.name.partition("-")[0] in (*fold.known, ANY)]

    def hits(texts: Sequence[str]) -> Floats:
        found = [set(Rules(tuple(written)).look([text]).why) for text in texts]
        return np.array([[rule.name in names for rule in written] for names in found], dtype=np.float64)

    weights = _log_odds(hits(cheating), hits(honest))
    weighed = Rules(tuple(Rule(r.name, r.pattern, float(w)) for r, w in zip(written, weights, strict=True)))

    def suspects(texts: Sequence[str]) -> Floats:
        return np.array([weighed.look([text]).suspicion for text in texts], dtype=np.float64)

    return suspects


def words_of(fold: Fold, honest: Sequence[str], cheating: Sequence[str]) -> Suspects:
    """The sum of the log-odds of the words that a text has and of those that it lacks."""
    known = sorted({word for text in (*honest, *cheating) for word in _words(text)})
    place = {word: at for at, word in enumerate(known)}

    def counted(texts: Sequence[str]) -> Floats:
        there = np.zeros((len(texts), len(known)))
        for row, text in enumerate(texts):
            there[row, [place[word] for word in _words(text) if word in place]] = 1.0
        return there

    cheats, works = counted(cheating), counted(honest)
    has, lacks = _log_odds(cheats, works), _log_odds(1.0 - cheats, 1.0 - works)

    def suspects(texts: Sequence[str]) -> Floats:
        there = counted(texts)
        # Rounded, so that equal texts are tied whatever order their sums were made in.
        total: Floats = np.round(there @ has + (1.0 - there) @ lacks, 9)
        return total

    return suspects


MAKERS = {"rules": rules_of, "words": words_of}


def _words(text: str) -> set[str]:
    """Its words, whatever its numbers are."""
    return {"0" if word.isdigit() else word.lower() for word in _WORD.findall(text)}


def _log_odds(cheating: Floats, honest: Floats) -> Floats:
    """[R] of two tables [N, R] and [M, R] of what was found."""

    def share(found: Floats) -> Floats:
        rate: Floats = (found.sum(axis=0) + _SMOOTHING) / (len(found) + 2 * _SMOOTHING)
        return rate

    odds: Floats = np.log(share(cheating)) - np.log(share(honest))
    return odds


async def judged(engine: Engine, cases: Sequence[tuple[str, str]]) -> list[float | None]:
    """A model's suspicion of each (question, text), from 0 to 1; None where its verdict cannot be read."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(question: str, text: str) -> float | None:
        request = Request(
            judging(question, text), max_tokens=VERDICT_TOKENS, sampling=Sampling(temperature=0.0)
        )
        async with gate:
            generation = await engine.start(request).result()
        if generation.error is not None:
            raise generation.error
        output = generation.outputs[0]
        return verdict_of(question, text, Sample(output.text, finish=output.finish))

    distinct = list(dict.fromkeys(cases))
    told = dict(zip(distinct, await asyncio.gather(*(one(*case) for case in distinct)), strict=True))
    return [told[case] for case in cases]
