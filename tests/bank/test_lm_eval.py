"""Sample files of the LM Evaluation Harness, small made ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponder.bank import Foreign, Wanted, gather
from ponder.errors import BankFileError

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
NAME = "lab__m/samples_sums_2026-05-01T10-00-00.123456.jsonl"


def read(path: Path, **wanted: Any) -> list[Foreign]:
    (found,), _ = gather([path], Wanted(**wanted))
    return [each for task in found.tasks for drawn in task.problems.values() for each in drawn]


def test_a_line_is_read_with_all_that_it_tells(write_lines: Write, row: Make) -> None:
    (found,) = read(write_lines([row()], NAME))
    assert (found.model, found.asked.task, found.asked.id) == ("lab/m", "sums", "0")
    assert (found.asked.text, found.asked.key) == ("Question 0?", "7")
    assert (found.text, found.choice, found.correct) == ("It is 7.", "7", True)
    assert (found.score, found.settings) == ("exact_match,none", {"temperature": 0.8})
    assert found.tokens.completion is None


def test_the_same_problem_in_files_of_two_seeds_has_two_samples(write_lines: Write, row: Make) -> None:
    first = write_lines([row(0), row(1)], NAME)
    second = write_lines([row(0, 0.0, "8"), row(1)], NAME.replace("10-00", "11-00"))
    (found,), _ = gather([first, second])
    assert found.tasks[0].counts == {"problems": 2, "samples": 4, "right": 3, "ungraded": 0, "failed": 0}


def test_of_several_filters_one_must_be_chosen(write_lines: Write, row: Make) -> None:
    rows = [row(filter="strict-match", filtered_resps=["[invalid]"], exact_match=0.0)]
    path = write_lines([*rows, row(filter="flexible-extract")], NAME)
    with pytest.raises(
        BankFileError, match=r"several scores \(exact_match,strict-match, exact_match,flexible"
    ):
        read(path)
    assert [(each.choice, each.correct) for each in read(path, score="flexible-extract")] == [("7", True)]
    assert [each.correct for each in read(path, score="exact_match,strict-match")] == [False]
    with pytest.raises(BankFileError, match="'exact_match' is a part of each"):
        read(path, score="exact_match")


def test_what_a_filter_could_not_read_is_no_choice(write_lines: Write, row: Make) -> None:
    rows = [row(0, 0.0, "[invalid]"), row(1, 0.0, " "), row(2, 0.0, " 8 ")]
    assert [each.choice for each in read(write_lines(rows, NAME))] == [None, None, "8"]


def test_a_chat_is_a_prompt_too(write_lines: Write, row: Make) -> None:
    chat = ['[{"role": "user", "content": "3 + 4?"}]']
    told = row(arguments={"gen_args_0": {"arg_0": chat, "arg_1": {}}}) | {"doc": {"a": 3}}
    assert [each.asked.text for each in read(write_lines([told], NAME))] == chat


def test_likelihoods_of_options_have_a_verdict_and_no_text(write_lines: Write, row: Make) -> None:
    options = [[["-9.1", "False"]], [["-8.2", "False"]]]
    likelihoods = row(resps=options, filtered_resps=[each[0] for each in options], metrics=["acc"], acc=1.0)
    (found,) = read(write_lines([likelihoods], NAME))
    assert (found.text, found.choice, found.correct) == ("", None, True)


def test_metrics_that_are_no_number_are_no_scores(write_lines: Write, row: Make) -> None:
    several = row(metrics=["exact_match", "perplexity"], perplexity=[1.0, 3])
    assert [each.score for each in read(write_lines([several], NAME))] == ["exact_match,none"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"resps": [["7", "8"]]}, "2 replies have one score together"),
        ({"resps": []}, "resps or filtered_resps are missing"),
        ({"resps": [[]]}, "resps has no reply in it"),
        ({"metrics": []}, "none of its metrics is of this sample alone"),
        ({"metrics": ["perplexity"], "perplexity": [1.0, 3]}, "none of its metrics is of this sample alone"),
        ({"arguments": []}, "arguments: not a JSON object"),
        ({"doc_id": None}, "doc_id is missing"),
        ({"metrics": "exact_match"}, "metrics must be a list"),
        ({"exact_match": 0.4}, "neither right"),
    ],
)
def test_lines_of_another_kind_are_refused(
    write_lines: Write, row: Make, changes: dict[str, Any], sentence: str
) -> None:
    path = write_lines([row(), row(1) | changes], NAME)
    with pytest.raises(BankFileError, match=f"123456.jsonl, line 2.*{sentence}"):
        read(path)
