"""Monte Carlo tree search by UCT (Kocsis & Szepesvari 2006, doi 10.1007/11871842_29) over steps."""

from __future__ import annotations

from random import Random

from ponder.core import Question, Strategy
from ponder.strategies._search import Search, worth
from ponder.strategies._tree import Node, uct_leaf


def tree(
    question: Question,
    rng: Random,
    *,
    n: int = 32,
    width: int = 4,
    depth: int = 16,
    exploration: float = 1.4,
    by: str = "checks",
    step: str = r"\n",
) -> Strategy:
    """Make `n` rollouts: go down the tree by upper confidence bound, draw `width` steps from the leaf, roll
    each out to its end, and tell the end's score to all the nodes above. The best end is the answer.
    """
    search, root, rollouts = Search(question, by, step, depth), Node(), 0
    while rollouts < n and not search.final:
        leaf, wanted = uct_leaf(root, exploration, width, rng), min(width, n - rollouts)
        (steps,) = yield from search.draw([leaf.path], wanted)
        ends = yield from search.roll_out(steps)
        for path, end in zip(steps, ends, strict=True):
            leaf.child(path).back_up(None if end is None else worth(end, by))
        rollouts += wanted
    return search.answer(rng)
