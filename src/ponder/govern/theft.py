"""Stolen weights: how long they take to carry out, what they are worth without their scaffold, and how many
tasks they do on so many chips.

    days out  = parameters · bytes / (compression · egress · hidden share)
    rate      = peak · utilisation / (2 · active parameters)             tokens a second on one chip
    days      = tasks · tokens · effort / (chips · rate · 86400)
    chips     ≥ parameters · bytes / memory                              or nothing runs at all
    lost      = log10 scaffold + gain(owner's effort) - gain(thief's effort)     decades of training compute

What training brought travels with the weights, reasoning that was trained in included. The scaffold and the
owner's inference do not: a thief with few chips has less effort for a task, and so a weaker model, once there
are many tasks. With few tasks it has all it wants: a bound on compute does not hinder those, unless it leaves
fewer chips than hold the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from ponder.govern._measured import attempts_and_gain, beyond_measured, percent
from ponder.govern.buffer import inference_gain
from ponder.govern.calculator import (
    Calculator,
    Chart,
    Choice,
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
    "days_for",
    "days_out",
    "decode_rate",
    "effort_within",
    "least_chips",
    "lost_decades",
    "solved",
]

_DAY = 86400.0
_LEVEL = (0.05, 0.5, 0.95)
_FEWER = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)  # of the thief's chips, in the table
_TASKS = np.geomspace(1.0, 1e8, 17)


def days_out(size: Floats, compression: Floats, egress: Floats, hidden: Floats) -> Floats:
    """Days that weights of `size` bytes take to leave in a share `hidden` of `egress` bytes a day. A
    compression below 1 is none: nobody makes them larger."""
    out: Floats = size / (np.maximum(compression, 1.0) * egress * hidden)
    return out


def least_chips(size: Floats, memory: Floats) -> Floats:
    """Chips whose memory holds the weights."""
    out: Floats = np.ceil(size / memory)
    return out


def decode_rate(peak: Floats, utilisation: Floats, active: Floats) -> Floats:
    """Tokens a second on one chip of `peak` FLOP/s: two FLOP a parameter that takes part, and token."""
    out: Floats = peak * utilisation / (2.0 * active)
    return out


def days_for(tasks: Floats, tokens: Floats, effort: Floats, chips: Floats, rate: Floats) -> Floats:
    """Days for so many tasks at `effort` times a plain answer's `tokens`."""
    out: Floats = tasks * tokens * effort / (chips * rate * _DAY)
    return out


def effort_within(
    days: Floats, wanted: Floats, tasks: Floats, tokens: Floats, chips: Floats, rate: Floats
) -> Floats:
    """How many times a plain answer's tokens each task may have, up to `wanted` and not below 1, where all
    are to be done in so many days."""
    affordable = chips * rate * _DAY * days / (tasks * tokens)
    out: Floats = np.clip(affordable, 1.0, wanted)
    return out


def lost_decades(scaffold: Floats, owner: Floats, thief: Floats, weight: Floats, span: Floats) -> Floats:
    """Decades of training compute by which weights at the thief's effort, without the scaffold, act like less
    than at the owner's with it."""
    gains = inference_gain(owner, weight, span), inference_gain(thief, weight, span)
    out: Floats = np.log10(scaffold * gains[0] / gains[1])
    return out


def solved(k: Floats, a: Floats, b: Floats, never: Floats, always: Floats) -> Floats:
    """The share of tasks that k attempts solve, for whoever can tell a right one (Beta-binomial pass@k)."""
    left = 1.0 - never - always
    out: Floats = 1.0 - never - left * np.exp(betaln(a, b + k) - betaln(a, b))
    return out


def _rate(x: Inputs) -> Floats:
    active = np.where(np.isnan(x["active"]), x["parameters"], x["active"])
    return decode_rate(x["peak"], x["utilisation"], active)


def _least(x: Inputs) -> Floats:
    return least_chips(x["parameters"] * x["run_bytes"], x["memory"])


@dataclass(frozen=True)
class _Bound:
    """What so many chips leave a thief with so many tasks, [B] each. Fewer chips than hold the weights do
    nothing."""

    runs: NDArray[np.bool_]
    effort: Floats
    done: Floats
    kept: Floats
    days_needed: Floats
    unhindered: Floats


def _bound(x: Inputs, chips: Floats, tasks: Floats) -> _Bound:
    rate, owner, days = _rate(x), x["owner_effort"], x["days"]
    runs = chips >= _least(x)
    effort = effort_within(days, owner, tasks, x["tokens"], chips, rate)
    plain = days_for(tasks, x["tokens"], np.ones_like(effort), chips, rate)
    lost = lost_decades(x["scaffold"], owner, effort, x["weight"], x["span"])
    return _Bound(
        runs=runs,
        effort=np.where(runs, effort, 0.0),
        done=np.where(runs, np.minimum(1.0, days / plain), 0.0),
        kept=np.where(runs, 10.0**-lost, 0.0),
        days_needed=np.where(runs, plain * owner, np.inf),
        unhindered=np.where(runs, chips * rate * _DAY * days / (x["tokens"] * owner), 0.0),
    )


