"""What stages add up to: inference's share, what was kept, and unknowns that stay unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import InputError, UnknownName
from ponder.ledger import Ledger, StageRow
from ponder.train.stages import Stages, stages, training_run

CONFIG = {"kind": "train"}


def booked(tmp_path: Path, *pieces: tuple[str, str | None, dict[str, Any]]) -> Stages:
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        recorder = ledger.run("r", CONFIG)
        for stage, part, fields in pieces:
            known: dict[str, Any] = {"model": "tiny", "seconds": 1.0, "device": "cpu", "started": 1.5e9}
            recorder.stage(stage, part=part, **(known | fields))  # type: ignore[arg-type]
        return stages(ledger, "r")


def test_a_distillation_adds_up(tmp_path: Path) -> None:
    found = booked(
        tmp_path,
        ("synthetic_data", "kept", {"samples": 30, "tokens": 300, "flop": 3e9}),
        ("synthetic_data", "discarded", {"samples": 10, "tokens": 150, "flop": 1.5e9}),
        ("sft", None, {"tokens": 600, "padded_tokens": 700, "flop": 4e9, "flop_counted": 4.1e9}),
        ("sft", None, {"tokens": 100, "padded_tokens": 140, "flop": 1.5e9, "device": "cuda", "model": "b"}),
        ("evaluation", None, {"tokens": 50, "flop": 9e9}),
    )
    kept, discarded, sft, evaluation = found.sums
    assert (sft.pieces, sft.tokens, sft.padded_tokens, sft.flop, sft.seconds) == (2, 700, 840, 5.5e9, 2.0)
    assert (sft.devices, sft.models) == (("cpu", "cuda"), ("tiny", "b"))
    assert sft.flop_counted is None  # one piece was not counted
    assert found.training_flop == 10e9
    assert found.inference_flop == 4.5e9
    assert found.inference_share == pytest.approx(0.45)
    assert found.kept_share == 0.75
    assert found.share(kept) == pytest.approx(0.3)
    assert found.share(discarded) == pytest.approx(0.15)
    assert found.share(evaluation) is None
    assert found.unknown == ()
    told = found.to_json()
    assert told["inference_share"] == pytest.approx(0.45)
    assert [each["share"] for each in told["stages"]][2:] == [pytest.approx(0.55), None]


def test_reinforcement_learning_keeps_its_passes_apart(tmp_path: Path) -> None:
    found = booked(
        tmp_path,
        ("rollouts", None, {"flop": 2e9}),
        ("rl_update", "reference", {"flop": 2e9}),
        ("rl_update", None, {"flop": 6e9}),
    )
    assert [(s.stage, s.part) for s in found.sums] == [
        ("rollouts", None),
        ("rl_update", "reference"),
        ("rl_update", None),
    ]
    assert found.inference_share == pytest.approx(0.2)  # scoring by the reference is no generation
    assert found.kept_share is None


def test_an_unknown_part_leaves_the_shares_unknown(tmp_path: Path) -> None:
    found = booked(tmp_path, ("rollouts", None, {"flop": 2e9}), ("sft", None, {"tokens": 5}))
    assert found.training_flop is None
    assert found.inference_share is None
    assert found.inference_flop == 2e9
    assert found.unknown == ("sft",)
    assert [found.share(each) for each in found.sums] == [None, None]


def test_an_unknown_evaluation_takes_nothing_away(tmp_path: Path) -> None:
    found = booked(tmp_path, ("sft", None, {"flop": 2e9}), ("evaluation", None, {}))
    assert found.training_flop == 2e9
    assert found.inference_share == 0.0


def test_counted_flop_stand_in_for_a_missing_formula(tmp_path: Path) -> None:
    found = booked(
        tmp_path, ("sft", None, {"flop": 2e9, "flop_counted": 3e9}), ("sft", None, {"flop_counted": 1e9})
    )
    (sft,) = found.sums
    assert (sft.flop, sft.flop_counted, sft.compute) == (None, 4e9, 3e9)


def test_an_imported_run_does_not_tell_its_inference(tmp_path: Path) -> None:
    found = booked(tmp_path, ("imported", None, {"flop": 2e9}), ("rollouts", None, {"flop": 1e9}))
    assert found.training_flop == 3e9
    assert found.inference_flop is None
    assert found.inference_share is None
    assert found.unknown == ()


def test_no_training_at_all_has_no_share(tmp_path: Path) -> None:
    assert booked(tmp_path, ("evaluation", None, {"flop": 2e9})).inference_share is None


def test_runs_without_stages_and_unknown_ones(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        with pytest.raises(UnknownName, match="Train something first"):
            training_run(ledger, "latest")
        ledger.run("first", CONFIG)
        ledger.run("last", CONFIG)
        ledger.run("measured", {"kind": "measure"})
        assert training_run(ledger, "latest") == "last"
        assert training_run(ledger, "first") == "first"
        with pytest.raises(InputError, match="first has no training stages; `ponder runs`"):
            stages(ledger, "first")
        with pytest.raises(UnknownName):
            stages(ledger, "none")


COUNT = st.none() | st.integers(0, 10**12)


@given(st.lists(st.tuples(st.sampled_from(["sft", "rollouts", "evaluation"]), COUNT), min_size=1, max_size=6))
def test_sums_do_not_depend_on_how_the_work_was_cut(pieces: list[tuple[Any, int | None]]) -> None:
    from ponder.train.stages import _sum

    groups: dict[str, list[StageRow]] = {}
    for place, (stage, count) in enumerate(pieces):
        flop = None if count is None else float(count)
        row = StageRow(
            "r", place, stage, None, "m", count, count, count, flop, None, None, flop, None, None, {}
        )
        groups.setdefault(stage, []).append(row)
    found = Stages("r", tuple(map(_sum, groups.values())))
    known = [count for stage, count in pieces if stage != "evaluation"]
    if None in known:
        assert found.training_flop is None
    else:
        assert found.training_flop == sum(count for count in known if count is not None)
    if found.inference_share is not None:
        assert 0 <= found.inference_share <= 1
        total = sum(found.share(each) or 0 for each in found.sums)
        assert total == pytest.approx(1)
