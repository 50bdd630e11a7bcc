"""`ponder bank`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from ponder.errors import InputError

if TYPE_CHECKING:
    from ponder.bank import Stored


@click.group()
def bank() -> None:
    """Import other people's samples, or export a run's as a table."""


@bank.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--score", metavar="NAME", help="The score that says which samples are right; default the only one."
)
@click.option(
    "--right-at",
    type=float,
    metavar="VALUE",
    help="From which value of the score on a sample is right; default 1 is right, 0 is wrong.",
)
@click.option("--model", metavar="NAME", help="What drew the samples, in place of what the files say.")
@click.option("--run", metavar="NAME", help="Name of the run; default from the files.")
@ledger_option
@json_option
def import_files(
    files: tuple[Path, ...],
    score: str | None,
    right_at: float | None,
    model: str | None,
    run: str | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Keep the samples of FILES as a run for each model: Inspect's logs (.eval, .json), sample files of
    lm-eval (samples_*.jsonl), or JSON lines of your own.

    The epochs or repeats of a question become samples of one problem. The same import adds nothing twice.
    """
    from ponder.bank import Wanted, gather, store
    from ponder.ledger import Ledger

    settings = settings_from(ledger=ledger)
    gathered, notes = gather(files, Wanted(score, right_at, model))
    if run is not None and len(gathered) > 1:
        names = ", ".join(each.model or "one without a name" for each in gathered)
        raise InputError(f"run: the files hold samples of several models ({names}); leave --run out.")
    with Ledger.open(settings.ledger, write=True) as found:
        stored = [store(found, each, run=run, settings=settings) for each in gathered]
    if as_json:
        emit({"runs": [_document(each) for each in stored], "notes": notes})
        return
    for each in stored:
        _print(each)
    for note in notes:
        click.echo(clean(note))


def _document(stored: Stored) -> dict[str, Any]:
    tasks = [{name: each[name] for name in each if name != "content"} for each in stored.config["tasks"]]
    return {"run": stored.run, "model": stored.config["model"], "added": stored.samples, "tasks": tasks}


def _print(stored: Stored) -> None:
    from rich.table import Table

    how = f"{stored.samples:,} samples added" if stored.samples else "already there, nothing added"
    click.echo(clean(f"{stored.run}: {stored.config['model'] or 'an unnamed model'}, {how}."))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("task", "problems", "samples", "right", "without a score", "failed", "score"):
        table.add_column(name, justify="left" if name in ("task", "score") else "right", overflow="fold")
    for task in stored.config["tasks"]:
        counts = [f"{task[name]:,}" for name in ("problems", "samples", "right", "ungraded", "failed")]
        table.add_row(*cells(task["task"], *counts, ", ".join(task["scores"]) or "–"))
    console().print(table)


@bank.command("export")
@click.argument("run")
@click.option(
    "--to",
    "target",
    required=True,
    type=StatedFile(),
    help="A file that ends in .parquet, .csv or .jsonl.",
)
@click.option("--task", "tasks", multiple=True, help="A task of the run; default all.")
@click.option("--no-texts", is_flag=True, help="Leave questions, keys and replies out.")
@ledger_option
@json_option
def export_run(
    run: str, target: Path, tasks: tuple[str, ...], no_texts: bool, ledger: str | None, as_json: bool
) -> None:
    """Write the samples of RUN ("latest": the last finished measurement) as a table, a row a sample.

    Parquet needs the extra "bank". What is written as .jsonl can be imported again.
    """
    from ponder.bank import export, scan
    from ponder.ledger import Ledger
    from ponder.measure import run_id

    with Ledger.open(settings_from(ledger=ledger).ledger, write=False) as found:
        run = run_id(found, run)
        written = export(scan(found, run, tasks), target, texts=not no_texts)
    if as_json:
        emit({"run": run, "file": str(target), "rows": written})
    else:
        click.echo(clean(f"{target}: {written:,} rows of {run}."))
