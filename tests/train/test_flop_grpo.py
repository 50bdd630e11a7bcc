"""The formulas of a GRPO step's parts agree with PyTorch's operation counter on a step of TRL's trainer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder import flop
from ponder.core import Shape
from ponder.train.counted import count_flop

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

ROWS, PROMPT, MADE = 8, 6, 24
WITHIN = 0.02
SHAPE = Shape(layers=3, d_model=64, heads=4, kv_heads=2, d_head=16, d_ff=172, vocab=256, tied=True)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, float]]:
    """The counted FLOP of one step by part, and the positions that each score was computed at."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own
        yield _counted_step(tmp_path_factory.mktemp("grpo"))
    torch.set_num_threads(before)


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<s>": 0, "</s>": 1, "<pad>": 2} | {chr(60 + place): place for place in range(3, 60)}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    plain.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<s>", eos_token="</s>", pad_token="<pad>", padding_side="left"
    )


def _counted_step(folder: Path) -> dict[str, float]:
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import GRPOConfig, GRPOTrainer

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=SHAPE.vocab,
        hidden_size=SHAPE.d_model,
        intermediate_size=SHAPE.d_ff,
        num_hidden_layers=SHAPE.layers,
        num_attention_heads=SHAPE.heads,
        num_key_value_heads=SHAPE.kv_heads,
        head_dim=SHAPE.d_head,
        tie_word_embeddings=SHAPE.tied,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    start = str(folder / "start")  # the trainer loads its reference model from there
    LlamaForCausalLM(config).save_pretrained(start)
    found: dict[str, float] = {}

    class Counting(GRPOTrainer):
        def _get_per_token_logps_and_entropies(self, model: Any, ids: Any, *args: Any, **rest: Any) -> Any:
            score = super()._get_per_token_logps_and_entropies
            if torch.is_grad_enabled():
                return score(model, ids, *args, **rest)
            done, count = count_flop(lambda: score(model, ids, *args, **rest))
            found["reference" if model is self.ref_model else "old"] = count
            found["rows"], found["length"] = ids.shape
            return done

        def _generate_single_turn(self, *args: Any, **rest: Any) -> Any:
            done, found["generation"] = count_flop(
                lambda: super(Counting, self)._generate_single_turn(*args, **rest)
            )
            return done

        def training_step(self, *args: Any, **rest: Any) -> Any:
            done, count = count_flop(lambda: super(Counting, self).training_step(*args, **rest))
            found["update"] = count - found["generation"] - found["old"] - found["reference"]
            return done

    trainer = Counting(
        LlamaForCausalLM.from_pretrained(start),
        reward_funcs=lambda completions, **_: [float(len(set(text))) for text in completions],
        args=GRPOConfig(
            str(folder),
            per_device_train_batch_size=ROWS,
            num_generations=4,
            num_iterations=2,
            beta=0.1,
            max_completion_length=MADE,
            max_steps=1,
            bf16=False,
            gradient_checkpointing=False,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
            save_strategy="no",
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_dict({"prompt": ["ABCDEF", "GHIJKL"] * 4}),
        processing_class=_tokenizer(),
    )
    trainer.train()
    assert trainer.state.total_flos == 0  # why the formulas are needed
    return found


def test_each_part_of_a_step(parts: dict[str, float]) -> None:
    length = PROMPT + MADE
    assert (parts["rows"], parts["length"]) == (ROWS, length)
    logits = ROWS * (length - 1)  # on a CPU TRL scores every position, and makes the logits anew to learn
    scoring = flop.batch_flop(SHAPE, ROWS, length, logits=logits)
    learning = flop.training_step_flop(SHAPE, ROWS, length, logits=logits)
    formulas = {
        "generation": flop.generation_flop(SHAPE, ROWS, PROMPT, MADE),
        "old": scoring,
        "reference": scoring,
        "update": learning + flop.logits_flop(SHAPE, logits),
    }
    for part, formula in formulas.items():
        assert parts[part] > 0
        assert formula == pytest.approx(parts[part], rel=WITHIN), part
