"""The command line: one verb a file. Heavy parts are imported by the verb that needs them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ponder.cli._app import cli, run

__all__ = ["cli", "main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(run(arguments))
