"""Files that are nested deeper than any parser goes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ponder.cli import run
from ponder.ledger import Ledger

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("deep.json", ["ledger", "verify", "--ledger", "l.db", "--checkpoint"]),
        ("deep.json", ["figure", "o1", "--out", "figure.json", "--runs"]),
        ("deep.json", ["govern", "account"]),
        ("deep.json", ["law", "fit"]),
        ("deep.jsonl", ["bank", "import", "--ledger", "l.db"]),
        ("deep.jsonl", ["solve", "--budget", "9samples"]),
        ("keys.toml", ["keys", "list", "--keys"]),
        ("rules.toml", ["serve", "--monitor"]),
    ],
)
def test_they_are_refused_in_a_sentence(
    name: str,
    words: Sequence[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Ledger.open("l.db", write=True).close()
    Path(name).write_text(f"a = {DEEP}" if name.endswith("toml") else f'{{"question": {DEEP}')
    assert run([*words, name]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ponder: ")
    assert said.count("\n") == 1
    assert name in said


def test_a_configuration_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PONDER_CONFIG", raising=False)
    Path("ponder.toml").write_text(f"model = {DEEP}")
    assert run(["config"]) == 2
    assert "configuration file ponder.toml cannot be read" in capsys.readouterr().err
