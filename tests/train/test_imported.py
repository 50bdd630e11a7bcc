"""A Hugging Face run's trainer_state.json: booked once, with what it does not tell left unknown."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import InputError
from ponder.ledger import Ledger, verify
from ponder.train.imported import ImportedRun, book, read_trainer_state

# As transformers 5.24 writes it after 3 steps of 4 rows of 100 positions with 1,000 parameters.
STATE: dict[str, Any] = {
    "best_global_step": None,
    "best_metric": None,
    "best_model_checkpoint": None,
    "epoch": 1.5,
    "eval_steps": 500,
    "global_step": 3,
    "is_hyper_param_search": False,
    "is_local_process_zero": True,
    "is_world_process_zero": True,
    "log_history": [
        {"epoch": 0.5, "grad_norm": float("nan"), "learning_rate": 1e-4, "loss": 2.5, "step": 1},
        {"epoch": 1.5, "step": 3, "total_flos": 7200000.0, "train_loss": 2.25, "train_runtime": 12.5},
    ],
    "logging_steps": 1,
    "max_steps": 3,
    "num_input_tokens_seen": 0,
    "num_train_epochs": 2,
    "save_steps": 500,
    "stateful_callbacks": {},
    "total_flos": 7200000.0,
    "train_batch_size": 4,
    "trial_name": None,
    "trial_params": None,
}
GRPO = STATE | {
    "total_flos": 0.0,
    "num_input_tokens_seen": 1000,
    "log_history": [{"num_tokens": 1000.0, "reward": 1.0, "step": 3}],
}


def written(folder: Path, state: Any) -> Path:
    path = folder / "trainer_state.json"
    path.write_text(state if isinstance(state, str) else json.dumps(state), "utf-8")
    return path


def read(folder: Path, state: Any, **options: Any) -> ImportedRun:
    return read_trainer_state(written(folder, state), **options)


def test_a_supervised_run(tmp_path: Path) -> None:
    found = read(tmp_path, STATE)
    assert (found.flop, found.flop_method) == (7.2e6, "total_flos")
    assert (found.tokens, found.padded_tokens) == (None, None)  # 0 tokens seen is not told, not none
    assert (found.seconds, found.steps, found.epoch, found.loss) == (12.5, 3, 1.5, 2.25)
    assert found.model == tmp_path.name
    assert "padding is counted" in found.caveat
    told = read(tmp_path, STATE | {"num_input_tokens_seen": 900}, parameters=1000, model="mine")
    assert (told.tokens, told.padded_tokens, told.model) == (900, 1200, "mine")


@pytest.mark.parametrize("total", [0, 0.0, None, "absent"])
def test_a_run_that_was_not_counted_is_unknown(tmp_path: Path, total: Any) -> None:
    state = GRPO | {"total_flos": total}
    if total == "absent":
        del state["total_flos"]
    found = read(tmp_path, state)
    assert (found.flop, found.flop_method, found.padded_tokens) == (None, None, None)
    assert found.tokens == 1000
    assert "unknown" in found.caveat
    told = read(tmp_path, state, parameters=50)
    assert (told.flop, told.flop_method) == (6.0 * 50 * 1000, "6ND")
    assert "generation" in told.caveat
    neither = {**state, "num_input_tokens_seen": 0, "log_history": []}
    assert read(tmp_path, neither, parameters=50).flop is None
    assert read(tmp_path, neither, parameters=50).tokens is None


def test_tokens_that_only_the_log_tells(tmp_path: Path) -> None:
    assert read(tmp_path, GRPO | {"num_input_tokens_seen": 0}).tokens == 1000


def test_figures_of_the_log_that_are_none_are_unknown(tmp_path: Path) -> None:
    odd = STATE | {"epoch": float("inf"), "log_history": [{"loss": float("nan")}, {}]}
    found = read(tmp_path, odd)
    assert (found.epoch, found.loss, found.seconds) == (None, None, None)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"total_flos": -1.0}, "total_flos: it must be a number from 0"),
        ({"total_flos": float("nan")}, "total_flos: .* not nan"),
        ({"total_flos": float("inf")}, "total_flos: .* not inf"),
        ({"total_flos": 10**4000}, "total_flos: "),
        ({"total_flos": "7"}, "total_flos: .* not '7'"),
        ({"total_flos": True}, "total_flos: .* not True"),
        ({"total_flos": [[1.0]]}, "total_flos: .* not a list"),
        ({"num_input_tokens_seen": -5}, "num_input_tokens_seen: "),
        ({"num_input_tokens_seen": 1.5}, "num_input_tokens_seen: it must be a whole number, not 1.5"),
        ({"num_input_tokens_seen": 2**63}, "num_input_tokens_seen: "),
        ({"log_history": [{"num_tokens": "many"}]}, "num_tokens: "),
        ({"log_history": [{"train_runtime": -1}]}, "train_runtime: "),
        ({"log_history": {"loss": 1}}, "log_history: it must be a list of objects"),
        ({"log_history": [3]}, "log_history: it must be a list of objects"),
        ({"global_step": None}, "has no global_step"),
        ({"global_step": 0}, "has no global_step"),
        ({"global_step": -2}, "global_step: "),
    ],
)
def test_a_bad_field_is_named(tmp_path: Path, changed: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match) as refused:
        read(tmp_path, STATE | changed)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is not JSON"),
        ("{'total_flos': 1}", "is not JSON"),
        ("[1, 2]", "is no JSON object"),
        ("[" * 200_000, "is nested too deeply"),
        ('{"global_step": 3, "x": ' + "[" * 200_000, "is nested too deeply"),
        ('{"total_flos": ' + "1" * 5000 + "}", "is not JSON"),
        ("{}", "has no global_step"),
    ],
)
def test_what_is_no_trainer_state_is_refused(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(InputError, match=match) as refused:
        read(tmp_path, text)
    assert "\n" not in str(refused.value)


def test_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(InputError, match="is no file"):
            read_trainer_state(path)
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00\xd8" * 9)
    with pytest.raises(InputError, match="is not JSON"):
        read_trainer_state(tmp_path / "b.json")
    monkeypatch.setattr("ponder.train.imported._LARGEST_BYTES", 100)
    with pytest.raises(InputError, match="is larger than"):
        read(tmp_path, STATE)


@pytest.mark.parametrize("parameters", [0, -1.0, math.nan, math.inf, 1e30])
def test_a_bad_number_of_parameters_is_refused(tmp_path: Path, parameters: float) -> None:
    with pytest.raises(InputError, match="parameters: it must be a positive number"):
        read(tmp_path, STATE, parameters=parameters)


def test_a_file_is_booked_once(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with Ledger.open(path, write=True) as ledger:
        found = read(tmp_path, STATE, model="m")
        row, new = book(ledger, found)
        assert new
        assert (row.stage, row.model, row.flop, row.device, row.started) == (
            "imported",
            "m",
            7.2e6,
            None,
            None,
        )
        assert book(ledger, found) == (row, False)
        assert ledger.stages(row.run_id) == [row]
        (summary,) = ledger.runs()
        assert (summary.kind, summary.finished, summary.tokens) == ("train", True, None)
        with pytest.raises(InputError, match="holds this file with other --parameters"):
            book(ledger, read(tmp_path, STATE, parameters=1000))
        other, new = book(ledger, read(tmp_path, GRPO), run=row.run_id)
        assert new
        assert other.position == 1
        assert ledger.runs()[0].finished
    assert verify(path).ok


def test_a_run_to_book_in(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        ledger.run("mine", {"kind": "train", "size": "small"}).stage(
            "sft", model="m", seconds=1.0, device="cpu", started=1.5e9
        )
        ledger.run("measured", {"kind": "measure"})
        found = read(tmp_path, STATE)
        assert book(ledger, found, run="mine")[0].position == 1
        assert book(ledger, found, run="new")[0].run_id == "new"
        with pytest.raises(InputError, match="measured is not a training run"):
            book(ledger, found, run="measured")
        with pytest.raises(InputError):
            book(ledger, found, run="../x")


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["global_step", "total_flos", "num_input_tokens_seen", "log_history", "epoch"])


@given(
    changed=st.dictionaries(FIELDS, VALUE),
    entry=st.dictionaries(st.sampled_from(["num_tokens", "loss"]), VALUE),
)
def test_any_values_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, changed: dict[str, Any], entry: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(STATE | {"log_history": [entry]} | changed), "utf-8")
    try:
        found = read_trainer_state(path, parameters=10.0)
    except InputError:
        return
    for figure in (found.flop, found.tokens, found.padded_tokens, found.seconds):
        assert figure is None or 0 < figure < 1e41
