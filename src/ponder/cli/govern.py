"""`ponder govern`: a verb for each calculator, made from its inputs, and `new`.

A calculator that asks for options of its own has them in `govern_NAME.py`.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponder.cli import __path__ as cli_folder
from ponder.cli._govern_words import show
from ponder.cli._output import StatedFile, StatedPath, clean, emit, json_option, settings_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ponder.govern import Calculator
    from ponder.govern.calculator import Measured
    from ponder.govern.outcome import Outcome

__all__ = ["command_of", "deliver", "govern"]

_DRAWS = click.IntRange(100, 4_000_000)  # of fewer a 5th percentile tells nothing


class _Calculators(click.Group):
    """Makes a calculator's command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from ponder.govern import names

        return sorted({*names(), *_own(), *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from ponder.govern import calculator, names

        if cmd_name in _own():
            module = importlib.import_module(f"ponder.cli.govern_{cmd_name}")
            command: click.Command = getattr(module, cmd_name)
            return command
        return command_of(calculator(cmd_name)) if cmd_name in names() else super().get_command(ctx, cmd_name)


def _own() -> list[str]:
    """Verbs that have a file of their own, which holds a command of the verb's name."""
    found = (each.name for each in pkgutil.iter_modules(cli_folder))
    return [name.removeprefix("govern_") for name in found if name.startswith("govern_")]


@click.group(cls=_Calculators)
def govern() -> None:
    """Say what a measured law implies for thresholds, deployment, diffusion, theft, defence and trade.

    Every figure shows where it comes from: measured, published, assumed, or yours.
    """


@govern.command()
@click.argument("name")
@click.option("--to", "path", type=StatedPath(), help="A file to write; default standard output.")
def new(name: str, path: Path | None) -> None:
    """Write a commented scenario for the calculator NAME."""
    from ponder.errors import InputError

    text = _example(name)
    if path is None:
        click.echo(text, nl=False)
        return
    if path.exists():
        raise InputError(f"to: {path} is already there; give another name.")
    path.write_text(text, "utf-8")
    click.echo(f"scenario: {clean(str(path))}")


def _example(name: str) -> str:
    """From the calculator's inputs; a verb of its own that is no calculator has an `example` beside it."""
    from ponder.govern import calculator
    from ponder.govern.example import example

    beside = importlib.import_module(f"ponder.cli.govern_{name}") if name in _own() else None
    own: Callable[[], str] | None = getattr(beside, "example", None)
    return own() if own is not None else example(calculator(name))


def command_of(of: Calculator) -> click.Command:
    """The verb of a calculator: a flag for each choice and input, and those that all share."""
    own = [
        click.Option([_flag(each.name)], metavar="NAME", help=each.what) for each in of.choices
    ] + [
        click.Option([_flag(each.name)], metavar=each.unit.upper() if len(each.unit) < 12 else "NUMBER",
                     help=f"{each.what.rstrip('.')}{f', in {each.unit}' if each.unit else ''}.")
        for each in of.inputs
    ]  # fmt: skip
    command = click.Command(of.name, help=of.title, callback=_runner(of), params=[*_shared(of), *own])
    return json_option(command)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _shared(of: Calculator) -> list[click.Parameter]:
    shared: list[click.Parameter] = [
        click.Argument(["scenario"], required=False, type=StatedPath()),
        click.Option(["--set", "sets"], multiple=True, metavar="NAME=VALUE",
                     help="Any input by its name, such as actors.leader.budget; may be given again."),
        click.Option(["--draws"], type=_DRAWS, help="Draws; default 10,000."),
        click.Option(["--seed"], type=click.IntRange(0), default=0, show_default=True, help="Of the draws."),
        click.Option(["--out"], type=StatedFile(), metavar="PAGE.html", help="Write a page."),
    ]  # fmt: skip
    if of.law is not None:
        shared += [
            click.Option(["--law"], metavar="RUN", help="A run, a recording or a ladder to measure by."),
            click.Option(["--task"], help="Of the law; a run of several tasks needs it."),
            click.Option(["--ledger"], metavar="PATH", help="Ledger file or database URL."),
        ]
    if of.detector is not None:
        shared.append(
            click.Option(["--detector"], metavar="FILE[#LAW]", help="A measured detector's result.")
        )
    return shared


def _runner(of: Calculator) -> Any:
    def run(
        scenario: Path | None,
        sets: tuple[str, ...],
        draws: int | None,
        seed: int,
        out: Path | None,
        as_json: bool,
        law: str | None = None,
        task: str | None = None,
        ledger: str | None = None,
        detector: str | None = None,
        **given: str | None,
    ) -> None:
        stated = [f"{name}={value}" for name, value in given.items() if value is not None]
        laws = {"law": law, "task": task, "ledger": ledger, "detector": detector}
        outcome = work(of, scenario, [*stated, *sets], draws, seed, **laws)
        deliver(outcome, out, as_json)

    return run


def work(
    of: Calculator,
    path: Path | None,
    sets: Sequence[str],
    draws: int | None,
    seed: int,
    *,
    law: str | None = None,
    task: str | None = None,
    ledger: str | None = None,
    detector: str | None = None,
) -> Outcome:
    """The outcome of a scenario's file and flags. Raises InputError."""
    from ponder.govern.outcome import DRAWS, evaluate
    from ponder.govern.scenario import load, read, resolve

    document: Mapping[str, Any] = {} if path is None else load(of, path)
    scenario = read(of, document, sets)
    law = scenario.law if law is None else law
    measured = _measured(of, law, scenario.task if task is None else task, ledger)
    detected = _detected(of, scenario.detector if detector is None else detector)
    if detected is not None:
        measured = detected if measured is None else measured.beside(detected)
    case = resolve(of, scenario, measured)
    return evaluate(case, draws=DRAWS if draws is None else draws, seed=seed)


def _measured(of: Calculator, law: str | None, task: str | None, ledger: str | None) -> Measured | None:
    from ponder.errors import InputError
    from ponder.govern.calculator import LawChoice

    if law is None:
        return None
    if of.law is None:
        raise InputError(f"law: {of.name} takes no law; leave it out.")
    if not law.strip():
        raise InputError("law: it is empty; name a run, a recording or a ladder, or leave it out.")
    return of.law(LawChoice(law, settings_from(ledger=ledger).ledger, task))


def _detected(of: Calculator, detector: str | None) -> Measured | None:
    from ponder.errors import InputError

    if detector is None:
        return None
    if of.detector is None:
        raise InputError(f"detector: {of.name} takes none; leave it out.")
    return of.detector(detector)


def deliver(outcome: Outcome, out: Path | None, as_json: bool) -> None:
    """Print the outcome, and write its page where one is asked for."""
    if out is not None:
        from ponder.report.govern_page import write_govern_page

        write_govern_page(outcome, out)
    if as_json:
        emit(outcome.to_json() | ({"page": str(out)} if out else {}))
        return
    show(outcome)
    if out is not None:
        click.echo(f"page: {clean(str(out))}")
