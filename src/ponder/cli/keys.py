"""`ponder keys`."""

from __future__ import annotations

from pathlib import Path

import click

from ponder.cli._output import StatedPath, cells, console, emit, json_option

_declare_option = click.option(
    "--declare",
    "declared",
    multiple=True,
    metavar="FACTOR=VALUE",
    help="What the customer says of the use, for example voice=yes: see `ponder serve rules`.",
)
_file_option = click.option(
    "--keys",
    "path",
    type=StatedPath(),
    default=Path("keys.toml"),
    show_default=True,
    metavar="FILE",
    help="The file of keys.",
)


@click.group()
def keys() -> None:
    """Make, list and revoke the keys of `ponder serve`."""


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["user", "auditor", "operator"]), default="user", show_default=True)
@click.option(
    "--budget",
    default="",
    metavar="LIMITS",
    help="For example 1e15flop/day,60requests/minute: all of them hold.",
)
@click.option("--concurrency", type=click.IntRange(1, 100_000), help="Requests in flight at most.")
@_declare_option
@_file_option
@json_option
def add(
    name: str,
    role: str,
    budget: str,
    concurrency: int | None,
    declared: tuple[str, ...],
    path: Path,
    as_json: bool,
) -> None:
    """Make a key for NAME and print it, once: the file holds only its hash.

    A user gets answers and summaries, an auditor reads every trace, an operator sees limits and metrics. A
    server that runs takes the key from its next request on.
    """
    from ponder.serve.keys import KeyFile, new_key

    key, text = new_key(name, role, limits=budget, concurrency=concurrency, declared=",".join(declared))
    KeyFile(path).add(key)
    if as_json:
        emit({"id": key.id, "name": key.name, "role": key.role, "key": text})
    else:
        click.echo(text)


@keys.command("list")
@_file_option
@json_option
def list_(path: Path, as_json: bool) -> None:
    """List the keys with their roles and limits."""
    from rich.table import Table

    from ponder.serve.keys import KeyFile

    found = KeyFile(path).read()
    if as_json:
        names = ("id", "name", "role", "limits", "concurrency", "declared", "created", "revoked")
        emit([{name: getattr(key, name) for name in names} for key in found])
        return
    rows = [
        {
            "id": key.id,
            "name": key.name,
            "role": key.role,
            "limits": _lines(key.limits),
            "at once": "" if key.concurrency is None else str(key.concurrency),
            "declared": _lines(key.declared),
            "state": f"since {key.created}" if key.revoked is None else f"revoked {key.revoked}",
        }
        for key in found
    ]
    table = Table(box=None, header_style="bold", pad_edge=False)
    titles = [title for title in (rows[0] if rows else ()) if any(row[title] for row in rows)]
    for title in titles:
        table.add_column(title, no_wrap=title in ("id", "role", "at once"), overflow="fold")
    for row in rows:
        table.add_row(*cells(*(row[title] or "–" for title in titles)))
    console().print(table)


def _lines(several: str) -> str:
    """What is stated with commas, one a line."""
    return "\n".join(filter(None, map(str.strip, several.split(","))))


@keys.command()
@click.argument("name")
@click.argument("declared", nargs=-1, required=True, metavar="FACTOR=VALUE...")
@_file_option
@json_option
def declare(name: str, declared: tuple[str, ...], path: Path, as_json: bool) -> None:
    """Add to what the customer of NAME (or of an id) declares, or change it.

    Factors that the server cannot count, such as voice=yes, autonomy=agent or end_users=20000: rules over
    several factors hold them together with what it counts (`ponder serve rules`).
    """
    from ponder.serve.keys import KeyFile

    key = KeyFile(path).declare(name, ",".join(declared))
    if as_json:
        emit({"id": key.id, "name": key.name, "declared": dict(key.factors)})
    else:
        click.echo(f"{key.name} ({key.id}) declares {key.declared}.")


@keys.command()
@click.argument("name")
@_file_option
@json_option
def revoke(name: str, path: Path, as_json: bool) -> None:
    """Revoke the key of NAME (or of an id). A server that runs refuses it from the next request on."""
    from ponder.serve.keys import KeyFile

    key = KeyFile(path).revoke(name)
    if as_json:
        emit({"id": key.id, "name": key.name, "revoked": key.revoked})
    else:
        click.echo(f"Revoked {key.name} ({key.id}).")
