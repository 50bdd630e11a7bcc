"""A threshold's buffer: how far below a line in training compute a model may act like one over it.

An enhancement that costs little training (tools, prompts, search) and inference bought by the answer are each
worth a multiple of training compute, the compute-equivalent gain (Davidson et al. 2023, arXiv 2312.07413),
and algorithms improve until the next review. With a line T that is meant for plain models of today,

    line with a buffer = T / (gain · 2^(time until review / doubling time))

so a model of compute C acts like a plain one of C · gain · progress. Heim & Koessler 2024 (arXiv 2405.10799)
see in training compute a first filter, not a verdict; so what is told is how often the filter errs, over
models whose gains differ by a normal effect on the logarithm. How many models there are is a table's: the
shares of those over one power of ten that are over the next one too, joined by power laws. Beyond the last of
them, where the table has next to none, their number falls as N(> C) ∝ C^-slope.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from ponder.govern._measured import beyond_measured, gain_of_inference, percent
from ponder.govern.calculator import (
    Calculator,
    Chart,
    Floats,
    Input,
    Inputs,
    Output,
    Outputs,
    Row,
    Settings,
    Table,
)

__all__ = [
    "CALCULATOR",
    "LINES",
    "Filter",
    "Population",
    "buffered_line",
    "chance_over",
    "filter_errors",
    "inference_gain",
    "joined",
    "line_for",
    "progress",
]

LINES = (1e23, 1e24, 1e25, 1e26)
"""FLOP, between which the table's models are counted."""

_LN10 = float(np.log(10.0))
_SHARES = tuple(f"above_{line:.0e}".replace("+", "") for line in LINES[1:])
_CHANCES = (0.2, 0.1, 0.05, 0.01)
_CUTS = 13  # of the table, over four decades up to the threshold
_FURTHEST = 60.0  # decades, as far as a line is looked for
_LARGEST = 700.0  # power of e that is finite
_ROUNDING = 1e-12  # of shares of all models, far above what doubles lose
_LEVEL = (0.05, 0.5, 0.95)


def progress(months: Floats, doubling: Floats) -> Floats:
    """How many times as much a training run of the same compute is worth after so many months."""
    out: Floats = np.exp2(months / doubling)
    return out


def inference_gain(affordable: Floats, weight: Floats, span: Floats) -> Floats:
    """What an answer at `affordable` times a plain one's compute is worth in training compute: a power law,
    up to `span` decades of training and no further (Villalobos & Atkinson 2023, Epoch AI)."""
    out: Floats = np.minimum(np.maximum(affordable, 1.0) ** weight, 10.0**span)
    return out


def joined(one: Floats, other: Floats, overlap: Floats) -> Floats:
    """Two gains together: their product where they do not overlap (0), the larger alone where they do (1)."""
    larger, smaller = np.maximum(one, other), np.minimum(one, other)
    out: Floats = larger * smaller ** (1.0 - overlap)
    return out


def buffered_line(threshold: Floats, gain: Floats, improved: Floats) -> Floats:
    """The training compute from which on an enhanced model reaches what a plain one does at `threshold`."""
    out: Floats = threshold / (gain * improved)
    return out


def chance_over(training: Floats, line: Floats, spread: Floats) -> Floats:
    """The share of models of this training compute that act like plain ones over the threshold, where their
    gains differ by `spread` decades (a standard deviation) and half of them do so at `line`."""
    out: Floats = ndtr(np.log10(training / line) / spread)
    return out


@dataclass(frozen=True)
class Population:
    """How many models there are of each training compute, above `smallest` [B].

    Of those over each of `LINES` but the last, `above` [3] is the share [B] that is over the next one too;
    `slope` [B] is how fast they become fewer beyond the last. Between two lines, and below the first, their
    number falls by the power law that joins the shares.
    """

    smallest: Floats
    above: Sequence[Floats]
    slope: Floats

    def pieces(self) -> Iterator[tuple[Floats, Floats, Floats, Floats]]:
        """Each piece's lower and upper end in FLOP, its slope, and the share of all models above its lower
        end."""
        slopes = [*(-np.log10(share) for share in self.above), self.slope]
        ends = [0.0, *LINES[1:], np.inf]
        share = np.ones_like(self.smallest)
        for slope, *between in zip(slopes, ends, ends[1:], strict=False):
            low, high = (np.maximum(self.smallest, end) for end in between)
            yield low, high, slope, share
            share = share * (low / high) ** slope


