"""A Hugging Face model folder as it lies on disk: its files, its weights' fingerprint, its shape.

Nothing here needs PyTorch. The folder is untrusted: only JSON and safetensors headers are read, no code of
the folder's is run and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.core import Model, Shape
from ponder.errors import CheckpointInvalid
from ponder.flop import parameters

__all__ = ["ModelFolder", "read_folder", "shape_and_size"]

_BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)
_HEADER_BYTES = 100_000_000
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """`config` is config.json, `weights` the safetensors files."""

    path: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]
    model: Model


def read_folder(path: Path, name: str | None = None) -> ModelFolder:
    """What the folder says of its model. Hashes the weights.

    Raises CheckpointInvalid in one sentence that names the file that is missing or does not fit.
    """
    if not path.is_dir():
        raise CheckpointInvalid(f"{path} is not a folder: name a Hugging Face model folder.")
    config = _read_json(path / "config.json")
    _require(path / "tokenizer.json", "save the tokenizer there with save_pretrained")
    weights = _weight_files(path)
    tensors: dict[str, tuple[int, ...]] = {}
    for file in weights:
        tensors |= _header(file)
    shape, active = shape_and_size(config, tensors)
    model = Model(
        name=name or path.resolve().name,
        fingerprint=_fingerprint(weights),
        shape=shape,
        active_parameters=active,
        context=_whole(config, "max_position_embeddings"),
    )
    return ModelFolder(path, config, weights, model)


def shape_and_size(
    config: Mapping[str, Any], tensors: Mapping[str, tuple[int, ...]]
) -> tuple[Shape | None, float | None]:
    """The shape that config.json states, None if it does not account for every weight matrix; and the active
    parameters, counted in the tensors' sizes, None for a mixture of experts in an unknown layout."""
    if config.get("tie_word_embeddings") is True:
        tensors = {name: sizes for name, sizes in tensors.items() if not name.endswith("lm_head.weight")}
    count = sum(math.prod(sizes) for sizes in tensors.values())
    shape = _shape(config, tensors)
    if shape is None:
        return None, None if any("expert" in key for key in config) else float(count)
    return shape, float(count - parameters(shape, active=False) + parameters(shape))


def _require(path: Path, remedy: str) -> None:
    if not path.is_file():
        raise CheckpointInvalid(f"{path.parent} has no {path.name}: {remedy}.")


def _read_json(path: Path) -> Mapping[str, Any]:
    _require(path, "name a complete Hugging Face model folder")
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointInvalid(f"{path} cannot be read ({str(error)[:80]}): write it again.") from None
    if not isinstance(value, dict):
        raise CheckpointInvalid(f"{path} is not a JSON object: write it again.")
    return value


def _weight_files(path: Path) -> tuple[Path, ...]:
    """The safetensors file, or all files that the index of a sharded checkpoint names."""
    if (path / _INDEX).is_file():
        table = _read_json(path / _INDEX).get("weight_map")
        names = sorted({str(file) for file in table.values()}) if isinstance(table, dict) else []
        if not names or any(Path(name).name != name for name in names):
            raise CheckpointInvalid(f"{path / _INDEX} names no weight files: write it again.")
    else:
        names = ["model.safetensors"]
    for name in names:
        _require(path / name, "save the model there with save_pretrained; pickled weights are not read")
    return tuple(path / name for name in names)


def _header(path: Path) -> dict[str, tuple[int, ...]]:
    """Each tensor's sizes, from a safetensors file: an 8-byte length, then JSON, then the data."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _HEADER_BYTES:
                raise ValueError("its header is too long")
            entries = json.loads(file.read(length))
        tensors = {
            str(key): tuple(int(size) for size in entry["shape"])
            for key, entry in entries.items()
            if key != "__metadata__"
        }
        end = max((int(e["data_offsets"][1]) for k, e in entries.items() if k != "__metadata__"), default=0)
        if path.stat().st_size != 8 + length + end:
            raise ValueError("its length is not the one its header states")
    except (*_BROKEN, struct.error, RecursionError) as error:
        raise CheckpointInvalid(
            f"{path} is not a whole safetensors file ({str(error)[:80]}): fetch or save it again."
        ) from None
    return tensors


def _fingerprint(weights: Sequence[Path]) -> str:
    """SHA-256 of the weights' file; of a sharded checkpoint, of its files' hashes in the order of names."""
    hashes = []
    for path in weights:
        with path.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _whole(config: Mapping[str, Any], *names: str) -> int | None:
    """The first of these keys that holds a positive whole number."""
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _shape(config: Mapping[str, Any], tensors: Mapping[str, tuple[int, ...]]) -> Shape | None:
    """The shape that config.json states, if the weight matrices in the files add up to exactly that.

    None otherwise: a layout that this reading does not know must not be counted as one that it does.
    """
    layers, width = _whole(config, "num_hidden_layers"), _whole(config, "hidden_size")
    heads, vocab = _whole(config, "num_attention_heads"), _whole(config, "vocab_size")
    experts = _whole(config, "num_local_experts", "num_experts") or 0
    wide = _whole(config, "moe_intermediate_size", "intermediate_size") if experts else None
    wide = wide or _whole(config, "intermediate_size")
    if layers is None or width is None or heads is None or vocab is None or wide is None:
        return None
    matrices = sum(math.prod(sizes) for sizes in tensors.values() if len(sizes) > 1)
    for gated in (True, False):
        shape = Shape(
            layers=layers,
            d_model=width,
            heads=heads,
            kv_heads=_whole(config, "num_key_value_heads") or heads,
            d_head=_whole(config, "head_dim") or width // heads,
            d_ff=wide,
            vocab=vocab,
            gated=gated,
            experts=experts,
            experts_active=(_whole(config, "num_experts_per_tok") or 0) if experts else 0,
            tied=not any(name.endswith("lm_head.weight") for name in tensors),
        )
        if parameters(shape, active=False) == matrices:
            return shape
    return None
