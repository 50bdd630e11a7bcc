"""`ponder ask`, `solve` and `choose` as a user meets them, on a scripted model."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ponder as package
from ponder import api
from ponder.cli._app import run
from ponder.config import Settings
from ponder.core import Engine, Request
from ponder.engines import open_engine
from ponder.engines.scripted import Faults, ScriptedEngine
from ponder.errors import CallFailed
from ponder.ledger import Ledger
from ponder.solve.many import Batch

Run = Callable[..., tuple[int, str, str]]

QUESTIONS = [
    {"id": "a", "question": "What is 3 + 4?", "answer": "7"},
    {"id": "b", "question": "What is 9 - 4?", "answer": "5"},
    {"id": "c", "question": "What is 1 + 1?", "answer": "2"},
]


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine.drawing({"The answer is 7.": 3.0, "The answer is 5.": 1.0})


@pytest.fixture
def ponder(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: ScriptedEngine,
) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PONDER_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.delenv("PONDER_CONFIG", raising=False)

    async def opened(model: str, settings: Settings) -> Engine:
        return engine

    monkeypatch.setattr(api, "open_engine", opened)

    def go(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        told = capsys.readouterr()
        return code, told.out, told.err

    return go


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def without_keys(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "answer"} for row in rows]


def test_a_batch_is_answered_and_graded_afterwards(ponder: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "mine.jsonl", QUESTIONS)
    code, out, _ = ponder("solve", source, "--budget", "200samples", "--samples", "16", "--json")
    assert code == 0
    told = json.loads(out)
    assert [row["answer"] for row in told["answers"]] == ["7", "7", "7"]
    assert (told["correct"], told["accuracy"]) == (1, pytest.approx(1 / 3))
    assert told["usage"]["samples"] == sum(row["samples"] for row in told["answers"])
    assert told["samples"]["max"] <= 16


def test_keys_change_no_answer_and_are_not_needed(
    ponder: Run, tmp_path: Path, engine: ScriptedEngine
) -> None:
    keyed = write(tmp_path / "mine.jsonl", QUESTIONS)
    (tmp_path / "bare").mkdir()
    bare = write(tmp_path / "bare" / "mine.jsonl", without_keys(QUESTIONS))
    first = json.loads(ponder("solve", keyed, "--budget", "60samples", "--json")[1])
    calls = engine.calls
    second = json.loads(ponder("solve", bare, "--budget", "60samples", "--json")[1])
    assert second["answers"] == first["answers"]
    assert second["accuracy"] is None
    assert engine.calls == calls  # the same questions are the same run: all of it was bought


def test_a_rerun_buys_nothing_twice(ponder: Run, tmp_path: Path, engine: ScriptedEngine) -> None:
    source = write(tmp_path / "mine.jsonl", QUESTIONS)
    first = json.loads(ponder("solve", source, "--budget", "2000tok", "--json")[1])
    calls = engine.calls
    second = json.loads(ponder("solve", source, "--budget", "2000tok", "--json")[1])
    assert engine.calls == calls > 0
    assert second["answers"] == first["answers"]
    assert second["usage"]["samples"] == first["usage"]["samples"]


def test_a_budget_that_keeps_room_for_long_samples_says_so(ponder: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "mine.jsonl", QUESTIONS)
    hint = "room is kept for the longest sample"
    assert f"stopped by tokens; {hint}" in ponder("solve", source, "--budget", "1700tok")[1]
    assert hint not in ponder("solve", source, "--budget", "1700tok", "--max-tokens", "300")[1]
    assert hint in ponder("ask", "What is 3 + 4?", "--budget", "700tok", "--samples", "64")[2]
    assert hint not in ponder("ask", "What is 3 + 4?", "--budget", "5samples", "--samples", "64")[2]


def test_the_summary_says_what_was_spent_and_why_it_ended(ponder: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "mine.jsonl", QUESTIONS)
    code, out, err = ponder("solve", source, "--budget", "12samples")
    assert code == 0
    assert "correct    1 of 3 (33.3%)" in out
    assert "3 answered, 0 without an answer" in out
    assert "stopped by samples" in out
    assert "3 of 3 questions done, 12 samples" in err


def test_answers_are_written_as_json_lines(ponder: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "mine.jsonl", without_keys(QUESTIONS))
    code, out, _ = ponder("solve", source, "--budget", "12samples", "--output", "answers.jsonl")
    assert code == 0
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert {row["answer"] for row in rows} == {"7"}
    assert "mine/a" not in out


def test_a_failed_question_is_told_and_retried(
    ponder: Run, tmp_path: Path, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "mine.jsonl", QUESTIONS)
    broken = {"now": True}

    class Alone(ScriptedEngine):
        """Fails by what is asked, not by when."""

        def sample(self, request: Request, position: int) -> Any:
            if broken["now"] and any("9 - 4" in m.content for m in request.prompt.messages):
                raise CallFailed("no such luck")
            return super().sample(request, position)

    monkeypatch.setattr(engine, "__class__", Alone)
    code, out, err = ponder("solve", source, "--budget", "30samples")
    assert code == 0
    assert "1 failed" in out
    assert "1 of 3 questions failed; mine/b said: no such luck" in err
    broken["now"] = False
    told = json.loads(ponder("solve", source, "--budget", "30samples", "--json")[1])
    assert told["answers"][1]["answer"] == "7"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('{"id": "a"}\n', "line 1: question is missing"),
        ('{"question": "x", "id": 1}\n{"question": "y", "id": 1}\n', "lines 1 and 2 have the same id '1'"),
        ("not json\n", "line 1: not JSON"),
        ("", "no problem in it"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(ponder: Run, tmp_path: Path, lines: str, words: str) -> None:
    (tmp_path / "mine.jsonl").write_text(lines, "utf-8")
    code, _, err = ponder("solve", "mine.jsonl", "--budget", "9samples")
    assert code == 2
    assert words in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.jsonl", "--budget", "9samples"), "none.jsonl: No such file"),
        (("mine.jsonl", "--budget", "9 apples"), "unknown unit"),
        (("mine.jsonl", "--budget", "9samples", "--strategy", "guess"), "Unknown strategy"),
        (("mine.jsonl", "--budget", "9samples", "--output", "no/such/file"), "output: the folder"),
        (("mine.jsonl", "--budget", "9samples", "--run", "../up"), "cannot name a run"),
        (("mine.jsonl", "--budget", "9samples", "--run", "latest"), "the last finished measurement"),
        (("mine.jsonl", "--budget", "3tok"), "no room for one sample"),
        (("mine.jsonl", "--budget", "9samples", "--role", "judge=x"), "none besides the solver's"),
    ],
)
def test_what_cannot_be_done_is_refused(
    ponder: Run, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    write(tmp_path / "mine.jsonl", QUESTIONS)
    code, _, err = ponder("solve", *arguments)
    assert code == 2
    assert words in err


def test_a_stated_strategy_is_run_on_each(ponder: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "mine.jsonl", QUESTIONS)
    out = ponder("solve", source, "--budget", "30samples", "--strategy", "vote:n=2")[1]
    assert "stopped by nothing: the strategy came to its end" in out
    told = json.loads(ponder("solve", source, "--budget", "30samples", "--strategy", "vote:n=4", "--json")[1])
    assert [row["samples"] for row in told["answers"]] == [4, 4, 4]


@pytest.mark.parametrize("keyed", [True, False])
def test_standard_input_is_a_file(
    ponder: Run, monkeypatch: pytest.MonkeyPatch, engine: ScriptedEngine, keyed: bool
) -> None:
    def told(text: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return ponder("solve", "-", "--budget", "60samples", "--json")

    lines = [json.dumps(row) for row in (QUESTIONS if keyed else without_keys(QUESTIONS))]
    code, out, _ = told("\n".join(lines))
    assert code == 0
    first = json.loads(out)
    assert [row["id"] for row in first["answers"]] == ["a", "b", "c"]
    assert first["correct"] == (1 if keyed else None)
    calls = engine.calls
    assert json.loads(told("\n".join(lines))[1])["answers"] == first["answers"]
    assert engine.calls == calls
    code, _, err = told(lines[0] + "\n{}\n")
    assert code == 2
    assert "standard input, line 2" in err


def test_only_the_lines_with_a_key_are_graded(ponder: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "mine.jsonl", [QUESTIONS[0], *without_keys(QUESTIONS[1:])])
    code, out, _ = ponder("solve", source, "--budget", "60samples")
    assert code == 0
    assert "correct    1 of 1 with an answer to compare with (100.0%)" in out
    told = json.loads(ponder("solve", source, "--budget", "60samples", "--json")[1])
    assert (told["correct"], told["graded"], told["accuracy"]) == (1, 1, 1.0)
    assert [row["answer"] for row in told["answers"]] == ["7", "7", "7"]


def test_fields_that_are_not_read_are_named_once(ponder: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "mine.jsonl", [row | {"anwser": "9", "level": 3} for row in QUESTIONS])
    for arguments in (("solve", source, "--budget", "60samples"), ("tasks", "show", source)):
        code, _, err = ponder(*arguments)
        assert code == 0
        assert err.count("not read: 'anwser', 'level'; those that are: question, answer, id") == 1
    measured = ("measure", "--task", source, "--samples", "2", "--no-report")
    assert "not read: 'anwser'" in " ".join(ponder(*measured)[1].split())
    assert "not read: 'anwser'" in " ".join(json.loads(ponder(*measured, "--json")[1])["notes"])


def test_runs_show_the_task_of_a_solved_batch(ponder: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "mine.jsonl", without_keys(QUESTIONS))
    ponder("solve", source, "--budget", "9samples")
    (row,) = json.loads(ponder("runs", "--json")[1])
    assert row["tasks"] == ["mine"]


def written(settings: Settings, run: str) -> dict[str, str | None]:
    """The answers on the ledger, by question id."""
    with Ledger.open(settings.ledger, write=False) as ledger:
        return {row.problem_id: row.answer.choice for row in ledger.answers(run)}


def test_answers_are_written_when_no_deadline_cut_them_short(engine: ScriptedEngine, tmp_path: Path) -> None:
    settings = Settings(ledger=str(tmp_path / "ledger.sqlite"))

    def solved(seconds: float) -> Batch:
        engine.faults = Faults(seconds=seconds)
        texts = ["What is 3 + 4?", "What is 1 + 6?"]
        return package.solve_many(texts, budget="0.5s", n=6, engine=engine, settings=settings)

    cut = solved(30.0)
    assert cut.run is not None
    assert (cut.stopped_by, cut.final) == ("seconds", False)
    assert written(settings, cut.run) == {}
    for _ in range(2):
        whole = solved(0.0)
        assert whole.run == cut.run
        assert whole.stopped_by is None
        assert whole.final
        told = {solution.question.id: solution.answer.choice for solution in whole.solutions}
        assert set(told.values()) == {"7"}
        assert written(settings, cut.run) == told


def test_answers_are_written_once_no_question_fails(engine: ScriptedEngine, tmp_path: Path) -> None:
    settings = Settings(ledger=str(tmp_path / "ledger.sqlite"))

    def solved(fail: Callable[[int], Exception | None]) -> Batch:
        engine.faults = Faults(fail=fail)
        return package.solve_many(
            ["What is 3 + 4?", "What is 1 + 6?"], budget="40samples", engine=engine, settings=settings
        )

    failed = solved(lambda k: CallFailed("no such luck") if k == 1 else None)
    assert failed.run is not None
    assert len(failed.errors) == 1
    assert written(settings, failed.run) == {}
    whole = solved(lambda k: None)
    told = {solution.question.id: solution.answer.choice for solution in whole.solutions}
    assert written(settings, failed.run) == told


def test_from_python_texts_do(engine: ScriptedEngine, tmp_path: Path) -> None:
    settings = Settings(ledger=str(tmp_path / "ledger.sqlite"))
    batch = package.solve_many(
        ["What is 3 + 4?", "What is 1 + 6?"], budget="20samples", engine=engine, settings=settings
    )
    assert [solution.answer.choice for solution in batch.solutions] == ["7", "7"]
    with Ledger.open(settings.ledger, write=False) as ledger:
        (row,) = ledger.runs()
        assert (row.id, row.finished) == (batch.run, True)
        assert len(ledger.answers(row.id)) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ask", "2 + 5?", "--role", "judge=x"), "asks for 'judge'; the roles that are asked for are none"),
        (("ask", "2 + 5?", "--strategy", "judge_vote", "--role", "jugde=x"), "asked for are judge."),
        (("ask", "2 + 5?", "--role", "solver=x"), "--model"),
        (("measure", "--task", "countdown", "--role", "foo=x"), "asks for 'foo'"),
        (("measure", "--task", "countdown", "--role", "foo=x", "--dry-run"), "asks for 'foo'"),
    ],
)
def test_a_role_that_nobody_asks_for_is_refused(
    ponder: Run, engine: ScriptedEngine, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = ponder(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert engine.calls == 0


def test_a_role_of_the_configuration_may_be_idle(ponder: Run, tmp_path: Path) -> None:
    (tmp_path / "ponder.toml").write_text('[roles]\njudge = "x"\n', "utf-8")
    assert ponder("ask", "What is 3 + 4?")[:2] == (0, "7\n")


def test_an_empty_model_is_not_the_current_folder(
    ponder: Run, engine: ScriptedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}", "utf-8")
    judged = ("ask", "2 + 5?", "--strategy", "judge_vote")
    assert "is not ROLE=MODEL" in ponder(*judged, "--role", "judge= ")[2]
    (tmp_path / "ponder.toml").write_text('[roles]\njudge = ""\n', "utf-8")
    code, out, err = ponder(*judged)
    assert (code, out) == (2, "")
    assert "role: no model is named for 'judge'" in err
    monkeypatch.setattr(api, "open_engine", open_engine)
    for empty in ("", " "):
        code, out, err = ponder("ask", "2 + 5?", "--model", empty)
        assert (code, out) == (2, "")
        assert "model: it is empty" in err
    assert engine.calls == 0


def test_no_answer_is_no_output_and_an_exit_code_of_its_own(
    ponder: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def opened(model: str, settings: Settings) -> Engine:
        return ScriptedEngine.drawing({"": 1.0})

    monkeypatch.setattr(api, "open_engine", opened)
    code, out, err = ponder("ask", "What is 3 + 4?")
    assert (code, out) == (3, "")
    assert "No answer: no sample had one" in err
    code, out, _ = ponder("ask", "What is 3 + 4?", "--json")
    assert (code, json.loads(out)["answer"]) == (3, None)


def test_choose_prints_the_curve_and_the_policy_of_each_class(ponder: Run) -> None:
    measured = ponder(
        *("measure", "--task", "countdown", "--problems", "48", "--samples", "8"),
        *("--strategy", "vote", "--run", "made", "--no-report"),
    )
    assert measured[0] == 0
    code, out, _ = ponder("choose", "made", "--look", "2", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["problems"] == 48
    assert len(told["points"][0]["by_bin"]) == 5
    code, out, _ = ponder("choose", "made", "--look", "2")
    assert code == 0
    assert "best fixed" in out
    assert "48 problems of countdown" in out
    code, out, _ = ponder("choose", "latest", "--look", "2", "--json")
    assert (code, json.loads(out)) == (0, told)
    code, _, err = ponder("choose", "mode")
    assert (code, "made" in err) == (2, True)
