from collections.abc import Callable
from pathlib import Path

import pytest

from ponder.cli._app import run

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ponder(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command line in an empty folder; (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PONDER_LEDGER", str(tmp_path / "l.db"))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("PONDER_CONFIG", raising=False)

    def go(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        told = capsys.readouterr()
        return code, told.out, told.err

    return go
