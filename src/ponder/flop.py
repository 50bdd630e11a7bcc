"""FLOP of a forward pass, a prefill, a decode, a training step: one formula a function.

A multiply-add is 2 FLOP. Counted are the matrix products of the transformer blocks, attention's
products with the keys and values in context, and the unembedding. Not counted, as is usual: the
embedding look-up (no FLOP), norms, rotary embedding, softmax and activations (well under 1 %).

The formulas of one sequence count what a causal model needs: each token attends to itself and those before.
The formulas of a batch count what is computed: rows padded to one length, and the whole square of attention,
as dense kernels compute it. The second are never below the first.

Sources: Kaplan et al. 2020 (arXiv 2001.08361) §2.1 and Table 1 for the weight and attention terms;
Chowdhery et al. 2022 (PaLM, arXiv 2204.02311) appendix B for the attention term without the causal
half; Ainslie et al. 2023 (arXiv 2305.13245) for grouped-query attention; Hu et al. 2021 (LoRA,
arXiv 2106.09685) for adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ponder.core import Model, Price, Shape, Usage

__all__ = [
    "Cost",
    "adapter_step_flop",
    "attention_flop",
    "batch_flop",
    "block_parameters",
    "call_flop",
    "call_usd",
    "decode_flop",
    "forward_flop",
    "generation_flop",
    "logits_flop",
    "method",
    "parameters",
    "prefill_flop",
    "price_usage",
    "training_flop",
    "training_step_flop",
    "value_step_flop",
]

Method = Literal["shape", "2N", "unknown"]


def block_parameters(shape: Shape) -> int:
    """Weights of one layer that multiply each token (active experts only, router included)."""
    attention = shape.d_model * shape.d_head * (2 * shape.heads + 2 * shape.kv_heads)
    matrices = 3 if shape.gated else 2
    if shape.experts:
        widths = shape.experts_active * shape.d_ff + shape.d_ff_shared
        router = shape.d_model * shape.experts
    else:
        widths, router = shape.d_ff, 0
    return attention + matrices * shape.d_model * widths + router


def parameters(shape: Shape, *, active: bool = True, embedding: bool = True) -> int:
    """Weight-matrix parameters: blocks, and the embedding matrices (one if tied). Norms are left out."""
    per_layer = block_parameters(shape)
    if not active and shape.experts:
        matrices = 3 if shape.gated else 2
        idle = shape.experts - shape.experts_active
        per_layer += matrices * shape.d_model * shape.d_ff * idle
    tables = (1 if shape.tied else 2) * shape.vocab * shape.d_model if embedding else 0
    return shape.layers * per_layer + tables


def attention_flop(shape: Shape, context: int) -> int:
    """One token that attends to `context` tokens (itself included): QK^T and AV over all layers.

    Query heads each read the keys, so grouped-query attention does not change it: 4·t·heads·d_head.
    """
    return 4 * shape.layers * shape.heads * shape.d_head * context


def logits_flop(shape: Shape, positions: int) -> int:
    """The unembedding at this many positions."""
    return 2 * shape.d_model * shape.vocab * positions


def _span_attention(shape: Shape, first: int, last: int) -> int:
    """Tokens at positions first..last (1-based), each attending to itself and all before."""
    contexts = (first + last) * (last - first + 1) // 2 if last >= first else 0
    return attention_flop(shape, 1) * contexts


def forward_flop(shape: Shape, tokens: int, *, cached: int = 0, logits: int | None = None) -> int:
    """A forward pass over `tokens` new tokens after `cached` ones, with logits at `logits` positions
    (default: all of the new ones)."""
    positions = tokens if logits is None else logits
    weights = 2 * shape.layers * block_parameters(shape) * tokens
    return weights + logits_flop(shape, positions) + _span_attention(shape, cached + 1, cached + tokens)


def prefill_flop(shape: Shape, prompt_tokens: int, *, cached_tokens: int = 0) -> int:
    """Read a prompt and produce the logits of the first generated token."""
    return forward_flop(shape, prompt_tokens - cached_tokens, cached=cached_tokens, logits=1)


def decode_flop(shape: Shape, prompt_tokens: int, generated_tokens: int) -> int:
    """Generate after a prefill. The first token comes from the prefill's logits and the last is never
    fed back, so `generated_tokens - 1` passes run."""
    return forward_flop(shape, max(0, generated_tokens - 1), cached=prompt_tokens)


def training_flop(parameters: float, tokens: float) -> float:
    """C = 6·N·D: forward 2, backward 4 per parameter and token (Kaplan et al. 2020 §2.1)."""
    return 6.0 * parameters * tokens


def batch_flop(shape: Shape, rows: int, length: int, *, logits: int | None = None) -> int:
    """A forward pass over `rows` sequences padded to `length` tokens, with logits at `logits` of the batch's
    positions (default: all)."""
    positions = rows * length
    weights = 2 * shape.layers * block_parameters(shape) * positions
    attention = attention_flop(shape, length) * positions
    return weights + attention + logits_flop(shape, positions if logits is None else logits)


def training_step_flop(shape: Shape, rows: int, length: int, *, logits: int | None = None) -> int:
    """Forward and backward over a padded batch. The backward pass is two forward passes: every product needs
    its gradient for both factors. Recomputed activations are no part of it."""
    return 3 * batch_flop(shape, rows, length, logits=logits)


def adapter_step_flop(
    shape: Shape, rows: int, length: int, adapter_parameters: int, *, logits: int | None = None
) -> int:
    """Forward and backward over a padded batch where only adapters (LoRA) of so many weights learn.

    A frozen matrix needs the gradient of its input alone: 2 passes, not 3. The first layer's query, key and
    value matrices need none, as nothing before them learns.
    """
    positions = rows * length
    attention = attention_flop(shape, length) * positions
    frozen = batch_flop(shape, rows, length, logits=logits) - attention
    first = 2 * shape.d_model * shape.d_head * (shape.heads + 2 * shape.kv_heads) * positions
    return 2 * frozen - first + 3 * (attention + 2 * adapter_parameters * positions)


def value_step_flop(shape: Shape, rows: int, length: int, *, outputs: int = 1) -> int:
    """Forward and backward over a padded batch with a head of `outputs` values at every position in the
    unembedding's place, as a process reward model has it."""
    head = 2 * shape.d_model * outputs * rows * length
    return 3 * (batch_flop(shape, rows, length, logits=0) + head)


