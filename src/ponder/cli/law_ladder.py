"""`ponder law exchange` and `ponder law worth`: what a ladder's recordings tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ponder.cli._law_options import draws_option, out_option
from ponder.cli._output import StatedPath, emit, json_option, quantity
from ponder.cli._terminal import (
    UNKNOWN,
    estimate,
    number,
    percent,
    say,
    show_table,
    times,
    written,
)

if TYPE_CHECKING:
    from ponder.laws.ladder import Ladder
    from ponder.laws.study import ExchangeStudy, WorthStudy
    from ponder.laws.worth import Worth
    from ponder.measure.intervals import Estimate

__all__ = ["exchange", "worth"]

S = TypeVar("S", bound="ExchangeStudy | WorthStudy")

_ladder = click.argument("ladder", type=StatedPath())
_tasks = click.option("--task", "tasks", multiple=True, help="Whose recordings; default all.")


@click.command()
@_ladder
@_tasks
@click.option("--strategy", type=click.Choice(["vote", "pass", "chain"]), default="vote", show_default=True,
              help="A vote of samples, any of them right, or one chain that is cut off.")  # fmt: skip
@click.option("--most", type=click.IntRange(2), help="The most samples, or tokens of a chain.")
@click.option("--level", "levels", type=float, multiple=True, help="Accuracies; default five measured ones.")
@click.option("--budget", type=float, help="FLOP to split; default what the last checkpoint took.")
@click.option("--queries", type=float, multiple=True, help="How many problems the budget is to answer.")
@draws_option
@out_option
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

    found = read(ladder, tasks)
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
@draws_option
@out_option
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

    found = read(ladder, tasks)
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
    from ponder.report.law_files import write_picture

    return write_picture(studies, out)


def _close(ladder: Ladder, refused: dict[str, str], files: list[Path]) -> None:
    for task, reason in refused.items():
        say(f"Undefined for {task}: {reason}")
    if ladder.left_out:
        say(f"Left out, of unknown training: {', '.join(ladder.left_out)}.")
    written(files)


# ---------------------------------------------------------------- exchange


def _show_exchange(study: ExchangeStudy) -> None:
    say(_heading(study))
    click.echo()
    show_table(
        ("law, in logits a tenfold", f"in {study.grid.unit}", "in FLOP"),
        [
            (
                name if name == other else f"{name} | {other}",
                estimate(one, digits=2),
                estimate(two, digits=2),
            )
            for (name, one), (other, two) in zip(
                study.law.parameters.items(), study.in_flop.parameters.items(), strict=True
            )
        ],
    )
    if any(each.low == each.high for law in (study.law, study.in_flop) for each in law.parameters.values()):
        say("Without an interval: the same in every refit, at its bound or at a step of the search.")
    click.echo()
    _show_rates(study)
    click.echo()
    if study.splits:
        _show_splits(study)
    show_table(
        ("larger less smaller models' gain", "by the law", "measured"),
        [
            (
                f"{each.scale}, equal {each.equal}",
                estimate(each.law, digits=2),
                estimate(each.measured, digits=2),
            )
            for each in study.gains
        ],
    )
    for verdict in dict.fromkeys(each.verdict for each in study.gains):
        of = ", ".join(
            f"{each.scale} at equal {each.equal}" for each in study.gains if each.verdict == verdict
        )
        say(f"By the law, {verdict}: {of}.")
    click.echo()
    for sentence in _verdicts(study):
        say(sentence)
    click.echo()


def _show_rates(study: ExchangeStudy) -> None:
    """By the law, with the decades that its contour spans, and by the measured checkpoints alone."""
    rows = list(zip(study.exchange.levels, study.measured, strict=True))
    show_table(
        ("accuracy", "10x training is, by the law", "decades", "as measured", "models", "decades"),
        [
            (
                f"{law.accuracy:.1%}",
                _rate(law.rate),
                f"{law.training_span:.1f} for {law.inference_span:.1f}",
                _rate(measured.rate),
                str(len(measured.models)),
                "{:.1f} for {:.1f}".format(*measured.spans),
            )
            for law, measured in rows
        ],
    )
    said = [
        "How many times the inference 10 times the training is worth: along the law's contour, with the "
        "decades of training and of inference that it spans, and as a straight line through the models that "
        "need less inference than every model of at most their training."
    ]
    if any(each.rate is None for row in rows for each in row):
        said.append(
            f"{UNKNOWN.capitalize()}: too little of the contour lies inside of what was measured, or the "
            "models on it are too few or span less than half a decade of training."
        )
    say(" ".join(said))


def _show_splits(study: ExchangeStudy) -> None:
    show_table(
        ("queries", "inference, %", "accuracy, %", "size", "tokens", study.grid.unit),
        [
            (
                f"{each.queries:.0e}",
                percent(each.inference_share, short=True),
                percent(each.accuracy, short=True),
                *(
                    told + ("*" if name in each.at_bounds else "")
                    for name, told in (
                        ("size", quantity(each.size)),
                        ("tokens", quantity(each.tokens)),
                        ("amount", f"{each.amount:.0f}"),
                    )
                ),
            )
            for each in study.splits
        ],
    )
    say(
        f"The best split of {quantity(study.splits[0].budget)} FLOP between training and so many queries; * "
        "at the end of what was measured. Without an interval: the same in every refit, at such an end or "
        "at a step of the search."
    )
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
    """Why there is a ceiling or none, how far the interaction hangs on one size, and whether the product form
    holds."""
    yield _ceiling(study)
    signs = {
        "is unknown" if e is None else _SIGNS[(e.low > 0) - (e.high < 0)]
        for e in study.interaction_without.values()
    }
    said = signs.pop() if len(signs) == 1 else "changes its verdict"
    yield f"With each size left out in turn the interaction {said}."
    product = study.product
    verdict = "is rejected" if product.p_value < 0.05 else "is not rejected"
    yield (
        f"Product form C_train x C_inf: {verdict} ({_chance(product.p_value, study.word)}); in the middle "
        f"of what was measured inference weighs {estimate(product.ratio)} times as much as training, "
        f"interaction {estimate(product.interaction)}."
    )
    yield f"FLOP as power laws of the size miss by at most {study.exchange.costs.error:.0%}."


def _chance(p: float, word: str) -> str:
    """A p-value takes the joint form for granted, which a trend does not allow."""
    if word != "law":
        return "as far as the trend holds"
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _ceiling(study: ExchangeStudy) -> str:
    choice = study.choice
    if choice.with_ceiling is None or choice.without is None:
        return "The ceiling is fitted; too few checkpoints tell whether it foretells better than none."
    at_bound = (
        " It is the lowest that is tried, just below the highest mean; the fit would go lower."
        if study.ceiling_is_bound
        else ""
    )
    errors = f"({100 * choice.with_ceiling:.1f} points, and {100 * choice.without:.1f} without)"
    if choice.fitted:
        return (
            f"The ceiling is fitted, for it foretells the most trained checkpoints better {errors}.{at_bound}"
        )
    return f"No ceiling is fitted, for it foretells the most trained checkpoints no better {errors}."


def _rate(rate: Estimate | None) -> str:
    """Of a power of ten."""
    if rate is None:
        return UNKNOWN
    low, value, high = (number(10.0**x) for x in (rate.low, rate.value, rate.high))
    return f"{value} [{low}, {high}]"


def _others() -> dict[str, Any]:
    from ponder.data import table

    return table("exchange")


def _show_others() -> None:
    others = _others()
    for rate in others["rates"]:
        say(
            f"Elsewhere: {rate['training']:g}x training for {rate['inference']:g}x inference on "
            f"{rate['name']} ({rate['source']})."
        )
    spans = ", ".join(
        f"{each['name']} {each['training']:g} for {each['inference']:g}" for each in others["spans"]
    )
    source = others["spans"][0]["source"]
    say(f"Decades of training for decades of inference elsewhere: {spans} ({source}).")


# ---------------------------------------------------------------- worth


def _show_worth(study: WorthStudy) -> None:
    """The most accurate enhanced models first."""
    from ponder.laws.study import ENHANCEMENTS
    from ponder.report.law_parts import short_names

    say(
        f"{study.task}: {ENHANCEMENTS[study.enhancement]}"
        + (f" ({study.amount} samples)" if study.amount > 1 else "")
        + f", {study.problems} problems, {len(study.frontier.models)} models on the plain frontier."
    )
    click.echo()
    names, shared = short_names([row.model for row in study.rows])
    told = zip(study.rows, names, study.breadth, strict=True)
    ordered = sorted(told, key=lambda each: (-each[0].enhanced.value, -each[0].training_flop))
    letters = _letters([row for row, _, _ in ordered])
    show_table(
        ("model", "plain, %", "enhanced, %", "worth, times FLOP", "by frontier"),
        [
            (
                name + (f" ({breadth})" if breadth else ""),
                percent(row.plain, short=True),
                percent(row.enhanced, short=True),
                _gain(row, letters),
                _bounds(row),
            )
            for row, name, breadth in ordered
        ],
    )
    for sentence in _legend(study, letters, shared):
        say(sentence)
    click.echo()


def _letters(rows: Sequence[Worth]) -> dict[str, str]:
    """A letter for each reason why a gain is undefined."""
    reasons = dict.fromkeys(row.undefined for row in rows if row.undefined is not None)
    return dict(zip(reasons, ascii_lowercase, strict=False))


def _legend(study: WorthStudy, letters: dict[str, str], shared: str) -> Iterator[str]:
    if shared:
        yield f"Names of models are without what all share, {shared}."
    yield (
        "Worth: how many times the training FLOP after the x plain models would need for as much, by a "
        "sigmoid through their frontier; ∞: no upper end; *: beyond what was measured. By frontier, without "
        "a law: ≥ for the last measured model of the frontier that is worse, ≤ for the first as good. "
        f"{_multiplied(study)}"
    )
    yield _sure(study)
    for reason, letter in letters.items():
        count = sum(row.undefined == reason for row in study.rows)
        yield f"undefined {letter} ({count} of {len(study.rows)}): {reason}."
    ratios = [row.inference_ratio for row in study.rows]
    least, most = times(min(ratios)), times(max(ratios))
    yield f"Inference: {least if least == most else f'{least} to {most}'} that of a plain answer."


def _sure(study: WorthStudy) -> str:
    """How many of the models that are ever right the measured frontier surely tells something of."""
    rows = [each for each in study.rows if each.enhanced.value > 0.0]
    beside = [("the FLOP after the x", [each.beside_equal for each in rows])]
    if study.enhancement in ("vote", "pass"):
        beside.append(("its own training", [each.beside_own for each in rows]))
    told = [
        f"more than {what} {sum(one.more.sure for one in found)}, less {sum(one.less.sure for one in found)}"
        for what, found in beside
    ]
    above = sum(each.above_all.sure for each in rows)
    return (
        f"By the frontier, surely (95% of the refits), of {len(rows)} models that are ever right: worth "
        f"{'; '.join(told)}; better than any plain model {above}."
    )


def _multiplied(study: WorthStudy) -> str:
    """What the factors of `_gain` and `_bounds` are times of."""
    if study.enhancement in ("vote", "pass"):
        return (
            "FLOP after the x: what the plain score takes, by the sigmoid and of the cheapest measured model "
            "as good; a model off the frontier was itself trained with more."
        )
    return "FLOP after the x: what the model was trained with."


def _gain(row: Worth, letters: dict[str, str]) -> str:
    if row.gain is None:
        return f"undefined {letters[row.undefined or '']}"
    high = "∞" if row.gain.high is None else number(row.gain.high, digits=2)
    beyond = "*" if row.gain.beyond else ""
    told = f"{number(row.gain.value, digits=2)}{beyond} [{number(row.gain.low, digits=2)}, {high}]"
    return f"{told} x {quantity(row.gain.of_flop)}"


def _bounds(row: Worth) -> str:
    low, high = ("" if end is None else number(end, digits=2) for end in (row.at_least, row.at_most))
    if not low and not high:
        return "–"
    told = f"{low}–{high}" if low and high else f"≥ {low}" if low else f"≤ {high}"
    return f"{told} x {quantity(row.bounds_of_flop)}"
