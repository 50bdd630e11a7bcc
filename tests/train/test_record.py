"""Recording a checkpoint's draws: continued, extended, booked once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import CheckpointInvalid, InputError, RunChanged
from ponder.ledger import Ledger, StageRow
from ponder.train import record as recording
from ponder.train.models import read_training
from ponder.train.record import (
    Recorded,
    RecordSettings,
    checkpoints_in,
    file_name,
    record,
    training_flop,
    training_tokens,
)
from tests.train.teachers import TASK, TEACHER, damaged

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def adder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A solver that gets some of its answers right."""
    return damaged(tmp_path_factory.mktemp("adder") / "adder", 0.1)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_BLOCK", 4)
    monkeypatch.setattr(recording, "_STRETCH", 8)


def take(
    folder: Path, place: Path, *, tell: Callable[[str], None] = lambda line: None, **changes: Any
) -> tuple[Recorded, list[StageRow]]:
    values: dict[str, Any] = {"task": TASK, "problems": 6, "draws": 8, **changes}
    with Ledger.open(place / "ledger.sqlite", write=True) as store:
        found = record(
            RecordSettings(folder, **values),
            ledger=store,
            out=place / "draws.jsonl.xz",
            run="recording",
            processes=1,
            device="cpu",
            tell=tell,
        )
        return found, store.stages("recording")


def samples(rows: list[StageRow]) -> int:
    assert {row.stage for row in rows} <= {"evaluation"}
    return sum(row.samples or 0 for row in rows)


def test_draws_are_counted_booked_once_and_continued(adder: Path, tmp_path: Path) -> None:
    first, rows = take(adder, tmp_path)
    assert [tally.draws for tally in first.tallies] == [8] * 6
    assert samples(rows) == 48
    assert sum(row.flop or 0 for row in rows) >= float(first.flop([8]).sum()) * 0.99
    assert 0 < first.right.sum() < 48
    again, same_rows = take(adder, tmp_path)
    assert (again, same_rows) == (first, rows)
    more, all_rows = take(adder, tmp_path, draws=20)
    assert samples(all_rows) == 120
    assert [tally.draws for tally in more.tallies] == [20] * 6
    assert all(more.right >= first.right)
    for before, after in zip(first.tallies, more.tallies, strict=True):
        assert all(after.choices[choice][0] >= count for choice, (count, _) in before.choices.items())
    assert sorted(path.name for path in tmp_path.iterdir() if "draws" in path.name) == ["draws.jsonl.xz"]


def test_what_was_drawn_before_a_stop_is_not_drawn_again(adder: Path, tmp_path: Path) -> None:
    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(adder, tmp_path, tell=stop)
    stopped, rows = take(adder, tmp_path)
    assert samples(rows) == 48
    (tmp_path / "other").mkdir()
    whole, _ = take(adder, tmp_path / "other")
    assert stopped.tallies == whole.tallies


def test_a_recording_of_something_else_is_refused(adder: Path, tmp_path: Path) -> None:
    take(adder, tmp_path, problems=4)
    with pytest.raises(RunChanged, match=r"^temperature: .* was recorded with 1.0, not 0.5"):
        take(adder, tmp_path, problems=4, temperature=0.5)
    with pytest.raises(RunChanged, match=r"^task: "):
        take(adder, tmp_path, problems=4, task="char_chain:operations=3")


def test_settings_and_folders_that_cannot_be(adder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^draws: it must be at least 1"):
        RecordSettings(adder, TASK, draws=0)
    with pytest.raises(InputError, match=r"^temperature: "):
        RecordSettings(adder, TASK, temperature=float("nan"))
    with pytest.raises(CheckpointInvalid, match=r"is not a folder"):
        take(tmp_path / "none", tmp_path)
    with pytest.raises(InputError, match=r"holds none that was trained for char_countdown"):
        checkpoints_in(TEACHER.parent, "char_countdown:numbers=3")


def test_the_checkpoints_below_a_folder(adder: Path) -> None:
    assert checkpoints_in(adder, TASK) == {"adder": adder}
    assert checkpoints_in(adder.parent, TASK) == {"adder": adder}
    assert checkpoints_in(TEACHER.parent, TASK) == {"teacher": TEACHER}
    assert file_name("28k-0-3", "char_chain:operations=2") == "28k-0-3.char-chain-operations-2.jsonl.xz"


def test_training_flop_leaves_evaluation_out_and_unknown_is_unknown() -> None:
    known = [{"stage": "pretrain", "flop": 3.0}, {"stage": "evaluation", "flop": 4.0}]
    assert training_flop({"stages": known}) == 3.0
    assert training_flop({"stages": [*known, {"stage": "sft", "flop": None}]}) is None
    assert training_flop({}) is None
    assert training_flop(read_training(TEACHER)) == read_training(TEACHER)["stages"][0]["flop"]


def test_training_tokens_are_those_of_the_stages_that_teach() -> None:
    stages = [
        {"stage": "pretrain", "tokens": 30, "padded_tokens": 40},
        {"stage": "rollouts", "tokens": 9},
        {"stage": "evaluation", "tokens": 7},
        {"stage": "rl_update", "tokens": 5},
    ]
    assert training_tokens({"stages": stages}) == 35
    assert training_tokens({"stages": [*stages, {"stage": "sft", "flop": 2.0}]}) is None
    assert training_tokens({"stages": stages[1:3]}) is None
    assert training_tokens({}) is None


def test_a_recording_tells_its_training_tokens(tmp_path: Path) -> None:
    found, _ = take(TEACHER, tmp_path, problems=1, draws=1)
    assert found.training_tokens == read_training(TEACHER)["stages"][0]["tokens"]
