"""`ponder ledger`: keys, signed checkpoints, erasures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import PASSWORD, PostgresServer

from ponder.core import Message, Prompt, Question
from ponder.ledger import Ledger

Run = Callable[..., tuple[int, str, str]]
TEXT = "What is the zebra's secret?"
WHY = ("--by", "olga", "--reason", "30 days")


@pytest.fixture(autouse=True)
def place(tmp_path: Path) -> Path:
    prompt = Prompt((Message("user", TEXT),))
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        for name in ("serve-1", "serve-2"):
            config = {"kind": "serve", "request": name, "body": TEXT}
            ledger.run(name, config, [(Question("q", TEXT, prompt, prompt), None)])
    return tmp_path / "l.db"


def test_a_signed_checkpoint_is_verified_by_the_public_key(ponder: Run, tmp_path: Path) -> None:
    assert ponder("ledger", "key", "key.pem")[0] == 0
    assert ponder("ledger", "checkpoint", "--sign", "key.pem", "--to", "kept.json")[0] == 0
    verify = ("ledger", "verify", "--checkpoint", "kept.json", "--public", "key.pem.pub")
    code, told, _ = ponder(*verify)
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert code == 0
    assert "The ledger is whole" in told
    assert f"signed by the key {kept['key']}" in told
    (tmp_path / "kept.json").write_text(json.dumps({**kept, "size": 1}))
    code, _, told = ponder(*verify)
    assert (code, "changed after it was signed" in told) == (2, True)
    code, _, told = ponder("ledger", "verify", "--public", "key.pem.pub")
    assert (code, "give --checkpoint too" in told) == (2, True)


def test_verify_says_what_is_gone_and_by_whose_order(ponder: Run) -> None:
    code, told, _ = ponder("ledger", "erase", "serve-1", "--by", "olga\x1b[31m", "--reason", "asked for")
    assert code == 0
    assert told.startswith("Erased by olga")
    assert "\x1b" not in told
    assert ponder("ledger", "verify")[1].splitlines()[1] == told.strip()
    assert "nothing left" in ponder("ledger", "erase", "serve-1", *WHY)[1]
    (found,) = json.loads(ponder("ledger", "verify", "--json")[1])["erasures"]
    assert (found["runs"], found["texts"]) == (["serve-1"], 0)  # the other one asks the same


def test_requests_of_a_certain_age_are_erased(ponder: Run, place: Path) -> None:
    erase = ("ledger", "erase", *WHY, "--json", "--older-than")
    assert json.loads(ponder(*erase, "30")[1])["erasure"] is None
    done: Any = json.loads(ponder(*erase, "0")[1])["erasure"]
    assert done["runs"] == ["serve-1", "serve-2"]
    assert done["texts"] == 1
    assert TEXT.encode() not in place.read_bytes()
    assert "whole" in ponder("ledger", "verify")[1]


@pytest.mark.parametrize("arguments", [[], ["serve-1", "--older-than", "3"], ["nothing"]])
def test_an_order_of_nothing_is_refused(ponder: Run, arguments: list[str]) -> None:
    code, _, told = ponder("ledger", "erase", *arguments, *WHY)
    assert (code, "run" in told) == (2, True)


def test_a_ledger_on_postgresql_is_told_without_its_password(
    ponder: Run, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.session() as beside:
        beside.execute("CREATE DATABASE commands")
    place = postgres.tcp(database="commands")
    named = f"postgresql://ponder@127.0.0.1:{postgres.port}/commands"
    with Ledger.open(place, write=True) as ledger:
        prompt = Prompt((Message("user", TEXT),))
        ledger.run("serve-3", {"kind": "serve"}, [(Question("q", TEXT, prompt, prompt), None)])
    monkeypatch.setenv("PONDER_LEDGER", place)
    told = [
        ponder("ledger", "verify", "--json"),
        ponder("ledger", "checkpoint"),
        ponder("ledger", "erase", "serve-3", *WHY),
        ponder("ledger", "verify"),
        ponder("runs", "--ledger", place),
        ponder("doctor", "--json"),
    ]
    assert [code for code, _, _ in told[:5]] == [0] * 5
    assert json.loads(told[0][1])["ledger"] == named
    assert "Erased by olga" in told[3][1]
    checks = {check["what"]: check for check in json.loads(told[5][1])}
    assert checks["ledger"]["ok"]
    assert checks["ledger"]["found"].startswith(f"{named}, ")
    wrong = place.replace(PASSWORD, f"{PASSWORD}9")
    told += [ponder(*verb, "--ledger", wrong) for verb in (("runs",), ("ledger", "verify"))]
    monkeypatch.setenv("PONDER_LEDGER", wrong)
    told.append(ponder("doctor"))
    assert [code for code, _, _ in told[6:]] == [2] * 3
    assert f"The ledger {named} cannot be reached (password authentication failed" in told[6][2]
    assert not [each for each in told if PASSWORD in each[1] + each[2]]
    monkeypatch.setitem(sys.modules, "psycopg", None)
    code, _, said = ponder("runs", "--ledger", place)
    assert (code, "pip install 'ponder[postgres]'" in said) == (2, True)
