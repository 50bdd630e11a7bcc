"""How fast chips serve a model: the roofline of decode and prefill.

A decode step reads the weights once and every stream's keys and values, and computes one token for each
stream; it lasts as long as the slower of the two, and as the network needs. Erdil 2025 (Inference economics
of language models, arXiv 2506.04645, eqs 1-5 and 8-10) gives the step without the keys and values; these are
added as further bytes and as further FLOP of attention. Streams are spread evenly over their lengths, as
under continuous batching, so `context` is the mean one.

Left out: bytes on the network (only its latency is here), speculative decoding, imbalance between experts.
All are functions of arrays [B] or of numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Layout",
    "Links",
    "Machine",
    "Served",
    "best_layout",
    "critical_batch",
    "fastest_width",
    "grouped_cache_bytes",
    "latent_cache_bytes",
    "memory_batch",
    "prefill_rate",
    "reduce_seconds",
    "speed_batch",
    "step_seconds",
    "training_fleet_rate",
    "weights_read",
]

Floats = NDArray[np.float64]
Numbers = Floats | float

_NEWTON_STEPS = 8
WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Chips of one instance that `best_layout` tries."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What one chip gives of what its data sheet says: FLOP/s (dense, at the precision served), bytes/s of
    its memory, and bytes of memory that weights and caches may fill."""

    flop_per_second: Numbers
    bytes_per_second: Numbers
    memory_bytes: Numbers


@dataclass(frozen=True, slots=True)
class Served:
    """A model as it is served.

    `active` of `total` parameters multiply each token; where they differ, `experts_active` of `experts` are
    chosen for each token. `decode_attention` and `prefill_attention` are the FLOP of one token for each token
    of its context, over all layers; `cache_bytes` what one token leaves in the cache of keys and values.
    """

    active: Numbers
    total: Numbers
    bytes_per_parameter: Numbers
    layers: Numbers
    decode_attention: Numbers
    prefill_attention: Numbers
    cache_bytes: Numbers
    experts: Numbers = 1.0
    experts_active: Numbers = 1.0

    @property
    def weight_bytes(self) -> Numbers:
        """Bytes of all weights."""
        return self.total * self.bytes_per_parameter


@dataclass(frozen=True, slots=True)
class Links:
    """What tensor parallelism waits for: reductions a layer, and seconds that one hop takes."""

    reductions: Numbers
    hop_seconds: Numbers


@dataclass(frozen=True, slots=True)
class Layout:
    """How an instance is laid out, [B] each: its chips, its streams, seconds of a step, and tokens/s of one
    chip and of one stream. All are 0, and the seconds infinite, where the model cannot be served so."""

    width: Floats
    batch: Floats
    step_seconds: Floats
    rate: Floats
    speed: Floats


# ---------------------------------------------------------------- bytes


def grouped_cache_bytes(layers: Numbers, kv_heads: Numbers, d_head: Numbers, width_bytes: Numbers) -> Numbers:
    """Bytes of a token's keys and values with grouped-query attention (Ainslie et al. 2023, arXiv
    2305.13245); with as many KV heads as heads, of multi-head attention."""
    return 2.0 * layers * kv_heads * d_head * width_bytes


def latent_cache_bytes(layers: Numbers, latent: Numbers, rotary: Numbers, width_bytes: Numbers) -> Numbers:
    """Bytes of a token's compressed keys and values with multi-head latent attention (DeepSeek-AI 2024, arXiv
    2405.04434 §2.1): one latent and one rotary key a layer for all heads."""
    return layers * (latent + rotary) * width_bytes


def weights_read(served: Served, batch: Numbers) -> Numbers:
    """Bytes of weights that a step of so many streams reads: of the experts only those that one of its tokens
    is sent to, as if each were sent at random."""
    if not _any_mixture(served):
        return served.weight_bytes
    one = _one_expert(served)
    share = -np.expm1(batch * _log_missed(served))
    return (served.active - served.experts_active * one + served.experts * one * share) * (
        served.bytes_per_parameter
    )


def _any_mixture(served: Served) -> bool:
    return bool(np.any(np.asarray(served.total) > served.active))


def _one_expert(served: Served) -> Numbers:
    """Parameters of one expert, over all layers; 0 of a dense model."""
    idle = served.experts - served.experts_active
    return np.where(idle > 0, (served.total - served.active) / np.where(idle > 0, idle, 1.0), 0.0)


def _log_missed(served: Served) -> Numbers:
    """The logarithm of the chance that a token is not sent to a given expert. Of a dense model it would be
    -infinity; any value does there, as it has no experts."""
    share = np.minimum(np.asarray(served.experts_active) / served.experts, 1.0 - 1e-9)
    return np.log1p(-share)


# ---------------------------------------------------------------- decode


def critical_batch(bytes_per_parameter: Numbers, machine: Machine) -> Numbers:
    """The batch from which a dense model's step is bound by arithmetic, without a cache: p·C/(2B) (Erdil 2025
    §3)."""
    return bytes_per_parameter * machine.flop_per_second / (2.0 * machine.bytes_per_second)


