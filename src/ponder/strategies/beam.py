"""Beam search (Snell et al. 2024, arXiv 2408.03314 §5.2): keep the steps that a process score likes best."""

from __future__ import annotations

from random import Random

from ponder.core import Question, Strategy
from ponder.strategies._search import ROOT, Search, fittest


def beam(
    question: Question,
    rng: Random,
    *,
    n: int = 16,
    width: int = 4,
    depth: int = 16,
    by: str = "checks",
    step: str = r"\n",
) -> Strategy:
    """Draw `n` steps a level, keep the n / `width` best paths, and draw `width` next steps from each.

    Finished paths leave the beam; the best of them is the answer. `depth` is the most steps of a path.
    """
    search, beams = Search(question, by, step, depth), [ROOT]
    while beams and not search.final:
        groups = yield from search.extend(beams, n)
        longer = [path for group in groups for path in group if path.unfinished]
        beams = fittest(longer, max(1, n // width), rng)
    return search.answer(rng)
