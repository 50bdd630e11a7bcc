"""`ponder train`: one verb a file, loaded when it is needed."""

from __future__ import annotations

import importlib

import click

# Each verb: its module in this folder, its name there, and what it does.
_VERBS: dict[str, tuple[str, str, str]] = {}


class _TrainVerbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module, name, _ = _VERBS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"ponder.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, _VERBS[name][2]) for name in self.list_commands(ctx)])


@click.group(cls=_TrainVerbs)
def train() -> None:
    """Turn inference into weights, with both kinds of compute on the ledger."""