class Filter:
    """Shares of all models in the population: over the line of a filter, dangerous, and both [B].

    A model is dangerous where its compute times its own gain reaches the threshold. Above the lower end of a
    piece of the population x = ln(C / end) is exponential by the piece's slope; with a normal effect e of
    spread s,

        P(x > t, x + e > d) = e^(-slope·t) Φ((t - d)/s) + e^(-slope·d + slope²s²/2) Φ((d - t)/s - slope·s)

    and what lies above the piece's upper end is taken off. The first terms of neighbouring pieces cancel out.
    """

    def __init__(self, cut: Floats, line: Floats, of: Population, spread: Floats) -> None:
        s = spread * _LN10
        least = np.maximum(cut, of.smallest)
        self.over: Floats = np.zeros_like(s * line * least)
        self.dangerous: Floats = self.over + ndtr(np.log(of.smallest / line) / s)
        moved = np.zeros_like(self.over)
        for low, high, slope, share in of.pieces():
            d, wide = np.log(line / low), np.log(high / low)
            t = np.clip(np.log(least / low), 0.0, wide)
            self.over += share * (np.exp(-slope * t) - np.exp(-slope * wide))
            start, end = _moved(np.zeros_like(wide), d, slope, s), _moved(wide, d, slope, s)
            self.dangerous += share * (start - end)
            if np.any((t > 0.0) & (t < wide)):
                moved += share * (_moved(t, d, slope, s) - end)
            else:
                moved += share * np.where(t > 0.0, 0.0, start - end)
        self.both: Floats = self.over * ndtr(np.log(least / line) / s) + moved


def _moved(t: Floats, d: Floats, slope: Floats, s: Floats) -> Floats:
    """The second term."""
    power = np.minimum(-slope * d + (slope * s) ** 2 / 2.0, _LARGEST)
    out: Floats = np.exp(power) * ndtr((d - t) / s - slope * s)
    return out


def filter_errors(cut: Floats, line: Floats, of: Population, spread: Floats) -> tuple[Floats, Floats, Floats]:
    """Of a filter that stops what has more training compute than `cut`: the share of dangerous models it
    misses, the share of harmless ones it stops, and the share of those under it that are dangerous."""
    found = Filter(cut, line, of, spread)
    missed = _less(found.dangerous, found.both)
    under = _less(np.ones_like(found.over), found.over)
    return (
        np.clip(missed / found.dangerous, 0.0, 1.0),
        np.clip(_less(found.over, found.both) / (1.0 - found.dangerous), 0.0, 1.0),
        np.where(under > 0.0, np.clip(missed / np.where(under > 0.0, under, 1.0), 0.0, 1.0), np.nan),
    )


def _less(whole: Floats, part: Floats) -> Floats:
    """The difference; none where it is no more than rounding leaves."""
    left = whole - part
    out: Floats = np.where(np.abs(left) <= _ROUNDING, 0.0, left)
    return out


def line_for(chance: float, line: Floats, spread: Floats) -> float | None:
    """The training compute at which a model acts like one over the threshold with this chance, over all draws
    of the buffered `line` [B] and the models' `spread` [B]; None where it is not within 60 decades."""
    logs = np.log10(line)

    def excess(log_training: float) -> float:
        return float(ndtr((log_training - logs) / spread).mean()) - chance

    middle = float(np.median(logs))
    low, high = middle - _FURTHEST, middle + _FURTHEST
    if not excess(low) <= 0.0 <= excess(high):  # nor where an end is no number
        return None
    return float(10.0 ** brentq(excess, low, high, xtol=1e-6))


