"""`ponder train import`."""

from __future__ import annotations

from pathlib import Path

import click

from ponder.cli._output import StatedPath, clean, emit, json_option, ledger_option, quantity, settings_from


@click.command("import")
@click.argument("file", type=StatedPath())
@click.option(
    "--parameters",
    type=float,
    metavar="N",
    help="Weights of the model without its embedding, such as 1.06e8, for what total_flos does not tell.",
)
@click.option("--model", metavar="NAME", help="What was trained; default the name of the file's folder.")
@click.option("--run", metavar="NAME", help="The training run to book it in; default one of its own.")
@ledger_option
@json_option
def import_run(
    file: Path,
    parameters: float | None,
    model: str | None,
    run: str | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Book a Hugging Face run as a training stage, from FILE, the trainer_state.json that its Trainer wrote.

    The same file is not booked twice in one run.
    """
    from ponder.ledger import Ledger
    from ponder.train.imported import book, read_trainer_state

    imported = read_trainer_state(file, parameters=parameters, model=model)
    with Ledger.open(settings_from(ledger=ledger).ledger, write=True) as store:
        row, new = book(store, imported, run=run)
    if as_json:
        emit(
            {
                "run": row.run_id,
                "booked": new,
                "model": row.model,
                "flop": row.flop,
                "flop_method": row.flop_method,
                "tokens": row.tokens,
                "padded_tokens": row.padded_tokens,
                "seconds": row.seconds,
                "caveat": row.detail["caveat"],
            }
        )
        return
    how = f" ({row.flop_method})" if row.flop_method else ""
    what = f"{quantity(row.flop)} FLOP{how}, {quantity(row.tokens)} tokens"
    click.echo(clean(f"{'booked' if new else 'already booked'} in {row.run_id}: {row.model}, {what}."))
    click.echo(clean(str(row.detail["caveat"])))
