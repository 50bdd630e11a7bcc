"""Self-play really plays: with the verifier, without it, with a proposer, behind a data wall."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from ponder.cli._app import run  # noqa: E402
from ponder.errors import CheckpointInvalid, InputError, RunChanged  # noqa: E402
from ponder.ledger import Ledger  # noqa: E402
from ponder.tasks.chars import split_of  # noqa: E402
from ponder.train.selfplay import EDGE, RESULT, SelfplaySettings, selfplay  # noqa: E402
from ponder.train.selfplay_result import Selfplayed  # noqa: E402
from ponder.train.stages import stages  # noqa: E402
from tests.train.teachers import TASK, damaged  # noqa: E402

PROBLEMS, SAMPLES = 120, 4


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> SelfplaySettings:
    """A start that is right now and then."""
    return SelfplaySettings(
        start=damaged(tmp_path_factory.mktemp("start") / "weak", 0.2), task=TASK, rounds=1, samples=SAMPLES,
        problems=PROBLEMS, passes=4, learning_rate=3e-3, eval_problems=40, eval_draws=4,
    )  # fmt: skip


def played(
    place: Path, settings: SelfplaySettings, tell: Callable[[str], None] = lambda line: None
) -> Selfplayed:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with Ledger.open(place / "ledger.db", write=True) as ledger:
            return selfplay(
                settings, ledger=ledger, out=place / "out", run="s", processes=1, device="cpu", tell=tell
            )
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def verified(settings: SelfplaySettings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Selfplayed, Path]:
    """Two rounds with the verifier, stopped after every step and started again."""
    place, heard = tmp_path_factory.mktemp("verified"), set[str]()

    def stopping(line: str) -> None:
        if line not in heard:
            heard.add(line)
            raise Stop

    for _ in range(20):
        try:
            return played(place, replace(settings, rounds=2), stopping), place
        except Stop:
            continue
    raise AssertionError("it never ended")


def test_rounds_learn_what_the_verifier_found_right(verified: tuple[Selfplayed, Path]) -> None:
    result, _ = verified
    assert [each.number for each in result.rounds] == [1, 2]
    for each in result.rounds:
        assert each.replies == PROBLEMS * SAMPLES
        assert 0 < each.solved <= each.texts <= each.kept == each.kept_right < each.replies
        assert each.precision == 1
    change = result.change(result.first, result.last)
    assert set(change) == {1, SAMPLES}
    for estimate in change.values():
        assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert change[1].low > 0
    assert len(result.broad(result.last)) >= 3


def test_inference_has_its_share_on_the_ledger(verified: tuple[Selfplayed, Path]) -> None:
    result, place = verified
    with Ledger.open(place / "ledger.db", write=False) as ledger:
        found, rows = stages(ledger, "s"), ledger.stages("s")
    assert found.inference_flop == pytest.approx(sum(each.flop_inference for each in result.rounds))
    assert found.training_flop == pytest.approx(sum(each.flop for each in result.rounds))
    assert all(0 < each.inference_share < 1 for each in result.rounds)
    assert [row.position for row in rows] == list(range(len(rows)))
    for row in rows:
        if row.stage == "sft":
            assert row.flop_counted == pytest.approx(row.flop, rel=0.02)


def test_a_finished_run_is_read_and_others_are_refused(
    verified: tuple[Selfplayed, Path], settings: SelfplaySettings
) -> None:
    result, place = verified
    told = json.loads((place / "out" / RESULT).read_text())
    assert told == json.loads(json.dumps(result.to_json()))
    assert played(place, replace(settings, rounds=2)).to_json() == result.to_json()
    with pytest.raises(RunChanged, match="passes"):
        played(place, replace(settings, rounds=2, passes=5))


def test_without_the_verifier_wrong_answers_are_learned_too(
    tmp_path: Path, settings: SelfplaySettings
) -> None:
    result = played(tmp_path, replace(settings, labels="majority", problems=40))
    (only,) = result.rounds
    assert only.precision is not None
    assert 0 < only.precision < 1
    assert only.kept < only.replies


def test_a_proposer_poses_problems_at_the_edge_and_never_a_held_out_one(
    tmp_path: Path, settings: SelfplaySettings
) -> None:
    result = played(tmp_path, replace(settings, proposer=True, learning_rate=8e-3, passes=8))
    (only,) = result.rounds
    assert only.posing is not None
    posed = only.posing.posed
    assert posed.held_out > 0
    assert {split_of(problem.question.text) for problem in posed.problems} == {"train"}
    assert len({problem.question.text for problem in posed.problems}) == len(posed.problems)
    assert only.problems == min(PROBLEMS, len(posed.problems))
    assert only.solved == only.posing.edge < only.problems
    assert EDGE[0] * SAMPLES * only.solved <= only.kept <= EDGE[1] * SAMPLES * only.solved
    assert only.posing.flop_posed > 0
    assert {path.name for path in (tmp_path / "out").glob("proposer-*")} == {"proposer-0", "proposer-1"}
    with Ledger.open(tmp_path / "ledger.db", write=False) as ledger:
        kept = sum(row.samples or 0 for row in ledger.stages("s") if row.part == "kept")
    assert kept == only.kept


def test_behind_a_wall_all_arms_have_the_same_compute(tmp_path: Path, settings: SelfplaySettings) -> None:
    result = played(tmp_path, replace(settings, pool=40))
    (only,) = result.rounds
    assert only.problems == 40
    assert [arm.name for arm in result.wall] == ["epochs", "fresh"]
    for arm in result.wall:
        assert arm.flop == pytest.approx(only.flop, rel=0.1)
    assert result.wall[0].passes > settings.passes
    assert len(result.to_json()["wall"][0]["synthetic_gained_over"]) == 2


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rounds": 0}, "rounds"),
        ({"samples": 1, "proposer": True}, "samples"),
        ({"pool": 0}, "pool"),
        ({"labels": "judge"}, "labels"),
        ({"task": "char_facts:given=true", "proposer": True}, "proposer"),
        ({"task": "gsm8k"}, "task"),
    ],
)
def test_settings_that_cannot_be(settings: SelfplaySettings, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        replace(settings, **changes)


def test_a_pool_larger_than_the_task(tmp_path: Path, settings: SelfplaySettings) -> None:
    with pytest.raises(InputError, match=r"pool: .* has only"):
        played(tmp_path, replace(settings, task="char_countdown:numbers=3,largest=5", pool=5000))


def test_a_start_that_answers_nothing_right(tmp_path: Path, settings: SelfplaySettings) -> None:
    few = replace(settings, task="char_countdown:numbers=3", problems=2, eval_problems=2, eval_draws=1)
    with pytest.raises(InputError, match="from: no reply of weak was kept"):
        played(tmp_path, few)


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["train", "selfplay", "--from", str(tmp_path / "none"), "--ledger", str(tmp_path / "l.db")]
    assert run(given) == 2
    assert "none is not a folder" in capsys.readouterr().err
    assert run([*given, "--no-verifier", "--labels", "own"]) == 2
    assert "Give either --no-verifier or --labels own" in capsys.readouterr().err


def test_a_checkpoint_that_is_incomplete(tmp_path: Path, settings: SelfplaySettings) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointInvalid):
        played(tmp_path, replace(settings, start=tmp_path / "empty"))
