"""A model by its path or by its name on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ponder.errors import CheckpointInvalid, InputError
from ponder.train.hub import model_folder

hub = pytest.importorskip("huggingface_hub")


def test_a_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "snapshot_download", None)
    assert model_folder(str(tmp_path)) == tmp_path
    assert model_folder("not/a/name") == Path("not/a/name")
    assert model_folder("alone") == Path("alone")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert model_folder("owner/name") == Path("owner/name")


@pytest.mark.parametrize("text", ["", " "])
def test_nothing_is_not_the_current_folder(text: str) -> None:
    with pytest.raises(InputError, match="model: it is empty; give a model folder's path"):
        model_folder(text)


def test_a_name_is_fetched_without_code_and_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, allow_patterns: list[str]) -> str:
        assert name == "owner/name-1.5"
        assert not any(pattern.endswith((".py", ".bin", "*")) for pattern in allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    assert model_folder("owner/name-1.5") == tmp_path


def test_a_name_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, **_: Any) -> str:
        raise OSError("no network\nand more")

    monkeypatch.setattr(hub, "snapshot_download", fail)
    with pytest.raises(CheckpointInvalid, match=r"owner/name is no folder here .* \(no network\); give a"):
        model_folder("owner/name")
