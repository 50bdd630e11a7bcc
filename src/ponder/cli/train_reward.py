"""`ponder train reward`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from ponder.measure.intervals import Estimate
    from ponder.train.reward import RewardResult


@click.command()
@click.option("--from", "start", required=True, type=StatedPath(), help="The solver's checkpoint folder.")
@click.option("--task", default="char_countdown:numbers=4", show_default=True, help="What is solved.")
@click.option("--problems", type=click.IntRange(1), default=2000, show_default=True, help="To learn from.")
@click.option("--rollouts", type=click.IntRange(1), default=8, show_default=True, help="Of each step.")
@click.option("--replies", type=click.IntRange(1), default=4, show_default=True, help="To each problem.")
@click.option("--epochs", type=click.IntRange(1), default=4, show_default=True, help="Passes over them.")
@click.option("--trunk/--head-only", default=True, show_default=True, help="Train all, or the head alone.")
@click.option("--lr", "learning_rate", type=float, help="Learning rate; default: 2e-3, of a head alone 2e-2.")
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Sampling temperature.")
@click.option("--eval-problems", type=click.IntRange(1), default=200, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--processes", type=click.IntRange(1), help="Processes that draw on a CPU; default: cores.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--out", type=StatedPath(), help="Folder for the model and the result.")
@click.option("--run", help="Name of the run; default: from the configuration.")
@ledger_option
@json_option
def reward(
    processes: int | None,
    device: str,
    out: Path | None,
    run: str | None,
    ledger: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Train a process reward model on a checkpoint's own rollouts.

    It tells after every step how likely the answer will be right. Searches use it as --role reward=OUT/reward
    with by=process. A rerun of the same command continues where it was stopped.
    """
    from ponder.ledger import Ledger
    from ponder.measure.spec import check_run_name
    from ponder.train.reward import RewardSettings, train_reward

    if run is not None:
        check_run_name(run)
    settings = RewardSettings(**values)
    with Ledger.open(settings_from(ledger=ledger).ledger, write=True) as store:
        result = train_reward(
            settings,
            ledger=store,
            out=out or (lambda name: _default_folder() / name),
            run=run,
            processes=processes,
            device=device,
            tell=complain,
        )
    if as_json:
        emit(result.to_json())
    else:
        _show(result)


def _default_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("ponder")) / "reward"


def _show(result: RewardResult) -> None:
    from rich.table import Table

    from ponder.train.reward import MODEL

    held_out = result.held_out
    click.echo(
        f"{held_out.steps:,} steps of {held_out.problems} held-out problems: Brier score "
        f"{_told(held_out.brier)}, of a constant {_told(held_out.constant)}; area under the curve "
        f"{_told(held_out.auc)}, within a problem {_told(held_out.within)}."
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("told", "steps", "mean told", "ended right"):
        table.add_column(name, justify="right")
    for each in held_out.bins:
        shown = (
            f"{each.low:.1f} to {each.high:.1f}",
            f"{each.steps:,}",
            f"{each.told:.3f}",
            f"{each.right:.3f}",
        )
        table.add_row(*cells(*shown))
    console().print(table)
    parts = ", ".join(f"{stage} {quantity(flop)}" for stage, flop in result.flop.items())
    click.echo(clean(f"FLOP: {parts}. Run {result.run}; use it as --role reward={result.folder / MODEL}"))


def _told(estimate: Estimate | None) -> str:
    if estimate is None:
        return "unknown"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
