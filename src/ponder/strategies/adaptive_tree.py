"""Adaptive branching tree search (AB-MCTS-A, Inoue et al. 2025, arXiv 2503.04412): wider or deeper?"""

from __future__ import annotations

from random import Random

from ponder.core import Question, Strategy
from ponder.strategies._search import Search, worth
from ponder.strategies._tree import Node, wider_or_deeper


def adaptive_tree(
    question: Question,
    rng: Random,
    *,
    n: int = 64,
    wave: int = 4,
    depth: int = 16,
    by: str = "checks",
    step: str = r"\n",
) -> Strategy:
    """Draw `n` steps, `wave` at a time: each from a node chosen by Thompson sampling, which at every node
    decides between one more step from there (wider) and going on from a child (deeper).
    """
    search, root, drawn = Search(question, by, step, depth), Node(), 0
    while drawn < n and not search.final:
        nodes = [wider_or_deeper(root, rng) for _ in range(min(wave, n - drawn))]
        groups = yield from search.extend([node.path for node in nodes], len(nodes))
        for node, group in zip(nodes, groups, strict=True):
            for path in group:
                node.child(path).back_up(worth(path, by))
        drawn += len(nodes)
    return search.answer(rng)
