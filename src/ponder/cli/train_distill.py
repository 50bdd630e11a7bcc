"""`ponder train distill`."""

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
    from ponder.train.distill_result import Distilled


def _numbers(context: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    names = [name.strip() for name in text.split(",")]
    if not all(name.isdecimal() for name in names):
        raise click.BadParameter(f"{text!r} is not a list of whole numbers, for example 1,4,16.")
    return tuple(int(name) for name in names)


@click.command()
@click.option("--teacher", required=True, type=StatedPath(), help="The teacher's checkpoint folder.")
@click.option("--student", required=True, help="A size of the ladder's, or a checkpoint folder.")
@click.option(
    "--rationales", metavar="N,...", default="1,4,16,32", show_default=True, callback=_numbers,
    help="Replies a problem: one student learns from each.",
)  # fmt: skip
@click.option("--task", default="char_chain:operations=6", show_default=True, help="What is taught.")
@click.option(
    "--problems", type=click.IntRange(1), default=4000, show_default=True, help="Problems drawn for."
)
@click.option(
    "--filter", type=click.Choice(["verifier", "none"]), default="verifier", show_default=True,
    help="Which replies are learned: those found right, or all with an answer.",
)  # fmt: skip
@click.option(
    "--answers-only/--no-answers-only", "answers", default=None,
    help="Have one student learn the answers alone; default: where the task can ask for them.",
)  # fmt: skip
@click.option("--tokens", type=click.IntRange(1), help="Training tokens; default: one pass over the most.")
@click.option("--lr", "learning_rate", type=float, help="Learning rate; default: the size's.")
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
def distill(
    processes: int | None,
    device: str,
    out: Path | None,
    run: str | None,
    ledger: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Teach a student by a teacher's rationales, and measure what their number buys.

    A rerun of the same command continues where it was stopped. Changes are paired on the held-out problems;
    intervals are 90 %.
    """
    from ponder.ledger import Ledger
    from ponder.measure.spec import check_run_name
    from ponder.train.distill import DistillSettings
    from ponder.train.distill import distill as distilled

    if run is not None:
        check_run_name(run)
    settings = DistillSettings(**values)
    with Ledger.open(settings_from(ledger=ledger).ledger, write=True) as store:
        result = distilled(
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

    return Path(platformdirs.user_data_dir("ponder")) / "distill"


def told(estimate: Estimate | None, *, sign: str = "", digits: int = 3) -> str:
    """An estimate with its interval."""
    if estimate is None:
        return "–"
    value, low, high = (f"{part:{sign}.{digits}f}" for part in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def _show(result: Distilled) -> None:
    """The students with what they took, what each gained over others, and what was gained on other tasks."""
    console().print(_students(result))
    console().print(_gains(result))
    console().print(_broad(result))
    click.echo(clean(f"run {result.run}: checkpoints and result in {result.folder}"))


def _students(result: Distilled) -> Any:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("student", "texts", "tokens", "teacher", "training", "pass@1"):
        table.add_column(name, justify="left" if name == "student" else "right", no_wrap=True)
    for each in result.students:
        took = quantity(sum(each.teacher_flop), "FLOP"), quantity(each.flop, "FLOP")
        counts = quantity(each.texts), quantity(each.tokens)
        table.add_row(*cells(each.name, *counts, *took, told(result.passed(each)[1])))
    return table


def _gains(result: Distilled) -> Any:
    from rich.table import Table

    others = ["before", result.fewest]
    if any(each.name == "answers" for each in result.students):
        others.insert(1, "answers")
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("gained over", no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    for each in result.students[1:]:
        gained = (result.change(each, name) for name in others)
        table.add_row(*cells(each.name, *(told(change, sign="+", digits=2) for change in gained)))
    return table


def _broad(result: Distilled) -> Any:
    """What the student of the most rationales gained on tasks that it was not trained on."""
    from rich.table import Table

    most = [each for each in result.students if each.kind == "rationales"][-1]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(f"gained by {most.name} on")
    table.add_column("pass@1", justify="right", no_wrap=True)
    for task, estimate in result.broad(most).items():
        table.add_row(*cells(task, told(estimate, sign="+")))
    return table