def reduce_seconds(layers: Numbers, width: Numbers, links: Links) -> Numbers:
    """Seconds that a step waits for reductions over `width` chips: each crosses 2·(√G - 1) hops of a square
    of chips (Erdil 2025, eq. 8)."""
    return layers * links.reductions * 2.0 * links.hop_seconds * (np.sqrt(width) - 1.0)


def fastest_width(served: Served, machine: Machine, links: Links) -> Numbers:
    """The number of chips at which one stream alone is fastest, its cache left out: G^(3/2) = pN/(B·n·t)
    (Erdil 2025, eq. 10). Not a whole number."""
    reading = served.active * served.bytes_per_parameter / machine.bytes_per_second
    return np.maximum(1.0, (reading / (served.layers * links.reductions * links.hop_seconds)) ** (2.0 / 3.0))


def step_seconds(
    served: Served, machine: Machine, links: Links, width: Numbers, batch: Numbers, context: Numbers
) -> Numbers:
    """Seconds of one decode step of `batch` streams, each of `context` tokens, on `width` chips."""
    read = weights_read(served, batch) + batch * context * served.cache_bytes
    flop = batch * (2.0 * served.active + context * served.decode_attention)
    reading = read / (width * machine.bytes_per_second)
    computing = flop / (width * machine.flop_per_second)
    return reduce_seconds(served.layers, width, links) + np.maximum(reading, computing)


def memory_batch(served: Served, machine: Machine, width: Numbers, context: Numbers) -> Numbers:
    """Streams whose caches fit beside the weights on `width` chips; below 1 where none does."""
    free = width * machine.memory_bytes - served.weight_bytes
    return free / (context * served.cache_bytes)


def speed_batch(
    served: Served, machine: Machine, links: Links, width: Numbers, context: Numbers, speed: Numbers
) -> Numbers:
    """The most streams that still get `speed` tokens/s each; below 1 where not even one does.

    Bytes grow with the batch along a concave curve, so Newton's steps from below approach the root from
    below.
    """
    seconds = 1.0 / speed - reduce_seconds(served.layers, width, links)
    computed = (
        seconds * width * machine.flop_per_second / (2.0 * served.active + context * served.decode_attention)
    )
    room = seconds * width * machine.bytes_per_second
    cache = context * served.cache_bytes
    batch = np.maximum(1.0, (room - served.weight_bytes) / cache)
    if _any_mixture(served):
        rate = _log_missed(served)
        spread = served.experts * _one_expert(served) * served.bytes_per_parameter * -rate
        for _ in range(_NEWTON_STEPS):
            slope = cache + spread * np.exp(batch * rate)
            batch = np.maximum(1.0, batch + (room - weights_read(served, batch) - batch * cache) / slope)
    fits = weights_read(served, 1.0) + cache <= room
    return np.where(fits, np.minimum(batch, computed), 0.0)


def best_layout(
    served: Served,
    machine: Machine,
    links: Links,
    context: Numbers,
    speed: Numbers,
    widths: Iterable[int] = WIDTHS,
    most: Numbers = np.inf,
) -> Layout:
    """The number of chips, up to `most`, and of streams that give most tokens/s of a chip, each stream having
    `speed` tokens/s or more. More streams always give more, so the batch is the largest that memory and speed
    allow."""
    shape = np.broadcast_shapes(
        *(np.shape(each) for each in (served.total, machine.memory_bytes, context, speed))
    )
    none = np.zeros(shape)
    best = Layout(none, none, np.full(shape, np.inf), none, none)
    for width in widths:
        room = np.where(width <= np.asarray(most), memory_batch(served, machine, width, context), 0.0)
        if not np.any(room >= 1.0):
            continue
        batch = np.minimum(room, speed_batch(served, machine, links, width, context, speed))
        held = np.maximum(batch, 1.0)
        seconds = step_seconds(served, machine, links, width, held, context)
        rate = np.where(batch >= 1.0, held / (width * seconds), 0.0)
        better = rate > best.rate
        best = Layout(
            np.where(better, float(width), best.width),
            np.where(better, held, best.batch),
            np.where(better, seconds, best.step_seconds),
            np.where(better, rate, best.rate),
            np.where(better, 1.0 / seconds, best.speed),
        )
    return best


# ---------------------------------------------------------------- prefill, and a cluster by its training


def prefill_rate(served: Served, machine: Machine, prompt: Numbers) -> Numbers:
    """Prompt tokens/s of one chip. Reading is bound by arithmetic; a token attends to half of the prompt in
    the mean."""
    return machine.flop_per_second / (2.0 * served.active + served.prefill_attention * prompt / 2.0)


def training_fleet_rate(
    tokens: Numbers, seconds: Numbers, training_use: Numbers = 1.0, inference_use: Numbers = 1.0
) -> Numbers:
    """Tokens/s that a cluster reads with the model that it trained on `tokens` in `seconds`: training takes
    6 and inference 2 FLOP a parameter and token (Kaplan et al. 2020, arXiv 2001.08361 §2.1), so the model's
    size cancels."""
    return 3.0 * tokens / seconds * (inference_use / training_use)
