"""Reinforcement learning by adapters on any folder, with reference and old scores booked."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from tests.train.policies import chosen, learn  # noqa: E402
from tests.train.small import weights  # noqa: E402

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of somebody else's, whose tokenizer begins texts with a token of its own and has a chat
    template."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("stranger") / "llama"
    letters = "0123456789+-*/=?:. \nabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ',()"
    names = {name: at for at, name in enumerate(["<s>", "</s>", "<?>", *letters])}
    plain = Tokenizer(models.WordLevel(names, unk_token="<?>"))
    plain.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    plain.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<s>", eos_token="</s>", unk_token="<?>"
    )
    tokenizer.chat_template = "<s>{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(names),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_adapters_learn_on_any_folder_with_reference_and_old_scores_booked(
    stranger: Path, tmp_path: Path
) -> None:
    task = tmp_path / "sums.jsonl"
    task.write_text(
        "".join(f'{{"question": "{a}+{b}", "answer": "{a + b}"}}\n' for a in range(9) for b in range(9))
    )
    settings = chosen(
        stranger,
        task=str(task),
        steps=2,
        lora=True,
        rank=2,
        beta=0.05,
        iterations=2,
        format_reward=0.5,
        max_tokens=12,
        rows=8,
        learning_rate=1e-2,
    )
    result, rows = learn(tmp_path, settings)
    parts = {(row.stage, row.part) for row in rows}
    assert {("rl_update", "reference"), ("rl_update", "old scores"), ("rl_update", None)} <= parts
    assert result.work["old"].steps == result.work["rollouts"].steps == 1 < result.work["update"].steps == 2
    assert result.counted == {"rollouts": pytest.approx(1, rel=0.02), "learning": pytest.approx(1, rel=0.02)}
    assert any("kl" in note for note in result.notes)
    assert any(note["reward"] > 0 for note in result.notes)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before = weights(AutoModelForCausalLM.from_pretrained(stranger))
    after = weights(AutoModelForCausalLM.from_pretrained(result.out))
    assert before.keys() == after.keys()
    assert AutoTokenizer.from_pretrained(result.out).chat_template
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".self_attn." in name or ".mlp." in name for name in changed)
