"""Model folders as they lie on disk: shapes, counts, fingerprints, and what is wrong with broken ones."""

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponder import flop
from ponder.cli._app import run
from ponder.engines._torch_folder import read_folder, shape_and_size
from ponder.engines._torch_net import load_net
from ponder.engines._torch_text import Text
from ponder.errors import CheckpointInvalid, ModelUnsupported

from . import tiny


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("models") / "tiny", num_key_value_heads=2, head_dim=8)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


LLAMA = {"model_type": "llama", "hidden_act": "silu"}
# config.json of each model on the Hugging Face hub, as far as sizes go, and the parameters that its page
# states (of Mixtral also the active ones: 12.9 B, Jiang et al. 2024, arXiv 2401.04088).
PUBLISHED: dict[str, tuple[dict[str, Any], int, float]] = {
    "HuggingFaceTB/SmolLM2-135M": (
        LLAMA
        | {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9}
        | {"num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True},
        134_515_008,
        134_515_008,
    ),
    "meta-llama/Llama-3.2-1B": (
        LLAMA
        | {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "head_dim": 64}
        | {"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256}
        | {"tie_word_embeddings": True},
        1_235_814_400,
        1_235_814_400,
    ),
    "meta-llama/Llama-3.1-8B": (
        LLAMA
        | {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
        | {"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256}
        | {"tie_word_embeddings": False},
        8_030_261_248,
        8_030_261_248,
    ),
    "mistralai/Mistral-7B-v0.1": (
        {"model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
        | {"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000}
        | {"tie_word_embeddings": False},
        7_241_732_096,
        7_241_732_096,
    ),
    "Qwen/Qwen2.5-0.5B": (
        {"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24}
        | {"num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936}
        | {"tie_word_embeddings": True},
        494_032_768,
        494_032_768,
    ),
    "google/gemma-2b": (
        {"model_type": "gemma", "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 18}
        | {"num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 256000},
        2_506_172_416,
        2_506_172_416,
    ),
    "mistralai/Mixtral-8x7B-v0.1": (
        {"model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
        | {"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000}
        | {"num_local_experts": 8, "num_experts_per_tok": 2, "tie_word_embeddings": False},
        46_702_792_704,
        12.9e9,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_accounts_for_every_published_parameter(name: str) -> None:
    """The tensors' sizes are the library's own, of a model that is never allocated."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    stated, total, active = PUBLISHED[name]
    options = {key: value for key, value in stated.items() if key != "model_type"}
    config = AutoConfig.for_model(stated["model_type"], **options)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    tensors = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    if config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    assert sum(parameter.numel() for parameter in model.parameters()) == total
    shape, counted = shape_and_size(stated, tensors)
    assert shape is not None
    vectors = sum(sizes[0] for sizes in tensors.values() if len(sizes) == 1)
    assert flop.parameters(shape, active=False) + vectors == total
    assert counted == pytest.approx(active, rel=0.005 if shape.experts else 0)


def test_a_layout_that_is_not_understood_is_not_counted_as_one_that_is() -> None:
    config, tensors = PUBLISHED["HuggingFaceTB/SmolLM2-135M"][0], {"model.embed_tokens.weight": (49152, 576)}
    assert shape_and_size(config, tensors) == (None, 49152 * 576)
    assert shape_and_size(config | {"num_experts": 4}, tensors) == (None, None)


def test_a_folder_is_known_by_its_weights(made: Path, folder: Path) -> None:
    found = read_folder(made).model
    assert found.name == "tiny"
    assert found.context == 256
    assert found.shape is not None
    assert (found.shape.kv_heads, found.shape.d_head, found.shape.tied) == (2, 8, True)
    assert found.fingerprint == hashlib.sha256((made / "model.safetensors").read_bytes()).hexdigest()
    renamed = read_folder(folder).model
    assert (renamed.name, renamed.fingerprint) == ("copy", found.fingerprint)


def test_a_sharded_checkpoint_has_the_same_shape(made: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(made)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    tiny.tokenizer().save_pretrained(tmp_path)
    found = read_folder(tmp_path)
    assert len(found.weights) > 1
    assert found.model.shape == read_folder(made).model.shape
    found.weights[0].unlink()
    with pytest.raises(CheckpointInvalid, match=found.weights[0].name):
        read_folder(tmp_path)


def _config(folder: Path, **changed: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changed), "utf-8")


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no configuration": (lambda f: (f / "config.json").unlink(), "config.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json"),
    "weights cut short": (_cut, "not a whole safetensors file"),
    "no JSON": (lambda f: (f / "config.json").write_text("{", "utf-8"), "config.json cannot be read"),
    "no weights but text": (
        lambda f: (f / "model.safetensors").write_text("pickle", "utf-8"),
        "not a whole safetensors file",
    ),
    "a tokenizer of another model": (
        lambda f: tiny.tokenizer(tiny.ALPHABET + "ABCDEF").save_pretrained(f),
        "the weights know only",
    ),
    "another width": (lambda f: _config(f, intermediate_size=64), "do not fit its config.json"),
    "more layers": (lambda f: _config(f, num_hidden_layers=3), "do not fit its config.json"),
    "a tokenizer that cannot be read": (
        lambda f: (f / "tokenizer.json").write_text("[]", "utf-8"),
        "tokenizer",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_refused_in_one_sentence(folder: Path, case: str) -> None:
    def load() -> None:
        found = read_folder(folder)
        Text(found.path, found.config)
        load_net(found, "cpu")

    spoil, words = BROKEN[case]
    load()
    spoil(folder)
    with pytest.raises(CheckpointInvalid, match=words) as caught:
        load()
    assert "\n" not in str(caught.value)


def test_an_unknown_kind_of_model_is_unsupported(folder: Path) -> None:
    _config(folder, model_type="never_heard_of")
    with pytest.raises(ModelUnsupported, match="never_heard_of"):
        load_net(read_folder(folder), "cpu")


def test_a_code_file_in_a_folder_is_not_run(folder: Path) -> None:
    (folder / "modeling_own.py").write_text("raise SystemExit('was run')", "utf-8")
    _config(folder, model_type="own", auto_map={"AutoModelForCausalLM": "modeling_own.Own"})
    with pytest.raises(ModelUnsupported):
        load_net(read_folder(folder), "cpu")


def test_the_command_line_shows_a_folder(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(("models", "show", str(made), "--json")) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["flop_method"], shown["context"]) == ("tiny", "shape", 256)
    assert shown["parameters"]["value"] == read_folder(made).model.active_parameters


def test_the_doctor_does_without_what_the_demo_does_without(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def doctor() -> tuple[int, dict[str, dict[str, Any]]]:
        code = run(("doctor", "--json"))
        return code, {check["what"]: check for check in json.loads(capsys.readouterr().out)}

    def version(name: str) -> str:
        if name == "torch":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    code, found = doctor()
    assert found["torch"]["ok"]
    monkeypatch.setattr(importlib.metadata, "version", version)
    without, lacking = doctor()
    assert without == code
    assert lacking["torch"]["ok"] is None
    assert "ponder[train]" in lacking["torch"]["remedy"]


def test_a_model_without_attention_is_refused(tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    words = tiny.tokenizer()
    config = MambaConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=1, state_size=4)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    with pytest.raises(ModelUnsupported, match="mamba: it has no attention"):
        load_net(read_folder(tmp_path), "cpu")


def test_weights_nested_too_deep_to_read_are_refused(folder: Path) -> None:
    header = b"[" * 200_000
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CheckpointInvalid, match="not a whole safetensors file"):
        read_folder(folder)
