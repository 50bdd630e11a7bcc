"""`ponder law compute`: score against log compute for each strategy, and where each leads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponder.cli._law_options import draws_option, out_option
from ponder.cli._output import emit, json_option, ledger_option, quantity
from ponder.cli._terminal import percent, say, show_table, written

if TYPE_CHECKING:
    from ponder.laws.spending import SpendingStudy, StrategyLaw
    from ponder.measure.intervals import Estimate

__all__ = ["compute", "task_option"]

task_option = click.option("--task", "tasks", multiple=True, help="A task of a run; default all.")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@task_option
@click.option("--unit", type=click.Choice(["FLOP", "tokens", "samples"], case_sensitive=False),
              help="Default: the first of FLOP, tokens, samples that all strategies have.")  # fmt: skip
@draws_option
@out_option
@ledger_option
@json_option
def compute(
    runs: tuple[str, ...],
    tasks: tuple[str, ...],
    unit: Any,
    draws: int,
    out: Path | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Fit each strategy's score against log compute, and say where each strategy leads.

    RUN is a finished run on the ledger, measured or imported ("latest": the last one), with all its
    strategies; or a recording's file, with a vote, coverage and one chain that is cut off. Several are put
    together. The law is a sigmoid between a floor and a ceiling. Coverage needs the key: it never leads.
    """
    from ponder.laws.sources import ways_of
    from ponder.laws.spending import by_task, study_spending

    ways = ways_of(runs, ledger, tasks, unit=unit)
    studies = [study_spending(each, draws=draws) for each in by_task(ways).values()]
    files: list[Path] = []
    if out is not None:
        from ponder.report.law_files import write_picture

        files = write_picture(studies, out)
    if as_json:
        emit([study.to_json() for study in studies])
        return
    for study in studies:
        _show(study)
    written(files)


def _show(study: SpendingStudy) -> None:
    from ponder.report.law_parts import short_names

    whole = [each.way.name for each in study.strategies]
    short, shared = short_names(whole)
    names = dict(zip(whole, short, strict=True))
    say(
        f"{study.task}: score against {study.unit} per problem, a sigmoid of its logarithm."
        + (f" Names are without what all share, {shared}." if shared else "")
    )
    click.echo()
    known = [each for each in study.strategies if each.fit is not None]
    if known:
        heads = ("strategy", "floor, %", "ceiling, %", f"half-way at, {study.unit}", "off", "is a")
        show_table(heads, [_row(each, names[each.way.name]) for each in known], left=(0, 5))
        say(
            "Half-way: where half of what lies between floor and ceiling is gained. Off: points by which the "
            "upper quarter of the budgets, held back, is missed. * needs the key: a bound. Without an "
            "interval: at its bound in every refit."
        )
    reasons = Counter(each.undefined for each in study.strategies if each.fit is None)
    for reason in reasons:
        of = ", ".join(names[each.way.name] for each in study.strategies if each.undefined == reason)
        say(f"No law of {of}: {reason}")
    click.echo()
    _show_leads(study, names)


def _row(each: StrategyLaw, name: str) -> tuple[str, ...]:
    assert each.fit is not None
    told = each.fit.parameters
    return (
        name + ("*" if each.way.oracle else ""),
        percent(told["floor"], short=True),
        percent(told["ceiling"], short=True),
        _power(told["middle"]),
        "–" if each.ahead is None else f"{100 * each.ahead.error:.1f}",
        each.word,
    )


def _power(told: Estimate) -> str:
    """Of a logarithm, to two digits: 2.1M [1.5M, 3.2M]."""
    value, low, high = map(_amount, (told.value, told.low, told.high))
    return f"{value} [{low}, {high}]"


def _amount(decades: float) -> str:
    """A flat curve has its middle anywhere, and far away there is nothing to be told of the place."""
    if abs(decades) > _FAR:
        return "∞" if decades > 0.0 else "0"
    return quantity(float(f"{10.0**decades:.2g}"))


_FAR = 30.0  # decades


def _show_leads(study: SpendingStudy, names: Mapping[str, str]) -> None:
    if study.envelope is None:
        say("No strategy without a key was measured, so none leads.")
        return
    level = f"{study.envelope.level:.0%}"
    show_table(
        (f"{study.unit} from", "to", "leads", f"in {level} of the refits"),
        [
            (
                quantity(each.first),
                quantity(each.last),
                names[each.name],
                "–" if each.sure is None else " to ".join(quantity(end) for end in each.sure),
            )
            for each in study.envelope.leads
        ],
        left=(2,),
    )
    click.echo()
