"""Diverse verifier tree search (DVTS, Beeching et al. 2024, "Scaling test-time compute with open models")."""

from __future__ import annotations

from random import Random

from ponder.core import Question, Strategy
from ponder.strategies._search import ROOT, Search, fittest


def diverse_beam(
    question: Question,
    rng: Random,
    *,
    n: int = 16,
    width: int = 4,
    depth: int = 16,
    by: str = "checks",
    step: str = r"\n",
) -> Strategy:
    """Grow n / `width` trees that do not compete: each draws `width` steps a level and keeps its best one.

    A tree ends with its best path; all finished paths are candidates for the answer.
    """
    search = Search(question, by, step, depth)
    tips = [ROOT] * max(1, n // width)
    while tips and not search.final:
        groups = yield from search.extend(tips, min(n, width * len(tips)))
        best = [path for group in groups for path in fittest(group, 1, rng)]
        tips = [path for path in best if path.unfinished]
    return search.answer(rng)
