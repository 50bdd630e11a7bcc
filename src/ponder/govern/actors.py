"""Who owns how much of the world's chips: who could run the largest inference, and how concentrated it is."""

from __future__ import annotations

from collections.abc import Mapping

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


def concentration(chips: Floats, single: Floats) -> tuple[Floats, Floats]:
    """Shares [B, A] of all chips, and the sum of squares [B] of those of single owners (Hirschman 1964): 1 is
    one owner of all. Chips [B, A]; `single` [A] is 0 for many owners that are counted together, whose squares
    are taken to be nothing."""
    shares = chips / chips.sum(axis=1, keepdims=True)
    return shares, (shares**2 * single).sum(axis=1)


def _single(about: Settings) -> Floats:
    return np.array(
        [float(about.rows[f"actors.{name}.fleet"].get("one", True)) for name in about.groups["actors"]]
    )


def _held(x: Inputs, about: Settings) -> Floats:
    return np.stack([x[f"actors.{name}.chips"] for name in about.groups["actors"]], axis=1)


def owned(x: Inputs, about: Settings, tokens: Floats, workers: Floats) -> dict[str, Floats]:
    """The owners' outputs [B]; `tokens` and `workers` are those of one chip of the scenario's kind. Owners'
    chips are turned into it by arithmetic, as they are counted."""
    held, single = _held(x, about), _single(about)
    shares, index = concentration(held, single)
    largest = (held * single).max(axis=1)
    chips = largest * x["h100_flop"] / x["flop_bf16"]
    return {
        "largest_share": (shares * single).max(axis=1),
        "hhi": index,
        "largest_tokens": chips * tokens,
        "largest_workers": chips * workers,
    }


def actor_table(x: Inputs, y: Mapping[str, Floats], about: Settings) -> Table:
    """Each owner's chips and share, and the workers that they would be."""
    held = _held(x, about)
    shares, _ = concentration(held, _single(about))
    one = (y["workers"] / y["largest_workers"])[: len(held)] * (held * _single(about)).max(axis=1)
    workers = y["workers"][: len(held), None] / np.where(one > 0, one, np.nan)[:, None] * held
    told = []
    for place, name in enumerate(about.groups["actors"]):
        title = str(about.rows[f"actors.{name}.fleet"].get("title", name))
        middle = [float(np.median(held[:, place])), float(np.median(shares[:, place]))]
        many = workers[:, place]
        told.append((title, *middle, float(np.nanmedian(many)) if np.isfinite(many).any() else None))
    return Table("actors", "Who owns the chips", ("owner", "H100e", "share", "workers"), tuple(told))
