"""The roofline against worked numbers, its limits, and published serving figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.govern.roofline import (
    Links,
    Machine,
    Served,
    best_layout,
    critical_batch,
    fastest_width,
    grouped_cache_bytes,
    latent_cache_bytes,
    memory_batch,
    prefill_rate,
    reduce_seconds,
    speed_batch,
    step_seconds,
    training_fleet_rate,
    weights_read,
)

H100 = Machine(989.4e12, 3.35e12, 80e9)
LINKS = Links(4.0, 1e-6)
PAGE = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text("utf-8")


def used(compute: float, bandwidth: float, chip: Machine = H100) -> Machine:
    """A chip of which only shares are reached, and nine tenths of whose memory may be filled."""
    return Machine(chip.flop_per_second * compute, chip.bytes_per_second * bandwidth, 0.9 * chip.memory_bytes)


def dense(parameters: float, layers: int, heads: int, kv_heads: int, bytes_each: float = 2.0) -> Served:
    attention = 4.0 * layers * heads * 128
    cache = grouped_cache_bytes(layers, kv_heads, 128, bytes_each)
    return Served(parameters, parameters, bytes_each, layers, attention, attention, cache)


LLAMA_8B = dense(8.03e9, 32, 32, 8)
LLAMA_70B = dense(70.6e9, 80, 64, 8)
LLAMA_405B = dense(405.9e9, 126, 128, 8)
DEEPSEEK_V3 = Served(
    active=37e9,
    total=671e9,
    bytes_per_parameter=1.0,
    layers=61,
    decode_attention=2.0 * 61 * 128 * (2 * 512 + 64),
    prefill_attention=2.0 * 61 * 128 * (192 + 128),
    cache_bytes=latent_cache_bytes(61, 512, 64, 2.0),
    experts=256,
    experts_active=8,
)


def test_the_critical_batch_of_an_h100_is_295() -> None:
    assert critical_batch(2.0, H100) == pytest.approx(295.3, abs=0.1)
    with_half = Served(7e10, 7e10, 2.0, 80, 0.0, 0.0, 0.0)
    batch = critical_batch(2.0, H100)
    assert step_seconds(with_half, H100, LINKS, 1, batch, 1.0) == pytest.approx(1.4e11 / 3.35e12)
    assert step_seconds(with_half, H100, LINKS, 1, 2 * batch, 1.0) == pytest.approx(2.8e11 / 3.35e12)


@pytest.mark.parametrize(
    ("model", "expected"), [(LLAMA_8B, 131_072), (LLAMA_70B, 327_680), (LLAMA_405B, 516_096)]
)
def test_bytes_of_a_grouped_cache(model: Served, expected: float) -> None:
    assert model.cache_bytes == expected


def test_bytes_of_a_latent_cache() -> None:
    assert DEEPSEEK_V3.cache_bytes == 70_272


def test_a_step_reads_the_experts_that_its_tokens_are_sent_to() -> None:
    one, many = weights_read(DEEPSEEK_V3, 1.0), weights_read(DEEPSEEK_V3, 1e6)
    assert one == pytest.approx(37e9)
    assert many == pytest.approx(671e9)
    # Two tokens: of 256 experts each is missed by both with chance (248/256)².
    expert = (671e9 - 37e9) / 248
    assert weights_read(DEEPSEEK_V3, 2.0) == pytest.approx(
        37e9 - 8 * expert + 256 * expert * (1 - (248 / 256) ** 2)
    )
    assert weights_read(LLAMA_8B, 1.0) == weights_read(LLAMA_8B, 1e6) == pytest.approx(16.06e9)


def test_the_fastest_width_is_where_one_stream_is_fastest() -> None:
    bare = Served(7e10, 7e10, 2.0, 80, 0.0, 0.0, 0.0)
    found = float(fastest_width(bare, H100, LINKS))
    at = [float(step_seconds(bare, H100, LINKS, found * part, 1.0, 1.0)) for part in (0.9, 1.0, 1.1)]
    assert at[1] < at[0]
    assert at[1] < at[2]
    # Reductions with twice the hop take twice as long, and none on one chip.
    assert reduce_seconds(80, 1, LINKS) == 0.0
    assert reduce_seconds(80, 16, LINKS) == pytest.approx(80 * 4 * 2e-6 * 3)


@pytest.mark.parametrize(("model", "price", "speed"), [(LLAMA_8B, 0.20, 400.0), (LLAMA_70B, 0.90, 150.0)])
def test_the_speed_at_a_market_price_is_within_a_factor_of_two(
    model: Served, price: float, speed: float
) -> None:
    """Erdil 2025 quotes 400 tokens/s at $0.20 and 150 at $0.90 a million, an H100 for $2 an hour."""
    chip, batch = used(0.44, 0.7), np.geomspace(1.0, 5000.0, 2000)
    best = 0.0
    for width in (1, 2, 4, 8, 16, 32, 64):
        seconds = step_seconds(model, chip, LINKS, width, batch, 1000.0)
        cost = 2.0 / 3600.0 * width * seconds / batch * 1e6
        fits = (cost <= price) & (batch <= memory_batch(model, chip, width, 1000.0))
        best = max(best, float((1.0 / seconds[fits]).max(initial=0.0)))
    assert speed / 2 < best < 2 * speed


@pytest.mark.parametrize(
    ("prompt", "generated", "seen"), [(2048, 128, 399.9), (32_768, 2048, 230.8), (120_000, 2048, 49.6)]
)
def test_llama_405b_on_eight_h200_is_within_a_factor_of_two(
    prompt: float, generated: float, seen: float
) -> None:
    """NVIDIA's output tokens/s of the official FP8 recipe (Technical Blog, 28 August 2024): prefill and
    decode share the chips."""
    said = llama_on_h200(prompt, generated)
    assert seen / 2 < said < 2 * seen
    assert f"| {seen:.0f} | {said:.0f} |" in PAGE


def llama_on_h200(prompt: float, generated: float) -> float:
    """Output tokens/s of Llama 3.1 405B in fp8 on eight H200."""
    chip = used(0.44, 0.7, Machine(1979e12, 4.8e12, 141e9))
    model = dense(405.9e9, 126, 128, 8, bytes_each=1.0)
    decode = best_layout(model, chip, LINKS, prompt + generated / 2, 1.0, (8,)).rate
    return float(8.0 / (prompt / generated / prefill_rate(model, chip, prompt) + 1.0 / decode))


def test_deepseek_v3_on_h800_is_a_bound_from_above() -> None:
    """DeepSeek's own service (inference system overview, 1 March 2025): a node of eight H800 reads 73,700
    tokens/s, 56 % of them from a cache, and generates 14,800, at 4,989 tokens of context, in the mean of a
    day. A roofline knows neither the day's ebb nor uneven experts, so it lies above, by less than three."""
    chip = used(0.3, 0.6, Machine(1979e12, 3.36e12, 80e9))
    layout = best_layout(DEEPSEEK_V3, chip, LINKS, 4989.0, 21.0, (128,))
    assert 14_800 < 8 * float(layout.rate) < 3 * 14_800
    assert f"| 14,800 | {8 * float(layout.rate):,.0f} |" in PAGE
    read = 8 * float(prefill_rate(DEEPSEEK_V3, chip, 4000.0))
    assert 0.437 * 73_700 < read < 3 * 0.437 * 73_700


