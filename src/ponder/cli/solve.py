"""`ponder solve`."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponder.cli._output import (
    cells,
    clean,
    complain,
    console,
    emit,
    quantity,
    room_hint,
    sampling_options,
    settings_from,
)

if TYPE_CHECKING:
    from ponder.core import Usage
    from ponder.solve.many import Batch
    from ponder.tasks import ProblemSet


@click.command()
@click.argument("source", metavar="FILE.jsonl|-|TASK")
@click.option(
    "--budget", required=True, metavar="AMOUNT", help="For all together: 200000tok, 500samples, 60s, ..."
)
@click.option(
    "--samples",
    type=click.IntRange(1, 100_000),
    help="Samples a question at most; default 64, or the strategy's.",
)
@click.option("--strategy", help="Run this on each question instead: see `ponder strategies`.")
@click.option("--problems", type=int, help="Questions to take; default all of a file.")
@click.option("--run", help="Name of the run; default: from the configuration.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the answers as JSONL.")
@sampling_options
def solve(
    source: str,
    budget: str,
    samples: int | None,
    strategy: str | None,
    problems: int | None,
    max_tokens: int | None,
    temperature: float | None,
    seed: int | None,
    run: str | None,
    output: Path | None,
    model: str | None,
    roles: dict[str, str] | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Answer a batch of questions inside one budget, spent where it is expected to pay.

    A file, or standard input (-), has one {"question": ...} a line, with an "id" and an "answer" if you like;
    answers are only compared with afterwards. A rerun of the same command continues an interrupted run and
    buys nothing twice.
    """
    from ponder.api import solve_many
    from ponder.errors import InputError
    from ponder.tasks import load_questions

    if output is not None and not output.absolute().parent.is_dir():
        raise InputError(f"output: the folder {output.absolute().parent} is not there; make it first.")
    settings = settings_from(
        model=model, ledger=ledger, temperature=temperature, seed=seed, problems=problems
    )
    asked = load_questions(source, problems=problems, usual=settings.problems, seed=settings.seed)
    for note in asked.notes:
        complain(note)
    batch = solve_many(
        asked.questions,
        budget=budget,
        n=samples,
        strategy=strategy,
        roles=roles,
        settings=settings,
        max_tokens=max_tokens,
        run=run,
        watch=(lambda done, usage: None) if as_json else _lines(len(asked.questions)),
    )
    score = None if asked.keyed is None else _graded(batch, asked.keyed)
    if output is not None:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(batch))
        output.write_text("".join(lines), "utf-8", errors="backslashreplace")
    if as_json:
        emit(_document(batch, score))
        return
    _print(batch, score, stated=strategy is not None, shown=output is None, capped=max_tokens is not None)


# ---------------------------------------------------------------- what came of it


@dataclass(frozen=True, slots=True)
class _Score:
    """How many of the questions with a key were graded right, by the task's grader."""

    right: int
    keyed: int

    @property
    def accuracy(self) -> float:
        return self.right / self.keyed


def _graded(batch: Batch, keyed: ProblemSet) -> _Score:
    from contextlib import closing

    from ponder.verifiers import grader

    choices = {solution.question.id: solution.answer.choice for solution in batch.solutions}
    right = 0
    with closing(grader(keyed.grader)) as judge:
        for problem in keyed.problems:
            choice = choices[problem.question.id]
            if choice is not None:
                right += judge.grade(problem.question, problem.key, choice, problem.handle) is True
    return _Score(right, len(keyed.problems))


def _rows(batch: Batch) -> list[dict[str, Any]]:
    errors = {name: str(error) for name, error in batch.errors.items()}
    return [
        {
            "id": solution.question.id.removeprefix(f"{solution.question.task}/"),
            "question": solution.question.text,
            "answer": solution.answer.choice,
            "agreement": solution.answer.agreement,
            "samples": len(solution.samples),
            "tokens": solution.usage.tokens,
            "ending": ending,
            "error": errors.get(solution.question.id),
        }
        for solution, ending in zip(batch.solutions, batch.endings, strict=True)
    ]


