"""`ponder govern account` as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ponder.ledger import Ledger

Run = Callable[..., tuple[int, str, str]]
LIFE = """
model: big
facts: {generates: [language]}
stages:
  - {stage: pretrain, name: pre-training, parameters: 4e11, tokens: 15.6e12}
  - {stage: rollouts, parameters: 4e11, tokens: 2e12}
"""


@pytest.fixture
def life(tmp_path: Path) -> Path:
    path = tmp_path / "life.yaml"
    path.write_text(LIFE, "utf-8")
    return path


def test_every_rule_is_a_line_of_the_table_and_those_that_bind_are_explained(ponder: Run, life: Path) -> None:
    code, out, err = ponder("govern", "account", str(life), "--on", "2026-11-26")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "big, counted by the law of 2026-11-26:"
    rows = {line[:21].strip(): line[21:].split() for line in lines[2:17]}
    assert rows["EU systemic risk"] == ["in", "force", "3.9e25", "1e25", "over", "yes"]
    assert rows["US EO 14110"] == ["revoked", "3.74e25", "1e26", "under", "no"]
    assert rows["EU one-third"][-3:] == ["not", "asked", "no"]
    assert len(rows) == 15
    flat = " ".join(out.split())
    assert "Driven by pre-training (96%), rollouts (4%)." in flat
    assert "New York RAISE 2026: Takes effect on 2027-01-01." in flat
    assert "US EO 14110:" not in flat
    assert "pre-training.parameters" in out


def test_the_table_fits_eighty_columns(ponder: Run, life: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    life.write_text(
        LIFE.replace("parameters: 4e11, tokens: 15.6e12", "flop: 0.9e25..1.2e26")
        + "  - {stage: base_weights, flop: 1.1e24..1.3e25, by: others, name: other}\n"
        + "  - {stage: sft, name: s, flop: 3e20, chip_hours: 1e9, peak: 1e15 FLOP/s, utilisation: 0.3}\n"
    )
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = ponder("govern", "account", str(life), "--every")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out.partition("Assumptions:")[0]


def test_one_rule_on_another_day(ponder: Run, life: Path) -> None:
    code, out, _ = ponder(
        "govern", "account", str(life), "--rule", "us-eo14110", "--on", "2024-06-01", "--json"
    )
    told = json.loads(out)
    (rule,) = told["rules"]
    assert code == 0
    assert (rule["rule"], rule["standing"], rule["side"]) == ("us-eo14110", "in force", "under")
    assert rule["counted"] == [
        {"method": "architecture", "value": 3.744e25, "low": 3.744e25, "high": 3.744e25}
    ]
    assert {each["origin"] for each in told["assumptions"]} == {"yours"}


def test_a_run_and_a_trainer_state_are_sources_too(ponder: Run, tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        recorder = ledger.run("r", {"kind": "train"})
        for model in ("a", "b"):
            recorder.stage("sft", model=model, flop=4e9, seconds=4.0, device="cpu", started=1.5e9)
    code, out, _ = ponder("govern", "account", "latest", "--json")
    assert (code, json.loads(out)["rules"][0]["counted"][0]["value"]) == (0, 8e9)
    assert "trained 2 models" in json.loads(out)["notes"][0]
    code, out, _ = ponder("govern", "account", "r", "--of", "a", "--json")
    assert (code, json.loads(out)["rules"][0]["counted"][0]["value"]) == (0, 4e9)
    code, out, _ = ponder("govern", "account", "r", "--peak", "1e9 FLOP/s", "--utilisation", "0.5", "--json")
    assert (code, json.loads(out)["stages"][0]["flop_by_hardware"]["value"]) == (0, 4e9)
    state = tmp_path / "trainer_state.json"
    state.write_text(json.dumps({"global_step": 1, "num_input_tokens_seen": 100, "log_history": []}))
    code, out, _ = ponder("govern", "account", str(state), "--parameters", "1e6", "--json")
    assert (code, json.loads(out)["stages"][0]["flop_by_architecture"]["value"]) == (0, 6e8)


def test_the_example_that_is_written_is_read(ponder: Run, tmp_path: Path) -> None:
    code, out, _ = ponder("govern", "new", "account")
    assert code == 0
    (tmp_path / "mine.yaml").write_text(out, "utf-8")
    code, out, err = ponder("govern", "account", "mine.yaml")
    assert (code, err) == (0, "")
    assert out.startswith("my-model, counted by the law of ")


def test_the_page_is_written(ponder: Run, life: Path, tmp_path: Path) -> None:
    code, out, err = ponder("govern", "account", str(life), "--out", "page.html")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "page: page.html"
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "California SB 53" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing.yaml",), "scenario: nothing.yaml cannot be read"),
        (("no-such-run",), "Unknown run 'no-such-run'"),
        (("life.yaml", "--rule", "eu-gpia"), "Unknown rule 'eu-gpia': did you mean eu-gpai"),
        (("life.yaml", "--of", "a"), "of: it belongs to a run on the ledger"),
        (("life.yaml", "--peak", "1e9"), "peak: it belongs to a run on the ledger"),
        (("life.yaml", "--parameters", "3"), "parameters: it belongs to a trainer_state.json"),
        (("life.yaml", "--on", "tomorrow"), "'tomorrow' does not match the format"),
        ((".",), "lacks config.json"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...], said: str, ponder: Run, life: Path, tmp_path: Path
) -> None:
    with Ledger.open(tmp_path / "l.db", write=True):
        pass
    code, _, err = ponder("govern", "account", *arguments)
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
