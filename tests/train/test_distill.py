"""A student really learns from a teacher's rationales, and the run goes on after every interruption."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from ponder.cli._app import run  # noqa: E402
from ponder.errors import CheckpointInvalid, InputError, RunChanged, UnknownName  # noqa: E402
from ponder.ledger import Ledger, StageRow  # noqa: E402
from ponder.tasks.chars import examples, split_of  # noqa: E402
from ponder.train.distill import RESULT, DistillSettings, distill  # noqa: E402
from ponder.train.distill_result import Distilled  # noqa: E402
from ponder.train.models import read_training  # noqa: E402
from ponder.train.stages import stages  # noqa: E402
from tests.train.teachers import TASK, TEACHER, damaged  # noqa: E402

TOKENS = 30_000


class Stop(Exception):
    pass


def taught(
    place: Path, settings: DistillSettings, tell: Callable[[str], None] = lambda line: None
) -> Distilled:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with Ledger.open(place / "ledger.db", write=True) as ledger:
            return distill(
                settings, ledger=ledger, out=place / "out", run="d", processes=1, device="cpu", tell=tell
            )
    finally:
        torch.set_num_threads(threads)


def rows_of(place: Path) -> list[StageRow]:
    with Ledger.open(place / "ledger.db", write=False) as ledger:
        return list(ledger.stages("d"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distilled")


@pytest.fixture(scope="module")
def settings(place: Path) -> DistillSettings:
    """A student that has forgotten nearly everything."""
    return DistillSettings(
        teacher=TEACHER, student=str(damaged(place / "weak", 0.25)), rationales=(1, 3), task=TASK,
        problems=250, tokens=TOKENS, learning_rate=5e-3, eval_problems=50, eval_draws=4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(place: Path, settings: DistillSettings) -> Distilled:
    """What came of it, stopped after every step and started again."""
    heard = set[str]()

    def stopping(line: str) -> None:
        name = line.partition(":")[0]
        if name not in heard:
            heard.add(name)
            raise Stop

    for _ in range(20):
        try:
            return taught(place, settings, stopping)
        except Stop:
            continue
    raise AssertionError("it never ended")


def test_a_student_is_better_than_before_and_than_one_that_learns_only_answers(result: Distilled) -> None:
    by_name = {each.name: each for each in result.students}
    assert set(by_name) == {"before", "rationales-1", "once-1", "rationales-3", "once-3", "answers"}
    for name in ("rationales-1", "rationales-3"):
        over_before = result.change(by_name[name], "before")
        over_answers = result.change(by_name[name], "answers")
        assert over_before is not None
        assert over_before.low > 0
        assert over_answers is not None
        assert over_answers.low > 0
    assert result.change(by_name["before"], "before") is None
    assert set(result.broad(by_name["answers"])) == set(by_name["before"].scored.broad)


def test_students_are_compared_at_equal_tokens_and_at_one_pass(result: Distilled) -> None:
    for each in result.students:
        if each.kind in ("rationales", "answers"):
            assert TOKENS <= each.tokens < TOKENS * 1.1
        elif each.kind == "once":
            assert each.tokens < TOKENS
    one, three = (next(e for e in result.students if e.name == f"once-{n}") for n in (1, 3))
    assert one.texts < three.texts <= 3 * 250
    assert sum(one.teacher_flop) < sum(three.teacher_flop)


def test_teacher_and_students_stand_apart_on_the_ledger(result: Distilled, place: Path) -> None:
    rows = rows_of(place)
    learned = [row for row in rows if row.stage == "sft" and row.part is None]
    assert [row.model for row in learned] == [e.name for e in result.students if e.kind != "before"]
    assert [row.flop for row in learned] == [e.flop for e in result.students if e.kind != "before"]
    for row in learned:
        assert row.flop_counted == pytest.approx(row.flop, rel=0.02)
    drawn = sum(row.flop or 0 for row in rows if row.stage == "synthetic_data")
    assert drawn == pytest.approx(sum(result.students[-1].teacher_flop))
    assert [row.position for row in rows] == list(range(len(rows)))
    with Ledger.open(place / "ledger.db", write=False) as ledger:
        share = stages(ledger, "d").inference_share
    assert share is not None
    assert 0 < share < 1


def test_a_finished_run_is_read_and_pays_nothing(
    result: Distilled, place: Path, settings: DistillSettings
) -> None:
    before = rows_of(place)
    told = json.loads((place / "out" / RESULT).read_text())
    assert taught(place, settings).to_json() == result.to_json()
    assert rows_of(place) == before
    assert told == json.loads(json.dumps(result.to_json()))
    for point in told["points"]:
        total = point["student_flop"] + point["teacher_flop_kept"] + point["teacher_flop_discarded"]
        assert point["total_flop"] == total
        assert point["passed"]["1"]["low"] <= point["passed"]["1"]["value"] <= point["passed"]["1"]["high"]


def test_a_checkpoint_says_what_led_to_it(result: Distilled) -> None:
    training = read_training(result.folder / "rationales-3")
    assert [each["stage"] for each in training["stages"]] == ["synthetic_data", "synthetic_data", "sft"]
    assert (training["run"], training["start"], training["task"]) == ("d", "weak", TASK)


def test_other_settings_are_refused(result: Distilled, place: Path, settings: DistillSettings) -> None:
    with pytest.raises(RunChanged, match="problems"):
        taught(place, replace(settings, problems=251))


# ---------------------------------------------------------------- bad input


def test_a_new_student_has_a_size_of_the_ladder(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Unknown student '8kk': did you mean 8k"):
        taught(tmp_path, DistillSettings(teacher=TEACHER, student="8kk", task=TASK, problems=2))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rationales": ()}, "rationales"),
        ({"rationales": (0, 1)}, "rationales"),
        ({"problems": 0}, "problems"),
        ({"tokens": 0}, "tokens"),
        ({"filter": "judge"}, "filter"),
        ({"task": "char_facts:given=true", "answers": True}, "answers-only"),
        ({"task": "gsm8k"}, "task"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        DistillSettings(teacher=TEACHER, student="8k", **changes)


def test_a_teacher_that_knows_nothing_teaches_nothing(tmp_path: Path) -> None:
    task = "char_countdown:numbers=3"
    settings = DistillSettings(
        teacher=TEACHER, student="8k", task=task, problems=4, rationales=(1,), eval_problems=2
    )
    with pytest.raises(InputError, match="teacher: none of its 4 replies is right"):
        taught(tmp_path, settings)


def test_a_folder_that_is_no_teacher(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointInvalid):
        taught(tmp_path, DistillSettings(teacher=tmp_path / "empty", student="8k", task=TASK))


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [
        "train",
        "distill",
        "--teacher",
        str(TEACHER),
        "--student",
        "8k",
        "--ledger",
        str(tmp_path / "l.db"),
    ]
    assert run([*given, "--rationales", "1,x"]) == 2
    assert "'1,x' is not a list of whole numbers" in capsys.readouterr().err
    assert run([*given, "--task", "char_facts:given=true", "--answers-only"]) == 2
    assert "has no form that asks for the answer alone" in capsys.readouterr().err


def test_examples_of_the_held_out_side_are_never_drawn_for(result: Distilled, place: Path) -> None:
    keys = set[str]()
    for path in (place / "out").glob("*.jsonl.xz"):
        with lzma.open(path, "rt") as file:
            keys |= {json.loads(line)["key"] for line in file}
    assert len(keys) > 100
    assert {split_of(key) for key in keys} == {"train"}
    assert next(examples([(TASK, "steps", 1.0)], recipe="random", split="test", seed=0)).key not in keys
