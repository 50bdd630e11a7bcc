"""`ponder config`."""

from __future__ import annotations

import os

import click

from ponder.cli._output import cells, clean, console, emit, json_option


@click.command()
@json_option
def config(as_json: bool) -> None:
    """Show every setting, its value, and where it came from."""
    from rich.table import Table

    from ponder.config import ENV_PREFIX, Settings, config_path, efforts, load, model_card
    from ponder.core import Budget
    from ponder.strategies import plan

    path = config_path()
    settings = load()
    for model in settings.models:
        model_card(model, "", settings)  # a row that cannot be used is said now
    for effort in efforts(settings).values():
        plan(effort.strategy)
        Budget.parse(effort.budget or "1sample")
    words = [
        {"effort": word, "strategy": row.strategy, "budget": row.budget or "no limit"}
        for word, row in efforts(settings).items()
    ]
    rows = []
    for name, field in Settings.model_fields.items():
        variable = ENV_PREFIX + name.upper()
        if field.default_factory is not dict and os.environ.get(variable):
            origin = variable
        else:
            origin = str(path) if name in settings.model_fields_set else "default"
        value = getattr(settings, name)
        shown = "(set)" if name == "api_key" and value else value
        rows.append({"setting": name, "value": shown, "from": origin, "about": field.description})
    if as_json:
        emit({"file": str(path) if path else None, "settings": rows, "effort": words})
        return
    table = Table("setting", "value", "from", "what it is", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*cells(*(row[key] for key in ("setting", "value", "from", "about"))))
    console().print(f"Configuration file: {clean(str(path or 'none (ponder.toml here, or $PONDER_CONFIG)'))}")
    console().print(table)
    efforts_table = Table("effort", "strategy", "budget", box=None, header_style="bold", pad_edge=False)
    for word in words:
        efforts_table.add_row(*cells(*word.values()))
    console().print()
    console().print(efforts_table)
