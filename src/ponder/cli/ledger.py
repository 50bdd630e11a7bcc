"""`ponder ledger`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from ponder.cli._output import emit, json_option, ledger_option, settings_from
from ponder.errors import InputError


@click.group()
def ledger() -> None:
    """Verify the ledger, or export a checkpoint of it."""


@ledger.command("verify")
@click.option(
    "--checkpoint",
    "checkpoint_file",
    metavar="FILE",
    help='An earlier checkpoint to hold it against ("-": stdin).',
)
@ledger_option
@json_option
@click.pass_context
def verify_ledger(ctx: click.Context, checkpoint_file: str | None, ledger: str | None, as_json: bool) -> None:
    """Check every row and every link of the hash chain; name the first bad row. Exit code 2 if one is."""
    from ponder.ledger import verify

    settings = settings_from(ledger=ledger)
    known = None if checkpoint_file is None else _read(checkpoint_file)
    verdict = verify(settings.ledger, checkpoint=known)
    if as_json:
        emit(
            {
                "ok": verdict.ok,
                "entries": verdict.entries,
                "head": verdict.head,
                "first_bad": verdict.first_bad,
                "ledger": settings.ledger,
            }
        )
    elif verdict.ok:
        click.echo(f"The ledger is whole: {verdict.entries:,} entries, head {verdict.head}.")
    else:
        click.echo(f"The ledger is not as it was written: {verdict.first_bad}", err=True)
    if not verdict.ok:
        ctx.exit(2)


def _read(name: str) -> dict[str, object]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
        value = json.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(
            f"checkpoint: {name} cannot be read ({error}); give what `checkpoint` wrote."
        ) from None
    if not isinstance(value, dict):
        raise InputError(f"checkpoint: {name} is not a checkpoint; give what `checkpoint` wrote.")
    return value


@ledger.command()
@click.option("--to", "target", type=click.Path(path_type=Path), help="File; default standard output.")
@ledger_option
@json_option
def checkpoint(target: Path | None, ledger: str | None, as_json: bool) -> None:
    """Export size, head hash and time as JSON, to hold the ledger against later (a cut or rewrite shows)."""
    from ponder.ledger import checkpoint as take

    document = take(settings_from(ledger=ledger).ledger)
    if target is None:
        emit(document)
        return
    try:
        target.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise InputError(f"to: {target} cannot be written ({error.strerror}); choose another file.") from None
    if as_json:
        emit({"checkpoint": str(target)})
    else:
        click.echo(f"checkpoint: {target}")
