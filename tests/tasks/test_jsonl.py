"""Problem files: what is read, and one sentence with file and line for everything that is wrong."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from ponder.errors import TaskFileError
from ponder.tasks import ProblemSet, Questions, load, load_questions


def write(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def read(tmp_path: Path, *rows: object) -> ProblemSet:
    spec = write(tmp_path, "\n".join(json.dumps(row) for row in rows))
    return load(spec, problems=100, seed=0)


def test_fields_ids_and_grader(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {"question": " What is 2 + 2? ", "answer": 4, "id": "four", "solution": "LEAK", "prompt": "LEAK"},
        {"question": "What is 1 / 2?", "answer": "1/2", "id": 17},
        {"question": "What is 1000 * 1000?", "answer": "1,000,000.0"},
    )
    assert found.name == "mine"
    assert found.grader == "numeric"
    assert [p.question.id for p in found.problems] == ["mine/four", "mine/17", "mine/line-3"]
    assert [p.key for p in found.problems] == ["4", "1/2", "1,000,000.0"]
    assert found.problems[0].question.text == "What is 2 + 2?"
    assert {p.question.extract for p in found.problems} == {"answer"}
    assert "LEAK" not in json.dumps([p.question.to_json() for p in found.problems])


@pytest.mark.parametrize(
    ("answers", "grader"), [(["Paris", 3], "exact"), (["A", "E"], "exact"), ([1, "2.5"], "numeric")]
)
def test_the_answers_choose_the_grader_and_nothing_else(
    tmp_path: Path, answers: list[object], grader: str
) -> None:
    blank = read(tmp_path, *({"question": "q", "answer": "-"} for _ in answers))
    found = read(tmp_path, *({"question": "q", "answer": answer} for answer in answers))
    assert found.grader == grader
    assert [p.question for p in found.problems] == [p.question for p in blank.problems]
    assert found.prompt_text == blank.prompt_text


def test_a_line_may_state_its_rule(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {"question": "q", "answer": "B", "extract": "choice"},
        {"question": "q", "answer": "3 km", "extract": "line"},
        {"question": "q", "answer": 3},
    )
    assert [p.question.extract for p in found.problems] == ["choice", "line", "answer"]


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    huge = "9" * 5000
    found = load(
        write(tmp_path, f'{{"question": "q", "answer": {huge}}}\n{{"question": "q", "answer": 0.10}}'),
        problems=9,
        seed=0,
    )
    assert [p.key for p in found.problems] == [huge, "0.10"]


def test_fewer_problems_than_asked_and_a_byte_order_mark(tmp_path: Path) -> None:
    row = '{"question": "q", "answer": "a"}\r\n'
    spec = write(tmp_path, b"\xef\xbb\xbf" + (row * 3 + "\n\n").encode())
    assert len(load(spec, problems=2, seed=0).problems) == 2
    assert len(load(spec, problems=99, seed=0).problems) == 3


GOOD = '{"question": "q", "answer": "a"}\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no problem in it"),
        ("\n \n", "no problem in it"),
        (GOOD + "{oops", "line 2: not JSON"),
        (GOOD + "[1]", "line 2: not a JSON object"),
        (GOOD + "null", "line 2: not a JSON object"),
        (GOOD + '{"answer": "a"}', "line 2: question is missing"),
        (GOOD + '{"question": "q"}', "line 2: answer is missing"),
        (GOOD + '{"question": 3, "answer": "a"}', "line 2: question must be a string"),
        (GOOD + '{"question": "q", "answer": null}', "line 2: answer must be a string or a number"),
        (GOOD + '{"question": "q", "answer": true}', "line 2: answer must be"),
        (GOOD + '{"question": "q", "answer": ["a"]}', "line 2: answer must be"),
        (GOOD + '{"question": "q", "answer": NaN}', "line 2: not JSON"),
        (GOOD + '{"question": "  ", "answer": "a"}', "line 2: question is empty"),
        (GOOD + '{"question": "q", "answer": ""}', "line 2: answer is empty"),
        (GOOD + '{"question": "q", "answer": "a", "id": {}}', "line 2: id must be"),
        (GOOD + '{"question": "q", "answer": "a", "id": ""}', "line 2: id is empty"),
        (GOOD + json.dumps({"question": "q", "answer": "a", "id": "i" * 201}), "line 2: id is over 200"),
        (GOOD + '{"question": "\\ud800", "answer": "a"}', "line 2: question has half a surrogate"),
        (GOOD + '{"question": "q", "answer": "a", "extract": "numbr"}', "extract is 'numbr'; write one of"),
        (GOOD + '{"question": "q", "answer": "a", "extract": 3}', "line 2: extract must be a string"),
        (GOOD + "[" * 100_000, "line 2: not JSON"),
        (GOOD + '{"question": "q", "answer": "' + "a" * (1 << 20) + '"}', "line 2: over 1 MiB"),
        (GOOD.encode() + b'{"question": "\xff", "answer": "a"}', "line 2: not UTF-8"),
        (
            '{"question": "q", "answer": "a", "id": "x"}\n'
            + GOOD
            + '{"question": "p", "answer": "b", "id": "x"}',
            "lines 1 and 3 have the same id 'x'",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(TaskFileError, match=message) as caught:
        load(write(tmp_path, content), problems=1, seed=0)
    text = str(caught.value)
    assert "mine.jsonl" in text
    assert "\n" not in text
    assert len(text) < 400 + len(str(tmp_path))


def test_a_file_that_is_not_there_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match=r"nowhere\.jsonl: No such file"):
        load(str(tmp_path / "nowhere.jsonl"), problems=1, seed=0)
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(TaskFileError, match=r"folder\.jsonl: Is a directory"):
        load(str(tmp_path / "folder.jsonl"), problems=1, seed=0)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(GOOD.encode() * 2 + b"{")))
    with pytest.raises(TaskFileError, match="standard input, line 3"):
        load("-", problems=1, seed=0)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(GOOD.encode() * 2)))
    found = load("-", problems=9, seed=0)
    assert (found.name, len(found.problems)) == ("stdin", 2)


def asked(tmp_path: Path, *rows: object, problems: int | None = None) -> Questions:
    spec = write(tmp_path, "\n".join(json.dumps(row) for row in rows))
    return load_questions(spec, problems=problems, usual=1, seed=0)


KEYED = {"question": "p", "answer": "2", "grader": "math", "extract": "line"}


def test_keys_are_optional_for_questions(tmp_path: Path) -> None:
    found = asked(tmp_path, {"question": "q"}, KEYED, {"question": "r", "options": ["x", "y"]})
    assert [question.id for question in found.questions] == ["mine/line-1", "mine/line-2", "mine/line-3"]
    assert [question.extract for question in found.questions] == ["answer", "line", "choice"]
    assert found.keyed is not None
    assert [(p.question, p.key) for p in found.keyed.problems] == [(found.questions[1], "2")]
    assert found.keyed.grader == "math"
    assert len(asked(tmp_path, {"question": "q"}, KEYED, problems=1).questions) == 1
    assert asked(tmp_path, {"question": "q"}, KEYED, problems=1).keyed is None


def test_a_question_is_the_same_with_and_without_its_key(tmp_path: Path) -> None:
    bare, keyed = {"question": "q"}, {"question": "q", "answer": "2"}
    assert asked(tmp_path, bare).questions == asked(tmp_path, keyed).questions
    assert asked(tmp_path, keyed).questions == tuple(p.question for p in read(tmp_path, keyed).problems)


def test_keyed_lines_still_agree_on_their_grader(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match="grader is math and that of line 3 is none"):
        asked(tmp_path, {"question": "q"}, KEYED, {"question": "r", "answer": 3})


def test_fields_that_are_not_read_are_noted(tmp_path: Path) -> None:
    rows = [{"question": "q", "answer": 1, f"extra {i}": 0, "same": 0} for i in range(9)]
    (note,) = read(tmp_path, *rows).notes
    assert "not read: 'extra 0', 'same', 'extra 1', 'extra 2', 'extra 3' and 5 more; those" in note
    assert asked(tmp_path, *rows).notes == (note,)
    assert read(tmp_path, {"question": "q", "answer": 1, "id": 3}).notes == ()
