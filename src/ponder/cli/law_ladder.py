"""`ponder law exchange` and `ponder law worth`: what a ladder's recordings tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ponder.cli._output import cells, clean, console, emit, json_option, quantity

if TYPE_CHECKING:
    from ponder.laws.exchange import Level
    from ponder.laws.ladder import Ladder
    from ponder.laws.study import ExchangeStudy, WorthStudy
    from ponder.laws.worth import Worth
    from ponder.measure.intervals import Estimate

__all__ = ["exchange", "worth"]

S = TypeVar("S", bound="ExchangeStudy | WorthStudy")

_ladder = click.argument("ladder", type=click.Path(path_type=Path))
_tasks = click.option("--task", "tasks", multiple=True, help="Whose recordings; default all.")
_draws = click.option(
    "--draws", type=click.IntRange(100), default=1000, show_default=True, help="Refits for the intervals."
)
_out = click.option("--out", type=click.Path(path_type=Path), help="Draw the picture: a .png, .svg or .json.")


@click.command()
@_ladder
@_tasks
@click.option("--strategy", type=click.Choice(["vote", "pass", "chain"]), default="vote", show_default=True,
              help="A vote of samples, any of them right, or one chain that is cut off.")  # fmt: skip
@click.option("--most", type=click.IntRange(2), help="The most samples, or tokens of a chain.")
@click.option("--level", "levels", type=float, multiple=True, help="Accuracies; default five measured ones.")
@click.option("--budget", type=float, help="FLOP to split; default what the last checkpoint took.")
@click.option("--queries", type=float, multiple=True, help="How many problems the budget is to answer.")
@_draws
@_out
@json_option
def exchange(
    ladder: Path,
    tasks: tuple[str, ...],
    strategy: Any,
    most: int | None,
    levels: tuple[float, ...],
    budget: float | None,
    queries: tuple[float, ...],
    draws: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Say what training and inference exchange for, from LADDER, a folder of recorded checkpoints.

    The joint law of size, training tokens and samples; how much inference ten times the training is worth at
    each accuracy; the best split of a budget; whether larger models gain more from inference.
    """
    from ponder.laws.ladder import read
    from ponder.laws.study import study_exchange

    found = read(ladder)
    studies, refused = _each(
        found,
        tasks,
        lambda task: study_exchange(
            found,
            task,
            strategy,
            most=most,
            accuracies=levels,
            budget=budget,
            queries=queries,
            draws=draws,
        ),
    )
    files = _drawn(studies, out)
    if as_json:
        emit(_document(found, studies, refused, files) | {"others_found": _others()})
        return
    for study in studies:
        _show_exchange(study)
    if studies:
        _show_others()
    _close(found, refused, files)


@click.command()
@_ladder
@_tasks
@click.option("--strategy", "enhancement", type=click.Choice(["vote", "pass", "curated", "further"]),
              default="vote", show_default=True,
              help="A strategy, or what training made other than the plain ladder.")  # fmt: skip
