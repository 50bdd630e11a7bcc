"""Checkpoints: stock transformers loads them as they are; what is broken is said in one sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from ponder import flop  # noqa: E402
from ponder.errors import CheckpointInvalid, MissingExtra  # noqa: E402
from ponder.tasks.chars import ALPHABET  # noqa: E402
from ponder.train.models import (  # noqa: E402
    EOS,
    is_checkpoint,
    new_model,
    open_checkpoint,
    write_checkpoint,
)
from tests.train.small import SHAPE, same, weights  # noqa: E402

TEXT = "3 7  9 25=42:\n3*7=21\n\n21+9=30 , a.b !?\n"
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "ponder.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "one", new_model(SHAPE, 3), {"stages": []}, dtype="float32")
    return tmp_path / "one"


def test_stock_transformers_loads_the_model_and_it_says_the_same(folder: Path) -> None:
    stock = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert type(stock) is transformers.LlamaForCausalLM
    ids = torch.tensor([[5, 7, 20, 33, EOS]])
    ours = new_model(SHAPE, 3)
    assert torch.equal(stock(input_ids=ids).logits, ours(input_ids=ids).logits)


def test_a_checkpoint_does_not_say_where_its_start_was(folder: Path, tmp_path: Path) -> None:
    learned = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert learned.config.to_dict()["_name_or_path"] == str(folder)
    write_checkpoint(tmp_path / "learned", learned, {"name": "learned"})
    assert str(folder) not in (tmp_path / "learned" / "config.json").read_text()


def test_stock_transformers_loads_the_tokenizer_and_text_comes_back_as_it_was(folder: Path) -> None:
    stock = transformers.AutoTokenizer.from_pretrained(folder)
    for text in (TEXT, ALPHABET, " ", "\n", "  .", " ,"):
        ids = stock(text).input_ids
        assert len(ids) == len(text)
        assert stock.decode(ids) == text
        assert stock.decode([*ids, stock.eos_token_id], skip_special_tokens=True) == text
        assert stock(text, add_special_tokens=False).input_ids == ids
    assert (stock.eos_token_id, stock.pad_token_id) == (1, 0)
    assert stock(["12", "3"], padding=True).input_ids[1][0] == stock.pad_token_id


def test_a_character_outside_the_alphabet_is_refused_not_dropped(folder: Path) -> None:
    stock = transformers.AutoTokenizer.from_pretrained(folder)
    with pytest.raises(Exception, match="WordLevel"):
        stock("3 é 7")


def test_a_checkpoint_opens_as_it_was_written(folder: Path) -> None:
    found = open_checkpoint(folder)
    assert same(weights(found.model), weights(new_model(SHAPE, 3)))
    assert found.shape == SHAPE
    assert found.training == {"stages": []}
    assert found.tokenizer.decode(found.tokenizer(TEXT).input_ids) == TEXT


def test_half_precision_is_stored_and_read_back_in_single(tmp_path: Path) -> None:
    model = new_model(SHAPE, 3)
    write_checkpoint(tmp_path / "half", model, {})
    found = open_checkpoint(tmp_path / "half").model
    assert found.dtype == torch.float32
    assert same(weights(found), {k: v.half().float() for k, v in weights(model).items()})
    assert (tmp_path / "half" / "model.safetensors").stat().st_size < 2.2 * model.num_parameters() + 4096


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = weights(new_model(SHAPE, 0))
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(2)
    assert same(one, weights(new_model(SHAPE, 0)))
    assert not same(one, weights(new_model(SHAPE, 1)))


def test_the_shape_counts_every_weight_but_the_norms() -> None:
    model = new_model(SHAPE, 0)
    matrices = sum(p.numel() for p in model.parameters() if p.dim() > 1)
    assert flop.parameters(SHAPE) == matrices


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert not is_checkpoint(folder)
    with pytest.raises(CheckpointInvalid, match=f"lacks {name}"):
        open_checkpoint(folder)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_one_sentence(folder: Path, name: str) -> None:
    _cut(folder / name)
    with pytest.raises(CheckpointInvalid) as caught:
        open_checkpoint(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 128}))
    with pytest.raises(CheckpointInvalid, match="cannot be loaded"):
        open_checkpoint(folder)


def test_a_tokenizer_that_is_larger_than_the_model_is_refused(folder: Path) -> None:
    tokens = json.loads((folder / "tokenizer.json").read_text())
    tokens["model"]["vocab"]["é"] = len(tokens["model"]["vocab"])
    (folder / "tokenizer.json").write_text(json.dumps(tokens))
    with pytest.raises(CheckpointInvalid, match=r"tokenizer .* has 55 tokens and its model 54"):
        open_checkpoint(folder)


def test_a_checkpoint_is_replaced_whole_or_not_at_all(folder: Path) -> None:
    write_checkpoint(folder, new_model(SHAPE, 4), {"number": 2}, dtype="float32")
    assert open_checkpoint(folder).training == {"number": 2}
    with pytest.raises(ValueError, match="nan"):
        write_checkpoint(folder, new_model(SHAPE, 5), {"number": np.nan})
    assert open_checkpoint(folder).training == {"number": 2}
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    calls: list[Any] = [lambda: new_model(SHAPE, 0), lambda: open_checkpoint(folder)]
    for call in calls:
        with pytest.raises(MissingExtra, match=r"pip install 'ponder\[train\]'"):
            call()
