"""`ponder law`: fit laws to recorded draws, and forecast with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponder.cli._law_options import out_option
from ponder.cli._output import emit, json_option, ledger_option, quantity
from ponder.cli._terminal import estimate, percent, say, show_table, written
from ponder.cli.law_compute import compute, task_option
from ponder.cli.law_ladder import exchange, worth

if TYPE_CHECKING:
    from ponder.laws import Counts
    from ponder.laws.draws import DrawsStudy, LawCurve


@click.group()
def law() -> None:
    """Fit laws to recorded draws, forecast with them, and say what an enhancement is worth."""


law.add_command(compute)
law.add_command(exchange)
law.add_command(worth)


@law.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@task_option
@out_option
@ledger_option
@json_option
def fit(
    runs: tuple[str, ...], tasks: tuple[str, ...], out: Path | None, ledger: str | None, as_json: bool
) -> None:
    """Fit laws of coverage and of votes to each RUN, and say which forecasts best.

    RUN is a run on the ledger, measured or imported ("latest": the last finished measurement), or a
    recording's file. Each law is fitted to a few of the draws and tried on the others. Where it misses by no
    more than chance it is called a law, else a trend.
    """
    from ponder.laws.draws import study_draws

    studies = []
    for counts in _counts(runs, tasks, ledger):
        studies.append(study_draws(counts))
        if not as_json:
            _print_fits(studies[-1])
    files = _drawn(studies, out, None, None)
    if as_json:
        emit([study.to_json() for study in studies])
    else:
        written(files)


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
@out_option
@ledger_option
@json_option
def forecast(
    run: str,
    samples: tuple[int, ...],
    wanted: tuple[float, ...],
    name: str | None,
    tasks: tuple[str, ...],
    out: Path | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Say what coverage and a vote of so many samples of RUN will be, with 90 % intervals, or how many
    samples a coverage takes.

    RUN is what `ponder law fit` takes. Beyond the draws the intervals hold the luck of problems and draws,
    but not that the law may end.
    """
    from ponder.laws.draws import study_draws

    if not samples and not wanted:
        raise click.UsageError("Say --samples N or --reach COVERAGE")
    studies, told = [], []
    for counts in _counts((run,), tasks, ledger):
        study = study_draws(counts, name)
        studies.append(study)
        rows, needs = _forecasts(study, samples), _needs(study, wanted)
        laws = {"coverage_law": _named(study.coverage), "vote_law": _named(study.vote)}
        told.append(study.heading() | laws | {"forecasts": rows, "needs": needs, "note": study.note})
        if not as_json:
            _print_forecasts(study, rows)
            _print_needs(needs)
    found = [row["samples"] for each in told for row in each["needs"] if row["samples"] is not None]
    files = _drawn(studies, out, max([*samples, *found], default=None), told)
    if as_json:
        emit(told)
    else:
        written(files)


def _counts(runs: Sequence[str], tasks: Sequence[str], ledger: str | None) -> list[Counts]:
    from ponder.laws.sources import counts_of

    return [counts for run in runs for counts in counts_of(run, ledger, tasks)]


def _drawn(studies: list[DrawsStudy], out: Path | None, most: float | None, document: Any) -> list[Path]:
    if out is None:
        return []
    from ponder.report.curve_charts import draws_chart
    from ponder.report.law_files import write_picture

    return write_picture(studies, out, chart=partial(draws_chart, most=most), document=document)


# ---------------------------------------------------------------- as JSON


def _named(curve: LawCurve | None) -> dict[str, Any]:
    return {} if curve is None else {"law": curve.fit.law.name, "word": curve.best.word}


