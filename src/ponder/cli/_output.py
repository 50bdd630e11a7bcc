"""What every verb shares: options, JSON or text on standard output, complaints on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ponder.report.words import compact as quantity
from ponder.report.words import plain as clean

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from ponder.config import Settings

__all__ = [
    "StatedFile",
    "StatedPath",
    "cells",
    "clean",
    "complain",
    "console",
    "emit",
    "json_option",
    "quantity",
    "room_hint",
    "sampling_options",
    "settings_from",
    "text_argument",
]

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
ledger_option = click.option("--ledger", metavar="PATH", help="Ledger file or database URL.")
model_option = click.option(
    "--model", metavar="MODEL", help="A name, a GGUF file, a folder, or http://HOST/v1#MODEL."
)


class StatedPath(click.Path):
    """A path as a `Path`. An empty one is refused: it would be the folder that the command is given in."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and not value.strip():
            self.fail("it is empty; give a path, for example ./checkpoint.", param, ctx)
        return super().convert(value, param, ctx)


class StatedFile(StatedPath):
    """The path of a file to write. A folder is refused before anything is done for what goes there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        if path.is_dir():
            self.fail(f"{path} is a folder; give the path of a file in it.", param, ctx)
        return path


def _role(context: click.Context, option: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str] | None:
    named: dict[str, str] = {}
    for pair in pairs:
        role, equals, model = pair.partition("=")
        if not equals or not role or not model.strip():
            raise click.BadParameter(f"{pair!r} is not ROLE=MODEL, for example judge=http://HOST/v1#NAME.")
        named[role] = model
    return named or None


role_option = click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="ROLE=MODEL",
    callback=_role,
    help="The model of a further role: judge, large, reward.",
)


def sampling_options(command: F) -> F:
    """The options of every verb that samples: how, by which models, into which ledger; and --json."""
    for option in reversed(
        (
            click.option(
                "--max-tokens", type=click.IntRange(1, 1_000_000), help="Generated tokens a sample at most."
            ),
            click.option("--temperature", type=float, help="Sampling temperature; 0 is greedy."),
            click.option("--seed", type=int, help="Seed of the samples, and of a task's problems."),
            model_option,
            role_option,
            ledger_option,
            json_option,
        )
    ):
        command = option(command)
    return command


def complain(sentence: str) -> None:
    """One sentence on standard error."""
    click.echo(f"ponder: {' '.join(clean(sentence).splitlines())}", err=True)


def console(*, err: bool = False) -> Console:
    """A rich console on standard output or error that shows every text as it is: no markup, no emoji."""
    from rich.console import Console

    return Console(stderr=err, highlight=False, markup=False, emoji=False, soft_wrap=False)


def cells(*values: object) -> tuple[Text, ...]:
    """A table's cells, from values that may hold anything."""
    from rich.text import Text

    return tuple(Text(clean(str(value))) for value in values)


def emit(document: Mapping[str, Any] | list[Any]) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False, default=str))


def settings_from(**flags: Any) -> Settings:
    """The settings in force with these flags."""
    from ponder.config import load

    return load(flags)


def room_hint(stopped_by: str) -> str:
    """What could be done where a budget ended the work in which a call's longest case must fit."""
    if stopped_by not in ("tokens", "flop", "usd"):
        return ""
    return "; room is kept for the longest sample, so a lower --max-tokens lets more of them fit"


def text_argument(text: str) -> str:
    """The text itself, or standard input for "-"."""
    if text != "-":
        return text
    return sys.stdin.buffer.read().decode("utf-8", "replace")
