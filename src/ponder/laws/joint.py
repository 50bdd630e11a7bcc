"""The joint law of training and inference: a family's accuracy in size, training tokens and samples.

    logit((p - floor) / (ceiling - floor)) = a + b_N·log N + b_D·log D + b_k·log k + c·log N·log k

p is the mean over problems, all logs are to base 10. k counts samples, or tokens of one chain. In FLOP the
same is said of training compute and inference compute, with the size as what divides training compute between
parameters and tokens:

    logit(...) = a + b_N·log N + w_T·log C_train + w_I·log C_inf + c·log C_train·log C_inf

Problems differ. If the effect of a problem on the logit is normal with standard deviation `spread`, then the
law of a single problem has coefficients √(1 + 0.346·spread²) times as large as the law of the mean (Zeger,
Liang & Albert 1988, doi 10.2307/2531734, §3). So the mean is fitted by quasi-likelihood, which stays right
whatever the effects' distribution is, and the spread from the second moment: how much more often than by
chance two models are right at the same problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, xlogy

from ponder.errors import LawUndefined
from ponder.laws.fit import Fit
from ponder.laws.grid import Grid

__all__ = ["Form", "JointLaw", "attenuation", "law_of", "solve_logistic"]

Floats = NDArray[np.float64]
Form = Literal["samples", "flop"]

_NAMES: dict[Form, tuple[str, ...]] = {
    "samples": ("intercept", "size", "tokens", "amount", "size x amount"),
    "flop": ("intercept", "size", "training", "inference", "training x inference"),
}
_CROSSED: dict[Form, tuple[int, int]] = {"samples": (0, 2), "flop": (1, 2)}
_COORDINATES: dict[Form, tuple[str, ...]] = {
    "samples": ("size", "tokens", "amount"),
    "flop": ("size", "training FLOP", "inference FLOP"),
}

_ROUNDS = 60
_SETTLED = 1e-7
_LONGEST = 3.0  # logits that one step may move any point
_POWERS = np.array([0.0, 0.1, 0.25, 0.4, 0.6, 0.8, 0.95, 1.05])
"""Of the highest mean: ceilings from 1 to just below it, for means near a ceiling scatter about it."""
_NEAR = np.array([-0.05, 0.0, 0.05])
_LEAST_HIGHEST = 1e-6
_NODES, _MASS = np.polynomial.hermite_e.hermegauss(21)
_MASS = _MASS / _MASS.sum()
_WIDEST = 8.0  # of the spread, in logits
_HALVINGS = 24


def attenuation(spread: Floats) -> Floats:
    """By how much the coefficients of one problem are larger than those of the mean over problems, where
    problems differ by a normal effect of this standard deviation (Zeger et al. 1988, equation 3.2)."""
    out: Floats = np.sqrt(1.0 + (16.0 * np.sqrt(3.0) / (15.0 * np.pi)) ** 2 * np.asarray(spread) ** 2)
    return out


@dataclass(frozen=True, slots=True)
class JointLaw:
    """The law, in `samples` (x is size, tokens, amount) or in `flop` (x is size, training FLOP, inference
    FLOP). `floor` is the accuracy of a guess; `ceiling` None is fitted, between about the highest mean and 1.
    The last two parameters are the ceiling and the spread of the problems."""

    form: Form = "samples"
    floor: float = 0.0
    ceiling: float | None = None

    @property
    def name(self) -> str:
        return f"joint law in {self.form}"

    @property
    def parameters(self) -> tuple[str, ...]:
        return (*_NAMES[self.form], "ceiling", "spread")

    def reach(self, data: Grid) -> tuple[Floats, Floats]:
        x = self.places(data)
        return x.min(axis=0), x.max(axis=0)

    def places(self, data: Grid) -> Floats:
        """[M * K, 3]: where the family was measured."""
        models, amounts = data.inference_flop.shape
        training = data.tokens if self.form == "samples" else data.training_flop
        inference = (
            np.broadcast_to(data.amounts, (models, amounts))
            if self.form == "samples"
            else data.inference_flop
        )
        columns = [np.repeat(data.size, amounts), np.repeat(training, amounts), inference.ravel()]
        return np.column_stack(columns)

    def least_ceiling(self, data: Grid) -> float:
        """The lowest that is tried where the ceiling is fitted, just below the highest mean. A fit that is
        there would go lower, and what it says of a ceiling is only that mean."""
        highest = (float(data.values.mean(axis=0).max()) - self.floor) / (1.0 - self.floor)
        return self.floor + (1.0 - self.floor) * float(np.clip(highest, _LEAST_HIGHEST, 1.0) ** _POWERS[-1])

    def at(self, parameters: Floats, x: Floats) -> Floats:
        """[B, 7] at [X, 3] -> [B, X]: the mean accuracy over problems."""
        eta = parameters[:, :5] @ _columns(np.log10(x), _CROSSED[self.form]).T
        out: Floats = self.floor + (parameters[:, 5:6] - self.floor) * expit(eta)
        return out

    def solve(self, data: Grid, weights: Floats) -> Floats:
        """[B, U] -> [B, 7]. Raises LawUndefined for one size, one amount of training or of inference, for
        coordinates that rise together, and where all is wrong or all right."""
        logs = np.log10(self.places(data))
        self._require(data, logs)
        centre = logs.mean(axis=0)
        columns = _columns(logs - centre, _CROSSED[self.form])
        means, of_models = data.means(weights), data.model_weights(weights)
        cells = np.repeat(of_models, len(data.amounts), axis=1)
        found, ceiling = self._fitted(means.reshape(len(weights), -1), cells, columns)
        raw = _uncentred(found, centre, _CROSSED[self.form])
        spread = self._spread(
            data, weights, means[:, :, 0], _first(columns, len(data.amounts)), found, ceiling
        )
        return np.column_stack([raw, ceiling, spread])

    def _require(self, data: Grid, logs: Floats) -> None:
        for name, column in zip(_COORDINATES[self.form], logs.T, strict=True):
            if np.ptp(column) < 1e-9:
                raise LawUndefined(
                    f"{name}: {data.name} was measured at one value only, so its effect is unknown; record "
                    "models that differ in it."
                )
        if (data.values == 0.0).all() or (data.values == 1.0).all():
            said = "wrong" if data.values.flat[0] == 0.0 else "right"
            raise LawUndefined(f"scores: {data.name} is {said} everywhere; take other problems or models.")
        columns = _columns((logs - logs.mean(axis=0)) / logs.std(axis=0), _CROSSED[self.form])
        if np.linalg.matrix_rank(columns, tol=1e-6 * len(columns) ** 0.5) < columns.shape[1]:
            raise LawUndefined(
                f"models: {', '.join(_COORDINATES[self.form])} rise together in {data.name}, so that their "
                "effects cannot be told apart; record several checkpoints of each size."
            )

    def _fitted(self, means: Floats, cells: Floats, columns: Floats) -> tuple[Floats, Floats]:
        """The coefficients [B, 5] and ceilings [B]; a ceiling is profiled, over a coarse grid for all rows
        and then closely around each row's best."""
        if self.ceiling is not None:
            ceiling = np.full(len(means), self.ceiling)
            return solve_logistic(means, cells, columns, self.floor, ceiling)[0], ceiling
        above = (np.where(cells > 0.0, means, 0.0).max(axis=1) - self.floor) / (1.0 - self.floor)
        highest = np.clip(above, _LEAST_HIGHEST, 1.0)
        power, start = np.zeros(len(means)), None
        for offsets in (_POWERS, _NEAR, _NEAR / 5.0):
            places = np.clip(power[None, :] + offsets[:, None], 0.0, _POWERS[-1])
            losses = []
            for each in places:
                ceiling = self.floor + (1.0 - self.floor) * highest**each
                start, loss = solve_logistic(means, cells, columns, self.floor, ceiling, start)
                losses.append(loss)
            power = _lowest(places, np.array(losses))
        ceiling = self.floor + (1.0 - self.floor) * highest**power
        return solve_logistic(means, cells, columns, self.floor, ceiling, start)[0], ceiling

    def _spread(
        self, data: Grid, weights: Floats, means: Floats, columns: Floats, found: Floats, ceiling: Floats
    ) -> Floats:
        """[B]: the standard deviation of problems' effects, by bisection on the second moment between
        different models at the least amount of inference. Models are weighted alike."""
        values = data.values[:, :, 0]
        pairs = values.sum(axis=1) ** 2 - (values**2).sum(axis=1)
        problems = weights[:, : len(values)]
        seen = (problems @ pairs) / problems.sum(axis=1)
        # What the law misses of a model's mean is no effect of problems.
        seen -= means.sum(axis=1) ** 2 - (means**2).sum(axis=1)
        marginal = found @ columns.T
        low, high = np.zeros(len(found)), np.full(len(found), _WIDEST)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            more = _covariance(marginal, middle, self.floor, ceiling) < seen
            low, high = np.where(more, middle, low), np.where(more, high, middle)
        return low


