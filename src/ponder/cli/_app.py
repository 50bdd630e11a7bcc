"""The command group, and how every error becomes one sentence and an exit code.

0 done; 1 a defect of ponder itself (with a traceback); 2 what was asked cannot be done; 3 `ask` found no
answer; 130 interrupted; 141 nobody reads the output any more.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from ponder._version import __version__
from ponder.cli._output import complain, emit
from ponder.errors import PonderError

__all__ = ["cli", "run"]

_VERBS = {
    "ask": "Answer one question, and say what the answer cost.",
    "bank": "Import other people's samples, or export a run's as a table.",
    "card": "Make the compute card: one page about one model, from a run or a checkpoint.",
    "choose": "Choose a strategy and a budget by predicted difficulty, from a run.",
    "config": "Show every setting, its value, and where it came from.",
    "data": "Show, check and extend the tables of outside facts.",
    "doctor": "Say what is installed, what is missing, and how to get it.",
    "figure": "Redraw a figure from recorded runs.",
    "govern": "Say what a measured law implies: thresholds, deployment, diffusion, theft, defence.",
    "keys": "Make, list and revoke the keys of the server.",
    "law": "Fit laws to recorded draws, and forecast with them.",
    "ledger": "Verify the ledger, or export a checkpoint of it.",
    "measure": "Measure how accuracy grows with inference compute.",
    "models": "List, show or pull models.",
    "report": "Write the report of a run again.",
    "runs": "List the runs on the ledger.",
    "serve": "Serve a model that thinks before it answers, by OpenAI's APIs.",
    "solve": "Answer a batch of questions inside one budget.",
    "strategies": "List the strategies with their parameters.",
    "tasks": "List the tasks, or show one with its prompt.",
    "train": "Turn inference into weights, with both kinds of compute on the ledger.",
}


class _ReaderGone(Exception):
    """Nobody reads standard output any more, as after `ponder ... | head`."""


@contextmanager
def _watching_the_reader() -> Iterator[None]:
    """Tell of a closed pipe before click or rich do: they leave with exit code 1, a defect's."""
    try:
        yield
    except BrokenPipeError:
        raise _ReaderGone from None
    except SystemExit as left:
        if isinstance(left.__context__, BrokenPipeError):
            raise _ReaderGone from None
        raise


class _Verbs(click.Group):
    """Loads a verb's module when it is needed, so that `ponder --help` starts at once."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _watching_the_reader():  # --help and --version print here
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _watching_the_reader():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        command: click.Command = getattr(importlib.import_module(f"ponder.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, _VERBS[name]) for name in self.list_commands(ctx)])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ponder", message="%(prog)s %(version)s")
def cli() -> None:
    """Spend inference compute well, measure what it buys, and account for what it means.

    Settings come from a configuration file, from PONDER_* variables and from flags: see `ponder config`.
    """


_INTERRUPTED = {
    "ask": "What the question cost so far is on the ledger; asked again, it begins anew.",
    "bank": "What was written is kept; run the same command again to continue.",
    "measure": "What was finished is kept; run the same command again to continue.",
    "solve": "What was drawn is kept; run the same command again to continue.",
    "train": "What was done is kept; run the same command again to continue.",
}


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except (_ReaderGone, BrokenPipeError):
        _discard_stdout()
        return 141  # what a shell reports for its own commands: 128 + SIGPIPE
    except OSError as error:
        return _refuse(words, type(error).__name__, _explain(error))


def _run(words: Sequence[str]) -> int:
    """The command itself, with every error that it may end in but the system's own."""
    try:
        ended = cli.main(args=list(words), prog_name="ponder", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message(), err=True)
        return 2
    except click.UsageError as error:
        where = f" See `{error.ctx.command_path} --help`." if error.ctx else ""
        return _refuse(words, type(error).__name__, error.format_message().rstrip(".") + "." + where)
    except click.ClickException as error:
        return _refuse(words, type(error).__name__, error.format_message())
    except PonderError as error:
        return _refuse(words, type(error).__name__, str(error))
    except (KeyboardInterrupt, click.Abort):
        complain(f"Interrupted. {_INTERRUPTED.get(words[0], '')}".strip() if words else "Interrupted.")
        return 130
    # Without standalone mode click returns the code of ctx.exit(code).
    return ended if isinstance(ended, int) else 0


def _refuse(words: Sequence[str], kind: str, sentence: str) -> int:
    """Say what cannot be done, as JSON too where JSON is asked for."""
    options = words[: words.index("--")] if "--" in words else words
    try:
        if "--json" in options:
            emit({"error": {"kind": kind, "message": sentence}})
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # what cannot be written now must not fail once more at exit
        _discard_stdout()
    complain(sentence)
    return 2


def _explain(error: OSError) -> str:
    """The system's refusal in one sentence: the file, shortened where it is long, and the reason."""
    name = "" if error.filename is None else str(error.filename)
    shown = name if len(name) < 200 else f"{name[:60]}...{name[-20:]}"
    where = f"{shown}: " if shown else ""
    reason = (error.strerror or str(error) or type(error).__name__).rstrip(".")
    return f"{where}{reason}; check the path, its permissions and the free space."


def _discard_stdout() -> None:
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
