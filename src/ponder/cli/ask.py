"""`ponder ask`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ponder.cli._output import (
    clean,
    complain,
    emit,
    quantity,
    room_hint,
    sampling_options,
    settings_from,
    text_argument,
)

if TYPE_CHECKING:
    from ponder.core import Sample
    from ponder.solve import Solution

NO_ANSWER = 3
"""The exit code of a question that was asked and has no answer, so that a script cannot take it for one."""


@click.command()
@click.argument("question")
@click.option("--strategy", help="How to spend (vote unless stated): see `ponder strategies`.")
@click.option("--effort", help="none, minimal, low, medium, high, xhigh or max: see `ponder config`.")
@click.option("--budget", metavar="AMOUNT", help="A hard ceiling: 2000tok, 16samples, 1e12flop, 30s, $0.01.")
@click.option("--samples", type=click.IntRange(1, 100_000), help="The strategy's n, if it has one.")
@click.option("--show", is_flag=True, help="Also print the text behind the answer.")
@sampling_options
@click.pass_context
def ask(
    context: click.Context,
    question: str,
    strategy: str | None,
    effort: str | None,
    budget: str | None,
    samples: int | None,
    max_tokens: int | None,
    temperature: float | None,
    seed: int | None,
    show: bool,
    model: str | None,
    roles: dict[str, str] | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Answer QUESTION ("-" reads it from standard input), and say what the answer cost. Exit code 3 if there
    is none."""
    from ponder.api import ask as answer_it

    solution = answer_it(
        text_argument(question),
        strategy=strategy,
        effort=effort,
        budget=budget,
        samples=samples,
        max_tokens=max_tokens,
        roles=roles,
        settings=settings_from(model=model, ledger=ledger, temperature=temperature, seed=seed),
    )
    if as_json:
        emit(_document(solution))
    else:
        _print(solution, show=show, budget=budget, capped=max_tokens is not None)
    if solution.answer.choice is None:
        context.exit(NO_ANSWER)


def _print(solution: Solution, *, show: bool, budget: str | None, capped: bool) -> None:
    """The answer on standard output, and all about it on standard error."""
    answer = solution.answer
    if answer.choice is None:
        complain(_no_answer(solution.samples))
    else:
        click.echo(clean(answer.choice))
    if show and answer.text:
        click.echo(clean(answer.text))
    click.echo(_cost(solution), err=True)
    if solution.stopped_by is not None:
        click.echo(_ending(solution.stopped_by, budget, capped=capped), err=True)


def _document(solution: Solution) -> dict[str, Any]:
    answer = solution.answer
    return {
        "answer": answer.choice,
        "text": answer.text,
        "agreement": answer.agreement,
        "samples": len(solution.samples),
        "usage": solution.usage.to_json(),
        "seconds": solution.seconds,
        "stopped_by": solution.stopped_by,
    }


def _cost(solution: Solution) -> str:
    """What the answer took, in a line."""
    drawn, usage, agreement = len(solution.samples), solution.usage, solution.answer.agreement
    agree = "" if agreement is None or drawn < 2 else f"{agreement:.0%} agree · "
    tokens = "unknown" if usage.tokens is None else f"{usage.tokens:,}"
    flop = "unknown FLOP" if usage.flop is None else quantity(usage.flop, "FLOP")
    samples = "sample" if drawn == 1 else "samples"
    return f"{agree}{drawn} {samples} · {tokens} tokens · {flop} · {solution.seconds:.1f} s"


def _ending(stopped_by: str, budget: str | None, *, capped: bool) -> str:
    """What ended the work early, and what could be done."""
    within = f"the budget of {budget}" if budget else "the effort's budget"
    limit = within if stopped_by != "overrun" else "a call over its bound"
    hint = "" if capped else room_hint(stopped_by)
    return f"Stopped early by {limit} ({stopped_by}{hint})."


def _no_answer(samples: Sequence[Sample]) -> str:
    if not samples:
        return "No answer: nothing was sampled."
    if all(sample.choice is None for sample in samples):
        return "No answer: no sample had one that could be read."
    return "No answer: the strategy abstained (nothing could be scored)."