def generation_flop(shape: Shape, rows: int, prompt_tokens: int, generated_tokens: int) -> int:
    """Generate for a batch with a growing key-value cache: prompts padded to one length, `generated_tokens`
    for every row, the finished ones too."""
    prefill = batch_flop(shape, rows, prompt_tokens, logits=rows)
    return prefill + rows * decode_flop(shape, prompt_tokens, generated_tokens)


@dataclass(frozen=True, slots=True)
class Cost:
    """FLOP and how they were had: from the shape, by the fallback 2·N·tokens, or not at all."""

    flop: float | None
    method: Method


def method(model: Model) -> Method:
    """How FLOP of this model are had."""
    if model.shape is not None:
        return "shape"
    return "2N" if model.active_parameters is not None else "unknown"


def call_usd(price: Price | None, usage: Usage) -> float | None:
    """US dollars of one call; an unknown cached count is taken as none cached (an upper bound)."""
    if price is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    cached = usage.cached_tokens or 0
    cached_rate = price.usd_per_million_cached
    if cached_rate is None:
        cached_rate = price.usd_per_million_prompt
    fresh = usage.prompt_tokens - cached
    total = fresh * price.usd_per_million_prompt + cached * cached_rate
    return (total + usage.completion_tokens * price.usd_per_million_completion) / 1e6


def call_flop(model: Model, usage: Usage, generated: tuple[int | None, ...]) -> Cost:
    """FLOP of one call: one prefill, then a decode for each sample's generated tokens.

    An unknown cached count is taken as none cached (an upper bound). With unknown prompt or generated
    tokens the FLOP are unknown.
    """
    prompt, cached = usage.prompt_tokens, usage.cached_tokens or 0
    lengths = [n for n in generated if n is not None]
    if prompt is None or len(lengths) < len(generated):
        return Cost(None, "unknown")
    if prompt == 0 and not any(lengths):
        return Cost(0.0, method(model))
    if model.shape is not None:
        decode = sum(decode_flop(model.shape, prompt, n) for n in lengths)
        return Cost(float(prefill_flop(model.shape, prompt, cached_tokens=cached) + decode), "shape")
    if model.active_parameters is not None:
        return Cost(2.0 * model.active_parameters * (prompt - cached + sum(lengths)), "2N")
    return Cost(None, "unknown")


def price_usage(model: Model, usage: Usage, generated: Sequence[int | None]) -> Usage:
    """The usage of one attempt with FLOP and dollars filled in; `generated` are its samples' tokens.

    Where only the sum of the generated tokens is known they are taken as spread evenly over the samples:
    the weights' FLOP do not depend on it and attention's hardly do. Tokens beyond those of the samples
    (of a sample that was thrown away) count as one more sample.
    """
    total, known = usage.completion_tokens, [n for n in generated if n is not None]
    lengths: list[int | None] = list(generated)
    if total is not None and len(known) < len(generated):
        parts = len(generated)
        lengths = [total // parts + (place < total % parts) for place in range(parts)]
    elif total is None and not generated:
        lengths = [None]
    elif total is not None and total > sum(known):
        lengths.append(total - sum(known))
    cost = call_flop(model, usage, tuple(lengths))
    return replace(usage, flop=cost.flop, usd=call_usd(model.price, usage))
