"""`ponder ledger`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponder.cli._output import StatedFile, StatedPath, clean, emit, json_option, ledger_option, settings_from
from ponder.errors import InputError, LedgerLocked

if TYPE_CHECKING:
    from ponder.ledger import Erasure

_DAY = 86400.0


@click.group()
def ledger() -> None:
    """Verify the ledger, export a checkpoint of it, or take texts out of it."""


@ledger.command("verify")
@click.option(
    "--checkpoint",
    "checkpoint_file",
    metavar="FILE",
    help='An earlier checkpoint to hold it against ("-": stdin).',
)
@click.option("--public", type=StatedPath(), metavar="FILE", help="Whose signature the checkpoint must have.")
@ledger_option
@json_option
@click.pass_context
def verify_ledger(
    ctx: click.Context, checkpoint_file: str | None, public: Path | None, ledger: str | None, as_json: bool
) -> None:
    """Check every row and every link of the hash chain; name the first bad row. Exit code 2 if one is.

    Tells how many texts are gone, and by whose order.
    """
    from ponder.ledger import shown, verify
    from ponder.ledger.signing import check_signature

    settings = settings_from(ledger=ledger)
    known = None if checkpoint_file is None else _read(checkpoint_file)
    signer = None
    if public is not None:
        if known is None:
            raise InputError("public: there is no checkpoint to check; give --checkpoint too.")
        signer = check_signature(known, public)
    verdict = verify(settings.ledger, checkpoint=known)
    if as_json:
        emit(
            {
                "ok": verdict.ok,
                "entries": verdict.entries,
                "head": verdict.head,
                "first_bad": verdict.first_bad,
                "erasures": [_erasure(each) for each in verdict.erasures],
                "signed_by": signer,
                "ledger": shown(settings.ledger),
            }
        )
    elif verdict.ok:
        click.echo(f"The ledger is whole: {verdict.entries:,} entries, head {verdict.head}.")
        for each in verdict.erasures:
            click.echo(_told(each))
        if signer is not None:
            click.echo(f"The checkpoint is signed by the key {signer}.")
    else:
        click.echo(f"The ledger is not as it was written: {verdict.first_bad}", err=True)
    if not verdict.ok:
        ctx.exit(2)


def _erasure(each: Erasure) -> dict[str, Any]:
    return {"at": each.at, "by": each.by, "reason": each.reason, "runs": each.runs, "texts": each.texts}


def _told(each: Erasure) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime(each.at))
    runs = each.runs[0] if len(each.runs) == 1 else f"{len(each.runs):,} runs"
    return (
        f"Erased by {clean(each.by)} on {day}: {each.texts:,} texts of {clean(runs)} ({clean(each.reason)})."
    )


def _read(name: str) -> dict[str, object]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
        value = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"checkpoint: {name} cannot be read ({error}); give what `checkpoint` wrote."
        ) from None
    if not isinstance(value, dict):
        raise InputError(f"checkpoint: {name} is not a checkpoint; give what `checkpoint` wrote.")
    return value


@ledger.command()
@click.option("--to", "target", type=StatedFile(), help="File; default standard output.")
@click.option("--sign", "key", type=StatedPath(), metavar="KEY", help="A private key of `ponder ledger key`.")
@ledger_option
@json_option
def checkpoint(target: Path | None, key: Path | None, ledger: str | None, as_json: bool) -> None:
    """Export size, head hash and time as JSON, to hold the ledger against later (a cut or rewrite shows)."""
    from ponder.ledger import checkpoint as take
    from ponder.ledger.signing import sign

    document = take(settings_from(ledger=ledger).ledger)
    if key is not None:
        document = sign(document, key)
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


@ledger.command("key")
@click.argument("path", type=StatedPath(), metavar="FILE")
@json_option
def make_key(path: Path, as_json: bool) -> None:
    """Make a key to sign checkpoints with: FILE is yours alone, FILE.pub is for those who verify."""
    from ponder.ledger.signing import new_key

    public = new_key(path)
    if as_json:
        emit({"key": str(path), "public": str(public)})
    else:
        click.echo(f"key: {path}, for you alone\npublic: {public}, for those who verify")


@ledger.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Requests of `ponder serve` that began so many days ago.",
)
@click.option("--by", required=True, metavar="NAME", help="Who gives the order.")
@click.option("--reason", required=True, metavar="WORDS", help="Why.")
@ledger_option
@json_option
def erase(
    runs: tuple[str, ...],
    older_than: float | None,
    by: str,
    reason: str,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Take the texts of runs out of the ledger: questions, samples, thoughts, answers.

    Hashes and figures stay, and so does the chain; the order stands on it. A server's request is the run
    "serve-" and its id without "chatcmpl-" or "resp_". There is no way back.
    """
    from ponder.ledger import Ledger

    if bool(runs) == (older_than is not None):
        raise InputError("run: name the runs, or give --older-than, and not both.")
    try:
        opened = Ledger.open(settings_from(ledger=ledger).ledger, write=True)
    except LedgerLocked as error:
        raise LedgerLocked(
            f"{error} If that is `ponder serve`, it erases a request itself, on its page /erase or by "
            "POST /v1/operator/erasures."
        ) from None
    with opened as store:
        named = list(runs) if older_than is None else store.old_requests(time.time() - _DAY * older_than)
        done = store.erase(named, by=by, reason=reason)
    if as_json:
        emit({"erasure": None if done is None else _erasure(done)})
    else:
        click.echo("There was nothing left to erase." if done is None else _told(done))
