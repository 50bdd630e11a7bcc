"""Where results are written: a folder is no file, and an empty path is none."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ponder.cli import run

FILES = [
    ["card", "latest", "--out"],
    ["law", "fit", "latest", "--out"],
    ["law", "compute", "latest", "--out"],
    ["figure", "o1", "--out"],
    ["govern", "account", "latest", "--out"],
    ["govern", "theft", "--out"],
    ["serve", "report", "--out"],
    ["ledger", "checkpoint", "--to"],
    ["bank", "export", "latest", "--to"],
]


@pytest.mark.parametrize("place", [".", "..", "/", "there"])
@pytest.mark.parametrize("words", FILES, ids=" ".join)
def test_a_folder_is_refused_before_anything_is_done(
    words: Sequence[str],
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    assert run([*words, place]) == 2  # there is no ledger: nothing can have been looked up
    said = capsys.readouterr().err
    assert f"{place} is a folder; give the path of a file in it" in said
    assert words[-1] in said
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize("words", [*FILES, ["report", "latest", "--to"], ["measure", "--to"]], ids=" ".join)
def test_an_empty_path_is_refused(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, ""]) == 2
    assert "it is empty; give a path" in capsys.readouterr().err


def test_a_page_is_no_folder_for_a_library_either(tmp_path: Path) -> None:
    from ponder.report._html import write_whole

    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, b"page")
    assert list(tmp_path.iterdir()) == []
