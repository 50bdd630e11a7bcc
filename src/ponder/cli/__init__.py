"""The command line: one verb a file. Heavy parts are imported by the verb that needs them."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from ponder.cli._app import cli, run

__all__ = ["cli", "main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A letter that the terminal's encoding lacks is shown as "?", not as a traceback.
        sys.stdout.reconfigure(errors="replace")
    sys.exit(run(arguments))
