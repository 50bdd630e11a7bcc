"""The formulas of training agree with PyTorch's operation counter, on one real step of each kind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ponder import flop
from ponder.core import Shape
from ponder.errors import MissingExtra
from ponder.train.counted import count_flop

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

ROWS, LENGTH, PROMPT, MADE = 8, 48, 12, 20
WITHIN = 0.02
# Attention and the unembedding are each well over the tolerance here, so that neither can be forgotten.
SHAPE = Shape(layers=3, d_model=64, heads=4, kv_heads=2, d_head=16, d_ff=172, vocab=256, tied=True)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config(shape: Shape = SHAPE, **changes: Any) -> Any:
    return transformers.LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.d_model,
        intermediate_size=shape.d_ff,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.d_head,
        max_position_embeddings=256,
        tie_word_embeddings=shape.tied,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        **changes,
    )


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(config())


def tokens(rows: int = ROWS, length: int = LENGTH) -> Any:
    return torch.randint(3, SHAPE.vocab, (rows, length))


def counted(work: Callable[[], Any]) -> float:
    return count_flop(work)[1]


def close(formula: float, count: float) -> None:
    assert count > 0
    assert formula == pytest.approx(count, rel=WITHIN)


def test_a_supervised_step(model: Any) -> None:
    ids = tokens()
    mask = torch.ones_like(ids)
    mask[:3, 30:] = 0  # padding is computed all the same

    def step() -> None:
        model(input_ids=ids, attention_mask=mask, labels=ids).loss.backward()

    count = counted(step)
    close(flop.training_step_flop(SHAPE, ROWS, LENGTH), count)
    attention = ROWS * LENGTH * flop.attention_flop(SHAPE, LENGTH)
    assert min(3 * attention, 3 * flop.logits_flop(SHAPE, ROWS * LENGTH)) > 2 * WITHIN * count


def test_a_supervised_step_with_logits_at_some_positions(model: Any) -> None:
    ids = tokens()

    def step() -> None:
        model(input_ids=ids, labels=None, logits_to_keep=MADE).logits.sum().backward()

    close(flop.training_step_flop(SHAPE, ROWS, LENGTH, logits=ROWS * MADE), counted(step))


def test_the_count_includes_attention_whatever_runs_it() -> None:
    torch.manual_seed(0)
    ids = tokens()
    counts = set()
    for attention in ("sdpa", "eager"):
        model = transformers.LlamaForCausalLM(config(attn_implementation=attention))
        counts.add(counted(lambda m=model: m(input_ids=ids, labels=ids).loss.backward()))
    assert len(counts) == 1


def test_generation_with_a_cache(model: Any) -> None:
    ids = tokens(length=PROMPT)

    def generate() -> Any:
        mask = torch.ones_like(ids)
        return model.generate(
            ids, attention_mask=mask, min_new_tokens=MADE, max_new_tokens=MADE, do_sample=True
        )

    out, count = count_flop(generate)
    assert out.shape == (ROWS, PROMPT + MADE)
    close(flop.generation_flop(SHAPE, ROWS, PROMPT, MADE), count)


def test_a_value_head_step() -> None:
    torch.manual_seed(0)
    model = transformers.LlamaForTokenClassification(config(num_labels=1))
    ids = tokens()

    def step() -> None:
        model(input_ids=ids).logits.square().mean().backward()

    close(flop.value_step_flop(SHAPE, ROWS, LENGTH), counted(step))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_step_with_adapters(model: Any) -> None:
    peft = pytest.importorskip("peft")
    names = ["q_proj", "v_proj", "up_proj"]
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=names, task_type="CAUSAL_LM"))
    learning = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    ids = tokens()
    count = counted(lambda: adapted(input_ids=ids, labels=ids).loss.backward())
    close(flop.adapter_step_flop(SHAPE, ROWS, LENGTH, learning), count)
    full = flop.training_step_flop(SHAPE, ROWS, LENGTH)
    assert full > count * (1 + 2 * WITHIN)


def test_products_added_in_place_are_counted() -> None:
    left, right, into = torch.ones(3, 5), torch.ones(5, 7), torch.zeros(3, 7)
    assert counted(lambda: into.addmm_(left, right)) == 2 * 3 * 5 * 7
    batch = torch.zeros(2, 3, 7)
    assert counted(lambda: batch.baddbmm_(left.expand(2, 3, 5), right.expand(2, 5, 7))) == 2 * 2 * 3 * 5 * 7


def test_without_pytorch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"Counting FLOP needs the extra 'train'"):
        count_flop(lambda: None)
