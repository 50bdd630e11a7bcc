"""Rollouts end where an engine's samples end; what they cost is known with a shape and without."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from ponder import flop  # noqa: E402
from ponder.core import Model, Shape  # noqa: E402
from ponder.engines._torch_folder import read_folder  # noqa: E402
from ponder.engines._torch_text import Text  # noqa: E402
from ponder.errors import ModelUnsupported  # noqa: E402
from ponder.train.models import EOS, PAD, VOCABULARY, new_model, write_checkpoint  # noqa: E402
from ponder.train.rl_cost import Cost  # noqa: E402
from ponder.train.rl_rollouts import Rolled, Rollouts  # noqa: E402

SHAPE = Shape(layers=1, d_model=16, heads=2, kv_heads=2, d_head=8, d_ff=32, vocab=len(VOCABULARY), tied=True)
PROMPTS = ["7+5:", "12-3*4:", "9:"] * 20
MOST = 30


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Text]:
    """A random model, whose own generation settings would make every sample the same."""
    folder = tmp_path_factory.mktemp("random") / "model"
    model = new_model(SHAPE, 0)
    write_checkpoint(folder, model, {})
    model.generation_config.top_k = 1
    model.train()
    return model, Text(folder, read_folder(folder).config)


def rollouts(text: Text, stop: tuple[str, ...], told: list[Rolled]) -> Rollouts:
    return Rollouts(text, max_tokens=MOST, stop=stop, temperature=1.0, pad=PAD, watch=told.append)


@pytest.mark.parametrize("stop", [(), (".",), (".", "ab"), ("\n",)])
def test_a_completion_ends_with_its_stop_string_its_end_token_or_at_the_limit(
    made: tuple[Any, Text], stop: tuple[str, ...]
) -> None:
    model, text = made
    ids = [[VOCABULARY[c] for c in prompt] for prompt in PROMPTS]
    torch.manual_seed(0)
    done, steps = rollouts(text, stop, []).generate(model, ids)
    assert steps == max(map(len, done)) <= MOST
    ended = set[str]()
    for row in done:
        texts = [text.decode(row[:n]) for n in range(len(row) + 1)]
        assert EOS not in row[:-1]
        assert not any(s in before for before in texts[:-1] for s in stop)
        stopped = any(s in texts[-1] for s in stop)
        assert stopped or row[-1] == EOS or len(row) == MOST
        ended.add("stop" if stopped else "end" if row[-1] == EOS else "limit")
    assert ended >= ({"end", "stop"} if stop else {"end"})
    assert len({tuple(row) for row in done}) > len(done) // 2  # the model's own top_k=1 did not win
    assert model.training
    assert model.generation_config.top_k == 1


def test_the_trainer_is_given_real_tokens_and_told_of_widths(made: tuple[Any, Text]) -> None:
    model, text = made

    class Trainer:
        class accelerator:
            @staticmethod
            def unwrap_model(wrapped: Any) -> Any:
                return wrapped

        model_wrapped = model
        use_vllm = False

    told: list[Rolled] = []
    out = rollouts(text, (".",), told)(PROMPTS, Trainer())
    assert out["prompt_ids"] == [[VOCABULARY[c] for c in prompt] for prompt in PROMPTS]
    assert len(out["completion_ids"]) == len(PROMPTS)
    rolled = told[0]
    assert (rolled.rows, rolled.prompt) == (60, 7)
    assert rolled.prompt_tokens == sum(map(len, PROMPTS))
    assert rolled.tokens == sum(map(len, out["completion_ids"]))
    assert rolled.completion == max(map(len, out["completion_ids"]))
    assert rolled.positions == 60 * (7 + rolled.made[0][2] - 1)


def test_completions_by_vllm_are_counted_as_they_are(made: tuple[Any, Text]) -> None:
    """TRL's own call of vLLM is stood in for: it is not installed where this is tested."""
    _, text = made
    done = [[5] * length for length in (3, 1, 4)]

    class Vllm:
        def generate(self, *, prompts: Any, images: None, num_generations: int) -> tuple[Any, ...]:
            assert num_generations == 3
            told = [[[-0.5, -9.0]] * len(row) for row in done]
            return prompts, done, told, None

    class Trainer:
        use_vllm, num_generations, vllm_generation = True, 3, Vllm()

    told: list[Rolled] = []
    make = rollouts(text, (".",), told)
    out = make(PROMPTS[:3], Trainer())
    assert out["completion_ids"] == done
    assert out["logprobs"] == [[-0.5] * len(row) for row in done]
    (rolled,) = told
    lengths = [len(prompt) for prompt in PROMPTS[:3]]
    assert (rolled.rows, rolled.prompt, rolled.completion, rolled.tokens) == (3, max(lengths), 4, 8)
    assert rolled.made == tuple(zip([1] * 3, lengths, [3, 1, 4], strict=True))
    assert rolled.positions == sum(lengths) + 8 - 3
    assert make.vllm_options() == {
        "stop": ["."],
        "include_stop_str_in_output": True,
        "stop_token_ids": [EOS],
    }


def test_cost_by_shape_is_the_formulas() -> None:
    cost = Cost(Model("m", "f", shape=SHAPE))
    assert cost.method == "shape"
    assert cost.generation(4, 5, 10) == flop.generation_flop(SHAPE, 4, 5, 10)
    logits = 4 * (5 + 10 - 1)
    assert cost.scoring(4, 5, 10, 30, adapted=True) == flop.batch_flop(SHAPE, 4, 15, logits=logits)
    update = flop.training_step_flop(SHAPE, 4, 15, logits=logits) + flop.logits_flop(SHAPE, logits)
    assert cost.update(4, 5, 10, 30) == update
    compact = replace(cost, compact=True)
    assert compact.update(4, 5, 10, 30) < update


def test_adapters_cost_less_to_learn_and_more_to_run() -> None:
    full, adapted = Cost(Model("m", "f", shape=SHAPE)), Cost(Model("m", "f", shape=SHAPE), adapters=100)
    assert adapted.update(4, 5, 10, 30) < full.update(4, 5, 10, 30)
    assert adapted.generation(4, 5, 10) == full.generation(4, 5, 10) + 2 * 100 * 4 * (5 + 9)
    reference = adapted.scoring(4, 5, 10, 30, adapted=False)
    assert reference == full.scoring(4, 5, 10, 30, adapted=False)
    assert adapted.scoring(4, 5, 10, 30, adapted=True) > reference


def test_cost_without_a_shape_is_two_and_six_a_parameter_and_position() -> None:
    cost = Cost(Model("m", "f", active_parameters=1000))
    assert cost.method == "2N"
    assert cost.generation(4, 5, 10) == 2 * 1000 * 4 * 14
    assert cost.scoring(4, 5, 10, 30, adapted=False) == 2 * 1000 * 4 * 15
    assert cost.update(4, 5, 10, 30) == 6 * 1000 * 4 * 15
    assert replace(cost, adapters=10).update(4, 5, 10, 30) == 4 * 1000 * 4 * 15 + 6 * 10 * 4 * 15


def test_a_model_that_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ModelUnsupported, match="the FLOP of m cannot be counted"):
        Cost(Model("m", "f"))
