"""`ponder govern scale`: the calculator's verb, whose fleet may be written as 10000xH100."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from ponder.cli.govern import command_of
from ponder.errors import InputError
from ponder.govern import calculator

__all__ = ["scale"]

_FLEET = re.compile(r"\s*([^x×]*[0-9])\s*[x×]\s*(\S.*?)\s*")


def _fleet(chips: str | None, chip: str | None) -> dict[str, str]:
    """Number and chip of "NUMBERxCHIP"; empty where no chip is in it."""
    match = _FLEET.fullmatch(chips or "")
    if match is None:
        return {}
    if chip is not None and chip != match[2]:
        raise InputError(f"chips: the chip is {match[2]} there and {chip} in --chip; give one.")
    return {"chips": match[1], "chip": match[2]}


def _split(run: Callable[..., Any]) -> Callable[..., Any]:
    def with_fleet(**given: Any) -> Any:
        return run(**given | _fleet(given["chips"], given["chip"]))

    return with_fleet


def _made() -> click.Command:
    command = command_of(calculator("scale"))
    assert command.callback is not None
    command.callback = _split(command.callback)
    for option in command.params:
        if option.name == "chips":
            option.metavar = "NUMBER[xCHIP]"
    return command


scale = _made()
