"""`ponder train ladder`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ponder.cli._output import (
    StatedPath,
    cells,
    clean,
    complain,
    console,
    emit,
    json_option,
    ledger_option,
    quantity,
    settings_from,
)

if TYPE_CHECKING:
    from ponder.train.ladder import Climbed, Progress
    from ponder.train.ladder_plan import Plan


def _names(context: click.Context, option: click.Parameter, text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _numbers(context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...]:
    names = _names(context, option, text)
    if not all(name.isdecimal() for name in names):
        raise click.BadParameter(f"{text!r} is not a list of whole numbers, for example 0,1.")
    return tuple(int(name) for name in names)


@click.command()
@click.option("--sizes", metavar="NAME,...", callback=_names, help="Sizes to climb; default all.")
@click.option("--mixture", metavar="NAME,...", callback=_names, help="Mixtures of texts; default all.")
@click.option("--recipe", metavar="NAME,...", callback=_names, help="random, curated; default both.")
@click.option("--seed", metavar="N,...", callback=_numbers, help="Seeds; default all of the grid.")
@click.option("--tokens", type=click.IntRange(1), help="Tokens of the last checkpoint of every size.")
@click.option("--out", type=StatedPath(), help="Folder for the checkpoints.")
@click.option("--run", help="Name of the run; default: from the configuration.")
@click.option("--processes", type=click.IntRange(1), help="One-thread processes on a CPU; default: cores.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--dry-run", is_flag=True, help="Print the plan and what it will take, and stop.")
@ledger_option
@json_option
def ladder(
    sizes: tuple[str, ...],
    mixture: tuple[str, ...],
    recipe: tuple[str, ...],
    seed: tuple[int, ...],
    tokens: int | None,
    out: Path | None,
    run: str | None,
    processes: int | None,
    device: str,
    dry_run: bool,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Train small reasoners of several sizes, with checkpoints log-spaced in compute.

    The cheapest come first, and a rerun of the same command continues where it was stopped. Checkpoints are
    Hugging Face folders OUT/TRUNK/NUMBER.
    """
    from ponder.ledger import Ledger
    from ponder.measure.spec import check_run_name
    from ponder.train.ladder import climb_ladder, processes_for
    from ponder.train.ladder_plan import Selection, make_plan

    if run is not None:
        check_run_name(run)
    settings = settings_from(ledger=ledger)
    where = _device(device, dry_run)
    plan = make_plan(Selection(sizes, mixture, recipe, seed, tokens), gpu=where != "cpu")
    count = processes_for(where, processes)
    if dry_run:
        _show_plan(plan, count, as_json)
        return
    with Ledger.open(settings.ledger, write=True) as store:
        climbed = climb_ladder(
            plan,
            out or _default_folder(),
            store,
            run=run,
            processes=count,
            device=where,
            watch=_lines(plan, count),
        )
    _show(climbed, as_json)


def _default_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("ponder")) / "ladder"


def _device(wanted: str, dry_run: bool) -> str:
    """The device to train on; a dry run needs no PyTorch. Raises InputError for a GPU that is not there."""
    from ponder.errors import InputError, MissingExtra
    from ponder.train.models import require_training

    if wanted == "cpu":
        return wanted
    try:
        require_training()
        import torch
    except MissingExtra:
        if dry_run and wanted == "auto":
            return "cpu"
        raise
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise InputError("device: PyTorch finds no GPU here; use --device cpu.")
    return "cpu"


def _minutes(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds / 60:,.0f} min" if seconds >= 60 else "under 1 min"


def _show_plan(plan: Plan, processes: int, as_json: bool) -> None:
    """The plan by trunk, and what all of it takes."""
    from rich.table import Table

    from ponder.flop import parameters

    if as_json:
        emit(plan.to_json() | {"processes": processes, "seconds": plan.seconds(processes)})
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("trunk", "parameters", "checkpoints", "tokens", "FLOP", "one thread"):
        table.add_column(name, justify="left" if name == "trunk" else "right", no_wrap=True)
    for name, rungs in plan.by_trunk().items():
        seconds = [rung.seconds for rung in rungs]
        known = [value for value in seconds if value is not None]
        row = (
            name,
            f"{parameters(rungs[0].trunk.size.shape):,}",
            len(rungs),
            f"{quantity(rungs[0].tokens)} to {quantity(rungs[-1].tokens)}",
            quantity(sum(rung.flop for rung in rungs)),
            _minutes(sum(known) if len(known) == len(seconds) else None),
        )
        table.add_row(*cells(*row))
    console().print(table)
    click.echo(
        f"{len(plan.rungs)} checkpoints, {quantity(plan.flop)} FLOP; "
        f"{_minutes(plan.seconds(processes))} in {processes} processes of one thread."
    )


def _lines(plan: Plan, processes: int) -> Callable[[Progress], None]:
    """A line on standard error for each checkpoint: what it took, and how much is left."""
    total = plan.seconds(processes)

    def watch(progress: Progress) -> None:
        rung = progress.finished
        if rung is None:
            return
        trained = [row for row in progress.rows if row.get("flop") is not None]
        took = f"{sum(row['seconds'] for row in trained):,.0f} s" if trained else "nothing to do"
        loss = f", loss {trained[-1]['detail']['loss']:.3f}" if trained else ""
        left = "" if total is None else f", about {_minutes(total * (1 - progress.share))} left"
        complain(
            f"{rung.name}: {quantity(rung.tokens)} tokens{loss}, {took}; "
            f"{progress.rungs} of {progress.of} checkpoints{left}."
        )

    return watch


def _show(climbed: Climbed, as_json: bool) -> None:
    """Say where the checkpoints are. Raises the first failure, once the others are told."""
    if as_json and not climbed.failures:
        emit({"run": climbed.run, "checkpoints": [str(folder) for folder in climbed.folders]})
    elif not as_json:
        click.echo(f"run {clean(climbed.run)}: {len(climbed.folders)} checkpoints")
        for folder in climbed.folders:
            click.echo(clean(str(folder)))
    for failure in climbed.failures[1:]:
        complain(str(failure))
    if climbed.failures:
        raise climbed.failures[0]
