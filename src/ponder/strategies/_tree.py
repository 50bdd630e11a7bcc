"""Trees of paths, and how the tree searches choose where to go on. Pure arithmetic on scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from ponder.strategies._search import ROOT, Path

__all__ = ["Node", "mean_draw", "uct_leaf", "wider_or_deeper"]


@dataclass(eq=False, slots=True)
class Node:
    """A path in the tree, and the paths one step longer by their text.

    `tries` counts what was drawn below it, itself included, `expansions` how often its children were drawn.
    `told` are the scores of what was tried, each with the number of levels between.
    """

    path: Path = ROOT
    parent: Node | None = None
    children: dict[str, Node] = field(default_factory=dict)
    tries: int = 0
    expansions: int = 0
    told: list[tuple[int, float]] = field(default_factory=list)

    def child(self, path: Path) -> Node:
        """The child for this path, made where it is new: equal texts are one node."""
        return self.children.setdefault(path.text, Node(path, self))

    def open(self) -> list[Node]:
        """The children that can grow, in the order of their texts."""
        return [self.children[text] for text in sorted(self.children) if self.children[text].path.unfinished]

    def back_up(self, score: float | None) -> None:
        """Tell a score to this node and all above it. An unknown one counts as tried and tells nothing."""
        node: Node | None = self
        levels = 0
        while node is not None:
            node.tries += 1
            node.told += [] if score is None else [(levels, score)]
            node, levels = node.parent, levels + 1

    def scores(self, nearest: int = 0, farthest: float = math.inf) -> list[float]:
        """What was told from `nearest` to `farthest` levels below."""
        return [score for levels, score in self.told if nearest <= levels <= farthest]


def uct_leaf(root: Node, exploration: float, width: int, rng: Random) -> Node:
    """Descend to the node to expand: at each level to the child with the largest upper confidence bound,
    mean + exploration * sqrt(ln tries of the parent / tries).

    UCB1 on trees (Kocsis & Szepesvari 2006, doi 10.1007/11871842_29), for scores in [0, 1]. A model has
    more next steps than are drawn at once, so the descent stops at a node without a child that can grow, and
    where one expansion more makes them at most sqrt(tries / width): progressive widening (Couetoux et al.
    2011, doi 10.1007/978-3-642-25566-3_32). Where nothing is known of a child its mean counts as 0; ties are
    broken by `rng`.
    """
    node = root
    while (children := node.open()) and (node.expansions + 1) ** 2 * width > node.tries:
        log_tries = math.log(node.tries)
        bounds = [_mean(c.scores()) + exploration * math.sqrt(log_tries / c.tries) for c in children]
        node = rng.choice([c for c, bound in zip(children, bounds, strict=True) if bound == max(bounds)])
    node.expansions += 1
    return node


def wider_or_deeper(root: Node, rng: Random) -> Node:
    """The node to draw the next step from, by Thompson sampling (AB-MCTS-A, Inoue et al. 2025, arXiv
    2503.04412).

    At each node: draw a mean score for a new child from the scores of its children so far (wider), and one
    for its children's own descendants (deeper). Where wider is larger, or no child can grow, it is this node;
    otherwise go on from the child whose draw, from all the scores in its subtree, is largest.
    """
    node = root
    while children := node.open():
        if mean_draw(node.scores(1, 1), rng) >= mean_draw(node.scores(2), rng):
            break
        node = max(children, key=lambda child: mean_draw(child.scores(), rng))
    return node


def mean_draw(scores: Sequence[float], rng: Random) -> float:
    """One draw of the mean of normal scores of unknown mean and variance, given those seen.

    Conjugate prior (normal, scaled inverse chi-squared): mean 0 worth one score, variance 0.1 worth one
    score, the defaults of the authors (treequest). Suits scores in [0, 1].
    """
    n = len(scores)
    mean = _mean(scores)
    spread = math.fsum((s - mean) ** 2 for s in scores)
    kappa, nu = 1 + n, 1 + n
    scale = _PRIOR_VARIANCE + spread + n / kappa * mean**2
    variance = scale / (2 * rng.gammavariate(nu / 2, 1.0))
    return rng.gauss(n * mean / kappa, math.sqrt(variance / kappa))


_PRIOR_VARIANCE = 0.1


def _mean(scores: Sequence[float]) -> float:
    return math.fsum(scores) / len(scores) if scores else 0.0