def law_of(fitted: Fit) -> JointLaw:
    """The joint law that was fitted. Raises ValueError for another law."""
    if not isinstance(fitted.law, JointLaw):
        raise ValueError(f"a joint law is needed, not {fitted.law.name}.")
    return fitted.law


def _columns(logs: Floats, crossed: tuple[int, int]) -> Floats:
    """[X, 5]: one, the three logs, and the product of two of them."""
    return np.column_stack([np.ones(len(logs)), logs, logs[:, crossed[0]] * logs[:, crossed[1]]])


def _first(columns: Floats, amounts: int) -> Floats:
    """[M, 5]: the rows of the least amount of inference."""
    out: Floats = columns[::amounts]
    return out


def _uncentred(found: Floats, centre: Floats, crossed: tuple[int, int]) -> Floats:
    """Coefficients of logs less `centre` -> coefficients of the logs themselves."""
    raw = found.copy()
    one, two = crossed
    raw[:, 1 + one] -= found[:, 4] * centre[two]
    raw[:, 1 + two] -= found[:, 4] * centre[one]
    raw[:, 0] += found[:, 4] * centre[one] * centre[two] - found[:, 1:4] @ centre
    return raw


def _covariance(marginal: Floats, spread: Floats, floor: float, ceiling: Floats) -> Floats:
    """[B]: the sum over ordered pairs of different models of their covariance over problems, for logits of
    the mean [B, M] and problems' effects of standard deviation `spread` [B]."""
    own = marginal * attenuation(spread)[:, None]
    total, squares = np.zeros(len(own)), np.zeros(len(own))
    mean = np.zeros_like(own)
    for node, mass in zip(_NODES, _MASS, strict=True):
        p = floor + (ceiling[:, None] - floor) * expit(own + spread[:, None] * node)
        total += mass * p.sum(axis=1) ** 2
        squares += mass * (p**2).sum(axis=1)
        mean += mass * p
    out: Floats = total - squares - (mean.sum(axis=1) ** 2 - (mean**2).sum(axis=1))
    return out


