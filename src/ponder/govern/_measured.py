"""What the calculators take from measured laws: what inference is worth, and how attempts succeed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ponder.errors import InputError, LawUndefined
from ponder.govern.calculator import Floats, LawChoice, Measured, Settings
from ponder.laws.coverage import BetaBinomial
from ponder.laws.data import Counts
from ponder.laws.fit import fit
from ponder.laws.grid import Grid
from ponder.laws.ladder import Ladder, grid_of, read
from ponder.laws.sources import counts_of
from ponder.laws.voting import Vote
from ponder.laws.worth import gains
from ponder.quantity import Quantity, from_draws, point
from ponder.train.recorded import Recorded

__all__ = [
    "ENDLESS",
    "Reach",
    "attempts",
    "attempts_and_gain",
    "beyond_measured",
    "gain_of_inference",
    "percent",
    "power_up_to",
]

ENDLESS = 30.0
"""Decades: what a gain counts as that no scaling of plain models reaches."""

_LOST = 0.2  # of the refits, in which a model's gain may be unknown
_NORMAL = 1.4826  # standard deviations of a normal distribution in its median absolute deviation


@dataclass(frozen=True, slots=True)
class Reach:
    """Up to how many times a plain answer's compute (or how many attempts) a law was measured."""

    most: float
    what: str


# ---------------------------------------------------------------- what inference is worth


def gain_of_inference(choice: LawChoice, *, draws: int = 1000) -> Measured:
    """From a ladder's folder: the weight, the span and the spread between models of what votes are worth in
    training compute. Raises LawUndefined where the ladder does not bear it, InputError for what is no folder.
    """
    folder = Path(choice.run)
    if not folder.is_dir():
        raise InputError(
            f"law: what inference is worth in training is read off a ladder; give its folder, not "
            f"{choice.run!r}."
        )
    ladder = read(folder)
    task, grid, decades = _first_gains(ladder, choice.task, draws)
    ratio = np.median(grid.inference_flop / grid.inference_flop[:, :1], axis=0)
    typical = np.nanmedian(decades, axis=1)
    weight, span = power_up_to(np.log10(ratio[1:]), typical[:, 1:])
    spread = _NORMAL * np.nanmedian(np.abs(decades[:, :, -1] - typical[:, None, -1]), axis=1)
    together = f"gain {choice.run} {task}"
    endless = float((typical[1:, -1] >= ENDLESS).mean())
    quantities = {
        "weight": from_draws(weight[1:], value=float(weight[0]), together=together),
        "span": from_draws(span[1:], value=float(span[0]), together=together),
    }
    if decades.shape[1] > 2:
        quantities["spread"] = from_draws(
            np.maximum(spread[1:], 1e-3), value=float(max(spread[0], 1e-3)), together=together
        )
    return Measured(
        quantities,
        source=f"votes of up to {grid.amounts[-1]:.0f} samples on {task}, the median of {decades.shape[1]} "
        f"models of {folder}",
        law=Reach(float(ratio[-1]), f"votes on {task}"),
        notes=(
            f"The law is of models of {grid.training_flop.min():.2g} to {grid.training_flop.max():.2g} "
            f"training "
            "FLOP; that larger models gain as much is an assumption.",
            *(
                [f"In {percent(endless)} of the refits no scaling of plain models reaches the votes' score."]
                * (endless > 0)
            ),
        ),
    )


def _first_gains(ladder: Ladder, wanted: str | None, draws: int) -> tuple[str, Grid, Floats]:
    """The first task that bears a gain, its grid, and the gains [B, M, K] of models that have one."""
    refused = ""
    for task in (wanted,) if wanted else ladder.tasks:
        try:
            return task, *_gains(ladder.pretrained(task), draws)
        except LawUndefined as error:
            refused = refused or str(error)
    raise LawUndefined(f"law: {ladder.folder} does not bear a gain of inference; first, {refused}")


def _gains(plain: Sequence[Recorded], draws: int) -> tuple[Grid, Floats]:
    """The grid and the gains [B, M, K] of the models that have one. All models make the frontier; votes of
    every amount, which take long to count, are had for those alone."""
    ends = grid_of(plain, "vote", ends=True)
    defined = _defined(gains(ends, draws=draws))
    few = [each for each, kept in zip(plain, defined, strict=True) if kept]
    if few:
        grid = grid_of(few, "vote")
        found = gains(ends, of=grid, draws=draws)
        kept = _defined(found)
        if kept.any():
            return grid.only(kept), np.clip(found[:, kept], -ENDLESS, ENDLESS)
    raise LawUndefined("no model has a gain that is defined.")


