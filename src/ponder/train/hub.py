"""A model folder by its path, or by its name on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from ponder.errors import CheckpointInvalid, InputError, MissingExtra

__all__ = ["model_folder"]

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
# Weights that would have to be unpickled, and code, are not fetched.
_WANTED = ["*.json", "*.safetensors", "*.jinja"]


def model_folder(path_or_name: str) -> Path:
    """The folder at a path; of a name such as HuggingFaceTB/SmolLM2-135M the folder in the hub's own cache,
    fetched if it is not there. Raises InputError for an empty text, CheckpointInvalid where there is neither,
    MissingExtra."""
    if not path_or_name.strip():
        raise InputError("model: it is empty; give a model folder's path or a model's name on the hub.")
    path = Path(path_or_name)
    if path.exists() or not _NAME.fullmatch(path_or_name):
        return path
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingExtra("Fetching a model from the hub", "train") from None
    try:
        return Path(snapshot_download(path_or_name, allow_patterns=_WANTED))
    except Exception as error:  # the network and the hub fail in many ways
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:120].rstrip(".")
        raise CheckpointInvalid(
            f"model: {path_or_name} is no folder here and cannot be fetched from the hub ({reason}); give a "
            "model folder's path."
        ) from None