def _spread(batch: Batch) -> dict[str, float]:
    drawn = [len(solution.samples) for solution in batch.solutions]
    return {"min": min(drawn), "median": statistics.median(drawn), "max": max(drawn)}


def _document(batch: Batch, score: _Score | None) -> dict[str, Any]:
    return {
        "run": batch.run,
        "answers": _rows(batch),
        "correct": None if score is None else score.right,
        "graded": 0 if score is None else score.keyed,
        "accuracy": None if score is None else score.accuracy,
        "samples": _spread(batch),
        "endings": dict(Counter(batch.endings)),
        "usage": batch.usage.to_json(),
        "seconds": batch.seconds,
        "stopped_by": batch.stopped_by,
    }


def _print(batch: Batch, score: _Score | None, *, stated: bool, shown: bool, capped: bool) -> None:
    """`stated`: a strategy was; `shown`: the answers are, too; `capped`: --max-tokens was stated."""
    from rich.table import Table

    if shown:
        answers = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("question", "answer", "agree", "samples", "ending"):
            answers.add_column(name, no_wrap=name != "question", overflow="fold")
        for solution, ending in zip(batch.solutions, batch.endings, strict=True):
            answer = solution.answer
            agreement = "–" if answer.agreement is None else f"{answer.agreement:.0%}"
            told = "no answer" if answer.choice is None else answer.choice
            question = solution.question.id
            answers.add_row(*cells(question, told, agreement, len(solution.samples), ending))
        console().print(answers)
    for name, value in _summary(batch, score, _stop(batch, stated, capped)):
        click.echo(f"{name:<11}{clean(value)}")
    for name, error in list(batch.errors.items())[:1]:
        complain(
            f"{len(batch.errors)} of {len(batch.solutions)} questions failed; {name} said: {error} "
            "Run the same command again to retry them."
        )


def _summary(batch: Batch, score: _Score | None, stop: str) -> list[tuple[str, str]]:
    total, usage, spread = len(batch.solutions), batch.usage, _spread(batch)
    answered = sum(solution.answer.choice is not None for solution in batch.solutions)
    endings = Counter(batch.endings)
    tokens = "unknown" if usage.tokens is None else f"{usage.tokens:,}"
    rows = [
        ("questions", f"{total:,}: {answered:,} answered, {total - answered:,} without an answer"),
        ("left as", ", ".join(f"{count:,} {name}" for name, count in endings.most_common())),
        (
            "samples",
            f"{usage.samples:,}; a question {spread['min']:,} at least, {spread['median']:g} in the median, "
            f"{spread['max']:,} at most",
        ),
        ("spent", f"{tokens} tokens, {quantity(usage.flop, 'FLOP')}, {batch.seconds:.1f} s"),
        ("stopped by", stop),
        ("run", batch.run or "–"),
    ]
    if score is not None:
        some = "" if score.keyed == total else " with an answer to compare with"
        told = f"{score.right:,} of {score.keyed:,}{some} ({score.accuracy:.1%})"
        rows.insert(1, ("correct", told))
    return rows


def _stop(batch: Batch, stated: bool, capped: bool) -> str:
    if batch.stopped_by == "seconds":
        return "seconds; the same command goes on from here, and its answers are not final until then"
    if batch.stopped_by is not None:
        return batch.stopped_by + ("" if capped else room_hint(batch.stopped_by))
    if stated:
        return "nothing: the strategy came to its end"
    if "complete" in batch.endings:
        return "nothing: no further sample was worth its cost, or was allowed by --samples"
    return "nothing: no further sample was worth its cost"


def _lines(total: int) -> Callable[[int, Usage], None]:
    """A line on standard error at each tenth of the questions."""
    shown = [0]

    def watch(done: int, usage: Usage) -> None:
        tenth = 10 * done // max(1, total)
        if tenth > shown[0]:
            shown[0] = tenth
            complain(f"{done:,} of {total:,} questions done, {usage.samples:,} samples.")

    return watch