def _defined(found: Floats) -> NDArray[np.bool_]:
    """[M]: whose gains [B, M, K] are finite, and known in most refits."""
    known = np.isnan(found).any(axis=2).mean(axis=0) <= _LOST
    out: NDArray[np.bool_] = np.isfinite(found[0]).all(axis=1) & known
    return out


def power_up_to(logs: Floats, decades: Floats) -> tuple[Floats, Floats]:
    """The weights and spans [B] of gains `decades` [B, K] at log10 of the compute `logs` [K], rising:
    min(weight · log, span), by least squares."""
    best = np.full(len(decades), np.inf)
    weight, span = np.zeros(len(decades)), np.zeros(len(decades))
    for kept in range(1, len(logs) + 1):
        slope = decades[:, :kept] @ logs[:kept] / (logs[:kept] @ logs[:kept])
        end = decades[:, kept:].mean(axis=1) if kept < len(logs) else slope * logs[-1]
        told = np.minimum(slope[:, None] * logs, end[:, None])
        loss = ((told - decades) ** 2).sum(axis=1)
        better = loss < best
        best = np.where(better, loss, best)
        weight, span = np.where(better, slope, weight), np.where(better, end, span)
    return weight, span


def percent(share: float) -> str:
    """A share in whole percents; one that is not nothing is never told as 0%."""
    return "under 1%" if 0.0 < share < 0.005 else f"{share:.0%}"


def beyond_measured(about: Settings, amount: Floats) -> Sequence[str]:
    """Says how far the amounts [B] that are asked of a law lie beyond what it was measured up to."""
    reach = about.measured.law if about.measured is not None else None
    if not isinstance(reach, Reach):
        return ()
    beyond = float((amount > reach.most).mean())
    if not beyond:
        return ()
    furthest = float(np.quantile(amount, 0.95)) / reach.most
    far = f", up to {furthest:.3g} times as much (95th percentile)" if furthest > 1.0 else ""
    return (
        f"Beyond what was measured: {reach.what} end at {reach.most:.4g}; {percent(beyond)} of the draws ask "
        f"for more{far}. There the law is extrapolated.",
    )


# ---------------------------------------------------------------- how attempts succeed


def attempts(choice: LawChoice) -> Measured:
    """From a recording, a run, or the most trained model of a ladder: the law of one attempt's chance, a Beta
    distribution with shares never and always solved; what votes without end solve and the FLOP of an attempt,
    where they are known.

    Raises LawUndefined where the draws do not bear it.
    """
    counts = _counts(choice)
    found = fit(counts, BetaBinomial.chosen(counts))
    together = f"attempts {choice.run} {counts.task}"
    columns = dict(zip(found.law.parameters, zip(found.value, found.draws.T, strict=True), strict=True))
    quantities = {
        name: from_draws(draws, value=float(value), together=together)
        for name, (value, draws) in columns.items()
    }
    quantities |= {name: point(0.0) for name in ("never", "always") if name not in columns}
    if counts.ballots is not None:
        quantities["votes"] = _votes(counts, together, len(found.draws))
    if counts.flop is not None:
        quantities["attempt"] = point(float(counts.flop.mean()), "FLOP")
    return Measured(
        quantities,
        source=f"{found.law.name} of {len(counts.ids)} problems of {counts.task}, {counts.name}",
        law=Reach(float(counts.least), f"draws of a problem of {counts.task}"),
        notes=(
            f"The law of attempts is {counts.name}'s on {counts.task}; that flaws are found likewise is an "
            f"assumption.",
        ),
    )


def _votes(counts: Counts, together: str, refits: int) -> Quantity:
    """The limit of votes; from the same refits as the attempts' law where none of either failed."""
    voted = fit(counts, Vote())
    limits = voted.law.at(np.concatenate([voted.value[None], voted.draws]), np.array([np.inf]))[:, 0]
    same = together if len(voted.draws) == refits else f"votes {together}"
    return from_draws(limits[1:], value=float(limits[0]), together=same)


def attempts_and_gain(choice: LawChoice, *, draws: int = 1000) -> Measured:
    """Both: what inference is worth where the law is a ladder, and how attempts succeed."""
    found = attempts(choice)
    if not Path(choice.run).is_dir():
        return found
    return found.beside(gain_of_inference(choice, draws=draws))


def _counts(choice: LawChoice) -> Counts:
    if Path(choice.run).is_dir():
        ladder = read(Path(choice.run))
        trained = ladder.pretrained(choice.task or ladder.tasks[0])
        return Counts.from_recorded(max(trained, key=lambda each: each.training_flop or 0.0))
    found = counts_of(choice.run, choice.ledger, (choice.task,) if choice.task else ())
    if len(found) > 1:
        tasks = ", ".join(each.task for each in found)
        raise InputError(f"task: {choice.run} has several; name one of {tasks}.")
    return found[0]
