"""`ponder train stages`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ponder.cli._output import (
    cells,
    clean,
    console,
    emit,
    json_option,
    ledger_option,
    quantity,
    settings_from,
)

if TYPE_CHECKING:
    from ponder.train.stages import Stages


@click.command()
@click.argument("run")
@ledger_option
@json_option
def stages(run: str, ledger: str | None, as_json: bool) -> None:
    """Show what each stage of RUN took ("latest" for the last training run), and inference's share.

    FLOP are by formula; "counted" are those that PyTorch's operation counter found. Shares are of the
    training compute, which is all stages but evaluation; inference is what generated text to learn from.
    """
    from ponder.ledger import Ledger
    from ponder.train.stages import stages as sums_of
    from ponder.train.stages import training_run

    settings = settings_from(ledger=ledger)
    with Ledger.open(settings.ledger, write=False) as store:
        found = sums_of(store, training_run(store, run))
    if as_json:
        emit(found.to_json())
    else:
        _show(found)


def _show(found: Stages) -> None:
    from rich.table import Table

    from ponder.report.words import duration, percent

    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in ("stage", "samples", "tokens", "padded", "FLOP", "counted", "share", "time"):
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=name != "stage")
    for each in found.sums:
        table.add_row(
            *cells(
                each.stage if each.part is None else f"{each.stage}, {each.part}",
                quantity(each.samples),
                quantity(each.tokens),
                quantity(each.padded_tokens),
                quantity(each.flop),
                quantity(each.flop_counted),
                "–" if each.stage == "evaluation" else percent(found.share(each)),
                duration(each.seconds),
            )
        )
    console().print(table)
    click.echo(clean(_sentence(found)))
    click.echo(clean(_devices(found)))


def _devices(found: Stages) -> str:
    """What each device did; a column of their names would not fit beside the figures."""
    did: dict[str, dict[str, None]] = {}
    for each in found.sums:
        for device in each.devices or ("unknown",):
            did.setdefault(device, {})[each.stage] = None
    told = (f"{device} ({', '.join(names)})" for device, names in did.items())
    return f"Devices: {'; '.join(told)}."


def _sentence(found: Stages) -> str:
    from ponder.report.words import percent

    if found.inference_share is not None:
        return (
            f"Inference was {percent(found.inference_share)} of the training compute "
            f"({quantity(found.inference_flop, 'FLOP')} of {quantity(found.training_flop, 'FLOP')})."
        )
    if found.unknown:
        return f"Inference's share is unknown: the FLOP of {', '.join(found.unknown)} are."
    return "Inference's share is unknown: an imported run does not tell what it generated."
