"""`ponder card`."""

from __future__ import annotations

import textwrap
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ponder.cli._output import (
    StatedFile,
    StatedPath,
    cells,
    clean,
    complain,
    console,
    emit,
    json_option,
    ledger_option,
    settings_from,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.govern.card import Card
    from ponder.govern.card.document import Task

_WIDTH = 80
_FLEET = "1000xH100"
_FEWEST_DRAWS, _MOST_DRAWS = 100, 1_000_000  # few tell no interval
_SHOWN = 8  # assumptions; the others are on the page and in the document


@click.command()
@click.argument("source", required=False)
@click.option(
    "--task", "tasks", multiple=True, metavar="TASK", help="Of the source; the first is shown most."
)
@click.option("--chips", default=_FLEET, show_default=True, metavar="NUMBERxCHIP", help="The fleet.")
@click.option("--model", metavar="NAME", help="A published model that is served in this one's place.")
@click.option("--precision", default="bf16", show_default=True, help="Of the served weights: bf16 or fp8.")
@click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="An assumption; may be given again.")
@click.option("--recorded", type=StatedPath(), metavar="FOLDER", help="Where a checkpoint's recordings are.")
@click.option(
    "--on",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The day whose law is asked about; default today.",
)
@click.option(
    "--draws",
    type=click.IntRange(_FEWEST_DRAWS, _MOST_DRAWS),
    default=10_000,
    help="Draws of the assumptions.",
)
@click.option("--out", type=StatedFile(), metavar="PAGE.html", help="Write the page.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the document, and stop.")
@ledger_option
@json_option
def card(
    source: str | None,
    tasks: tuple[str, ...],
    chips: str,
    model: str | None,
    precision: str,
    sets: tuple[str, ...],
    recorded: Path | None,
    on: datetime | None,
    draws: int,
    out: Path | None,
    schema: bool,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Make the compute card of SOURCE: a run on the ledger ("latest": the last measurement), or the folder of
    a checkpoint that was recorded.

    One page about one model: its training stages and their FLOP under every rule, accuracy against inference
    compute with its law, what votes are worth in training compute, what an answer takes at each effort, what
    a fleet could carry, and every assumption.
    """
    from ponder.errors import InputError
    from ponder.govern import card as cards

    if schema:
        emit(cards.schema())
        return
    if source is None:
        raise InputError("source: it is missing; give a run from `ponder runs`, or a checkpoint's folder.")
    day = datetime.now().astimezone().date() if on is None else on.date()
    options = cards.Options(
        fleet=cards.fleet_choice(chips, model=model, precision=precision, sets=sets),
        on=day,
        tasks=tasks,
        recorded=recorded,
        draws=draws,
        tell=complain,
    )
    found = cards.card(source, settings_from(ledger=ledger), options)
    if out is not None:
        from ponder.report.card_page import write_card_page

        write_card_page(found, out)
    if as_json:
        emit(found.model_dump(mode="json"))
        return
    _show(found)
    if out is not None:
        click.echo(f"page: {clean(str(out))}")


# ---------------------------------------------------------------- the terminal


def _show(found: Card) -> None:
    from ponder.report.card_words import forecast, headline, name, shape
    from ponder.report.govern_words import number

    who = found.identity
    _say(f"{name(who)}: {number(who.parameters)} parameters, precision {who.precision or 'unknown'}")
    _say(f"{shape(who)}; weights {who.weights_sha256 or 'unknown'}")
    _say(headline(found), space=True)
    _rules(found)
    _accuracy(found)
    for task in found.tasks:
        for each in task.curves:
            _say(f"{task.task}, {each.strategy}: {forecast(each)}", space=True)
    _gains(found)
    _efforts(found.tasks[0])
    _fleet(found)
    _assumptions(found)
    for note in found.notes:
        _say(note, space=True)


def _say(text: str, *, space: bool = False) -> None:
    click.echo(("\n" if space else "") + textwrap.fill(clean(text), _WIDTH))


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], left: int = 1) -> None:
    """A table whose first `left` columns are texts and the others figures."""
    from rich.table import Table

    click.echo(f"\n{clean(title)}")
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for place, each in enumerate(columns):
        table.add_column(each, justify="left" if place < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*cells(*row))
    console().print(table)


def _rules(found: Card) -> None:
    from ponder.report.card_words import OF_RULES, counted, interval
    from ponder.report.govern_words import number

    stages = [(each.name, interval(each.flop), each.origin) for each in found.training.stages]
    _table("Training, FLOP by operations:", ("stage", "FLOP", "known as"), stages)
    rows = [
        (
            each.short,
            each.standing,
            counted(each),
            "–" if each.line is None else number(each.line.value),
            each.side,
            each.applies,
        )
        for each in found.training.rules
    ]
    _table(f"Under the rules of {found.made.on}:", OF_RULES, rows, left=2)


def _accuracy(found: Card) -> None:
    from ponder.report.card_words import accuracy, curve, last

    rows = []
    for task in found.tasks:
        vote, any_right = curve(task, "vote"), curve(task, "coverage")
        assert any_right is not None
        rows.append(
            (
                task.task,
                f"{task.problems:,}",
                f"{task.draws:,}",
                accuracy(any_right.measured[0].accuracy),
                accuracy(None if vote is None else last(vote).accuracy),
                accuracy(last(any_right).accuracy),
            )
        )
    columns = ("task", "problems", "draws", "one sample", "vote of all", "any right (oracle)")
    _table("Accuracy:", columns, rows)


def _gains(found: Card) -> None:
    from ponder.report.card_words import gain_cell, gain_columns, gain_of, gain_reasons, strategy

    columns, reasons = gain_columns(found), gain_reasons(found)
    if columns:
        rows = [
            (task.task, *("\n".join(gain_cell(gain_of(task, each), reasons)) for each in columns))
            for task in found.tasks
            if task.gains
        ]
        title = "Compute-equivalent gain, times the training compute of plain models:"
        _table(title, ("task", *(strategy(*each) for each in columns)), rows)
    for place, reason in enumerate(reasons, 1):
        _say(f"undefined {place}: {reason}")
    for sentence in dict.fromkeys(each.gains_undefined for each in found.tasks if each.gains_undefined):
        _say(f"Compute-equivalent gain. {sentence}", space=True)


def _efforts(task: Task) -> None:
    from ponder.report.card_words import effort_cells

    if task.efforts_unknown is not None:
        _say(f"Efforts: {task.efforts_unknown}", space=True)
        return
    columns = ("effort", "samples", "tokens out", "FLOP", "right", "USD", "J", "answers/day")
    _table(f"An answer on {task.task}:", columns, [effort_cells(each) for each in task.efforts])
    if any(each.accuracy_by == "foretold" for each in task.efforts):
        click.echo("* foretold by the law")


def _fleet(found: Card) -> None:
    from ponder.report.card_words import interval

    fleet = found.fleet
    if fleet is None:
        _say(f"Fleet: {found.fleet_unknown}", space=True)
        return
    _say(
        f"Fleet: {interval(fleet.chips)} {fleet.title}, {fleet.precision}, serving {fleet.served}: "
        f"{interval(fleet.tokens_a_second)} tokens a second, if it only generates.",
        space=True,
    )


def _assumptions(found: Card) -> None:
    from ponder.report.card_words import interval

    opened = [each for each in found.assumptions if each.origin != "measured"]
    rows = [
        (each.name, interval(each.value), each.unit, each.origin, each.confidence or "–")
        for each in opened[:_SHOWN]
    ]
    columns = ("assumption", "value", "unit", "origin", "confidence")
    _table("Assumptions, those that move an answer's cost most first:", columns, rows, left=5)
    if len(opened) > _SHOWN:
        click.echo(f"... and {len(opened) - _SHOWN} more: --json, --out.")