def test_a_cluster_reads_what_it_could_train() -> None:
    """Llama 3.1 405B: 15.6e12 tokens in 54 days are 1.0e7 tokens/s."""
    assert training_fleet_rate(15.6e12, 54 * 86_400) == pytest.approx(1.0e7, rel=0.01)
    chips, flop = 16_384, 989.4e12 * 0.4
    seconds = 6 * 405e9 * 15.6e12 / (chips * flop)
    bare = Served(405e9, 405e9, 2.0, 126, 0.0, 0.0, 1.0)
    one = prefill_rate(bare, Machine(flop, 1.0, 1.0), 1.0)
    assert training_fleet_rate(15.6e12, seconds) == pytest.approx(chips * one)


models = st.sampled_from([LLAMA_8B, LLAMA_70B, DEEPSEEK_V3])


@settings(max_examples=30)
@given(models, st.floats(100.0, 30_000.0), st.floats(1.0, 300.0), st.sampled_from([4, 16, 64]))
def test_the_batch_for_a_speed_is_the_largest(
    model: Served, context: float, speed: float, width: int
) -> None:
    batch = float(speed_batch(model, H100, LINKS, width, context, speed))
    if batch >= 1.0:
        assert 1.0 / step_seconds(model, H100, LINKS, width, batch, context) >= speed * (1 - 1e-9)
    more = max(1.0, 1.01 * batch + 1e-3)
    assert 1.0 / step_seconds(model, H100, LINKS, width, more, context) < speed


@settings(max_examples=30)
@given(models, st.floats(100.0, 30_000.0), st.floats(1.0, 200.0))
def test_the_best_layout_keeps_its_word(model: Served, context: float, speed: float) -> None:
    found = best_layout(model, H100, LINKS, context, speed)
    if found.rate > 0:
        assert found.speed >= speed * (1 - 1e-9)
        assert found.batch <= memory_batch(model, H100, found.width, context) * (1 + 1e-9)
        assert found.rate == pytest.approx(found.batch / found.width / found.step_seconds)
    faster = best_layout(model, H100, LINKS, context, 2 * speed)
    longer = best_layout(model, H100, LINKS, 2 * context, speed)
    assert faster.rate <= found.rate * (1 + 1e-9)
    assert longer.rate <= found.rate * (1 + 1e-9)


def test_a_model_that_does_not_fit_has_no_layout() -> None:
    none = best_layout(LLAMA_405B, H100, LINKS, 1000.0, 1.0, (1, 2, 4, 8))
    assert (none.rate, none.speed, none.width) == (0.0, 0.0, 0.0)
    too_fast = best_layout(LLAMA_70B, H100, LINKS, 1000.0, 1e5)
    assert too_fast.rate == 0.0


def test_arrays_are_done_row_by_row() -> None:
    context = np.array([500.0, 5000.0, 50_000.0])
    whole = best_layout(DEEPSEEK_V3, H100, LINKS, context, 20.0)
    for place, each in enumerate(context):
        alone = best_layout(DEEPSEEK_V3, H100, LINKS, float(each), 20.0)
        assert whole.rate[place] == pytest.approx(float(alone.rate))
        assert whole.width[place] == alone.width
