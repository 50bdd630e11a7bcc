"""`ponder card` as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.govern.cards import write_run

from ponder.govern.card import SCHEMA_ID, Card
from ponder.ledger import Ledger

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_run(tmp_path_factory.mktemp("card"))


def test_the_table_fits_a_terminal_and_the_page_is_written(
    ponder: Run, ledger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("altair")
    pytest.importorskip("vl_convert")
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = ponder("card", "made", "--ledger", ledger, "--draws", "200", "--out", "card.html")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for word in (
        "SmolLM2-135M-Instruct: 1.35e8 parameters",
        "EU systemic risk",
        "Undefined: one size.",
        "* foretold by the law",
        "1,000 NVIDIA H100 SXM5",
        "page: card.html",
    ):
        assert word in out
    first, *_ = err.splitlines()
    assert first.endswith(
        "The laws of 1 task are fitted many times over; with many draws that takes a minute."
    )
    assert "Task 1 of 1: fitting laws to sums." in err
    assert (tmp_path / "card.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_the_document_follows_the_schema(ponder: Run, ledger: str) -> None:
    words = ("--chips", "7xh200", "--set", "chip_hour=3", "--on", "2025-01-01", "--draws", "100", "--json")
    code, out, _ = ponder("card", "made", "--ledger", ledger, *words)
    assert code == 0
    found = Card.model_validate_json(out)
    told = {each.name: each for each in found.assumptions}
    assert told["chip_hour"].origin == "yours"
    assert told["chip_hour"].value is not None
    assert told["chip_hour"].value.value == 3
    assert found.fleet is not None
    assert (found.fleet.chip, found.fleet.chips.value) == ("h200-sxm", 7)
    standing = {each.rule: each.standing for each in found.training.rules}
    assert "not yet" in standing.values()
    code, out, _ = ponder("card", "--schema")
    assert (code, json.loads(out)["$id"]) == (0, SCHEMA_ID)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "source: it is missing"),
        (["mode"], "did you mean made"),
        (["made", "--chips", "many"], "chips: 'many' is no fleet; write it as 1000xH100."),
        (["made", "--chips", "9xH10"], "did you mean"),
        (["made", "--model", "lama-3.1-8b"], "did you mean llama-3.1-8b"),
        (["made", "--precision", "int8"], "precision"),
        (["made", "--set", "chip_our=2"], "did you mean chip_hour"),
        (["made", "--task", "sum"], "did you mean sums"),
        (["made", "--draws", "1"], "100<=x<=1000000"),
        (["made", "--recorded", "there"], "recorded: it belongs to a checkpoint's folder"),
        (["no/such/folder"], "card: no/such/folder is not there"),
        (["."], "is no checkpoint that ponder trained"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    ponder: Run, ledger: str, words: list[str], says: str
) -> None:
    code, out, err = ponder("card", *words, "--ledger", ledger)
    assert code == 2
    last = err.strip().splitlines()[-1]
    assert says in last
    assert "Traceback" not in err
    assert not out


def test_a_run_without_samples_is_refused(ponder: Run, tmp_path: Path) -> None:
    task = {"task": "sums", "problems": 1, "logprobs": False}
    config = {"kind": "measure", "model": "smollm2", "tasks": [task], "seed": 1}
    config |= {"temperature": 1.0, "top_p": 1.0, "max_tokens": None}
    with Ledger.open(tmp_path / "l.db", write=True) as opened:
        opened.run("empty", config, [], {})
    code, _, err = ponder("card", "empty")
    assert code == 2
    assert "run: empty has no graded samples; end its measurement" in err
