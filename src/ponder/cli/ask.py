"""`ponder ask`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ponder.cli._output import (
    clean,
    emit,
    json_option,
    ledger_option,
    model_option,
    quantity,
    role_option,
    settings_from,
    text_argument,
)

if TYPE_CHECKING:
    from ponder.core import Sample


@click.command()
@click.argument("question")
@click.option("--strategy", help="How to spend (vote unless stated): see `ponder strategies`.")
@click.option("--effort", help="none, minimal, low, medium, high, xhigh or max: see `ponder config`.")
@click.option("--budget", metavar="AMOUNT", help="A hard ceiling: 2000tok, 16samples, 1e12flop, 30s, $0.01.")
@click.option("--samples", type=click.IntRange(1, 100_000), help="The strategy's n, if it has one.")
@click.option("--max-tokens", type=click.IntRange(1, 1_000_000), help="Generated tokens a sample at most.")
@click.option("--temperature", type=float, help="Sampling temperature; 0 is greedy.")
@click.option("--seed", type=int, help="Seed of the samples.")
@click.option("--show", is_flag=True, help="Also print the text behind the answer.")
@model_option
@role_option
@ledger_option
@json_option
def ask(
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
    """Answer QUESTION ("-" reads it from standard input), and say what the answer cost."""
    from ponder.api import ask as answer_it

    solution = answer_it(
        text_argument(question),
        strategy=strategy,
        effort=effort,
        budget=budget,
        samples=samples,
        max_tokens=max_tokens,
        settings=settings_from(model=model, roles=roles, ledger=ledger, temperature=temperature, seed=seed),
    )
    answer, usage = solution.answer, solution.usage
    if as_json:
        emit(
            {
                "answer": answer.choice,
                "text": answer.text,
                "agreement": answer.agreement,
                "samples": len(solution.samples),
                "usage": usage.to_json(),
                "seconds": solution.seconds,
                "stopped_by": solution.stopped_by,
            }
        )
        return
    if answer.choice is None:
        click.echo(_no_answer(solution.samples))
    else:
        click.echo(clean(answer.choice))
    if show and answer.text:
        click.echo(clean(answer.text))
    drawn = len(solution.samples)
    agreement = "" if answer.agreement is None or drawn < 2 else f"{answer.agreement:.0%} agree · "
    tokens = "unknown" if usage.tokens is None else f"{usage.tokens:,}"
    click.echo(
        f"{agreement}{drawn} {'sample' if drawn == 1 else 'samples'} · {tokens} tokens · "
        f"{'unknown FLOP' if usage.flop is None else quantity(usage.flop, 'FLOP')} · "
        f"{solution.seconds:.1f} s",
        err=True,
    )
    if solution.stopped_by is not None:
        within = f"the budget of {budget}" if budget else "the effort's budget"
        limit = within if solution.stopped_by != "overrun" else "a call over its bound"
        hint = ""
        if solution.stopped_by in ("tokens", "flop", "usd") and max_tokens is None:
            hint = " Room is kept for the longest sample: a lower --max-tokens lets more of them fit."
        click.echo(f"Stopped early by {limit} ({solution.stopped_by}).{hint}", err=True)


def _no_answer(samples: Sequence[Sample]) -> str:
    if not samples:
        return "No answer: nothing was sampled."
    if all(sample.choice is None for sample in samples):
        return "No answer: no sample had one that could be read."
    return "No answer: the strategy abstained (nothing could be scored)."
