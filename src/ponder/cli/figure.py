"""`ponder figure`: redraw a figure from recorded runs."""

from __future__ import annotations

from pathlib import Path

import click

from ponder.cli._output import StatedFile, StatedPath, clean, emit, json_option


@click.group()
def figure() -> None:
    """Redraw a figure from recorded runs."""


@figure.command()
@click.option("--runs", type=StatedPath(), help="Folder of recordings, or a figure's numbers.")
@click.option("--task", default="char_countdown:numbers=4", show_default=True, help="Whose recordings.")
@click.option("--out", type=StatedFile(), default=Path("o1"), show_default=True,
              help="A .png, .svg or .json file, or a name for all three.")  # fmt: skip
@json_option
def o1(runs: Path | None, task: str, out: Path, as_json: bool) -> None:
    """Draw accuracy against training compute, and against inference compute.

    Without --runs the numbers are those of the runs that ponder comes with. Intervals are 90 %, from
    resampling problems.
    """
    from ponder.report.o1 import committed, gather, read
    from ponder.report.o1_files import write_figure

    if runs is None:
        found = committed()
    elif runs.is_dir():
        found = gather(runs, task)
    else:
        found = read(runs)
    written = write_figure(found, out)
    if as_json:
        emit({"task": found.task, "problems": found.problems, "files": [str(path) for path in written]})
        return
    for path in written:
        click.echo(clean(str(path)))
