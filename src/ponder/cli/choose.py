"""`ponder choose`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ponder.cli._output import cells, clean, console, emit, json_option, ledger_option, settings_from

if TYPE_CHECKING:
    from ponder.measure.choose import Choice


@click.command()
@click.argument("run")
@click.option("--task", "tasks", multiple=True, help="A task of the run; default all, taken together.")
@click.option("--look", type=click.IntRange(2, 1000), default=4, help="Samples to predict difficulty from.")
@click.option("--bins", type=click.IntRange(2, 20), default=5, help="Classes of difficulty.")
@click.option("--cached", is_flag=True, help="Count no prompt: the server keeps prompts cached.")
@ledger_option
@json_option
def choose(
    run: str,
    tasks: tuple[str, ...],
    look: int,
    bins: int,
    cached: bool,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Choose a strategy and a budget by predicted difficulty, from the samples of a finished RUN ("latest"
    for the last finished measurement).

    Difficulty is predicted without a key, from a problem's first samples. The choice is learned on one half
    of the problems and judged on the other, then the other way round.
    """
    import numpy as np

    from ponder.ledger import Ledger
    from ponder.measure import run_id
    from ponder.measure.choose import choose as chosen
    from ponder.measure.stored import load_banks

    settings = settings_from(ledger=ledger)
    with Ledger.open(settings.ledger, write=False) as store:
        run = run_id(store, run)
        banks = load_banks(store, run, tasks)
    found = chosen(
        banks,
        looked_at=look,
        bins=bins,
        prompts="cached" if cached else "read",
        rng=np.random.default_rng(settings.seed),
    )
    if as_json:
        emit({"run": run} | found.to_json())
        return
    _print(found)


def _print(found: Choice) -> None:
    from rich.table import Table

    curve = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("tokens a problem", "chosen", "best fixed", "gain with 90 % interval"):
        curve.add_column(name, justify="right")
    for point in found.points:
        mean, low, high = point.gain
        curve.add_row(
            *cells(
                f"{point.budget:,.0f}",
                f"{point.chosen[0]:.1%}",
                f"{point.fixed[0]:.1%}",
                f"{mean:+.1%} [{low:+.1%}, {high:+.1%}]",
            )
        )
    console().print(curve)
    middle, last = found.points[len(found.points) // 2], found.points[-1]
    bins = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("predicted accuracy", f"at {middle.budget:,.0f} tokens", f"at {last.budget:,.0f} tokens"):
        bins.add_column(name)
    edges = ["0%", *(f"{edge:.0%}" for edge in found.edges), "100%"]
    for low_edge, high_edge, here, there in zip(edges, edges[1:], middle.by_bin, last.by_bin, strict=False):
        bins.add_row(*cells(f"{low_edge} to {high_edge}", here, there))
    click.echo()
    console().print(bins)
    click.echo()
    prompts = (
        "every ask reads its prompt" if found.prompts == "read" else "prompts are cached and not counted"
    )
    click.echo(
        clean(
            f"{found.problems:,} problems of {', '.join(found.tasks)}; difficulty predicted from "
            f"{found.looked_at} samples, which are counted; {prompts}."
        )
    )
