"""Maximum likelihood of the Beta-binomial distribution for many weightings of the same counts at once.

The likelihood of a, b is a sum of one-dimensional functions of log a, log b and log(a + b). Each is tabulated
for every weighting by one matrix product and read off by quintic Hermite interpolation, so that a step of
Newton's method costs the same however many problems there are. The interpolation is exact to about 1e-9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ponder.laws._newton import Box, Jet, maximise

__all__ = ["log_rising", "solve"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEAST, _MOST = float(np.log(1e-4)), float(np.log(1e6))
_BOX: Box = ((_LEAST, _MOST), (_LEAST, _MOST))
_SPACING = 0.2
_NODES = np.arange(_LEAST, _MOST + np.log(2.0) + 2.0 * _SPACING, _SPACING)
_CHUNK = 2048  # weightings at a time
_ROUNDING = 1e-9  # of a chance near 1: a difference of logarithms of Γ at 1e6


def _hermite() -> Floats:
    """[6, 6]: from (f, hf', h²f'') at 0 and at 1 to the coefficients of the quintic through them."""
    rows = []
    for at in (0.0, 1.0):
        powers = at ** np.arange(6)
        rows.append(powers)
        rows.append(np.array([0.0, *(i * at ** (i - 1) for i in range(1, 6))]))
        rows.append(np.array([0.0, 0.0, *(i * (i - 1) * at ** (i - 2) for i in range(2, 6))]))
    inverse: Floats = np.linalg.inv(np.array(rows))
    return inverse


_QUINTIC = _hermite()


def log_rising(t: Floats, count: Floats | Ints) -> tuple[Floats, Floats, Floats]:
    """ln Γ(x + c) - ln Γ(x) with x = exp(t), the logarithm of x (x + 1) ... (x + c - 1), and its first and
    second derivative in t. Arguments are broadcast."""
    x = np.exp(t)
    value = special.gammaln(x + count) - special.gammaln(x)
    first = x * (special.psi(x + count) - special.psi(x))
    second = first + x**2 * (special.zeta(2.0, x + count) - special.zeta(2.0, x))
    return value, first, second


@dataclass(frozen=True, slots=True)
class _Table:
    """Σ_u weight_u · log_rising(t, count_u) for B weightings, at the nodes: [B, G, 3]."""

    nodes: Floats

    @classmethod
    def of(cls, weights: Floats, counts: Ints) -> _Table:
        """From weights [B, U] and counts [U]."""
        distinct, place = np.unique(counts, return_inverse=True)
        summed = np.zeros((len(weights), len(distinct)))
        np.add.at(summed.T, place.reshape(-1), weights.T)
        kinds = log_rising(_NODES[None, :], distinct[:, None])
        scale = (1.0, _SPACING, _SPACING**2)
        return cls(np.stack([summed @ (kind * by) for kind, by in zip(kinds, scale, strict=True)], axis=2))

    def at(self, t: Floats) -> tuple[Floats, Floats, Floats]:
        """Value, first and second derivative at t [B]."""
        place = (t - _NODES[0]) / _SPACING
        node = np.clip(place.astype(np.int64), 0, len(_NODES) - 2)
        rows = np.arange(len(t))
        ends = np.concatenate([self.nodes[rows, node], self.nodes[rows, node + 1]], axis=1)
        c = (ends @ _QUINTIC.T).T
        z = place - node
        value = c[0] + z * (c[1] + z * (c[2] + z * (c[3] + z * (c[4] + z * c[5]))))
        first = c[1] + z * (2 * c[2] + z * (3 * c[3] + z * (4 * c[4] + z * 5 * c[5])))
        second = 2 * c[2] + z * (6 * c[3] + z * (12 * c[4] + z * 20 * c[5]))
        return value, first / _SPACING, second / _SPACING**2


Three = tuple[Floats, Floats, Floats]


def _joined(right: Three | None, wrong: Three | None, both: Three, u: Floats, v: Floats) -> Jet:
    """The jet of right(u) + wrong(v) - both(log(exp u + exp v))."""
    zero = np.zeros_like(u)
    r, w = right or (zero, zero, zero), wrong or (zero, zero, zero)
    p, q = special.expit(u - v), special.expit(v - u)
    return Jet(
        r[0] + w[0] - both[0],
        r[1] - both[1] * p,
        w[1] - both[1] * q,
        r[2] - both[2] * p**2 - both[1] * p * q,
        (both[1] - both[2]) * p * q,
        w[2] - both[2] * q**2 - both[1] * p * q,
    )


def _ends(u: Floats, v: Floats, draws: int, zeros: bool, ones: bool) -> Jet:
    """The chance that none of so many draws is right (`zeros`), that all are (`ones`), or the sum."""
    count = np.array([draws])
    both = log_rising(np.logaddexp(u, v), count)
    chances = []
    if zeros:
        chances.append(_joined(None, log_rising(v, count), both, u, v))
    if ones:
        chances.append(_joined(log_rising(u, count), None, both, u, v))
    jets = [each.chained(*(3 * [np.exp(each.value)])) for each in chances]
    return jets[0] if len(jets) == 1 else jets[0] + jets[1]


def solve(weights: Floats, draws: Ints, right: Ints, *, zeros: bool, ones: bool) -> Floats:
    """[B, U] weights of distinct (draws, right) [U] -> [B, 4]: a, b, and the shares of problems that are
    never and always right; a share that is not asked for is 0.

    With `zeros` (`ones`) a and b are those of the problems with some right (wrong) draw, by the likelihood
    conditional on that, and the share is what is left over; for equal draws this is the maximum of the whole
    likelihood. Where it is negative the share is 0 and a and b are fitted without it.
    """
    out = np.empty((len(weights), 4))
    for start in range(0, len(weights), _CHUNK):
        rows = slice(start, start + _CHUNK)
        out[rows] = _solve(weights[rows], draws, right, zeros, ones)
    return out


def _solve(weights: Floats, draws: Ints, right: Ints, zeros: bool, ones: bool) -> Floats:
    found = _fitted(weights, draws, right, zeros, ones)
    for share, other in ((2, (False, ones)), (3, (zeros, False))):
        bad = found[:, share] < 0.0
        if bad.any():
            found[bad] = _solve(weights[bad], draws, right, *other)
    return found


def _fitted(weights: Floats, draws: Ints, right: Ints, zeros: bool, ones: bool) -> Floats:
    none, every = (right == 0) & zeros, (right == draws) & ones
    kept = ~(none | every)
    inner = weights[:, kept]
    total = weights.sum(axis=1)
    share = inner.sum(axis=1) / total
    tables = [_Table.of(inner, counts[kept]) for counts in (right, draws - right, draws)]
    numbers = [(int(n), weights[:, kept & (draws == n)].sum(axis=1)) for n in np.unique(draws[kept])]

    def likelihood(u: Floats, v: Floats) -> Jet:
        jet = _joined(tables[0].at(u), tables[1].at(v), tables[2].at(np.logaddexp(u, v)), u, v)
        if zeros or ones:
            for n, mass in numbers:
                away = _ends(u, v, n, zeros, ones)
                left = np.maximum(1.0 - away.value, _ROUNDING)
                log_left = away.chained(np.log(left), -1.0 / left, -1.0 / left**2)
                jet = jet + log_left.scaled(-mass)
        return jet

    mean = np.clip((inner @ (right / draws)[kept]) / inner.sum(axis=1), 1e-3, 1.0 - 1e-3)
    u, v = maximise(likelihood, np.log(mean), np.log1p(-mean), _BOX)
    out = np.zeros((len(weights), 4))
    out[:, 0], out[:, 1] = np.exp(u), np.exp(v)
    if zeros or ones:
        expected = [_expected(weights / total[:, None], draws, u, v, kind) for kind in (0, 1)]
        rest = share / np.maximum(1.0 - expected[0] * zeros - expected[1] * ones, _ROUNDING)
        out[:, 2] = weights[:, none].sum(axis=1) / total - rest * expected[0] * zeros
        out[:, 3] = weights[:, every].sum(axis=1) / total - rest * expected[1] * ones
    return out


def _expected(shares: Floats, draws: Ints, u: Floats, v: Floats, kind: int) -> Floats:
    """[B]: the share of problems expected to have no right draw (kind 0), or only right ones (1)."""
    out = np.zeros(len(shares))
    for n in np.unique(draws):
        out += shares[:, draws == n].sum(axis=1) * _ends(u, v, int(n), kind == 0, kind == 1).value
    return out
