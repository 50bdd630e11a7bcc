"""Options that the verbs of laws share."""

from __future__ import annotations

from pathlib import Path

import click

from ponder.cli._output import StatedFile

__all__ = ["checked_out", "draws_option", "out_option"]

draws_option = click.option(
    "--draws", type=click.IntRange(100), default=1000, show_default=True, help="Refits for the intervals."
)


def checked_out(context: click.Context, option: click.Parameter, out: Path | None) -> Path | None:
    """The picture's path, refused before anything is computed for it."""
    if out is not None:
        from ponder.report.law_files import picture_paths

        picture_paths(out)
    return out


out_option = click.option(
    "--out",
    type=StatedFile(),
    callback=checked_out,
    help="Draw the picture: a .png, .svg or .json, or without an ending all three.",
)
