"""`ponder serve` as a user starts it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from ponder.cli import _app
from ponder.serve import opening


def test_it_listens_says_where_and_ends_by_a_signal(weights: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ponder", "serve", "--port", "0", "--json"]
    child = subprocess.Popen(
        [*command, "--ledger", str(tmp_path / "l.sqlite")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        told = ""
        while not told.endswith("}\n"):
            line = child.stdout.readline()
            assert line, "it ended"
            told += line
        address = json.loads(told)["address"]
        assert json.loads(told)["model"] == "smollm2"
        assert json.loads(told)["ledger"] == str(tmp_path / "l.sqlite")
        assert httpx2.get(f"{address}/models").json()["data"][0]["id"] == "ponder"
        began = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
        assert time.monotonic() - began < 15
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--host", "0.0.0.0"], "--keys"),
        (["--keys", "/nowhere/keys.toml"], "keys"),
        (["--host", "no such host"], "host"),
        (["--model", "nosuchmodel"], "model"),
        (["--law", "nosuchrun"], "nosuchrun"),
        (["--alert", "5apples/day"], "alert: "),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    flags: list[str], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _app.run(["serve", "--port", "0", "--ledger", str(tmp_path / "l.sqlite"), *flags])
    error = capsys.readouterr().err
    assert code == 2
    assert word in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "flags", [["--monitor", "/nowhere/rules.toml"], ["--law", "nosuchrun"], ["--alert", "5apples/day"]]
)
def test_what_is_stated_wrongly_is_told_of_before_a_model_is_opened(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(opening, "open_engine", lambda spec, settings: opened.append(spec))
    assert _app.run(["serve", "--port", "0", "--ledger", str(tmp_path / "l.sqlite"), *flags]) == 2
    assert opened == []
