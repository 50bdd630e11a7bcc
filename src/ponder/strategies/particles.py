"""Particle filtering (Puri et al. 2025, arXiv 2502.01618 §3): resample paths by their process score."""

from __future__ import annotations

from random import Random

from ponder.core import Question, Strategy
from ponder.strategies._search import ROOT, Search, log_step_weight, resampled


def particles(
    question: Question, rng: Random, *, n: int = 16, depth: int = 16, by: str = "checks", step: str = r"\n"
) -> Strategy:
    """Let `n` paths each take a step, then draw the next `n` among them in proportion to their scores.

    A step's score is the chance that it is accepted, so a path stands for the model's own distribution,
    tilted by the product of its steps' scores. Of a score that sums up the path (likelihood, process_min,
    process_product) it is what the step changed. A finished path takes no step: it stays at weight 1.
    """
    search, population = Search(question, by, step, depth), [ROOT] * n
    while any(path.unfinished for path in population) and not search.final:
        finished = [path for path in population if not path.unfinished]
        going = [path for path in population if path.unfinished]
        groups = yield from search.extend(going, len(going))
        moved = [(path, parent) for parent, group in zip(going, groups, strict=True) for path in group]
        weights = [0.0] * len(finished) + [log_step_weight(path, parent, by) for path, parent in moved]
        population = resampled(finished + [path for path, _ in moved], weights, n, rng)
    return search.answer(rng)