@click.option("--samples", type=click.IntRange(2), help="Of a vote; default all that were drawn.")
@_draws
@_out
@json_option
def worth(
    ladder: Path,
    tasks: tuple[str, ...],
    enhancement: Any,
    samples: int | None,
    draws: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Say what an enhancement is worth in training compute, from LADDER, a folder of recorded checkpoints.

    The compute-equivalent gain is how many times the training compute plain models would need to match the
    enhanced one; "undefined" where no amount of it would.
    """
    from ponder.laws.ladder import read
    from ponder.laws.study import study_worth

    found = read(ladder)
    studies, refused = _each(
        found, tasks, lambda task: study_worth(found, task, enhancement, samples=samples, draws=draws)
    )
    files = _drawn(studies, out)
    if as_json:
        emit(_document(found, studies, refused, files))
        return
    for study in studies:
        _show_worth(study)
    _close(found, refused, files)


def _each(
    ladder: Ladder, tasks: tuple[str, ...], study: Callable[[str], S]
) -> tuple[list[S], dict[str, str]]:
    """The tasks' studies, and why others have none. Raises LawUndefined where a task that was named has none,
    or no task has one."""
    from ponder.errors import LawUndefined

    found, refused = [], dict[str, str]()
    for task in tasks or ladder.tasks:
        try:
            found.append(study(task))
        except LawUndefined as error:
            if tasks or len(ladder.tasks) == 1:
                raise
            refused[task] = str(error)
    if not found:
        raise LawUndefined(
            f"ladder: no task of {ladder.folder} bears it; first {next(iter(refused.values()))}"
        )
    return found, refused


def _document(ladder: Ladder, studies: list[S], refused: dict[str, str], files: list[Path]) -> dict[str, Any]:
    return {
        "ladder": str(ladder.folder),
        "tasks": [study.to_json() for study in studies],
        "undefined": [{"task": task, "reason": reason} for task, reason in refused.items()],
        "left_out": list(ladder.left_out),
        "files": [str(path) for path in files],
    }


def _drawn(studies: list[S], out: Path | None) -> list[Path]:
    if out is None:
        return []
    from ponder.report.law_charts import write_ladder_chart

    return write_ladder_chart(studies, out)


def _close(ladder: Ladder, refused: dict[str, str], files: list[Path]) -> None:
    for task, reason in refused.items():
        click.echo(clean(f"Undefined for {task}: {reason}"))
    if ladder.left_out:
        click.echo(clean(f"Left out, of unknown training: {', '.join(ladder.left_out)}."))
    for path in files:
        click.echo(clean(str(path)))


# ---------------------------------------------------------------- exchange


def _show_exchange(study: ExchangeStudy) -> None:
    click.echo(clean(_heading(study)))
    _print(
        ("law, in logits", "samples: per tenfold", "FLOP: per tenfold"),
        [
            (name if name == other else f"{name} | {other}", _interval(one), _interval(two))
            for (name, one), (other, two) in zip(
                study.law.parameters.items(), study.in_flop.parameters.items(), strict=True
            )
        ],
    )
    _print(
        ("accuracy", "10x training is worth", "span of training", "of inference"),
        [_level(each) for each in study.exchange.levels],
    )
    _print(
        ("queries", "inference's share", "accuracy", "size", "tokens", study.grid.unit, "at the end of"),
        [
            (
                f"{each.queries:.0e}",
                _percent(each.inference_share),
                _percent(each.accuracy),
                quantity(each.size),
                quantity(each.tokens),
                f"{each.amount:.0f}",
                ", ".join(each.at_bounds) or "–",
            )
            for each in study.splits
        ],
    )
    _print(
        ("scale, at equal", "law", "measured", "verdict by the law"),
        [
            (f"{each.scale}, {each.equal}", _interval(each.law), _interval(each.measured), each.verdict)
            for each in study.gains
        ],
    )
    for sentence in _verdicts(study):
        click.echo(clean(sentence))
    click.echo()


def _heading(study: ExchangeStudy) -> str:
    grid, ahead = study.grid, study.forecast
    held = "What was held back is too much of the ladder to foretell it."
    if ahead is not None:
        held = (
            f"The {ahead.held_back} of most training, held back, are foretold within "
            f"{100 * ahead.error:.1f} points ({100 * ahead.baseline:.1f} if nothing changed)."
        )
    return (
        f"{study.task}, {study.strategy}: a {study.word}. {len(grid.models)} checkpoints, "
        f"{len(grid.values)} problems, up to {grid.amounts[-1]:,.0f} {grid.unit}. {held}"
    )


_SIGNS = {1: "stays above 0", -1: "stays below 0", 0: "stays undecided"}


def _verdicts(study: ExchangeStudy) -> Iterator[str]:
    """How far the interaction hangs on one size, and whether the product form holds."""
    signs = {
        "is unknown" if e is None else _SIGNS[(e.low > 0) - (e.high < 0)]
        for e in study.interaction_without.values()
    }
    said = signs.pop() if len(signs) == 1 else "changes its verdict"
    yield f"With each size left out in turn the interaction {said}."
    product = study.product
    verdict = "is rejected" if product.p_value < 0.05 else "is not rejected"
    yield (
        f"Product form C_train x C_inf: {verdict} (p = {product.p_value:.2g}); inference weighs "
        f"{_interval(product.ratio)} times as much as training, interaction {_interval(product.interaction)}."
    )
    yield f"FLOP as power laws of the size miss by at most {study.exchange.costs.error:.0%}."


def _level(level: Level) -> tuple[str, ...]:
    rate = level.rate
    said = "unknown: too little of it inside of what was measured"
    if rate is not None:
        low, value, high = (f"{10.0**each:.3g}x" for each in (rate.low, rate.value, rate.high))
        said = f"{value} inference [{low}, {high}]"
    spans = (f"{each:.1f} decades" for each in (level.training_span, level.inference_span))
    return (f"{level.accuracy:.1%}", said, *spans)


def _others() -> dict[str, Any]:
    from ponder.data import table

    return table("exchange")


def _show_others() -> None:
    others = _others()
    for rate in others["rates"]:
        click.echo(
            clean(
                f"Elsewhere: {rate['training']:g}x training for {rate['inference']:g}x inference on "
                f"{rate['name']} ({rate['source']})."
            )
        )
    spans = ", ".join(
        f"{each['name']} {each['training']:g} for {each['inference']:g}" for each in others["spans"]
    )
    source = others["spans"][0]["source"]
    click.echo(clean(f"Decades of training for decades of inference elsewhere: {spans} ({source})."))


# ---------------------------------------------------------------- worth


def _show_worth(study: WorthStudy) -> None:
    from ponder.laws.study import ENHANCEMENTS

    click.echo(
        clean(
            f"{study.task}: {ENHANCEMENTS[study.enhancement]}"
            + (f" ({study.amount} samples)" if study.amount > 1 else "")
            + f", {study.problems} problems, {len(study.frontier.models)} models on the plain frontier."
        )
    )
    _print(
        ("model", "training", "plain", "enhanced", "worth, times the training", "bounds", "inference"),
        [
            (
                row.model + (f" ({breadth})" if breadth else ""),
                quantity(row.training_flop),
                _percent(row.plain),
                _percent(row.enhanced),
                _gain(row),
                _bounds(row),
                f"{row.inference_ratio:.3g}x",
            )
            for row, breadth in zip(study.rows, study.breadth, strict=True)
        ],
    )
    click.echo()


def _gain(row: Worth) -> str:
    if row.gain is None:
        return f"undefined: {row.undefined}"
    high = "no end" if row.gain.high is None else f"{row.gain.high:.3g}"
    beyond = ", extrapolated" if row.gain.beyond else ""
    return f"{row.gain.value:.3g} [{row.gain.low:.3g}, {high}]{beyond}"


def _bounds(row: Worth) -> str:
    low = "" if row.at_least is None else f"≥ {row.at_least:.3g}"
    high = "" if row.at_most is None else f"≤ {row.at_most:.3g}"
    return ", ".join(each for each in (low, high) if each) or "–"


# ---------------------------------------------------------------- both


def _interval(estimate: Estimate | None) -> str:
    if estimate is None:
        return "unknown"
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def _percent(share: Estimate | None) -> str:
    if share is None:
        return "unknown"
    return f"{100 * share.value:.0f}% [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _print(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, name in enumerate(heads):
        table.add_column(name, justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*cells(*row))
    console().print(table)
    click.echo()
