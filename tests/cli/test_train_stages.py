"""`ponder train stages` and `ponder train import` as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ponder.ledger import Ledger

Run = Callable[..., tuple[int, str, str]]
STATE = {"global_step": 3, "total_flos": 7.2e6, "log_history": [], "num_input_tokens_seen": 0}


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    path = tmp_path / "l.db"
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {"kind": "train"})
        for part, samples, flop in (("kept", 30, 3e9), ("discarded", 10, 1e9)):
            recorder.stage(
                "synthetic_data", part=part, model="big", samples=samples, tokens=10 * samples, flop=flop,
                seconds=2.0, device="cpu", started=1.5e9,
            )  # fmt: skip
        recorder.stage("sft", model="small", tokens=900, flop=4e9, seconds=4.0, device="cuda", started=1.5e9)
    return path


def test_stages_as_a_table_and_as_json(ponder: Run, trained: Path) -> None:
    code, out, err = ponder("train", "stages", "latest")
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()[1:3]] == [
        ["synthetic_data,", "kept"],
        ["synthetic_data,", "discarded"],
    ]
    assert "Inference was 50% of the training compute (4 GFLOP of 8 GFLOP)." in out
    assert out.splitlines()[-1] == "Devices: cpu (synthetic_data); cuda (sft)."
    code, out, _ = ponder("train", "stages", "r", "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["run"], told["inference_share"], told["kept_share"]) == ("r", 0.5, 0.75)
    assert [stage["share"] for stage in told["stages"]] == [0.375, 0.125, 0.5]


def test_stages_fit_eighty_columns(ponder: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        recorder = ledger.run("r", {"kind": "train"})
        for device in ("NVIDIA H100 80GB HBM3", None):
            recorder.stage(
                "synthetic_data", part="discarded", model="big", samples=123_456, tokens=123_456_789,
                padded_tokens=123_456_789, flop=1.234e18, flop_counted=1.234e18, seconds=40_000.0,
                device=device, started=1.5e9,
            )  # fmt: skip
            recorder.stage("sft", model="m", seconds=None, device=device, started=1.5e9)
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = ponder("train", "stages", "r")
    table, rest = out.split("Inference's", 1)
    assert code == 0
    assert max(map(len, table.splitlines())) <= 80
    assert "…" not in out
    words = ("samples", "padded", "counted", "synthetic_data,", "discarded", "247M", "2.47E", "unknown")
    assert set(words) <= set(table.split())
    assert "22 h 13 min" in table
    assert "\nDevices: NVIDIA H100 80GB HBM3 (synthetic_data, sft).\n" in rest


def test_an_unknown_share_says_why(ponder: Run, trained: Path) -> None:
    with Ledger.open(trained, write=True) as ledger:
        ledger.run("r", {"kind": "train"}).stage(
            "pretrain", model="m", seconds=None, device=None, started=None
        )
    code, out, _ = ponder("train", "stages", "r")
    assert code == 0
    assert "Inference's share is unknown: the FLOP of pretrain are." in out


def test_runs_tell_a_training_run(ponder: Run, trained: Path) -> None:
    (row,) = json.loads(ponder("runs", "--json")[1])
    assert (row["kind"], row["tokens"]) == ("train", 1300)


def test_import_then_show(ponder: Run, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-3"
    folder.mkdir()
    (folder / "trainer_state.json").write_text(json.dumps(STATE), "utf-8")
    file = "checkpoint-3/trainer_state.json"
    code, out, err = ponder("train", "import", file, "--run", "theirs")
    assert (code, err) == (0, "")
    assert "booked in theirs: checkpoint-3, 7.2M FLOP (total_flos), unknown tokens." in out
    assert "padding is counted" in out
    code, out, _ = ponder("train", "import", file, "--run", "theirs", "--json")
    told = json.loads(out)
    assert (code, told["booked"], told["flop"], told["tokens"]) == (0, False, 7.2e6, None)
    code, out, _ = ponder("train", "stages", "theirs")
    assert code == 0
    assert "an imported run does not tell what it generated" in out
    code, out, _ = ponder("ledger", "verify", "--json")
    assert (code, json.loads(out)["ok"]) == (0, True)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["stages", "none"], "Unknown run 'none'"),
        (["stages", "latest"], "Unknown run 'latest'"),
        (["import", ""], "FILE"),
        (["rl", "--from", ""], "--from"),
        (["selfplay", "--from", " "], "--from"),
        (["selfplay", "--from", ".", "--out", ""], "--out"),
        (["reward", "--from", ""], "--from"),
        (["record", ""], "CHECKPOINT"),
        (["distill", "--teacher", "", "--student", "154k"], "--teacher"),
        (["distill", "--teacher", ".", "--student", ""], "student"),
        (["import", "none.json"], "none.json is no file"),
        (["import", "bad.json"], "bad.json is not JSON"),
        (["import", "bad.json", "--parameters", "many"], "--parameters"),
        (["import", "good.json", "--parameters", "0"], "parameters"),
        (["import", "good.json", "--run", "a b"], "run"),
    ],
)
def test_bad_input_is_one_sentence(ponder: Run, tmp_path: Path, words: list[str], named: str) -> None:
    Ledger.open(tmp_path / "l.db", write=True).close()
    (tmp_path / "bad.json").write_text("{", "utf-8")
    (tmp_path / "good.json").write_text(json.dumps(STATE), "utf-8")
    code, out, err = ponder("train", *words, "--json")
    (line,) = err.strip().splitlines()
    assert code == 2
    assert named in line
    assert json.loads(out)["error"]["message"]
