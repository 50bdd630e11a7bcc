"""What every verb shares: options, JSON or text on standard output, complaints on standard error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from ponder.config import Settings

__all__ = [
    "clean",
    "complain",
    "console",
    "emit",
    "json_option",
    "quantity",
    "settings_from",
    "text_argument",
]

F = TypeVar("F", bound=Callable[..., Any])

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
ledger_option = click.option("--ledger", metavar="PATH", help="Ledger file or database URL.")
model_option = click.option("--model", metavar="MODEL", help="A name, a GGUF file, or http://HOST/v1#MODEL.")


def clean(text: str) -> str:
    """Text from outside without the characters that could steer a terminal."""
    return _CONTROL.sub("\ufffd", text)


def complain(sentence: str) -> None:
    """One sentence on standard error."""
    click.echo(f"ponder: {clean(sentence)}", err=True)


def console(*, err: bool = False) -> Console:
    """A rich console on standard output or error, that leaves our own texts alone."""
    from rich.console import Console

    return Console(stderr=err, highlight=False, soft_wrap=False)


def emit(document: Mapping[str, Any] | list[Any]) -> None:
    """One JSON document on standard output."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=True, allow_nan=False, default=str)
    sys.stdout.write("\n")


def settings_from(**flags: Any) -> Settings:
    """The settings in force with these flags."""
    from ponder.config import load

    return load(flags)


def text_argument(text: str) -> str:
    """The text itself, or standard input for "-"."""
    if text != "-":
        return text
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def quantity(value: float | None, unit: str = "") -> str:
    """A number in engineering notation with its unit; "unknown" for None."""
    if value is None:
        return "unknown"
    for size, letter in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}{unit}"
    return f"{value:.3g} {unit}".rstrip()
