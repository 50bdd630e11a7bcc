"""A fleet of chips that serves one model: tokens/s, cost and power, from a calculator's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ponder.errors import InputError
from ponder.govern.calculator import Choice, Floats, Input, Row, Settings
from ponder.govern.roofline import (
    Layout,
    Links,
    Machine,
    Served,
    best_layout,
    grouped_cache_bytes,
    latent_cache_bytes,
    prefill_rate,
)

__all__ = ["CHIP_CHOICES", "CHIP_INPUTS", "DAY", "MODEL_INPUTS", "Fleet", "fleet_of", "served_of"]

DAY = 86_400.0
_HOUR = 3600.0
_HOURS_A_YEAR = 8766.0
_BYTES = {"bf16": 2.0, "fp8": 1.0}  # of a parameter

CHIP_CHOICES = (
    Choice("chip", "The chip", "h100-sxm", table="chips"),
    Choice("model", "The model that is served", "llama-3.1-405b", table="published_models"),
    Choice("precision", "How weights are kept and multiplied", "bf16", options=tuple(_BYTES)),
)

_chip = partial(Row, "chips", "$chip")
_model = partial(Row, "published_models", "$model")
_use, _network, _cost = (partial(Row, "scale", name) for name in ("use", "network", "cost"))

CHIP_INPUTS = (
    Input("chips", "chip", "Chips of the fleet"),
    Input("flop_bf16", "FLOP/s", "Dense arithmetic of a chip in bf16", _chip("bf16")),
    Input("flop_fp8", "FLOP/s", "Dense arithmetic of a chip in fp8", _chip("fp8"), optional=True),
    Input("bandwidth", "B/s", "What a chip reads from its memory", _chip("bandwidth")),
    Input("memory", "B", "Memory of a chip", _chip("memory")),
    Input("tdp", "W", "Power that a chip is built for", _chip("tdp"), optional=True),
    Input("chip_price", "USD", "List price of a chip", _chip("price"), optional=True),
    Input(
        "chip_hour",
        "USD/h",
        "What an hour of a chip costs; where unknown, had from its price, its life and its power",
        _chip("hour_price"),
        optional=True,
    ),
    Input("compute_use", "", "Share of the arithmetic that is reached", _use("compute"), most=1.0),
    Input("bandwidth_use", "", "Share of the bandwidth that is reached", _use("bandwidth"), most=1.0),
    Input("memory_use", "", "Share of the memory that may be filled", _use("memory"), most=1.0),
    Input("serving", "", "Share of the fleet that serves, in the mean of a day", _use("serving"), most=1.0),
    Input("reductions", "", "Reductions over an instance's chips in a layer", _network("reductions")),
    Input("hop", "s", "Seconds that a hop between chips takes", _network("hop")),
    Input("least_speed", "token/s", "What every stream must get", Row("scale", "stream", "speed")),
    Input(
        "capital", "", "Capital for a chip, as a multiple of its list price", _cost("capital_per_list_price")
    ),
    Input("life", "year", "Years that a chip is used", _cost("life")),
    Input("electricity", "USD/kWh", "What power costs", _cost("electricity")),
    Input("power", "", "The site's power for a chip, as a multiple of its TDP", _cost("power_per_tdp")),
)

MODEL_INPUTS = (
    Input("parameters", "", "Parameters of the model", _model("parameters")),
    Input("active", "", "Parameters that multiply each token", _model("active_parameters"), optional=True),
    Input("layers", "", "Layers", _model("shape.layers")),
    Input("heads", "", "Heads of attention in a layer", _model("shape.heads")),
    Input("kv_heads", "", "Heads whose keys and values are kept", _model("shape.kv_heads")),
    Input("d_head", "", "Width of a head", _model("shape.d_head")),
    Input(
        "latent", "", "Width of the latent kept for keys and values", _model("shape.latent"), optional=True
    ),
    Input("rotary", "", "Width of the rotary key kept beside it", _model("shape.rotary"), optional=True),
    Input("experts", "", "Experts of a layer", _model("shape.experts"), optional=True),
    Input("experts_active", "", "Experts of a token", _model("shape.experts_active"), optional=True),
    Input(
        "window", "token", "The longest context; what is older is dropped", _model("context"), optional=True
    ),
    Input("cache_value", "B", "Bytes of a value in the cache", "2", why="keys and values in bf16"),
)

Inputs = Mapping[str, Floats]


@dataclass(frozen=True)
class Fleet:
    """[B] or [1] each: chips, the share of them that serves, how an instance is laid out, prompt tokens/s of
    a chip, USD of a chip for an hour, and the site's W for it."""

    chips: Floats
    serving: Floats
    layout: Layout
    prefill: Floats
    usd_hour: Floats
    watts: Floats

    def chip_seconds(self, read: Floats, generated: Floats) -> Floats:
        """What so many tokens, read and generated, take of one chip: the two kinds of work do not overlap."""
        seconds: Floats = read / self.prefill + generated / self.layout.rate
        return seconds

    def a_day(self, chip_seconds: Floats) -> Floats:
        """How many pieces of work of so many chip-seconds are done in a day."""
        done: Floats = DAY * self.serving * self.chips / chip_seconds
        return done

    def usd(self, chip_seconds: Floats) -> Floats:
        """What the work costs: hours in which the fleet idles are paid by those in which it serves."""
        cost: Floats = self.usd_hour / _HOUR * chip_seconds / self.serving
        return cost

    def joules(self, chip_seconds: Floats) -> Floats:
        """What the work takes of the site's power; an idle chip is taken to draw none."""
        energy: Floats = self.watts * chip_seconds
        return energy

    def latency(self, read: Floats, generated: Floats) -> Floats:
        """Seconds from the prompt to the last token of one stream."""
        seconds: Floats = read / (self.prefill * self.layout.width) + generated / self.layout.speed
        return seconds