def _gains(x: Inputs) -> tuple[Floats, Floats]:
    bought = inference_gain(x["affordable"], x["weight"], x["span"])
    return joined(x["scaffold"], bought, x["overlap"]), progress(x["months"], x["doubling"])


def _compute(x: Inputs, about: Settings) -> Outputs:
    gain, improved = _gains(x)
    threshold = x["threshold"]
    line = buffered_line(threshold, gain, improved)
    missed, stopped, under = filter_errors(threshold, line, _population(x), x["spread"])
    return {
        "gain": gain,
        "progress": improved,
        "line": line,
        "acts_like": x["training"] * gain * improved,
        "acts_over": chance_over(x["training"], line, x["spread"]),
        "missed": missed,
        "stopped": stopped,
        "under": under,
    }


def _population(x: Inputs) -> Population:
    return Population(x["smallest"], [x[name] for name in _SHARES], x["slope"])


def _chosen(x: Inputs) -> float:
    return float(np.median(x["chance"]))


def _kept(chance: float, x: Inputs, y: Outputs) -> float | None:
    return line_for(chance, y["line"], x["spread"])


def _pooled(x: Inputs, y: Outputs, about: Settings) -> Mapping[str, float | None]:
    return {"kept_line": _kept(_chosen(x), x, y)}


def _tables(x: Inputs, y: Outputs, about: Settings) -> Sequence[Table]:
    return _lines_by_chance(x, y), _errors_by_line(x, y)


def _lines_by_chance(x: Inputs, y: Outputs) -> Table:
    threshold = float(np.median(x["threshold"]))
    rows = []
    for chance in sorted({*_CHANCES, _chosen(x)}, reverse=True):
        found = _kept(chance, x, y)
        rows.append((chance, found, None if found is None else threshold / found))
    return Table(
        "lines",
        "The line at which a model acts like one over the threshold with each chance, all that is uncertain "
        "counted in",
        ("chance", "line, FLOP", "times below the threshold"),
        tuple(rows),
    )


def _errors_by_line(x: Inputs, y: Outputs) -> Table:
    threshold = float(np.median(x["threshold"]))
    line, of, spread = y["line"], _population(x), x["spread"]
    rows = []
    for cut in np.geomspace(threshold / 1e4, threshold, _CUTS):
        with np.errstate(all="ignore"):
            found = filter_errors(np.full_like(line, cut), line, of, spread)
        share = float(chance_over(np.full_like(line, cut), line, spread).mean())
        rows.append((float(cut), share, *_middle_and_ends(found[0]), *_middle_and_ends(found[1])))
    return Table(
        "filter",
        "What a filter at each line misses and what it stops for nothing",
        (
            "line, FLOP",
            "acts over",
            "missed",
            "missed low",
            "missed high",
            "stopped",
            "stopped low",
            "stopped high",
        ),
        tuple(rows),
        Chart("line, FLOP", "missed", log_x=True),
    )


def _middle_and_ends(values: Floats) -> tuple[float | None, float | None, float | None]:
    """Median, 5th and 95th percentile of what is known."""
    known = values[~np.isnan(values)]
    if not known.size:
        return None, None, None
    low, middle, high = (float(each) for each in np.quantile(known, _LEVEL))
    return middle, low, high


def _notes(x: Inputs, y: Outputs, about: Settings) -> Sequence[str]:
    return (
        "The threshold is read as one for plain models of today: where it was set for enhanced ones, the "
        "gain is "
        "in it already; set scaffold and affordable to 1.",
        "Training and inference FLOP are not added: a gain is how much more training compute plain models "
        "would "
        "need for the same score, and where no amount of it would do, there is none.",
        "A gain is one benchmark's; it says nothing of another, and five times on one is not five times "
        "overall.",
        "A line in training compute is a first filter: missed and stopped say how it errs, not which model "
        "is "
        "dangerous.",
        "Four ways round a line move different inputs: fine-tuning raises scaffold, a reused or enlarged "
        "model has "
        "more training than its own run shows, and more inference than is optimal raises affordable "
        "(Pistillo & "
        "Villalobos 2025, arXiv 2502.00003).",
        _of_the_population(x),
        *beyond_measured(about, x["affordable"]),
    )


