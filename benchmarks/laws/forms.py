"""Forms of the joint law, each held against the checkpoints of most training: which one foretells them?

n, d and k are the logs of size, training tokens and samples less their means. A form says the logit of
accuracy, or with a ceiling that of accuracy's part of the ceiling:

    log-linear           a + b_N·n + b_D·d + b_k·k + c·n·k
    log-log              the same of log(-log(1 - p)) in place of the logit
    Chinchilla           a - A·N^-α - B·D^-β + b_k·k + c·n·k (Hoffmann et al. 2022, arXiv 2203.15556, §3.3, of
                         the loss; here of the logit)
    Chinchilla in tokens a + b_N·n - B·D^-β + b_k·k + c·n·k
    bounded tokens       log-linear with log(D / (D + D_0)) in place of d
    moving bound         the same with a D_0 that is a power law of the size
    bottleneck           b_k·k + c·n·k and a smooth minimum, the harmonic sum of odds, of a line in n and one
                         in d and n
    emergence            p is a logistic in d whose middle moves with n, times that of a line in n and k
    ceiling of size      log-linear, times a logistic in n
    beta-binomial        of any right of k: the mean is log-linear in size and tokens, with a ceiling, and the
                         concentration a power law of both

A form is chosen by the inner forecast: that of the fifth of the checkpoints with most training but for the
last fifth, from those below. What it is good for is told by the outer one, of the last fifth from all others,
and by that of the largest size from all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from benchmarks.laws.family import STUDIED
from benchmarks.laws.figures import Result
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, least_squares
from scipy.special import expit, gammaln, rel_entr

from ponder.errors import LawUndefined
from ponder.laws.compute import Ahead
from ponder.laws.grid import Grid, Strategy
from ponder.laws.ladder import Ladder, grid_of
from ponder.laws.upward import split_up

__all__ = ["FORMS", "OF_SAMPLES", "Form", "fitted", "forms", "of_grid", "summary"]

Floats = NDArray[np.float64]
Values = Callable[[Floats, Floats, Floats, Floats], Floats]

_STARTS, _STEPS = 5, 150
_SLACK = 1.05  # a ceiling is at least this power of the highest mean, as in ponder.laws.joint
_TINY = 1e-12
_LN10 = float(np.log(10.0))

RANGES: dict[str, tuple[float, float, float, float]] = {
    "a": (-30.0, 200.0, -4.0, 4.0),
    "b_N": (-30.0, 30.0, -1.0, 3.0),
    "b_D": (-30.0, 60.0, 1.0, 8.0),
    "b_k": (-30.0, 30.0, 0.0, 2.0),
    "c": (-30.0, 30.0, -0.3, 0.3),
    "A": (0.0, 100.0, 0.1, 5.0),
    "B": (0.0, 100.0, 0.1, 5.0),
    "alpha": (0.05, 3.0, 0.1, 1.0),
    "beta": (0.05, 3.0, 0.1, 1.0),
    "middle": (-3.0, 3.0, -1.0, 1.0),
    "middle by n": (-2.0, 2.0, -0.7, 0.3),
    "ceiling's a": (-8.0, 12.0, 0.0, 6.0),
    "ceiling's b_N": (-8.0, 8.0, -1.0, 2.0),
    "ceiling": (0.0, 1.0, 0.0, 1.0),
    "concentration": (-3.0, 9.0, 0.0, 4.0),
    "concentration by n": (-4.0, 4.0, -1.0, 1.0),
    "concentration by d": (-4.0, 4.0, -1.0, 1.0),
}
"""Of each parameter the least and the most that it may be, and the two between which it starts."""


@dataclass(frozen=True, slots=True)
class Form:
    """`of` says the accuracies [M, K] from the parameters, n [M, 1], d [M, 1] and k [1, K]."""

    name: str
    parameters: tuple[str, ...]
    of: Values

    @property
    def ceiling(self) -> bool:
        """Whether the last parameter is one."""
        return self.parameters[-1] == "ceiling"

    def bounded(self) -> Form:
        """Times a ceiling."""
        inner = self.of
        return replace(
            self,
            parameters=(*self.parameters, "ceiling"),
            of=lambda q, n, d, k: q[-1] * inner(q[:-1], n, d, k),
        )


def _log_linear(q: Floats, n: Floats, d: Floats, k: Floats) -> Floats:
    out: Floats = expit(q[0] + q[1] * n + q[2] * d + q[3] * k + q[4] * n * k)
    return out


def _log_log(q: Floats, n: Floats, d: Floats, k: Floats) -> Floats:
    rate = q[0] + q[1] * n + q[2] * d + q[3] * k + q[4] * n * k
    out: Floats = -np.expm1(-np.exp(np.clip(rate, -60.0, 6.0)))
    return out


def _chinchilla(q: Floats, n: Floats, d: Floats, k: Floats) -> Floats:
    left = q[1] * 10.0 ** (-q[2] * n) + q[3] * 10.0 ** (-q[4] * d)
    out: Floats = expit(q[0] - left + q[5] * k + q[6] * n * k)
    return out


def _in_tokens(q: Floats, n: Floats, d: Floats, k: Floats) -> Floats:
    out: Floats = expit(q[0] + q[1] * n - q[2] * 10.0 ** (-q[3] * d) + q[4] * k + q[5] * n * k)
    return out


def _moving(q: Floats, n: Floats, d: Floats, k: Floats) -> Floats:
    learnt = -np.logaddexp(0.0, _LN10 * (q[3] + q[4] * n - d)) / _LN10
    out: Floats = expit(q[0] + q[1] * n + q[2] * learnt + q[5] * k + q[6] * n * k)
    return out


def _bounded(q: Floats, n: Floats, d: Floats, k: Floats) -> Floats:
    return _moving(np.insert(q, 4, 0.0), n, d, k)


def _bottleneck(q: Floats, n: Floats, d: Floats, k: Floats) -> Floats:
    least = -np.logaddexp(-(q[0] + q[1] * n), -q[2] * (d - q[3] - q[4] * n))
    out: Floats = expit(least + q[5] * k + q[6] * n * k)
    return out


def _emergence(q: Floats, n: Floats, d: Floats, k: Floats) -> Floats:
    out: Floats = expit(q[2] * (d - q[3] - q[4] * n)) * expit(q[0] + q[1] * n + q[5] * k + q[6] * n * k)
    return out


def _ceiling_of_size(q: Floats, n: Floats, d: Floats, k: Floats) -> Floats:
    out: Floats = expit(q[5] + q[6] * n) * _log_linear(q, n, d, k)
    return out


def _beta_binomial(q: Floats, n: Floats, d: Floats, k: Floats) -> Floats:
    """Here k is the log of the samples itself."""
    mean = np.clip(q[6] * expit(q[0] + q[1] * n + q[2] * d), _TINY, 1.0 - _TINY)
    total = np.exp(np.clip(q[3] + q[4] * n + q[5] * d, -8.0, 12.0))
    wrong, samples = (1.0 - mean) * total, 10.0**k
    never = gammaln(wrong + samples) - gammaln(wrong) + gammaln(total) - gammaln(total + samples)
    out: Floats = -np.expm1(never)
    return out


_LINE = ("a", "b_N", "b_D", "b_k", "c")
_MOVED = ("a", "b_N", "b_D", "middle", "middle by n", "b_k", "c")

FORMS: tuple[Form, ...] = (
    Form("log-linear", _LINE, _log_linear),
    Form("log-log", _LINE, _log_log),
    Form("Chinchilla", ("a", "A", "alpha", "B", "beta", "b_k", "c"), _chinchilla),
    Form("Chinchilla in tokens", ("a", "b_N", "B", "beta", "b_k", "c"), _in_tokens),
    Form("bounded tokens", ("a", "b_N", "b_D", "middle", "b_k", "c"), _bounded),
    Form("moving bound", _MOVED, _moving),
    Form("bottleneck", _MOVED, _bottleneck),
    Form("emergence", _MOVED, _emergence),
    Form("ceiling of size", (*_LINE, "ceiling's a", "ceiling's b_N"), _ceiling_of_size),
)
OF_SAMPLES = Form(
    "beta-binomial",
    ("a", "b_N", "b_D", "concentration", "concentration by n", "concentration by d", "ceiling"),
    _beta_binomial,
)
"""Of any right alone."""


def _asked(strategy: Strategy) -> Iterator[Form]:
    """Every form without a ceiling and with one, but for those that have one of their own."""
    for form in FORMS:
        yield form
        if form.of is not _ceiling_of_size:
            yield form.bounded()
    if strategy == "pass":
        yield OF_SAMPLES


# ---------------------------------------------------------------- fitting


def fitted(form: Form, known: Grid, asked: Grid) -> Floats:
    """[M, K]: what the form, fitted to the means of one grid, says of another. By quasi-likelihood, from
    several starts. Raises LawUndefined where none of them ends."""
    centre = _logs(known)
    shift = [float(each.mean()) for each in centre[:2]] + [_shift(form, known)]
    means = known.values.mean(axis=0)
    at = [each - by for each, by in zip(centre, shift, strict=True)]
    found = _best(form, means, at)
    if found is None:
        raise LawUndefined(f"{form.name}: it could not be fitted to {known.name}.")
    return form.of(found, *(each - by for each, by in zip(_logs(asked), shift, strict=True)))


def _logs(grid: Grid) -> list[Floats]:
    return [np.log10(grid.size)[:, None], np.log10(grid.tokens)[:, None], np.log10(grid.amounts)[None, :]]


def _shift(form: Form, known: Grid) -> float:
    return 0.0 if form.of is _beta_binomial else float(np.log10(known.amounts).mean())


def _best(form: Form, means: Floats, at: list[Floats]) -> Floats | None:
    low, high, first, last = np.array([RANGES[name] for name in form.parameters]).T.copy()
    if form.ceiling:
        top = means[:, 0] if form.of is _beta_binomial else means
        first[-1] = low[-1] = min(float(top.max()) ** _SLACK, 1.0 - 1e-6)

    def missed(q: Floats) -> Floats:
        """The roots of the deviances, with their signs."""
        p = np.clip(form.of(q, *at), _TINY, 1.0 - _TINY)
        deviance = rel_entr(means, p) + rel_entr(1.0 - means, 1.0 - p)
        out: Floats = (np.sign(p - means) * np.sqrt(2.0 * np.maximum(deviance, 0.0))).ravel()
        return out

    rng = np.random.default_rng(0)
    ends: list[OptimizeResult] = []
    for _ in range(_STARTS):
        start = np.clip(rng.uniform(first, last), low + 1e-7, high - 1e-7)
        scale = np.maximum((last - first) / 2.0, 0.01)
        ends.append(least_squares(missed, start, bounds=(low, high), x_scale=scale, max_nfev=_STEPS))
    best = min(ends, key=lambda each: float(each.cost))
    return np.asarray(best.x) if np.isfinite(best.cost) else None


# ---------------------------------------------------------------- forecasts


_SPLITS = ("misses", "inner", "outer", "largest")


def _splits(grid: Grid) -> dict[str, tuple[Grid, Grid]]:
    """What is known and what is held back. All of it is both for what a form misses where it was fitted."""
    below, last = split_up(grid)
    largest = grid.size == grid.size.max()
    pairs = (grid, grid), split_up(below), (below, last), (grid.only(~largest), grid.only(largest))
    return dict(zip(_SPLITS, pairs, strict=True))


def _rms(missed: Floats) -> float:
    return float(np.sqrt(np.mean(missed**2)))


def _unchanged(known: Grid, held: Grid) -> Result:
    """Errors of saying that nothing changes: from the best of all others at each amount, and from the
    checkpoint of most tokens of the same run and seed (the best of all where there is none)."""
    means, truth = known.values.mean(axis=0), held.values.mean(axis=0)
    best = np.broadcast_to(means.max(axis=0), truth.shape)
    own = best.copy()
    for place, who in enumerate(zip(held.runs, held.seeds, strict=True)):
        same = [at for at, each in enumerate(zip(known.runs, known.seeds, strict=True)) if each == who]
        if same:
            own[place] = means[max(same, key=lambda at: known.tokens[at])]
    return {"best of the others": _rms(best - truth), "own last": _rms(own - truth)}


def of_grid(grid: Grid, strategy: Strategy) -> Result:
    """The errors of every form, those of saying that nothing changes, and the form of the least inner
    error. Raises LawUndefined where too little is left to be fitted to."""
    splits = _splits(grid)
    unchanged = {name: _unchanged(*pair) for name, pair in splits.items() if name != "misses"}
    baseline = unchanged["outer"]["best of the others"]
    told: list[Result] = []
    for form in _asked(strategy):
        errors = {
            name: _rms(fitted(form, known, held) - held.values.mean(axis=0))
            for name, (known, held) in splits.items()
        }
        word = Ahead(len(splits["outer"][1].models), errors["outer"], baseline).word
        head: Result = {"form": form.name, "ceiling": form.ceiling, "parameters": len(form.parameters)}
        told.append(head | errors | {"word": word})
    chosen = min(told, key=lambda each: (each["inner"], each["parameters"]))
    return {"forms": told, "unchanged": unchanged, "chosen": {name: chosen[name] for name in _WHICH}}


_WHICH = ("form", "ceiling")


def summary(rows: Sequence[Result]) -> list[Result]:
    """Each form's errors in the mean over the rows, for how many of them it is a law, and for how many the
    inner forecast chooses it. A form that some rows do not have is in none of it."""
    found: dict[tuple[str, bool], list[Result]] = {}
    for row in rows:
        for each in row["forms"]:
            found.setdefault((each["form"], each["ceiling"]), []).append(each)
    chosen = [tuple(row["chosen"][name] for name in _WHICH) for row in rows]
    return [
        {
            **{name: own[0][name] for name in (*_WHICH, "parameters")},
            **{split: float(np.mean([each[split] for each in own])) for split in _SPLITS},
            "laws": sum(each["word"] == "law" for each in own),
            "chosen": chosen.count(which),
        }
        for which, own in found.items()
        if len(own) == len(rows)
    ]


def unchanged(rows: Sequence[Result]) -> Result:
    """The errors of saying that nothing changes, in the mean over the rows."""
    return {
        name: {
            split: float(np.mean([row["unchanged"][split][name] for row in rows]))
            for split in ("inner", "outer", "largest")
        }
        for name in ("best of the others", "own last")
    }


def forms(ladder: Ladder) -> Result:
    """By task and strategy what `of_grid` says, or why there is nothing to say; and the means over those that
    have something. Without tasks that were not recorded."""
    rows: list[Result] = []
    for task, strategies in STUDIED.items():
        for strategy in strategies if task in ladder.tasks else ():
            head: Result = {"task": task, "strategy": strategy}
            try:
                rows.append(head | of_grid(grid_of(ladder.pretrained(task), strategy), strategy))
            except LawUndefined as error:
                rows.append(head | {"undefined": str(error)})
    told = [row for row in rows if "forms" in row]
    if not told:
        return {"rows": rows, "means": [], "unchanged": None}
    return {"rows": rows, "means": summary(told), "unchanged": unchanged(told)}