def served_of(x: Inputs, about: Settings) -> Served:
    """The model of a scenario. A model without a latent keeps grouped keys and values."""
    width = x["cache_value"]
    latent = ~np.isnan(x["latent"])
    cache = np.where(
        latent,
        latent_cache_bytes(x["layers"], x["latent"], x["rotary"], width),
        grouped_cache_bytes(x["layers"], x["kv_heads"], x["d_head"], width),
    )
    # A latent is multiplied as it is in decode. In prefill keys and values are made from it first, keys with
    # their rotary part and values without.
    heads = 2.0 * x["layers"] * x["heads"]
    decode = np.where(latent, heads * (2.0 * x["latent"] + x["rotary"]), heads * 2.0 * x["d_head"])
    prefill = np.where(latent, heads * (2.0 * x["d_head"] - x["rotary"]), heads * 2.0 * x["d_head"])
    mixture = ~np.isnan(x["experts"]) & ~np.isnan(x["active"])
    return Served(
        active=np.where(np.isnan(x["active"]), x["parameters"], x["active"]),
        total=x["parameters"],
        bytes_per_parameter=_BYTES[about.choices["precision"]],
        layers=x["layers"],
        decode_attention=decode,
        prefill_attention=prefill,
        cache_bytes=cache,
        experts=np.where(mixture, x["experts"], 1.0),
        experts_active=np.where(mixture, x["experts_active"], 1.0),
    )


def fleet_of(x: Inputs, about: Settings, prompt: Floats, generated: Floats) -> Fleet:
    """The fleet of a scenario, for streams that read and generate so many tokens; its rates are unknown (nan)
    where it cannot serve the model. Raises InputError for a chip that does not have the precision."""
    served = served_of(x, about)
    peak = x["flop_fp8"] if about.choices["precision"] == "fp8" else x["flop_bf16"]
    if np.isnan(peak).all():
        raise InputError(f"precision: {about.choices['chip']} has no fp8; take bf16, or give flop_fp8.")
    machine = Machine(
        peak * x["compute_use"], x["bandwidth"] * x["bandwidth_use"], x["memory"] * x["memory_use"]
    )
    links = Links(x["reductions"], x["hop"])
    context = np.fmin(prompt + generated / 2.0, x["window"])
    layout = best_layout(served, machine, links, context, x["least_speed"], most=x["chips"])
    kilowatts = x["tdp"] * x["power"] / 1000.0
    owned = x["chip_price"] * x["capital"] / (x["life"] * _HOURS_A_YEAR) + kilowatts * x["electricity"]
    prefill = np.asarray(prefill_rate(served, machine, np.fmin(prompt, x["window"])))
    fits = layout.rate > 0.0
    if not fits.all():
        layout = Layout(*(_where(fits, each) for each in astuple(layout)))
        prefill = _where(fits, prefill)
    return Fleet(
        chips=x["chips"],
        serving=x["serving"],
        layout=layout,
        prefill=prefill,
        usd_hour=np.where(np.isnan(x["chip_hour"]), owned, x["chip_hour"]),
        watts=1000.0 * kilowatts,
    )


def _where(fits: NDArray[np.bool_], value: Floats) -> Floats:
    return np.where(fits, value, np.nan)
