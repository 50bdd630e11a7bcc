"""How coverage, the share of problems that some of k draws solves, grows with k: pass@k far past the draws.

Each problem's chance p of a right draw is its own; pass@k is the mean of 1 - (1 - p)^k, so it depends on how
p is spread near 0 (Schaeffer et al. 2025, How Do Large Language Monkeys Get Their Power (Laws)?, arXiv
2502.17578). The Beta-binomial laws fit that spread; the power laws fit the curve itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ponder.errors import LawUndefined
from ponder.laws import _beta_binomial
from ponder.laws._newton import Jet, maximise
from ponder.laws.data import Counts
from ponder.laws.fit import Fit
from ponder.measure.estimators import coverage

__all__ = ["COVERAGE_LAWS", "BetaBinomial", "PowerLaw", "log_likelihood", "needed", "pass_at"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST_SAMPLES = 1e12  # that are looked at for a wanted coverage
_PLACES = 24  # values of k that a curve is fitted at, evenly in log k
_SIGNIFICANT = 2.71
"""Of twice the gain in log-likelihood, at 5 %: a share cannot be negative, so under its absence the statistic
is 0 half of the time and else χ² with one degree of freedom (Self & Liang 1987, doi
10.1080/01621459.1987.10478472, case 5)."""


def pass_at(counts: Counts, ks: Floats | Ints) -> Floats:
    """[P, K]: the unbiased pass@k of each problem (Chen et al. 2021, arXiv 2107.03374 §2.1). Raises
    LawUndefined for a k beyond the draws of some problem."""
    _, _, place = counts.unique
    return _distinct(counts, np.asarray(ks, dtype=np.int64))[place]


def _distinct(counts: Counts, ks: Ints) -> Floats:
    """[U, K]: pass@k of each distinct pair of draws and right ones."""
    most = int(ks.max(initial=0))
    if most > counts.least:
        raise LawUndefined(
            f"samples: {counts.name} has {counts.least} a problem, too few for pass@{most}; draw more."
        )
    draws, right, _ = counts.unique
    out = np.empty((len(draws), ks.size))
    for n in np.unique(draws):
        rows = draws == n
        out[rows] = coverage(np.arange(n)[None, :] < right[rows][:, None], ks.tolist())
    return out


def _check(counts: Counts) -> None:
    """Raises LawUndefined where the counts say nothing about how pass@k grows."""
    if counts.least < 2:
        raise LawUndefined(f"samples: {counts.name} has one of some problem; draw at least 2 of each.")
    if not counts.right.any():
        raise LawUndefined(
            f"{counts.name}: no draw is right, so nothing says how coverage grows; draw more, or take easier "
            "problems."
        )
    if (counts.right == counts.draws).all():
        raise LawUndefined(
            f"{counts.name}: every draw is right, so there is no growth to fit; take harder problems."
        )


@dataclass(frozen=True, slots=True)
class BetaBinomial:
    """Problems' chances of a right draw follow Beta(a, b); with `zeros` a share of problems is never solved,
    with `ones` a share always.

        pass@k = 1 - never - (1 - never - always) · B(a, b + k) / B(a, b)

    Levi 2024 (A Simple Model of Inference Scaling Laws, arXiv 2410.16377), Schaeffer et al. 2025 (arXiv
    2502.17578). Failures fall as k^-a for large k. Fitted by maximum likelihood.
    """

    zeros: bool = False
    ones: bool = False

    @property
    def name(self) -> str:
        inflated = [word for word, wanted in (("zero", self.zeros), ("one", self.ones)) if wanted]
        return "-".join([*inflated, "inflated beta-binomial"]) if inflated else "beta-binomial"

    @property
    def parameters(self) -> tuple[str, ...]:
        return ("a", "b", *["never"] * self.zeros, *["always"] * self.ones)

    def reach(self, data: Counts) -> tuple[float, float]:
        return 1.0, float(data.least)

    def solve(self, data: Counts, weights: Floats) -> Floats:
        _check(data)
        draws, right, _ = data.unique
        pooled = data.pooled(weights)
        found = _beta_binomial.solve(pooled, draws, right, zeros=self.zeros, ones=self.ones)
        return found[:, [True, True, self.zeros, self.ones]]

    def at(self, parameters: Floats, x: Floats) -> Floats:
        a, b, never, always = (column[:, None] for column in self._four(parameters).T)
        fail = np.exp(_log_ratio(b, a) - _log_ratio(b + x, a))
        passed: Floats = 1.0 - never - (1.0 - never - always) * fail
        return passed

    def _four(self, parameters: Floats) -> Floats:
        """[B, 4] with a share of 0 where there is none."""
        four = np.zeros((len(parameters), 4))
        four[:, [True, True, self.zeros, self.ones]] = parameters
        return four

    @classmethod
    def chosen(cls, counts: Counts) -> BetaBinomial:
        """The law with those shares that the counts ask for: each is added where it raises the likelihood
        significantly, the better one first."""
        current = cls()
        best = log_likelihood(current, counts)
        while True:
            wider = [cls(True, current.ones), cls(current.zeros, True)]
            tried = {law: log_likelihood(law, counts) for law in wider if law != current}
            if not tried:
                return current
            law = max(tried, key=lambda each: tried[each])
            if 2.0 * (tried[law] - best) <= _SIGNIFICANT:
                return current
            current, best = law, tried[law]


def _log_ratio(z: Floats, a: Floats) -> Floats:
    """ln Γ(z + a) - ln Γ(z). For large z the two all but cancel, and z may be infinite: there it is
    a · ln(z + (a - 1)/2), with a relative error of (1 + a)²/z² (DLMF 5.11.14)."""
    far = z > 1e6 * (1.0 + a)
    large, small = np.where(far, z, 1.0), np.where(far, 1.0, z)
    ratio: Floats = np.where(
        far, a * np.log(large + (a - 1.0) / 2.0), special.gammaln(small + a) - special.gammaln(small)
    )
    return ratio


def log_likelihood(law: BetaBinomial, counts: Counts, parameters: Floats | None = None) -> float:
    """The logarithm of the chance of the counts under the law, at `parameters` [Q] or at its best ones."""
    draws, right, place = counts.unique
    if parameters is None:
        parameters = law.solve(counts, np.ones((1, *counts.units)))[0]
    a, b, never, always = law._four(parameters[None, :])[0]
    ways = special.gammaln(draws + 1) - special.gammaln(right + 1) - special.gammaln(draws - right + 1)
    chance = (1.0 - never - always) * np.exp(
        ways + special.betaln(a + right, b + draws - right) - special.betaln(a, b)
    )
    chance = chance + never * (right == 0) + always * (right == draws)
    return float(np.log(chance) @ np.bincount(place, minlength=len(draws)))


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """pass@k = exp(a · k^b), the exponentiated power law of Brown et al. 2024 (Large Language Monkeys, arXiv
    2407.21787), fitted to the unbiased pass@k at k spread evenly in log k.

    By least squares on log(-log pass@k), which is a straight line in log k; or with `on_shares` on pass@k
    itself, the baseline that Schaeffer et al. 2025 compare with.
    """

    on_shares: bool = False

    @property
    def name(self) -> str:
        return "least squares on pass@k" if self.on_shares else "power law"

    @property
    def parameters(self) -> tuple[str, ...]:
        return ("a", "b")

    def reach(self, data: Counts) -> tuple[float, float]:
        return 1.0, float(data.least)

    def solve(self, data: Counts, weights: Floats) -> Floats:
        _check(data)
        ks = np.unique(np.geomspace(1, data.least, _PLACES).round().astype(np.int64))
        pooled = data.pooled(weights)
        passed = pooled @ _distinct(data, ks) / pooled.sum(axis=1, keepdims=True)
        line = _line(np.log(ks), passed)
        if self.on_shares:
            line = _curve(np.log(ks), passed, line)
        return np.stack([-np.exp(line[0]), line[1]], axis=1)

    def at(self, parameters: Floats, x: Floats) -> Floats:
        a, b = parameters[:, :1], parameters[:, 1:]
        passed: Floats = np.exp(a * x**b)
        return passed


def _line(log_k: Floats, passed: Floats) -> tuple[Floats, Floats]:
    """Intercept and slope [B] of log(-log pass@k) [B, K] over log k; nan for fewer than two places at which
    some draw failed and some did not."""
    inside = (passed > 0.0) & (passed < 1.0 - 1e-12)
    y = np.log(-np.log(np.where(inside, passed, 0.5)))
    count = inside.sum(axis=1).astype(np.float64)
    count[count < 2] = np.nan
    mean_x, mean_y = (inside * log_k).sum(axis=1) / count, (inside * y).sum(axis=1) / count
    off = (log_k - mean_x[:, None]) * inside
    slope = (off * (y - mean_y[:, None])).sum(axis=1) / (off**2).sum(axis=1)
    return mean_y - slope * mean_x, slope


def _curve(log_k: Floats, passed: Floats, start: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """(u, b) of the least squares of exp(-exp(u + b·log k)) on pass@k [B, K], by Gauss and Newton."""

    def negative_squares(u: Floats, b: Floats) -> Jet:
        grown = np.exp(np.clip(u[:, None] + b[:, None] * log_k, -700.0, 300.0))
        made = np.exp(-grown)
        missed, slope = passed - made, -made * grown
        cross = np.stack([(missed * slope * log_k**i).sum(axis=1) for i in (0, 1)])
        square = np.stack([-(slope**2 * log_k**i).sum(axis=1) for i in (0, 1, 2)])
        return Jet(-0.5 * (missed**2).sum(axis=1), cross[0], cross[1], square[0], square[1], square[2])

    known = np.isfinite(start[0]) & np.isfinite(start[1])
    u, b = (np.clip(np.where(known, each, 0.0), -30.0, 30.0) for each in start)
    u, b = maximise(negative_squares, u, b, ((-30.0, 30.0), (-30.0, 0.0)))
    return np.where(known, u, np.nan), np.where(known, b, np.nan)


COVERAGE_LAWS = (
    BetaBinomial(),
    BetaBinomial(zeros=True),
    BetaBinomial(ones=True),
    BetaBinomial(zeros=True, ones=True),
    PowerLaw(),
    PowerLaw(on_shares=True),
)


def needed(found: Fit, wanted: float) -> tuple[float, float, float]:
    """The number of samples at which a fitted law of coverage reaches `wanted`, and its interval's ends; inf
    where 10^12 are too few."""
    grid = np.geomspace(1.0, _MOST_SAMPLES, 2000)
    passed = found.law.at(np.concatenate([found.value[None, :], found.draws]), grid)
    enough = passed >= wanted
    counts = np.where(enough.any(axis=1), grid[np.argmax(enough, axis=1)], np.inf)
    tail = (1.0 - found.level) / 2.0
    low = float(np.quantile(counts[1:], tail, method="lower"))
    high = float(np.quantile(counts[1:], 1.0 - tail, method="higher"))
    value = float(counts[0])
    return value, min(low, value), max(high, value)