def _compute(x: Inputs, about: Settings) -> Outputs:
    rate, least = _rate(x), _least(x)
    bound = _bound(x, x["chips"], x["tasks"])
    alone = days_for(x["tasks"], x["tokens"], x["owner_effort"], np.ones_like(rate), rate)
    law = x["a"], x["b"], x["never"], x["always"]
    with_verifier = np.where(bound.runs, solved(np.maximum(bound.effort, 1.0), *law), 0.0)
    size = x["parameters"] * x["stored_bytes"]
    return {
        "kept": bound.kept,
        "days_out": days_out(size, x["compression"], x["egress"], x["hidden"]),
        "least_chips": least,
        "rate": rate,
        "days_needed": bound.days_needed,
        "cost": alone * 24.0 * x["chip_hour"],
        "chips_needed": np.maximum(np.ceil(alone / x["days"]), least),
        "effort": bound.effort,
        "done": bound.done,
        "unhindered": bound.unhindered,
        "kept_with_scaffold": bound.kept * x["scaffold"],
        "acts_like": x["training"] * bound.kept,
        "owner_solves": solved(x["owner_effort"], *law),
        "thief_solves": with_verifier,
        "thief_votes": np.minimum(x["votes"], with_verifier),
    }


def _tables(x: Inputs, y: Outputs, about: Settings) -> Sequence[Table]:
    return _by_chips(x), _by_tasks(x)


def _by_chips(x: Inputs) -> Table:
    rows = []
    most = float(np.median(x["chips"]))
    for chips in sorted({float(round(most * share)) for share in _FEWER} - {0.0}, reverse=True):
        bound = _bound(x, np.full_like(x["tasks"], chips), x["tasks"])
        columns = bound.days_needed, bound.effort, bound.done, bound.kept
        rows.append((chips, float(bound.runs.mean()), *(float(np.median(each)) for each in columns)))
    return Table(
        "chips",
        "What bounding the thief's compute does, at the median of everything else",
        (
            "chips",
            "share of draws in which they hold the weights",
            "days at the owner's effort",
            "effort in time",
            "tasks done in time",
            "value kept",
        ),
        tuple(rows),
        Chart("chips", "value kept", log_x=True, log_y=True),
    )


def _by_tasks(x: Inputs) -> Table:
    rows = []
    for tasks in _TASKS:
        bound = _bound(x, x["chips"], np.full_like(x["tasks"], tasks))
        low, middle, high = (float(each) for each in np.quantile(bound.kept * bound.done, _LEVEL))
        rows.append((float(tasks), float(np.median(bound.effort)), middle, low, high))
    return Table(
        "tasks",
        "What few and many tasks keep of the model's value, times the share of them done in time",
        ("tasks", "effort in time", "value", "value low", "value high"),
        tuple(rows),
        Chart("tasks", "value", log_x=True, log_y=True),
    )


def _notes(x: Inputs, y: Outputs, about: Settings) -> Sequence[str]:
    hindered = float((x["tasks"] > y["unhindered"]).mean())
    short = float((x["chips"] < y["least_chips"]).mean())
    verified = float(np.median(x["hidden"]))
    return (
        *(
            [
                f"In {percent(short)} of the draws the thief has fewer chips than hold the weights: there "
                "nothing runs, no task is done, and nothing is kept."
            ]
            * (short > 0.0)
        ),
        *(
            [
                f"The weights hide in {verified:.3g} of what leaves the servers, at the median: so little is "
                "left where answers are verified. Where nobody verifies them hidden is 1, and the days are "
                f"{1.0 / verified:.3g} times fewer."
            ]
            * (verified < 1.0)
        ),
        "What is kept is in training compute: a plain model of so much of the training would do as well.",
        "Gains that training put into the weights travel with them; scaffold is only what does not.",
        f"A bound on the thief's chips lowers its effort in {percent(hindered)} of the draws; below the "
        "number of tasks told as unhindered it changes nothing, so aimed misuse on a few tasks is not "
        "hindered by it.",
        "The rate is what FLOP allow at the given utilisation; memory and long contexts lower it (see "
        "scale).",
        "A thief that cannot tell right answers has at best what votes give, however many attempts it can "
        "pay.",
        *beyond_measured(about, x["owner_effort"]),
    )