def solve_logistic(
    means: Floats,
    weights: Floats,
    columns: Floats,
    floor: float,
    ceiling: Floats,
    start: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Coefficients [B, Q] of logit((p - floor) / (ceiling - floor)) = columns @ coefficients, and the
    deviance [B], by quasi-likelihood for shares `means` [B, X] with `weights` [B, X]; `columns` [X, Q],
    `ceiling` [B].

    Fisher scoring with bounded steps. A row that does not settle is nan, its deviance infinite.
    """
    gain = (ceiling - floor)[:, None]
    if start is None:
        middle = np.average(means, axis=1, weights=weights)[:, None]
        start = np.zeros((len(means), columns.shape[1]))
        start[:, :1] = logit(np.clip((middle - floor) / gain, 0.01, 0.99))
    found = np.where(np.isfinite(start), start, 0.0)
    squares = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)
    ridge = 1e-9 * np.eye(columns.shape[1])
    moved = np.full(len(means), np.inf)
    for _ in range(_ROUNDS):
        share = expit(found @ columns.T)
        p = np.clip(floor + gain * share, 1e-9, 1.0 - 1e-9)
        rise = gain * share * (1.0 - share)
        score = (weights * rise * (means - p) / (p * (1.0 - p))) @ columns
        information = ((weights * rise**2 / (p * (1.0 - p))) @ squares).reshape(len(means), *ridge.shape)
        step = np.linalg.solve(information + ridge, score[:, :, None])[:, :, 0]
        moved = np.abs(step @ columns.T).max(axis=1)
        found = found + step * np.minimum(1.0, _LONGEST / np.maximum(moved, 1e-300))[:, None]
        if (moved < _SETTLED).all():
            break
    settled = moved < 1e-4
    p = np.clip(floor + gain * expit(found @ columns.T), 1e-12, 1.0 - 1e-12)
    loss = 2.0 * (weights * _divergence(means, p)).sum(axis=1)
    return np.where(settled[:, None], found, np.nan), np.where(settled, loss, np.inf)


def _divergence(y: Floats, p: Floats) -> Floats:
    """Kullback and Leibler's, of a share y from p."""
    out: Floats = xlogy(y, y) - xlogy(y, p) + xlogy(1.0 - y, 1.0 - y) - xlogy(1.0 - y, 1.0 - p)
    return out


def _lowest(places: Floats, losses: Floats) -> Floats:
    """[B]: where the losses [G, B] at `places` [G, B] are least, between them by a parabola."""
    best = losses.argmin(axis=0)
    rows = np.arange(losses.shape[1])
    inner = np.clip(best, 1, len(places) - 2)
    beside = (inner - 1, inner, inner + 1)
    (x0, y0), (x1, y1), (x2, y2) = ((places[at, rows], losses[at, rows]) for at in beside)
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
        bend = (second - first) / (x2 - x0)
        vertex = (x0 + x1) / 2.0 - first / (2.0 * bend)
    # Where two places are one, the losses' rounding makes a bend without end.
    good = np.isfinite(vertex) & np.isfinite(bend) & (bend > 0) & (best == inner)
    out: Floats = np.where(good, np.clip(vertex, np.minimum(x0, x2), np.maximum(x0, x2)), places[best, rows])
    return out