def _forecasts(study: DrawsStudy, samples: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each number of samples."""
    counts = study.counts
    rows: list[dict[str, Any]] = [
        {
            "samples": n,
            "beyond": n > counts.least,
            "tokens": None if counts.tokens is None else n * float(counts.tokens.mean()),
            "flop": _flop(counts, n),
        }
        for n in samples
    ]
    for kind, curve in (("coverage", study.coverage), ("vote", study.vote)):
        told = None if curve is None else curve.fit.predict([float(n) for n in samples])
        for at, row in enumerate(rows):
            row[kind] = None
            if told is not None:
                row[kind] = {part: float(getattr(told, part)[at]) for part in ("value", "low", "high")}
    return rows


def _needs(study: DrawsStudy, wanted: Sequence[float]) -> list[dict[str, Any]]:
    """A row for each coverage: the samples that it takes, None where no number is enough."""
    from ponder.laws.coverage import needed

    rows = []
    for share in wanted:
        found = [None if math.isinf(each) else round(each) for each in needed(study.coverage.fit, share)]
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
    return f"{counts.name}, {counts.task}: {len(counts.ids):,} problems, {draws} draws of each."


def _print_fits(study: DrawsStudy) -> None:
    say(_title(study.counts))
    click.echo()
    _print_told(study.coverage)
    values = ", ".join(f"{name} {estimate(value)}" for name, value in study.coverage.fit.parameters.items())
    say(f"Best: {study.coverage.fit.law.name}, a {study.coverage.best.word}; on all draws {values}.")
    say(f"By likelihood the counts ask for: {study.likelihood}.")
    click.echo()
    if study.vote is None:
        say(f"No law of votes: {study.note}")
    else:
        _print_told(study.vote)
        told = study.vote.fit.predict([float("inf")])
        limit = f"{told.value[0]:.1%} [{told.low[0]:.1%}, {told.high[0]:.1%}]"
        say(f"Best: {study.vote.fit.law.name}, a {study.vote.best.word}; limit {limit}; {_peak(study.vote)}.")
    click.echo()


def _print_told(curve: LawCurve) -> None:
    best = curve.best
    at = f"{'pass' if curve.kind == 'coverage' else 'vote'}@{best.samples}"
    heads = (f"law of {curve.kind}", f"{at}, %", "off by, points", "error", "is a")
    rows = [
        (
            each.law.name,
            f"{100 * each.predicted.value:.1f}",
            percent(each.difference, sign="+"),
            "–" if each.error is None else f"{each.error:.1%}",
            each.word,
        )
        for each in curve.forecasts
    ]
    show_table(heads, rows, left=(0, 4))
    say(
        f"Fitted to {best.fitted_to} draws of a problem and tried on the others, whose {at} is "
        f"{percent(best.seen)} %. Error: of -log {at}."
    )


def _peak(curve: LawCurve) -> str:
    """Where votes are most worth it, as far as the refits agree."""
    peak = curve.fit.peak(_FAR * float(curve.fit.reach[1]))
    if peak.falls >= _AGREED:
        return f"best at N = {peak.x.value:,.0f} [{peak.x.low:,.0f}, {peak.x.high:,.0f}], lower after"
    if peak.falls <= 1.0 - _AGREED:
        return f"it rises up to {peak.most:,.0f} samples"
    return f"whether it falls before {peak.most:,.0f} samples is open: {peak.falls:.0%} of the refits do"


_FAR = 100.0  # times the draws: as far as a peak is looked for
_AGREED = 0.95  # of the refits


def _print_forecasts(study: DrawsStudy, rows: Sequence[dict[str, Any]]) -> None:
    from ponder.measure.intervals import Estimate

    say(_title(study.counts))
    click.echo()
    table = []
    for row in rows:
        told = [None if row[kind] is None else Estimate(**row[kind]) for kind in ("coverage", "vote")]
        table.append(
            (
                f"{row['samples']:,}" + ("*" if row["beyond"] else ""),
                *("–" if each is None else percent(each) for each in told),
                quantity(row["tokens"]),
                quantity(row["flop"]),
            )
        )
    if table:
        show_table(("samples", "coverage, %", "vote, %", "tokens", "FLOP"), table, left=())
    if any(row["beyond"] for row in rows):
        say(f"* a forecast: beyond the {study.counts.least:,} draws of a problem.")
    for curve in study.curves:
        best = curve.best
        say(
            f"{curve.kind.capitalize()} by {best.law.name}, a {best.word}: from {best.fitted_to} draws it "
            f"missed {best.samples} by {percent(best.difference, sign='+')} points."
        )
    if study.vote is None:
        say(f"No law of votes: {study.note}")


def _print_needs(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        found = [row[name] for name in ("samples", "low", "high")]
        value, low, high = ("infinity" if each is None else f"{each:,}" for each in found)
        say(f"A coverage of {row['coverage']:.1%} takes N = {value} samples [{low}, {high}].")
