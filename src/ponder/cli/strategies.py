"""`ponder strategies`."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import click

from ponder.cli._output import cells, console, emit, json_option


@click.command()
@json_option
def strategies(as_json: bool) -> None:
    """List the strategies with their parameters."""
    from rich.table import Table

    from ponder.strategies import names, plan

    rows: list[dict[str, Any]] = []
    for name in names():
        function = plan(name).function
        parameters = {
            p.name: p.default
            for p in inspect.signature(function).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        }
        module = importlib.import_module(function.__module__)
        rows.append({"name": name, "parameters": parameters, "about": (module.__doc__ or "").strip()})
    if as_json:
        emit(rows)
        return
    table = Table("strategy", "parameters", "what it is", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        given = ", ".join(f"{k}={v}" for k, v in row["parameters"].items())
        table.add_row(*cells(row["name"], given or "–", row["about"]))
    console().print(table)
