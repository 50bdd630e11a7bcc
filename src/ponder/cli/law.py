"""`ponder law`: fit laws to recorded draws, and forecast with them."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

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
from ponder.cli.law_ladder import exchange, worth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.laws import Counts, Fit
    from ponder.laws.compare import Forecast
    from ponder.measure.intervals import Estimate

    Found = tuple[Fit, tuple[Forecast, ...]]


@click.group()
def law() -> None:
    """Fit laws to recorded draws, forecast with them, and say what an enhancement is worth."""


law.add_command(exchange)
law.add_command(worth)

task_option = click.option("--task", "tasks", multiple=True, help="A task of a run; default all.")


@law.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@task_option
@ledger_option
@json_option
def fit(runs: tuple[str, ...], tasks: tuple[str, ...], ledger: str | None, as_json: bool) -> None:
    """Fit laws of coverage and of votes to each RUN, and say which forecasts best.

    RUN is a run on the ledger, measured or imported ("latest": the last finished measurement), or a
    recording's file. Each law is fitted to a few of the draws and tried on the others. Where it misses by no
    more than chance it is called a law, else a trend.
    """
    from ponder.laws.coverage import BetaBinomial

    told = []
    for counts in _counts(runs, tasks, ledger):
        coverage, vote, note = _chosen(counts)
        told.append(_heading(counts) | _fitted("coverage", coverage) | _fitted("vote", vote) | {"note": note})
        told[-1]["coverage"]["likelihood"] = BetaBinomial.chosen(counts).name
        if not as_json:
            _print_fits(counts, coverage, vote, note)
            click.echo(f"By likelihood the counts ask for: {told[-1]['coverage']['likelihood']}.\n")
    if as_json:
        emit(told)


@law.command()
@click.argument("run")
@click.option(
    "--samples",
    multiple=True,
    type=click.IntRange(1, 10**12),
    help="How many samples; may be given again.",
)
@click.option(
    "--reach",
    "wanted",
    multiple=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="A coverage, for the number of samples that it takes; may be given again.",
)
@click.option("--law", "name", help="A law of coverage to use; default the one that forecasts best.")
@task_option
@ledger_option
@json_option
def forecast(
    run: str,
    samples: tuple[int, ...],
    wanted: tuple[float, ...],
    name: str | None,
    tasks: tuple[str, ...],
    ledger: str | None,
    as_json: bool,
) -> None:
    """Say what coverage and a vote of so many samples of RUN will be, with 90 % intervals, or how many
    samples a coverage takes.

    RUN is what `ponder law fit` takes. Beyond the draws the intervals hold the luck of problems and draws,
    but not that the law may end.
    """
    if not samples and not wanted:
        raise click.UsageError("Say --samples N or --reach COVERAGE")
    told = []
    for counts in _counts((run,), tasks, ledger):
        coverage, vote, note = _chosen(counts, name)
        rows, needs = _forecasts(counts, coverage, vote, samples), _needs(coverage, wanted)
        laws = {"coverage_law": _named(coverage), "vote_law": _named(vote)}
        told.append(_heading(counts) | laws | {"forecasts": rows, "needs": needs, "note": note})
        if not as_json:
            _print_forecasts(counts, rows, coverage, vote, note)
            _print_needs(needs)
    if as_json:
        emit(told)


def _counts(runs: Sequence[str], tasks: Sequence[str], ledger: str | None) -> list[Counts]:
    from ponder.laws.sources import counts_of

    where = settings_from(ledger=ledger).ledger
    return [counts for run in runs for counts in counts_of(run, where, tasks)]


def _chosen(counts: Counts, name: str | None = None) -> tuple[Found, Found | None, str]:
    """The coverage law and the law of votes, with why there is none of votes."""
    from ponder.errors import LawUndefined, UnknownName
    from ponder.laws.compare import chosen
    from ponder.laws.coverage import COVERAGE_LAWS, pass_at
    from ponder.laws.voting import VOTING_LAWS, vote_at

    laws = {each.name: each for each in COVERAGE_LAWS}
    if name is not None and name not in laws:
        raise UnknownName("law", name, laws)
    coverage = chosen(counts, COVERAGE_LAWS if name is None else [laws[name]], seen=pass_at)
    try:
        return coverage, chosen(counts, VOTING_LAWS, seen=vote_at), ""
    except LawUndefined as error:
        return coverage, None, str(error)


# ---------------------------------------------------------------- as JSON


def _heading(counts: Counts) -> dict[str, Any]:
    return {
        "name": counts.name,
        "task": counts.task,
        "problems": len(counts.ids),
        "draws": [int(counts.draws.min()), int(counts.draws.max())],
    }


def _fitted(kind: str, found: Found | None) -> dict[str, Any]:
    """The law that forecasts best with its parameters, and how each law forecast."""
    if found is None:
        return {kind: None}
    fitted, told = found
    parameters = {name: asdict(value) for name, value in fitted.parameters.items()}
    return {kind: _named(found) | {"parameters": parameters, "forecasts": [_told(each) for each in told]}}


def _named(found: Found | None) -> dict[str, Any]:
    return {} if found is None else {"law": found[0].law.name, "word": found[1][0].word}


def _told(each: Forecast) -> dict[str, Any]:
    return {
        "law": each.law.name,
        "word": each.word,
        "fitted_to": each.fitted_to,
        "samples": each.samples,
        "predicted": asdict(each.predicted),
        "seen": asdict(each.seen),
        "difference": asdict(each.difference),
        "relative_error": each.error,
    }


def _forecasts(
    counts: Counts, coverage: Found, vote: Found | None, samples: Sequence[int]
) -> list[dict[str, Any]]:
    """A row for each number of samples."""
    rows: list[dict[str, Any]] = [
        {
            "samples": n,
            "beyond": n > counts.least,
            "tokens": None if counts.tokens is None else n * float(counts.tokens.mean()),
            "flop": _flop(counts, n),
        }
        for n in samples
    ]
    for kind, found in (("coverage", coverage), ("vote", vote)):
        told = None if found is None else found[0].predict([float(n) for n in samples])
        for at, row in enumerate(rows):
            row[kind] = None
            if told is not None:
                row[kind] = {part: float(getattr(told, part)[at]) for part in ("value", "low", "high")}
    return rows


def _needs(coverage: Found, wanted: Sequence[float]) -> list[dict[str, Any]]:
    """A row for each coverage: the samples that it takes, None where no number is enough."""
    from ponder.laws.coverage import needed

    rows = []
    for share in wanted:
        found = [None if math.isinf(each) else round(each) for each in needed(coverage[0], share)]
        rows.append({"coverage": share, **dict(zip(("samples", "low", "high"), found, strict=True))})
    return rows


def _flop(counts: Counts, samples: int) -> float | None:
    """FLOP of so many samples of a problem whose prompt is read once, in the mean."""
    if counts.flop is None or counts.prompt_flop is None:
        return None
    return float(counts.prompt_flop.mean()) + samples * float(counts.flop.mean())


# ---------------------------------------------------------------- as tables


def _title(counts: Counts) -> str:
    least, most = int(counts.draws.min()), int(counts.draws.max())
    draws = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return clean(f"{counts.name}, {counts.task}: {len(counts.ids):,} problems, {draws} draws of each.")


def _print_fits(counts: Counts, coverage: Found, vote: Found | None, note: str) -> None:
    click.echo(_title(counts))
    _print_told("coverage", "pass", coverage[1])
    values = ", ".join(f"{name} {_within(value)}" for name, value in coverage[0].parameters.items())
    click.echo(clean(f"Best: {coverage[0].law.name} ({coverage[1][0].word}); on all draws {values}."))
    if vote is None:
        click.echo(clean(f"No law of votes: {note}"))
    else:
        _print_told("vote", "vote", vote[1])
        told = vote[0].predict([float("inf")])
        limit = f"{told.value[0]:.1%} [{told.low[0]:.1%}, {told.high[0]:.1%}]"
        click.echo(
            clean(f"Best: {vote[0].law.name} ({vote[1][0].word}); its limit {limit}; {_peak(vote[0])}.")
        )


def _print_told(kind: str, short: str, told: Sequence[Forecast]) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in (
        f"law of {kind}",
        f"said of {short}@{told[0].samples}",
        "seen",
        "difference",
        "error",
        "is a",
    ):
        table.add_column(name, justify="left" if name.startswith(("law", "is")) else "right")
    for each in told:
        error = "–" if each.error is None else f"{each.error:.1%}"
        shares = [_share(each.predicted), _share(each.seen), _share(each.difference, sign="+")]
        table.add_row(*cells(each.law.name, *shares, error, each.word))
    console().print(table)
    click.echo(
        f"Fitted to {told[0].fitted_to} draws of a problem and tried on the others; error of -log {short}@k."
    )


def _peak(found: Fit) -> str:
    """Where votes are most worth it, as far as the refits agree."""
    peak = found.peak(_FAR * float(found.reach[1]))
    if peak.falls >= _AGREED:
        return f"best at N = {peak.x.value:,.0f} [{peak.x.low:,.0f}, {peak.x.high:,.0f}], lower after"
    if peak.falls <= 1.0 - _AGREED:
        return f"it rises up to {peak.most:,.0f} samples"
    return f"whether it falls before {peak.most:,.0f} samples is open: {peak.falls:.0%} of the refits do"


_FAR = 100.0  # times the draws: as far as a peak is looked for
_AGREED = 0.95  # of the refits


def _print_forecasts(
    counts: Counts, rows: Sequence[dict[str, Any]], coverage: Found, vote: Found | None, note: str
) -> None:
    from rich.table import Table

    click.echo(_title(counts))
    table = Table(box=None, header_style="bold", pad_edge=False, show_header=bool(rows))
    for name in ("samples", "coverage", "vote", "tokens", "FLOP", ""):
        table.add_column(name, justify="right")
    for row in rows:
        shares = [
            "–" if row[kind] is None else "{value:.2%} [{low:.2%}, {high:.2%}]".format(**row[kind])
            for kind in ("coverage", "vote")
        ]
        spent = [quantity(row["tokens"]), quantity(row["flop"])]
        table.add_row(*cells(f"{row['samples']:,}", *shares, *spent, "forecast" if row["beyond"] else ""))
    console().print(table)
    for kind, found in (("Coverage", coverage), ("Vote", vote)):
        if found is not None:
            best = found[1][0]
            click.echo(
                clean(
                    f"{kind} by {best.law.name}, a {best.word}: from {best.fitted_to} draws it missed "
                    f"{best.samples} by {_share(best.difference, sign='+')}."
                )
            )
    if note:
        click.echo(clean(f"No law of votes: {note}"))


def _print_needs(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        found = [row[name] for name in ("samples", "low", "high")]
        value, low, high = ("infinity" if each is None else f"{each:,}" for each in found)
        click.echo(f"A coverage of {row['coverage']:.1%} takes N = {value} samples [{low}, {high}].")


def _share(value: Estimate, *, sign: str = "") -> str:
    return f"{value.value:{sign}.1%} [{value.low:{sign}.1%}, {value.high:{sign}.1%}]"


def _within(value: Estimate) -> str:
    return f"{value.value:.3g} [{value.low:.3g}, {value.high:.3g}]"


law.add_command(exchange)
law.add_command(worth)