_INPUTS = (
    Input("parameters", "", "Parameters of the stolen model.", Row("published_models", "$model",
          "parameters")),
    Input("active", "", "Parameters that take part in a token, where not all do.", Row("published_models",
          "$model", "active_parameters"),
          optional=True),
    Input("training", "FLOP", "What it took to train.", Row("published_models", "$model", "training_flop")),
    Input("stored_bytes", "B", "Bytes of a parameter where it lies.", "2", why="16-bit weights"),
    Input("run_bytes", "B", "Bytes of a parameter where the thief runs it.", "1..2", why="8 or 16 bits"),
    Input("compression", "times", "How far the thief compresses the weights.", Row("rates",
          "weight_compression")),
    Input("egress", "B/day", "What leaves the servers in a day.", Row("rates", "server_egress")),
    Input(
        "hidden", "", "The share of it that the weights can hide in.", Row("rates", "hidden_share"), most=1.0
    ),
    Input("chips", "", "Chips that the thief has.", "100..10000",
          why="unknown; from a rented rack to a state"),
    Input("peak", "FLOP/s", "What a chip does at most.", Row("chips", "$chip", "bf16")),
    Input("memory", "B", "What a chip's memory holds.", Row("chips", "$chip", "memory")),
    Input("utilisation", "", "The share of it that decoding reaches.", "0.1..0.4", most=1.0,
          why="large batches; small ones reach far less"),
    Input("chip_hour", "USD/h", "What an hour of a chip costs; a thief may own its chips.",
          Row("chips", "$chip", "hour_price")),
    Input("tasks", "", "Tasks that the thief wants done.", "1e3..1e6", why="depends on the misuse"),
    Input("tokens", "", "Tokens of a plain answer to one.", "1e3..1e5", why="depends on the task"),
    Input("days", "day", "In how many days.", "30", why="a choice, not a fact"),
    Input("owner_effort", "times", "Tokens that the owner spends a task, over those of a plain answer.",
          "10..1000", least=1.0, why="depends on the owner"),
    Input("scaffold", "times", "What the owner's tools, search and verifiers are worth that are not in the "
          "weights, in training compute.", Row("rates", "scaffold_gain"), least=1.0),
    Input("weight", "", "Decades of training that a decade of inference is worth.",
          Row("rates", "exchange_weight")),
    Input("span", "", "Decades of training that inference can replace at most.", Row("rates",
          "exchange_span")),
    Input("a", "", "Of the Beta law of an attempt's chance; by a law.", optional=True),
    Input("b", "", "Of the Beta law of an attempt's chance; by a law.", optional=True),
    Input("votes", "", "Share of tasks that votes without end solve; by a law.", optional=True),
    Input("never", "", "Share of tasks that no attempt solves.", "0", positive=False, least=0.0, most=1.0,
          why="no law was named"),
    Input("always", "", "Share of tasks that every attempt solves.", "0", positive=False, least=0.0, most=1.0,
          why="no law was named"),
)  # fmt: skip

_OUTPUTS = (
    Output("kept", "", "What is kept of the model's training compute, without the scaffold."),
    Output("kept_with_scaffold", "", "What is kept of it where the thief has built a scaffold as good."),
    Output("acts_like", "FLOP", "The training compute of a plain model that does as well as the thief's."),
    Output("days_out", "day", "Days until the weights are out."),
    Output("least_chips", "chip", "Chips that hold the weights: with fewer nothing runs."),
    Output("chips_needed", "chip", "Chips that do all tasks at the owner's effort in time, and hold the "
           "weights."),
    Output("days_needed", "day", "Days for all tasks at the owner's effort, on the thief's chips."),
    Output("cost", "USD", "Cost of the chips' hours for all tasks at the owner's effort."),
    Output("rate", "token/s", "Tokens a second on one chip."),
    Output("effort", "times", "What the thief can spend a task, over a plain answer, with all done in time."),
    Output("done", "", "The share of tasks that are done in time, at plain answers at least."),
    Output("unhindered", "", "The number of tasks up to which the thief can spend as much as the owner."),
    Output("owner_solves", "", "Tasks that the owner solves, by the law of attempts, with a verifier."),
    Output("thief_solves", "", "Tasks that the thief solves, by the same law, with a verifier."),
    Output("thief_votes", "", "Tasks that a thief without a verifier solves by votes, at most."),
)  # fmt: skip

CALCULATOR = Calculator(
    name="theft",
    title="What stolen weights are worth and what they can do",
    inputs=_INPUTS,
    outputs=_OUTPUTS,
    compute=_compute,
    choices=(
        Choice("model", "The stolen model.", "llama-3.1-405b", table="published_models"),
        Choice("chip", "The thief's chips.", "h100-sxm", table="chips"),
    ),
    tables=_tables,
    notes=_notes,
    law=attempts_and_gain,
)
