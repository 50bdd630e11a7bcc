"""`ponder serve rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ponder.cli._output import cells, clean, console, emit, json_option

if TYPE_CHECKING:
    from ponder.serve.factors import Condition, Factor


@click.command("rules")
@json_option
def list_rules(as_json: bool) -> None:
    """List the factors that keys are held to, and the rules over them with their sources.

    A factor is measured by the server or declared by a key (`ponder keys declare`). Rows of your own stand in
    the file data/serve_rules.toml of ponder's configuration folder.
    """
    from rich.table import Table

    from ponder.serve.factors import factors, rules

    known, found = factors(), rules()
    if as_json:
        told = [
            {"factor": f.name, "title": f.title, "known": _known(f), "values": f.values}
            for f in known.values()
        ]
        emit({"factors": told, "rules": [rule.to_json() for rule in found]})
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("factor", "what it is", "known by", "values"):
        table.add_column(title)
    for f in known.values():
        values = ", ".join(f.values) or ("sums" if f.unit else "a number")
        table.add_row(*cells(f.name, f.title, _known(f), values))
    console().print(table)
    for rule in found:
        parts = [" or ".join(_condition(each) for each in part) for part in rule.parts]
        holds = f"{rule.name}: {rule.title}\n  holds where " + "\n    and ".join(parts)
        click.echo(clean(f"\n{holds}\n  then: {rule.then}\n  source: {rule.source} ({rule.date})"))


def _known(factor: Factor) -> str:
    return "declared" if factor.unit is None else "measured"


def _condition(condition: Condition) -> str:
    factor, line = condition.factor, condition.line
    if condition.window is None:
        stated = line if isinstance(line, str) else f"{line:g}"
        return f"{factor.name} is {stated}" + ("" if line in factor.values[-1:] else " or more")
    window = "in all" if condition.window == "total" else f"in a {condition.window}"
    return f"{factor.name} is over {line:g} {factor.unit} {window}"
