"""A race between an attacker and a defender for the same flaws, in inference compute.

Each flaw is found by an attempt with its own chance p, spread over flaws as Beta(a, b), the law that draws of
a model on problems follow (Levi 2024, arXiv 2410.16377). After k attempts the share that is unfound is

    M(k) = E[(1 - p)^k] = B(a, b + k) / B(a, b)

With r attempts a day on one target as a steady stream, a patch δ days after the defender's find, and H days
in which the software is used,

    P(exploited) = 1 - M(r_A δ) + r_A/(r_A + r_D) · (M(r_A δ) - M(r_A δ + (r_A + r_D)(H - δ)))       H > δ

which is λ_A/(λ_A + λ_D) for δ = 0 and no horizon: then the law itself drops out, for both look at the same
flaw. Attempts of the defender before the release, k of them, need no patch: all arguments of M grow by k, and
the 1 becomes M(k). The attacker takes m targets and the defender guards M; a find that serves several targets
counts for each.

Where a detector was measured (`benchmarks.defence`), an attack that is inspected with compute C passes with
the chance 1 - catch(C), catch being the law of `laws.detection` at its rate of false alarms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import betaln, expit

from ponder.govern._detector import detector
from ponder.govern._measured import attempts, beyond_measured, percent
from ponder.govern.calculator import (
    Calculator,
    Chart,
    Floats,
    Input,
    Inputs,
    Output,
    Outputs,
    Settings,
    Table,
)
from ponder.laws.detection import PARAMETERS

__all__ = ["CALCULATOR", "Flaws", "attacker_first", "break_even", "exploited", "left_by_delay", "passing"]

_DAY = 86400.0
_LEVEL = (0.05, 0.5, 0.95)
_PLACES = 13
_DETECTION = tuple(f"catch_{name}" for name in (*PARAMETERS, "least", "most"))
_RATIOS = np.geomspace(1e-2, 1e4, 13)
_DEFENCES = (("patch at once", 0.0, 0.0), ("patch later", 1.0, 0.0), ("search, patch later", 1.0, 1.0))
"""What each is called, and which shares of the delay and of the search before the release it has."""


class Flaws:
    """How hard flaws are [B]: a Beta law of one attempt's chance, a share `never` found by any and a share
    `always` found by the first."""

    def __init__(self, a: Floats, b: Floats, never: Floats, always: Floats) -> None:
        self.a, self.b, self.never, self.always = a, b, never, always
        self._all = betaln(a, b)

    def unfound(self, k: Floats) -> Floats:
        """The share that k ≥ 0 attempts do not find, of the flaws that are neither; 0 for infinitely many."""
        finite = np.where(np.isfinite(k), k, 0.0)
        left = np.exp(betaln(self.a, self.b + finite) - self._all)
        out: Floats = np.where(np.isfinite(k), left, 0.0)
        return out

    def of_all(self, share: Floats, at_once: Floats) -> Floats:
        """`share` is of the flaws that are neither, `at_once` of those that the first attempt finds."""
        out: Floats = (1.0 - self.never - self.always) * share + self.always * at_once
        return out


def attacker_first(attacker: Floats, defender: Floats) -> Floats:
    """The chance that a flaw both can find is found by the attacker first, at these rates of attempts."""
    out: Floats = attacker / (attacker + defender)
    return out


def exploited(
    attacker: Floats, defender: Floats, delay: Floats, horizon: Floats, flaws: Flaws, before: Floats
) -> Floats:
    """The chance that the attacker finds a flaw within `horizon` days and before the defender's patch.

    `attacker` and `defender` are attempts a day on one target, each scaled to the same skill; `delay` is the
    days from the defender's find to the patch, `before` the defender's attempts ahead of the release.
    Infinite horizons are taken as limits.
    """
    alone = attacker * np.minimum(delay, horizon)
    both = alone + (attacker + defender) * np.maximum(horizon - delay, 0.0)
    first = attacker_first(attacker, defender)
    still = flaws.unfound(before + alone)
    race = flaws.unfound(before) - still + first * (still - flaws.unfound(before + both))
    at_once = np.where(alone > 0.0, 1.0, first)
    return flaws.of_all(race, np.where(before > 0.0, 0.0, at_once))


def left_by_delay(attacker: Floats, delay: Floats, horizon: Floats, flaws: Flaws, before: Floats) -> Floats:
    """The same with unlimited compute of the defender after the release."""
    alone = attacker * np.minimum(delay, horizon)
    share = flaws.unfound(before) - flaws.unfound(before + alone)
    return flaws.of_all(share, ((before <= 0.0) & (alone > 0.0)).astype(np.float64))


def break_even(targets: Floats, attacked: Floats, skill: Floats, reuse: Floats) -> Floats:
    """The defender's compute over the attacker's at which either is first as often as the other, patches
    being instantaneous: (M/m) · skill / reuse."""
    out: Floats = targets / attacked * skill / reuse
    return out


def passing(inspection: Floats, law: Floats) -> Floats:
    """The chance that an attack passes which is inspected with so many FLOP [B], by laws [B, 4] of detection:
    floor, ceiling, middle, slope."""
    floor, ceiling, middle, slope = law.T
    out: Floats = 1.0 - floor - (ceiling - floor) * expit(slope * (np.log10(inspection) - middle))
    return out


def _rates(x: Inputs) -> tuple[Floats, Floats]:
    """Attempts a day on one target, the attacker's counted in the defender's skill."""
    attacker = x["attacker"] * _DAY / x["attempt"] * x["skill"] / x["attacked"]
    defender = x["defender"] * _DAY / x["attempt"] * x["reuse"] / x["targets"]
    return attacker, defender


def _flaws(x: Inputs) -> Flaws:
    return Flaws(x["a"], x["b"], x["never"], x["always"])


def _compute(x: Inputs, about: Settings) -> Outputs:
    attacker, defender = _rates(x)
    flaws, before = _flaws(x), defender * x["search"]
    chance = exploited(attacker, defender, x["delay"], x["horizon"], flaws, before)
    undefended = flaws.of_all(1.0 - flaws.unfound(attacker * x["horizon"]), np.ones_like(attacker))
    breached = _any_of(chance, x["flaws"])
    return {
        "exploited": chance,
        "first": attacker_first(attacker, defender),
        "undefended": undefended,
        "floor": left_by_delay(attacker, x["delay"], x["horizon"], flaws, before),
        "prevented": (undefended - chance) / undefended,
        "breached": breached,
        "breaches": x["attacked"] * breached,
        "break_even": break_even(x["targets"], x["attacked"], x["skill"], x["reuse"]),
        **_inspection(x),
    }


def _inspection(x: Inputs) -> Outputs:
    """Unknown without a law of detection: not reckoned with then."""
    inspected = x["defender"] / x["inspection"]
    if not _detects(x):
        unknown = np.full_like(inspected, np.nan)
        return {"passes": unknown, "tries": unknown, "inspected": inspected}
    passes = passing(x["inspection"], _detection(x))
    return {"passes": passes, "tries": 1.0 / passes, "inspected": inspected}


def _detection(x: Inputs) -> Floats:
    return np.column_stack(np.broadcast_arrays(*(x[f"catch_{name}"] for name in PARAMETERS)))


def _any_of(chance: Floats, flaws: Floats) -> Floats:
    """One flaw of several is enough."""
    out: Floats = -np.expm1(flaws * np.log1p(-np.minimum(chance, 1.0)))
    return out


def _tables(x: Inputs, y: Outputs, about: Settings) -> Sequence[Table]:
    attacker, _ = _rates(x)
    flaws = _flaws(x)
    per_compute = x["attacked"] * x["reuse"] / (x["skill"] * x["targets"])
    rows = []
    for said, delayed, searched in _DEFENCES:
        for ratio in _RATIOS:
            defender = attacker * ratio * per_compute
            rest = x["delay"] * delayed, x["horizon"], flaws, defender * x["search"] * searched
            low, middle, high = (float(e) for e in np.quantile(exploited(attacker, defender, *rest), _LEVEL))
            rows.append((said, float(ratio), middle, low, high))
    race = Table(
        "race",
        "The chance that a flaw is exploited, by the defender's compute over the attacker's",
        ("defence", "compute ratio", "exploited", "exploited low", "exploited high"),
        tuple(rows),
        Chart("compute ratio", "exploited", by="defence", log_x=True),
    )
    return (race, _passing_table(x)) if _detects(x) else (race,)


def _detects(x: Inputs) -> bool:
    """Whether a law of detection is known."""
    return not any(np.isnan(x[name]).all() for name in ("inspection", *_DETECTION))


def _passing_table(x: Inputs) -> Table:
    """From a tenth of the least compute that was measured to a hundred times the most."""
    least, most = (float(np.median(x[name])) for name in ("catch_least", "catch_most"))
    law, rows = _detection(x), []
    for flop in np.geomspace(least / 10.0, most * 100.0, _PLACES):
        chance = passing(np.full(len(law), flop), law)
        low, middle, high = (float(each) for each in np.quantile(chance, _LEVEL))
        rows.append((float(flop), middle, low, high, "measured" if least <= flop <= most else "extrapolated"))
    return Table(
        "inspection",
        "The chance that an attack passes, by the compute that inspects it",
        ("FLOP an item", "passes", "passes low", "passes high", "range"),
        tuple(rows),
        Chart("FLOP an item", "passes", log_x=True),
    )


def _notes(x: Inputs, y: Outputs, about: Settings) -> Sequence[str]:
    share = float(np.median(y["floor"] / y["exploited"]))
    return (
        f"After the release no compute of the defender brings the chance below the floor, which is "
        f"{share:.0%} of it at the median: what an attacker finds while a patch is made is found. There "
        "faster patches help, or a search before the release, which needs no patch.",
        "Both look for the same flaws in the same order of difficulty. A defender that finds other flaws "
        "than the attacker does gains less than told.",
        "With an instantaneous patch, no search before and no horizon only the ratio of compute counts; how "
        "hard flaws are decides as soon as patches take time or the software lives for a while.",
        "A defender that guards many targets needs as many times the compute, unless a find serves several; "
        "an attacker needs one flaw of one target.",
        *beyond_measured(about, _rates(x)[0] * x["horizon"]),
        *(_inspection_notes(x) if _detects(x) else ()),
    )


def _inspection_notes(x: Inputs) -> Sequence[str]:
    """At what false alarms attacks pass, and how far the compute lies outside of what was measured."""
    alarm = float(np.median(x["catch_floor"]))
    told = [f"So many attacks pass where the detector also stops {alarm:.0%} of what is right."]
    spent, ends = x["inspection"], (x["catch_least"], x["catch_most"])
    outside = float(((spent < ends[0]) | (spent > ends[1])).mean())
    if outside:
        low, middle, high = (float(np.median(each)) for each in (ends[0], spent, ends[1]))
        told.append(
            f"Beyond what was measured: the detector inspected with {low:.3g} to {high:.3g} FLOP an item; "
            f"{percent(outside)} of the draws ask for other compute, at the median {middle:.3g}. There the "
            "law is extrapolated."
        )
    return told


_INPUTS = (
    Input("attacker", "FLOP/s", "Inference compute of the attacker.", "1e17..1e19",
          why="about 300 to 30,000 H100 at a third of their peak"),
    Input("defender", "FLOP/s", "Inference compute of the defender.", "1e18..1e20",
          why="ten times the attacker's at the median; each is drawn by itself"),
    Input("attempt", "FLOP", "What an attempt at a target takes.", "1e17..1e20",
          why="1e6 to 1e8 tokens of a model of 5e10 to 5e11 active parameters"),
    Input("skill", "times", "How much likelier an attempt of the attacker's finds a flaw than the "
          "defender's.", "1",
          why="equal models"),
    Input("targets", "", "Targets that the defender guards.", "100", least=1.0, why="depends on who defends"),
    Input("attacked", "", "Targets that the attacker takes on at once.", "1", least=1.0, why="aimed at one"),
    Input("reuse", "times", "Targets that a find of the defender's serves.", "1..100", least=1.0,
          why="shared software; from none to all"),
    Input("flaws", "", "Flaws of a target that would do.", "1..30", why="unmeasured"),
    Input("delay", "day", "From the defender's find to the patch in place.", "1..60", positive=False,
          least=0.0,
          why="from hosted services to devices that are seldom updated"),
    Input("search", "day", "How long the defender searches before the release.", "7..90", positive=False,
          least=0.0, why="a choice of who defends"),
    Input("horizon", "day", "How long the software is in use.", "365", why="a choice, not a fact"),
    Input("a", "", "Of the Beta law of an attempt's chance: how heavy the tail of hard flaws is.", "0.2..0.6",
          why="as of hard problems of mathematics and code; take a law by --law"),
    Input("b", "", "Of the Beta law of an attempt's chance.", "3..1e4",
          why="an attempt in 10 to 25,000; unmeasured"),
    Input("never", "", "Share of flaws that no attempt finds.", "0", positive=False, least=0.0, most=1.0,
          why="no law was named"),
    Input("always", "", "Share of flaws that the first attempt finds.", "0", positive=False, least=0.0,
          most=1.0,
          why="no law was named"),
    Input("inspection", "FLOP", "Compute that the defender inspects an item with.", optional=True),
    Input("catch_floor", "", "Share of attacks that a detector stops which knows nothing: that of right "
          "items that it stops.", positive=False, least=0.0, most=1.0, optional=True),
    Input("catch_ceiling", "", "Share of attacks that it stops with compute without end.", positive=False,
          least=0.0, most=1.0, optional=True),
    Input("catch_middle", "", "Log10 of the FLOP an item at which half of the gain is had.", positive=False,
          optional=True),
    Input("catch_slope", "", "Logits of the gain per tenfold compute.", optional=True),
    Input("catch_least", "FLOP", "The least compute an item that the detector was measured at.",
          optional=True),
    Input("catch_most", "FLOP", "The most compute an item that it was measured at.", optional=True),
)  # fmt: skip

_OUTPUTS = (
    Output("exploited", "", "The chance that a flaw is exploited before its patch, within the horizon."),
    Output("first", "", "The chance that the attacker finds a flaw first, patches being instantaneous."),
    Output("undefended", "", "The chance that a flaw is exploited without any defence, within the horizon."),
    Output(
        "floor",
        "",
        "The chance that one is exploited with a defender of unlimited compute after the release: what the "
        "delay leaves.",
    ),
    Output("prevented", "", "What the defender prevents, as a share of what would be exploited without it."),
    Output("breached", "", "The chance that an attacked target is breached through any of its flaws."),
    Output("breaches", "", "Targets that are breached in the mean."),
    Output("break_even", "times", "Compute ratio at which attacker and defender are first equally often."),
    Output("passes", "", "The chance that an inspected attack passes a measured detector."),
    Output("tries", "", "Attacks in the mean until one passes it."),
    Output("inspected", "items/s", "Items that all of the defender's compute would inspect."),
)

CALCULATOR = Calculator(
    name="defend",
    title="Who finds a flaw first, and what a compute-rich defender can do",
    inputs=_INPUTS,
    outputs=_OUTPUTS,
    compute=_compute,
    tables=_tables,
    notes=_notes,
    law=attempts,
    detector=detector,
)
