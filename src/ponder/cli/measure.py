"""`ponder measure`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponder.cli._output import (
    StatedPath,
    clean,
    complain,
    console,
    emit,
    quantity,
    sampling_options,
    settings_from,
    text_argument,
)

if TYPE_CHECKING:
    from ponder.config import Settings
    from ponder.measure import Measurement, Progress, Spec
    from ponder.measure.worst import WorstCase

DEMO_TASKS = ("chain_sum", "chain_sum3", "lcm", "products", "addition2", "countdown")


@click.command()
@click.option(
    "--task", "tasks", multiple=True, help="A task, NAME:PARAM=VALUE,..., FILE.jsonl, or - (JSONL)."
)
@click.option("--demo", is_flag=True, help=f"The demo's tasks: {', '.join(DEMO_TASKS)}.")
@click.option("--strategy", "strategies", multiple=True, help="A strategy; default direct, vote and best.")
@click.option("--samples", type=int, help="Samples a problem.")
@click.option("--problems", type=int, help="Problems a task.")
@click.option("--top-p", type=float, help="Nucleus sampling mass.")
@click.option("--prompt", metavar="FILE", help="A prompt with {question} in it (-: standard input).")
@click.option("--stop", multiple=True, help="A stop string for that prompt (\\n is a line break).")
@click.option("--api", type=click.Choice(["chat", "completions"]), help="How an endpoint is asked.")
@click.option("--run", help="Name of the run; default: from the configuration.")
@click.option("--to", "folder", type=StatedPath(), help="Folder for the report.")
@click.option("--no-report", is_flag=True, help="Print the table only.")
@click.option("--dry-run", is_flag=True, help="Print the most that it can cost, and stop.")
@sampling_options
def measure(
    tasks: tuple[str, ...],
    demo: bool,
    strategies: tuple[str, ...],
    max_tokens: int | None,
    prompt: str | None,
    stop: tuple[str, ...],
    run: str | None,
    folder: Path | None,
    no_report: bool,
    dry_run: bool,
    roles: dict[str, str] | None,
    as_json: bool,
    **stated: Any,
) -> None:
    """Measure how accuracy grows with inference compute, for a model on tasks.

    Draws samples of every problem once, then evaluates every strategy at every number of samples. A
    rerun of the same command continues an interrupted run and buys nothing twice.
    """
    from ponder.api import measure_spec, run_blocking, specify
    from ponder.measure.spec import check_run_name

    if run is not None:
        check_run_name(run)
    if prompt == "-" and "-" in tasks:
        raise click.UsageError("--prompt and --task cannot both read standard input.")
    settings = settings_from(**stated)
    spec = specify(
        [*(DEMO_TASKS if demo else ()), *tasks],
        settings=settings,
        strategies=strategies or None,
        max_tokens=max_tokens,
        prompt=_prompt(prompt, stop, max_tokens),
    )
    if dry_run:
        _dry_run(spec, settings, roles, as_json)
        return
    if not no_report:
        _require_report(folder or settings.reports / (run or ""))
    with _progress(quiet=as_json) as watch:
        measurement = run_blocking(
            lambda: measure_spec(spec, settings=settings, roles=roles, run=run, watch=watch)
        )
    _show(measurement, None if no_report else folder or settings.reports / measurement.run, as_json)


def _prompt(file: str | None, stop: tuple[str, ...], max_tokens: int | None) -> Any:
    from ponder.errors import InputError
    from ponder.tasks import PromptOverride

    if file is None:
        if stop:
            raise InputError("stop: it belongs to --prompt FILE; give both.")
        return None
    stops = tuple(text.replace("\\n", "\n") for text in stop) or None
    if file == "-":
        text = text_argument(file).rstrip("\n")
        return PromptOverride(text, stops, max_tokens, "the prompt on standard input")
    return PromptOverride.from_file(file, stop=stops, max_tokens=max_tokens)


def _require_report(folder: Path) -> None:
    """Refuse a report that could not be written before anything is bought for it."""
    from ponder.report import require_folder, require_report

    require_report()
    require_folder(folder)


def _show(measurement: Measurement, folder: Path | None, as_json: bool) -> None:
    """Print what was measured, and write the report where a folder is named."""
    from ponder.report import render, write_report

    written = None if folder is None else write_report(measurement, folder)
    if as_json:
        files = None if written is None else {k: str(getattr(written, k)) for k in ("html", "png", "svg")}
        emit(measurement.to_json() | {"report": files})
        return
    console().print(render(measurement))
    if written is not None:
        click.echo(f"report: {clean(str(written.html))}")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar on standard error: samples, tokens/s, time left; a line now and then without a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    if quiet:
        yield lambda progress: None
        return
    if not sys.stderr.isatty():
        yield _lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console(err=True)) as bar:
        line = bar.add_task("loading the model", total=None, speed="")

        def watch(progress: Progress) -> None:
            bar.update(
                line,
                description="sampling",
                completed=progress.done,
                total=progress.total,
                speed=_speed(progress),
            )

        yield watch


def _lines() -> Callable[[Progress], None]:
    shown = [-1]

    def watch(progress: Progress) -> None:
        tenth = 10 * progress.done // max(1, progress.total)
        if tenth > shown[0]:
            shown[0] = tenth
            speed = _speed(progress)
            complain(
                f"{progress.done:,} of {progress.total:,} samples" + (f", {speed}" if speed else "") + "."
            )

    return watch


def _speed(progress: Progress) -> str:
    """Generated tokens a second; nothing where they are unknown or the time is too short to tell."""
    if progress.tokens is None or progress.seconds < 0.5:
        return ""
    return f"{progress.tokens / progress.seconds:,.0f} tokens/s"


def _dry_run(spec: Spec, settings: Settings, roles: dict[str, str] | None, as_json: bool) -> None:
    from ponder.api import bound_spec, run_blocking

    worst = run_blocking(lambda: bound_spec(spec, settings=settings, roles=roles))
    if as_json:
        emit(worst.to_json())
        return
    _print_worst(worst)


def _print_worst(worst: WorstCase) -> None:
    prompt = "unknown" if worst.prompt_tokens is None else f"{worst.prompt_tokens:,}"
    time = "unknown (no finished run with this model yet)"
    if worst.seconds is not None:
        time = f"{worst.seconds:,.0f} s at the speed of the last run" if worst.seconds >= 1 else "under 1 s"
    rows = [
        ("tasks", f"{worst.tasks}"),
        ("problems", f"{worst.problems:,}"),
        ("samples", f"{worst.samples:,}"),
        ("prompt tokens", prompt),
        ("generated tokens", f"{worst.generated_tokens:,}"),
        ("FLOP", f"{quantity(worst.flop, 'FLOP')} (by {worst.flop_method})"),
        ("dollars", "unknown (no price)" if worst.usd is None else f"${worst.usd:.4f}"),
        ("time", time),
    ]
    click.echo("At most, with nothing bought before:")
    for name, value in rows:
        click.echo(f"  {name:<17} {value}")
    if worst.live:
        click.echo(
            f"On top, not bounded here, since it depends on their path: {clean(', '.join(worst.live))}."
        )