def _of_the_population(x: Inputs) -> str:
    beyond = float((x["threshold"] > LINES[-1]).mean())
    told = (
        "How many models there are is a table's count up to 1e26 FLOP, and beyond it a power law of its "
        "largest models."
    )
    if not beyond:
        return f"{told} The law does not move what a filter at the threshold misses."
    return f"{told} In {percent(beyond)} of the draws the threshold lies beyond."


_INPUTS = (
    Input("threshold", "FLOP", "The line in training compute, meant for plain models.", "1e26", positive=True,
          why="the question itself; California's SB 53 draws its line here"),
    Input("training", "FLOP", "Training compute of one model that is asked about.", None, optional=True),
    Input("chance", "", "How large a chance is taken that a model at the line acts like one over the "
          "threshold.",
          "0.05", least=1e-9, most=1.0 - 1e-9, why="a choice, not a fact"),
    Input("months", "month", "Time until the line is looked at again.", "12", positive=False, least=0.0,
          why="a choice, not a fact"),
    Input("doubling", "month", "Time in which algorithms double what training compute is worth.",
          Row("rates", "algorithmic_doubling")),
    Input("scaffold", "times", "What tools, prompts and scaffolds that cost little inference are worth.",
          Row("rates", "scaffold_gain")),
    Input("affordable", "times", "Compute of an answer that an actor can pay, over that of a plain answer.",
          "10..1000", least=1.0, why="depends on who asks; an answer may be worth little or very much"),
    Input("weight", "", "Decades of training that a decade of inference is worth.", Row("rates",
          "exchange_weight"),
          positive=False),
    Input("span", "", "Decades of training that inference can replace at most.", Row("rates",
          "exchange_span"),
          positive=False),
    Input("overlap", "", "How far the two gains overlap: 0 multiplies them, 1 counts the larger alone.",
          "0.5±0.5",
          positive=False, least=0.0, most=1.0, why="unmeasured; both ends are possible"),
    Input("spread", "", "Standard deviation of models' gains, in decades.", Row("rates", "gain_spread")),
    Input("smallest", "FLOP", "Training compute of the smallest models that the filter is asked of.", "1e23",
          why="the line from which the EU guidelines see a general-purpose model"),
    *(
        Input(name, "", f"Of the models above {low:.0e} FLOP, the share above {high:.0e}.".replace("e+", "e"),
              Row("rates", f"population_{name}"), most=1.0)
        for name, low, high in zip(_SHARES, LINES, LINES[1:], strict=False)
    ),
    Input("slope", "", "How fast models become fewer above 1e26 FLOP: N(> C) falls as C^-slope.", Row("rates",
          "population_slope")),
)  # fmt: skip

_OUTPUTS = (
    Output(
        "kept_line",
        "FLOP",
        "The line at which a model acts like one over the threshold with the chosen chance, all that is "
        "uncertain counted in.",
    ),
    Output(
        "line",
        "FLOP",
        "The line at which half of the models do, under one set of assumptions, with its interval over sets.",
    ),
    Output("gain", "times", "What scaffold and inference together are worth in training compute."),
    Output("progress", "times", "What algorithms add until the review."),
    Output(
        "acts_like", "FLOP", "The plain training compute that the model asked about acts like at the review."
    ),
    Output("acts_over", "", "The chance that it acts like a model over the threshold."),
    Output("missed", "", "Dangerous models that a filter at the threshold misses, as a share of them."),
    Output("stopped", "", "Harmless models that a filter at the threshold stops, as a share of them."),
    Output(
        "under", "", "Models under the threshold that act like ones over it, as a share of those under it."
    ),
)

CALCULATOR = Calculator(
    name="buffer",
    title="How far below a threshold a model may act like one over it",
    inputs=_INPUTS,
    outputs=_OUTPUTS,
    compute=_compute,
    tables=_tables,
    notes=_notes,
    pooled=_pooled,
    law=gain_of_inference,
)
