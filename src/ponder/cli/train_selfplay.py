"""`ponder train selfplay`."""

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
from ponder.cli.train_distill import told

if TYPE_CHECKING:
    from ponder.train.learning import Scored
    from ponder.train.selfplay_result import Round, Selfplayed


@click.command()
@click.option("--from", "start", required=True, type=StatedPath(), help="The checkpoint to begin with.")
@click.option("--task", default="char_countdown:numbers=4", show_default=True, help="What is played.")
@click.option("--rounds", type=click.IntRange(1), default=4, show_default=True)
@click.option("--samples", type=click.IntRange(1), default=8, show_default=True, help="Replies a problem.")
@click.option("--problems", type=click.IntRange(1), default=2000, show_default=True, help="Problems a round.")
@click.option(
    "--labels", type=click.Choice(["verifier", "majority", "own"]), default="verifier", show_default=True,
    help="Who says what is right: the verifier, the most common answer, or nobody.",
)  # fmt: skip
@click.option("--no-verifier", is_flag=True, help="The same as --labels majority.")
@click.option("--proposer", is_flag=True, help="Have a model pose the problems, and learn to.")
@click.option("--keep", is_flag=True, help="Go on from the last round's weights, not from the start's.")
@click.option(
    "--pool", type=click.IntRange(1), help="So many solved problems are all there are: a data wall."
)
@click.option("--passes", type=click.IntRange(1), default=2, show_default=True, help="Over what was kept.")
@click.option("--lr", "learning_rate", type=float, default=1e-3, show_default=True, help="Learning rate.")
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Sampling temperature.")
@click.option("--eval-problems", type=click.IntRange(1), default=200, show_default=True)
@click.option("--eval-draws", type=click.IntRange(1), default=16, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--processes", type=click.IntRange(1), help="Processes that draw on a CPU; default: cores.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--out", type=StatedPath(), help="Folder for replies, checkpoints and result.")
@click.option("--run", help="Name of the run; default: from the configuration.")
@ledger_option
@json_option
def selfplay(
    labels: str,
    no_verifier: bool,
    processes: int | None,
    device: str,
    out: Path | None,
    run: str | None,
    ledger: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Generate, verify, learn, repeat; and measure what that teaches.

    A rerun of the same command continues where it was stopped. Changes are paired on the held-out problems;
    intervals are 90 %.
    """
    from ponder.ledger import Ledger
    from ponder.measure.spec import check_run_name
    from ponder.train.selfplay import SelfplaySettings
    from ponder.train.selfplay import selfplay as played

    if no_verifier and labels == "own":
        raise click.UsageError("Give either --no-verifier or --labels own.")
    if run is not None:
        check_run_name(run)
    settings = SelfplaySettings(**values, labels="majority" if no_verifier else labels)  # type: ignore[arg-type]
    with Ledger.open(settings_from(ledger=ledger).ledger, write=True) as store:
        result = played(
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

    return Path(platformdirs.user_data_dir("ponder")) / "selfplay"


def _show(result: Selfplayed) -> None:
    from rich.table import Table

    most = result.first.own.score.samples
    table = Table(box=None, header_style="bold", pad_edge=False)
    heads = ("round", "kept", "right", "FLOP", "inference", "pass@1", f"pass@{most}", "right answers")
    for name in heads:
        table.add_column(name, justify="left" if name == "round" else "right")
    table.add_row(*cells("start", "–", "–", "–", "–", *_scores(result, result.first)))
    for each in result.rounds:
        table.add_row(*cells(*_round(each), *_scores(result, each.scored)))
    for arm in result.wall:
        row = (arm.name, "–", "–", quantity(arm.flop), "–")
        table.add_row(*cells(*row, *_scores(result, arm.scored)))
    console().print(table)
    console().print(_changes(result))
    for each in result.rounds:
        if each.posing is not None:
            posed = each.posing.posed
            click.echo(
                f"round {each.number}: {len(posed.problems):,} problems posed, {each.posing.edge:,} at the "
                f"edge; refused: {posed.malformed:,} malformed, {posed.repeated:,} repeated, "
                f"{posed.held_out:,} held out."
            )
    click.echo(clean(f"run {result.run}: checkpoints and result in {result.folder}"))


def _round(each: Round) -> tuple[str, ...]:
    from ponder.report.words import percent

    return (
        str(each.number),
        f"{quantity(each.kept)} of {quantity(each.replies)}",
        percent(each.precision),
        quantity(each.flop),
        percent(each.inference_share),
    )


def _scores(result: Selfplayed, scored: Scored) -> tuple[str, ...]:
    passed, most = result.passed(scored), scored.own.score.samples
    return told(passed[1]), told(passed[most]), told(result.solutions(scored))


def _changes(result: Selfplayed) -> object:
    """What the last round gained over the start, on the task and on others, and over the wall's arms."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("gained by the last round")
    table.add_column("", justify="right")
    for k, estimate in result.change(result.first, result.last).items():
        table.add_row(*cells(f"pass@{k}", told(estimate, sign="+")))
    for task, estimate in result.broad(result.last).items():
        table.add_row(*cells(f"pass@1 on {task}", told(estimate, sign="+")))
    for arm in result.wall:
        estimate = result.change(arm.scored, result.last)[1]
        table.add_row(*cells(f"pass@1 over {arm.name} at equal compute", told(estimate, sign="+")))
    return table
