"""The command group, and how every error becomes one sentence and an exit code.

0 done; 1 a defect of ponder itself (with a traceback); 2 what was asked cannot be done; 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from ponder._version import __version__
from ponder.cli._output import complain, emit
from ponder.errors import PonderError

__all__ = ["cli", "run"]

_VERBS = {
    "ask": "Answer one question, and say what the answer cost.",
    "config": "Show every setting, its value, and where it came from.",
    "doctor": "Say what is installed, what is missing, and how to get it.",
    "ledger": "Verify the ledger, or export a checkpoint of it.",
    "measure": "Measure how accuracy grows with inference compute.",
    "models": "List, show or pull models.",
    "report": "Write the report of a run again.",
    "runs": "List the runs on the ledger.",
    "strategies": "List the strategies with their parameters.",
    "tasks": "List the tasks, or show one with its prompt.",
}


class _Verbs(click.Group):
    """Loads a verb's module when it is needed, so that `ponder --help` starts at once."""

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


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        ended = cli.main(args=words, prog_name="ponder", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message(), err=True)
        return 2
    except click.UsageError as error:
        where = f" See `{error.ctx.command_path} --help`." if error.ctx else ""
        complain(error.format_message().rstrip(".") + "." + where)
        return 2
    except click.ClickException as error:
        complain(error.format_message())
        return 2
    except PonderError as error:
        if "--json" in words:
            emit({"error": {"kind": type(error).__name__, "message": str(error)}})
        complain(str(error))
        return 2
    except (KeyboardInterrupt, click.Abort):
        complain("Interrupted. What was finished is kept; run the same command again to continue.")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    # Without standalone mode click returns the code of ctx.exit(code).
    return ended if isinstance(ended, int) else 0
