"""`ponder train record`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponder.cli._output import (
    StatedPath,
    clean,
    complain,
    emit,
    json_option,
    ledger_option,
    quantity,
    settings_from,
)
from ponder.cli._terminal import percent, show_table

if TYPE_CHECKING:
    from ponder.train.recorded import Recorded


@click.command()
@click.argument("checkpoint", type=StatedPath())
@click.option("--task", default="char_countdown:numbers=4", show_default=True, help="What is asked.")
@click.option("--problems", type=click.IntRange(1), default=300, show_default=True, help="Held-out problems.")
@click.option("--draws", type=click.IntRange(1), default=256, show_default=True, help="Draws of each.")
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Sampling temperature.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--processes", type=click.IntRange(1), help="Processes that draw on a CPU; default: cores.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--out", type=StatedPath(), help="The file, or for several the folder.")
@ledger_option
@json_option
def record(
    checkpoint: Path,
    task: str,
    processes: int | None,
    device: str,
    out: Path | None,
    ledger: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Draw many replies of CHECKPOINT, or of all checkpoints below it, and keep what they came to.

    What is kept are counts of answers and lengths, from which pass@k, votes and shorter chains are had. A
    rerun continues where it was stopped, and more --draws begin where fewer ended.
    """
    from ponder.ledger import Ledger
    from ponder.train.record import RecordSettings, checkpoints_in, file_name
    from ponder.train.record import record as recorded

    found = checkpoints_in(checkpoint, task)
    single = (checkpoint / "config.json").is_file()
    folder = None if single and out is not None else out or _default_folder()
    told: list[tuple[Path, Recorded]] = []
    with Ledger.open(settings_from(ledger=ledger).ledger, write=True) as store:
        for name, where in found.items():
            file = folder / file_name(name, task) if folder is not None else out
            assert file is not None
            settings = RecordSettings(folder=where, task=task, **values)
            told.append(
                (
                    file,
                    recorded(
                        settings, ledger=store, out=file, processes=processes, device=device, tell=complain
                    ),
                )
            )
    if as_json:
        emit([_row(each, file) for file, each in told])
    else:
        _show(told)


def _default_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("ponder")) / "recorded"


def _row(recorded: Recorded, file: Path) -> dict[str, Any]:
    """What a recording says in a few numbers, with 90 % intervals."""
    from dataclasses import asdict

    from ponder.train.recorded import estimated

    most = recorded.draws
    one, several = estimated(recorded.passed([1, most]))
    (vote,) = estimated(recorded.vote([most]))
    return {
        "name": recorded.name,
        "task": recorded.task,
        "file": str(file),
        "problems": len(recorded.tallies),
        "draws": most,
        "pass@1": asdict(one),
        f"vote@{most}": asdict(vote),
        f"pass@{most}": asdict(several),
        "tokens": float(recorded.tokens.mean()),
        "flop": float(recorded.flop([1]).mean()),
        "training_flop": recorded.training_flop,
    }


def _show(told: list[tuple[Path, Recorded]]) -> None:
    from ponder.measure.intervals import Estimate

    rows = []
    for file, recorded in told:
        row, most = _row(recorded, file), recorded.draws
        shares = (Estimate(**row[name]) for name in ("pass@1", f"vote@{most}", f"pass@{most}"))
        rows.append(
            [
                recorded.name,
                quantity(row["training_flop"]),
                *(percent(each, short=True) for each in shares),
                f"{row['tokens']:.1f}",
            ]
        )
    show_table(("checkpoint", "FLOP", "pass@1, %", "vote, %", "pass@k, %", "tokens"), rows)
    draws = " or ".join(f"{most:,}" for most in sorted({recorded.draws for _, recorded in told}))
    click.echo(f"k = {draws} draws of each problem. FLOP are of the training, tokens those of a draw.")
    for file, _ in told:
        click.echo(clean(str(file)))
