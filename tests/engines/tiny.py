"""Model folders of random weights, with a character-level tokenizer: small enough to be made in a test."""

from pathlib import Path
from typing import Any

ALPHABET = "0123456789+-*/=;:.,?!#<> \nabcdefghijklmnopqrstuvwxyz"
END = 2


def tokenizer(alphabet: str = ALPHABET) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["[pad]", "[bos]", "[eos]", *alphabet]
    backend = Tokenizer(models.WordLevel({name: at for at, name in enumerate(names)}, unk_token="[pad]"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    backend.post_processor = processors.TemplateProcessing(single="[bos] $A", special_tokens=[("[bos]", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="[bos]", eos_token="[eos]", pad_token="[pad]"
    )


def byte_tokenizer() -> Any:
    """Byte-level BPE without merges, as GPT-2 and Qwen have it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["[eos]", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE({name: at for at, name in enumerate(names)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="[eos]")


def model(kind: str = "llama", *, vocab: int, seed: int = 0, **options: Any) -> Any:
    """A random model whose greedy texts are not all one token."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    kinds: dict[str, tuple[Any, Any]] = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    }
    configure, build = kinds[kind]
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "initializer_range": 0.3,
    }
    tokens = {"vocab_size": vocab, "bos_token_id": 1, "eos_token_id": END, "pad_token_id": 0}
    return build(configure(**(sizes | tokens | options))).eval()


def write(folder: Path, kind: str = "llama", **options: Any) -> Path:
    """A whole folder with the character-level tokenizer."""
    words = tokenizer()
    model(kind, vocab=len(words), **options).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
