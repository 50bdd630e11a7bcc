"""Small models from their shape, and checkpoints that stock transformers loads as they are.

A checkpoint is a Hugging Face `LlamaForCausalLM` folder with a character-level fast tokenizer, and
`ponder.json` beside them: how it was trained and what that took. A training text is its characters and
the end token; no token stands before them, so that a prompt is encoded alike with special tokens or
without.
"""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.core import Shape
from ponder.errors import CheckpointInvalid, MissingExtra
from ponder.tasks.chars import ALPHABET

if TYPE_CHECKING:
    import torch

__all__ = [
    "CONTEXT",
    "EOS",
    "PAD",
    "TRAINING",
    "VOCABULARY",
    "Checkpoint",
    "is_checkpoint",
    "new_model",
    "open_checkpoint",
    "read_training",
    "replacing",
    "require_training",
    "shape_of",
    "write_checkpoint",
]

CONTEXT = 1024
"""The longest text in tokens. Rotary positions cost no weights; search traces reach a few hundred."""

PAD, EOS = 0, 1
VOCABULARY: Mapping[str, int] = {"<pad>": PAD, "<eos>": EOS} | {c: i for i, c in enumerate(ALPHABET, 2)}

TRAINING = "ponder.json"
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", TRAINING)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: the model in float32, its tokenizer, its shape, and how it was trained."""

    model: Any
    tokenizer: Any
    shape: Shape
    training: Mapping[str, Any]


def require_training() -> None:
    """Raise MissingExtra where the parts that train are not installed."""
    try:
        import safetensors
        import torch
        import transformers
    except ImportError:
        raise MissingExtra("Training", "train") from None
    del safetensors, torch, transformers


def new_model(shape: Shape, seed: int) -> Any:
    """A `LlamaForCausalLM` of this shape in float32 with fresh weights that depend on `seed` alone.

    Matrices start with standard deviation 1/sqrt(d_model), for which rows of norm one stay of norm one.
    """
    require_training()
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.d_model,
        intermediate_size=shape.d_ff,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.d_head,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=CONTEXT,
        initializer_range=1 / math.sqrt(shape.d_model),
        bos_token_id=None,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).float()


def shape_of(config: Any) -> Shape:
    """The shape that a Llama-like Hugging Face configuration describes."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Shape(
        layers=config.num_hidden_layers,
        d_model=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        d_head=head,
        d_ff=config.intermediate_size,
        vocab=config.vocab_size,
        tied=bool(config.tie_word_embeddings),
    )


# ---------------------------------------------------------------- on disk


def write_checkpoint(
    folder: Path, model: Any, training: Mapping[str, Any], *, dtype: str = "float16", tokenizer: Any = None
) -> None:
    """Write a checkpoint folder whole or not at all; one that is there is replaced.

    `training` goes into `ponder.json`. `dtype` is float16 or float32. `tokenizer` is the character-level
    one unless another is given.
    """
    import torch
    from safetensors.torch import save_file

    kind: torch.dtype = getattr(torch, dtype)
    shared = "lm_head.weight" if model.config.tie_word_embeddings else None
    weights = {
        name: tensor.detach().to("cpu", kind).contiguous()
        for name, tensor in model.state_dict().items()
        if name != shared
    }
    with replacing(folder) as fresh:
        _write_configuration(fresh, model, dtype)
        save_file(weights, fresh / "model.safetensors", metadata={"format": "pt"})
        _write_tokenizer(fresh, tokenizer)
        text = json.dumps(dict(training), indent=1, allow_nan=False)
        (fresh / TRAINING).write_text(text + "\n", "utf-8")


def _write_configuration(folder: Path, model: Any, dtype: str) -> None:
    values = model.config.to_dict() | {"dtype": dtype, "architectures": [type(model).__name__]}
    values.pop("_name_or_path", None)  # where it was on this machine
    (folder / "config.json").write_text(json.dumps(values, indent=1, sort_keys=True) + "\n", "utf-8")
    generation = {"eos_token_id": model.config.eos_token_id, "pad_token_id": model.config.pad_token_id}
    (folder / "generation_config.json").write_text(json.dumps(generation) + "\n", "utf-8")


def _write_tokenizer(folder: Path, tokenizer: Any) -> None:
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
        return
    for name, text in _tokenizer_files().items():
        (folder / name).write_text(text, "utf-8")


@functools.cache
def _tokenizer_files() -> dict[str, str]:
    """The files of the character-level tokenizer. A character outside the alphabet is refused by it."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    # Not "<unk>": a text that the model was never shown must not be read as another.
    by_character = Tokenizer(models.WordLevel(dict(VOCABULARY)))
    by_character.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    by_character.decoder = decoders.Fuse()
    by_character.add_special_tokens(["<pad>", "<eos>"])
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "eos_token": "<eos>",
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT,
    }
    return {
        "tokenizer.json": by_character.to_str(pretty=True) + "\n",
        "tokenizer_config.json": json.dumps(settings, indent=1) + "\n",
    }


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A fresh folder to write into, which takes the place of `folder` when the block ends well. One writer at
    a time; what a killed one left is removed by the next."""
    fresh, old = (folder.with_name(f".{folder.name}.{what}") for what in ("new", "old"))
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        _sync(fresh)
        if folder.exists():  # a folder with files in it cannot be renamed over
            folder.rename(old)
        fresh.rename(folder)
    finally:
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Have the files on the disk, for all to read, before the folder's name says that they are."""
    for path in (*folder.iterdir(), folder):
        path.chmod(0o755 if path == folder else 0o644)  # safetensors makes files for their owner alone
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def is_checkpoint(folder: Path) -> bool:
    """Whether there is a whole checkpoint, as far as its files' names tell."""
    return all((folder / name).is_file() for name in _FILES)


def read_training(folder: Path) -> dict[str, Any]:
    """How a checkpoint was trained. Raises CheckpointInvalid."""
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise CheckpointInvalid(
            f"checkpoint: {folder} lacks {missing[0]}: give a complete folder with {', '.join(_FILES)}."
        )
    try:
        training = json.loads((folder / TRAINING).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        training = None
    if not isinstance(training, dict):
        raise CheckpointInvalid(f"checkpoint: {folder / TRAINING} is no JSON object: write it again.")
    return training


def open_checkpoint(folder: Path) -> Checkpoint:
    """Load a checkpoint that `write_checkpoint` wrote. Raises CheckpointInvalid and MissingExtra."""
    require_training()
    training = read_training(folder)
    try:
        model, tokenizer = _load(folder)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointInvalid(
            f"checkpoint: {folder} cannot be loaded ({reason}): write it again, or give another folder."
        ) from None
    if len(tokenizer) > model.config.vocab_size:
        raise CheckpointInvalid(
            f"checkpoint: the tokenizer of {folder} has {len(tokenizer)} tokens and its model "
            f"{model.config.vocab_size}: put the model's own tokenizer there."
        )
    return Checkpoint(model, tokenizer, shape_of(model.config), training)


def _load(folder: Path) -> tuple[Any, Any]:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        config = LlamaConfig.from_pretrained(folder)
        model, found = LlamaForCausalLM.from_pretrained(
            folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    finally:
        if shown:
            logging.enable_progress_bar()
    absent = sorted(found["missing_keys"])
    if absent:
        raise ValueError(f"model.safetensors lacks {absent[0]}")
    return model, tokenizer
