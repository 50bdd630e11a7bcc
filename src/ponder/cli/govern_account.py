"""`ponder govern account`."""

from __future__ import annotations

import textwrap
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ponder.cli._output import (
    StatedFile,
    cells,
    clean,
    console,
    emit,
    json_option,
    ledger_option,
    settings_from,
)

if TYPE_CHECKING:
    from datetime import date

    from ponder.govern.accounting import Account, Finding, Lifecycle
    from ponder.govern.assumptions import Assumption

_WIDTH = 80


@click.command()
@click.argument("source")
@click.option("--rule", "names", multiple=True, metavar="ID", help="One rule alone; may be given again.")
@click.option(
    "--on",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The day whose law is asked about, such as 2027-01-31; default today.",
)
@click.option("--of", "models", multiple=True, metavar="MODEL", help="Of a run: these models alone.")
@click.option("--peak", metavar="FLOP/s", help="Of a run: what one of its chips, or cores, does at most.")
@click.option("--utilisation", metavar="SHARE", help="Of a run: of the peak; default that of published runs.")
@click.option("--parameters", type=float, metavar="N", help="For a trainer_state.json that counted no FLOP.")
@click.option("--every", is_flag=True, help="Words on every rule, not on those alone that bind or will.")
@click.option("--out", type=StatedFile(), metavar="PAGE.html", help="Write a page.")
@ledger_option
@json_option
def account(
    source: str,
    names: tuple[str, ...],
    on: datetime | None,
    models: tuple[str, ...],
    peak: str | None,
    utilisation: str | None,
    parameters: float | None,
    every: bool,
    out: Path | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Count a model's training compute under every rule, from SOURCE: a YAML file (see `ponder govern new
    account`), a training run on the ledger ("latest": the last one), a checkpoint's folder, or the
    trainer_state.json of a Hugging Face run.
    """
    from ponder.govern import accounting

    day = datetime.now().astimezone().date() if on is None else on.date()
    store = settings_from(ledger=ledger).ledger
    if _is_run(source):
        lifecycle, assumptions = accounting.read_run(source, store, models, peak, utilisation)
    else:
        _check_of_a_run(of=models, peak=peak, utilisation=utilisation)
        lifecycle, assumptions = _read(source, store, parameters)
    found = accounting.account(lifecycle, accounting.chosen(names), on=day)
    if out is not None:
        from ponder.report.account_page import write_account_page

        write_account_page(found, assumptions, out)
    if as_json:
        emit(accounting.to_json(found, assumptions) | ({"page": str(out)} if out else {}))
        return
    _show(found, assumptions, every=every or bool(names))
    if out is not None:
        click.echo(f"page: {clean(str(out))}")


def _is_run(source: str) -> bool:
    path = Path(source)
    return not (path.suffix in (".yaml", ".yml", ".json") or "/" in source or path.exists())


def _check_of_a_run(**given: object) -> None:
    from ponder.errors import InputError

    for name, value in given.items():
        if value:
            raise InputError(f"{name}: it belongs to a run on the ledger; leave it out.")


def _read(source: str, ledger: str, parameters: float | None) -> tuple[Lifecycle, tuple[Assumption, ...]]:
    from ponder.errors import InputError
    from ponder.govern import accounting

    path = Path(source)
    if parameters is not None and path.suffix != ".json":
        raise InputError("parameters: it belongs to a trainer_state.json; leave it out.")
    if path.is_dir():
        return accounting.from_checkpoint(path), ()
    if path.suffix == ".json":
        stage = accounting.from_trainer_state(path, parameters=parameters)
        return accounting.Lifecycle(stage.name, (stage,)), ()
    return accounting.read_lifecycle(path, ledger=ledger)


def example() -> str:
    """A commented lifecycle, as `ponder govern new account` writes it."""
    from ponder.govern.accounting import EXAMPLE

    return EXAMPLE.read_text("utf-8")


def _show(found: Account, assumptions: tuple[Assumption, ...], *, every: bool) -> None:
    from ponder.cli._govern_words import show_assumptions
    from ponder.govern.accounting.document import notes, rule_words

    click.echo(clean(f"{found.lifecycle.model}, counted by the law of {found.on}:"))
    _table(found)
    told = [rule_words(found, each) for each in found.findings if every or _concerns(each, found.on)]
    for paragraph in (*told, *notes(found)):
        click.echo()
        click.echo(textwrap.fill(clean(paragraph), _WIDTH))
    if not every:
        click.echo("\nWords on the other rules: --every. One rule alone: --rule ID, as --json names it.")
    if assumptions:
        show_assumptions(assumptions)


_LEGEND = (
    "applies, the rule's conditions taken in: yes; no; open: a condition is not told; would, might: the same "
    "of a rule that does not bind."
)


def _concerns(finding: Finding, on: date) -> bool:
    """Whether a rule binds on the day, or will."""
    later = finding.rule.coming(on)
    return finding.rule.binds(on) or (later is not None and finding.rule.binds(later.date))


def _table(found: Account) -> None:
    from rich.table import Table

    from ponder.govern.accounting.words import applies, counted, scientific

    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in ("rule", "standing", "FLOP counted", "line", "side", "applies"):
        table.add_column(name, justify="right" if name in ("FLOP counted", "line") else "left")
    for each in found.findings:
        unit = " USD" if each.rule.measure == "usd" else ""
        line = "–" if each.side == "not asked" else scientific(each.line.value) + unit
        table.add_row(*cells(each.rule.short, each.standing, counted(each), line, each.side, applies(each)))
    console().print(table)
    click.echo(textwrap.fill(_LEGEND, _WIDTH))
