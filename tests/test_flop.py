"""Hand-worked cases, and the identities between the formulas."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder import flop
from ponder.core import Model, Price, Shape, Usage

TINY = Shape(layers=2, d_model=8, heads=4, kv_heads=2, d_head=2, d_ff=16, vocab=10)
SMOLLM2 = Shape(layers=30, d_model=576, heads=9, kv_heads=3, d_head=64, d_ff=1536, vocab=49152, tied=True)
LLAMA_8B = Shape(layers=32, d_model=4096, heads=32, kv_heads=8, d_head=128, d_ff=14336, vocab=128256)
MIXTRAL = Shape(
    layers=32, d_model=4096, heads=32, kv_heads=8, d_head=128, d_ff=14336, vocab=32000,
    experts=8, experts_active=2,
)  # fmt: skip


def test_block_parameters_by_hand() -> None:
    # q 8x8, k 8x4, v 8x4, o 8x8 = 192; three matrices of 8x16 = 384
    assert flop.block_parameters(TINY) == 192 + 384


def test_forward_by_hand() -> None:
    # 3 tokens, logits at all: weights 2*2*576*3, attention 4*2*4*2*(1+2+3), unembedding 2*8*10*3
    assert flop.forward_flop(TINY, 3) == 6912 + 64 * 6 + 480


def test_decode_by_hand() -> None:
    # 3 generated after 5: two passes at contexts 6 and 7, logits at both
    assert flop.decode_flop(TINY, 5, 3) == 2 * 2 * 576 * 2 + 64 * (6 + 7) + 2 * 8 * 10 * 2
    assert flop.decode_flop(TINY, 5, 1) == 0


def test_parameter_counts_match_the_published_ones() -> None:
    # published totals with norms: 134,515,008; 8,030,261,248; 46.7e9 (12.9e9 active)
    norms = 2 * 30 * 576 + 576
    assert flop.parameters(SMOLLM2) + norms == 134_515_008
    assert flop.parameters(LLAMA_8B) + (2 * 32 + 1) * 4096 == 8_030_261_248
    assert flop.parameters(MIXTRAL, active=False) == pytest.approx(46.7e9, rel=0.002)
    assert flop.parameters(MIXTRAL) == pytest.approx(12.9e9, rel=0.002)


def test_grouped_query_attention_saves_weights_but_no_attention() -> None:
    full = Shape(**{**_fields(TINY), "kv_heads": 4})
    assert flop.attention_flop(full, 7) == flop.attention_flop(TINY, 7)
    assert flop.block_parameters(full) > flop.block_parameters(TINY)


def _fields(shape: Shape) -> dict[str, int | bool]:
    return {name: getattr(shape, name) for name in shape.__slots__}


@given(st.integers(1, 300), st.integers(0, 300), st.integers(1, 50))
def test_prefill_in_two_parts_costs_the_same(first: int, second: int, generated: int) -> None:
    whole = flop.forward_flop(TINY, first + second, logits=1)
    parts = flop.forward_flop(TINY, first, logits=0) + flop.forward_flop(TINY, second, cached=first, logits=1)
    assert parts == whole
    # a cached prefix saves exactly its own pass
    saved = flop.prefill_flop(TINY, first + second) - flop.prefill_flop(
        TINY, first + second, cached_tokens=first
    )
    assert saved == flop.forward_flop(TINY, first, logits=0)
    # decoding token by token is a forward pass over the same positions
    steps = sum(flop.decode_flop(TINY, first + i, 2) for i in range(generated - 1))
    assert steps == flop.decode_flop(TINY, first, generated)


def test_attention_overtakes_the_weights_at_long_context() -> None:
    # Kaplan et al. 2020: attention may be ignored while d_model >> n_ctx / 12
    weights = 2 * LLAMA_8B.layers * flop.block_parameters(LLAMA_8B)
    assert flop.attention_flop(LLAMA_8B, 128_000) > weights
    assert flop.attention_flop(LLAMA_8B, 1_000) < 0.05 * weights


def test_training() -> None:
    # EU guidelines, annex: 3.8 B parameters on 3.3 T tokens -> 7.5e22
    assert flop.training_flop(3.8e9, 3.3e12) == pytest.approx(7.5e22, rel=0.01)


def test_a_padded_batch_by_hand() -> None:
    # 2 rows of 3: weights 2*2*576 at 6 positions, attention 4*2*4*2*3 at each, unembedding 2*8*10 at 6 or 4
    assert flop.batch_flop(TINY, 2, 3) == 13824 + 6 * 192 + 960
    assert flop.batch_flop(TINY, 2, 3, logits=4) == 13824 + 6 * 192 + 640
    assert flop.training_step_flop(TINY, 2, 3, logits=4) == 3 * (13824 + 6 * 192 + 640)
    # a value head of 8 x 1 in the unembedding's place
    assert flop.value_step_flop(TINY, 2, 3) == 3 * (13824 + 6 * 192 + 2 * 8 * 6)
    # frozen products twice, but for the first layer's 8 x (8 + 4 + 4); attention and 50 learning ones thrice
    frozen, first, learning = 13824 + 960, 2 * 8 * 16 * 6, 2 * 50 * 6
    assert flop.adapter_step_flop(TINY, 2, 3, 50) == 2 * frozen - first + 3 * (6 * 192 + learning)


@given(st.integers(1, 9), st.integers(1, 60), st.integers(1, 40))
def test_what_is_computed_is_never_less_than_what_is_needed(rows: int, prompt: int, made: int) -> None:
    needed = flop.prefill_flop(TINY, prompt) + flop.decode_flop(TINY, prompt, made)
    growing = flop.generation_flop(TINY, rows, prompt, made)
    assert rows * needed <= growing
    square = prompt * prompt - prompt * (prompt + 1) // 2
    assert growing - rows * needed == rows * flop.attention_flop(TINY, square)
    assert flop.batch_flop(TINY, rows, prompt) >= rows * flop.forward_flop(TINY, prompt)


def test_a_grpo_step_costs_what_its_passes_add_up_to() -> None:
    # 2N to generate, 2N to score by each of two models, 6N to learn: 12N a token behind a short prompt
    rows, made = 8, 1000
    scoring = flop.batch_flop(LLAMA_8B, rows, made + 1)
    learning = flop.training_step_flop(LLAMA_8B, rows, made + 1)
    total = flop.generation_flop(LLAMA_8B, rows, 1, made) + 2 * scoring + learning
    weights = flop.parameters(LLAMA_8B) - LLAMA_8B.vocab * LLAMA_8B.d_model
    assert total == pytest.approx(12 * weights * rows * made, rel=0.05)


def test_a_call_shares_one_prefill_between_its_samples() -> None:
    model = Model("m", "f", shape=TINY)
    usage = Usage(prompt_tokens=5, cached_tokens=2, completion_tokens=7)
    expected = (
        flop.prefill_flop(TINY, 5, cached_tokens=2)
        + flop.decode_flop(TINY, 5, 3)
        + flop.decode_flop(TINY, 5, 4)
    )
    assert flop.call_flop(model, usage, (3, 4)) == flop.Cost(expected, "shape")


def test_unknown_stays_unknown() -> None:
    known, unknown = Model("m", "f", shape=TINY), Model("m", "f")
    assert flop.call_flop(known, Usage(prompt_tokens=None), (3,)).flop is None
    assert flop.call_flop(known, Usage(prompt_tokens=5), (None,)).flop is None
    assert flop.call_flop(unknown, Usage(prompt_tokens=5), (3,)) == flop.Cost(None, "unknown")
    fallback = flop.call_flop(Model("m", "f", active_parameters=100.0), Usage(prompt_tokens=5), (3, 4))
    assert fallback == flop.Cost(2 * 100.0 * 12, "2N")


def test_nothing_run_costs_nothing() -> None:
    assert flop.call_flop(Model("m", "f", shape=TINY), Usage(), ()).flop == 0.0


def test_dollars() -> None:
    price = Price(1.0, 10.0, 0.5)
    assert flop.call_usd(
        price, Usage(prompt_tokens=100, cached_tokens=40, completion_tokens=7)
    ) == pytest.approx((60 * 1.0 + 40 * 0.5 + 70) / 1e6)
    assert flop.call_usd(price, Usage(prompt_tokens=None)) is None
    assert flop.call_usd(None, Usage()) is None


def test_pricing_an_attempt() -> None:
    model = Model("m", "f", shape=TINY, price=Price(1.0, 2.0, 0.5))
    usage = Usage(1, 2, 100, 40, 10)
    prefill = flop.prefill_flop(TINY, 100, cached_tokens=40)
    told = flop.price_usage(model, usage, (4, 6))
    assert told.flop == prefill + flop.decode_flop(TINY, 100, 4) + flop.decode_flop(TINY, 100, 6)
    assert told.usd == pytest.approx((60 + 20 + 20) / 1e6)
    spread = flop.price_usage(model, replace(usage, completion_tokens=11), (None, None))
    assert spread.flop == prefill + flop.decode_flop(TINY, 100, 6) + flop.decode_flop(TINY, 100, 5)
    thrown = flop.price_usage(model, replace(usage, completion_tokens=13), (5, 5))
    assert thrown.flop == prefill + 2 * flop.decode_flop(TINY, 100, 5) + flop.decode_flop(TINY, 100, 3)
    assert flop.price_usage(model, replace(usage, completion_tokens=None), ()).flop is None
    assert flop.price_usage(model, replace(usage, prompt_tokens=None), (5, 5)).usd is None
    nothing = flop.price_usage(model, Usage(calls=1), ())
    assert (nothing.flop, nothing.usd) == (0.0, 0.0)
