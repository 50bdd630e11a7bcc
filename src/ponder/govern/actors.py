"""Who owns how much of the world's chips: who could run the largest inference, and how concentrated it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ponder.data.rows import rows
from ponder.govern.calculator import Choice, Floats, Group, Input, Output, Row, Settings, Table

__all__ = ["ACTOR_GROUP", "ACTOR_INPUTS", "actor_outputs", "actor_table", "concentration", "owned"]

Inputs = Mapping[str, Floats]

ACTOR_INPUTS = (
    Input("h100_flop", "FLOP/s", "Arithmetic of the H100 that owners have", Row("chips", "h100-sxm", "bf16")),
)

ACTOR_GROUP = Group(
    "actors",
    "Owners of chips. One that a row of `actors` marks as several counts towards the total alone.",
    (Input("chips", "H100e", "Chips, as H100s of the same arithmetic", Row("actors", "$fleet", "chips")),),
    {name: {"fleet": name} for name in rows("actors")},
    (Choice("fleet", "A row of actors", "google", table="actors"),),
)


def actor_outputs() -> tuple[Output, ...]:
    """What is told of the owners."""
    return (
        Output("largest_share", "", "Share of all chips that the largest owner has"),
        Output("hhi", "", "Concentration of owners (Herfindahl, Hirschman); others are many small ones"),
        Output("largest_tokens", "token/s", "Tokens that the largest owner generates, if it only generates"),
        Output("largest_workers", "persons", "Workers that the largest owner's chips are, by arithmetic"),
    )


def concentration(chips: Sequence[Floats], single: Sequence[bool]) -> tuple[Floats, Floats, Floats]:
    """[B] each: all chips, those of the largest owner, nan without one, and the sum of squares of owners'
    shares (Hirschman 1964): 1 is one owner of all. Chips [A][B]; `single` is false for many owners that are
    counted together, whose squares are taken to be nothing."""
    total, squares, largest = np.zeros(1), np.zeros(1), np.full(1, np.nan)
    for held, one in zip(chips, single, strict=True):
        total = total + held
        if one:
            squares = squares + held * held
            largest = np.fmax(largest, held)
    return total, largest, squares / (total * total)


def _single(about: Settings) -> list[bool]:
    held = (about.rows[f"actors.{name}.fleet"] for name in about.groups["actors"])
    return [bool(row.get("one", True)) for row in held]


def _held(x: Inputs, about: Settings) -> list[Floats]:
    return [x[f"actors.{name}.chips"] for name in about.groups["actors"]]


def owned(x: Inputs, about: Settings, tokens: Floats, workers: Floats) -> dict[str, Floats]:
    """The owners' outputs [B]; `tokens` and `workers` are those of one chip of the scenario's kind. Owners'
    chips are turned into it by arithmetic, as they are counted."""
    total, largest, index = concentration(_held(x, about), _single(about))
    chips = largest * x["h100_flop"] / x["flop_bf16"]
    return {
        "largest_share": largest / total,
        "hhi": index,
        "largest_tokens": chips * tokens,
        "largest_workers": chips * workers,
    }


def actor_table(x: Inputs, workers: Floats, about: Settings) -> Table:
    """Each owner's chips and share, and the workers that they would be; `workers` [B] is what the scenario's
    fleet carries."""
    held = np.stack(np.broadcast_arrays(*_held(x, about)))
    shares = held / held.sum(axis=0)
    carried_by = held * (workers / x["chips"] * x["h100_flop"] / x["flop_bf16"])
    told = []
    for name, chips, share, many in zip(about.groups["actors"], held, shares, carried_by, strict=True):
        title = str(about.rows[f"actors.{name}.fleet"].get("title", name))
        known = many[~np.isnan(many)]
        carried = float(np.median(known)) if len(known) else None
        told.append((title, float(np.median(chips)), float(np.median(share)), carried))
    return Table("actors", "Who owns the chips", ("owner", "H100e", "share", "workers"), tuple(told))
