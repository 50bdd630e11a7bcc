"""Training compute counted over a model's whole life, under every rule that draws a line in it."""

from __future__ import annotations

from ponder.govern.accounting.count import Account, Finding, account
from ponder.govern.accounting.document import to_json
from ponder.govern.accounting.file import EXAMPLE, read_lifecycle, read_run
from ponder.govern.accounting.imports import from_checkpoint, from_run, from_trainer_state, is_trained_folder
from ponder.govern.accounting.rules import chosen, every_rule
from ponder.govern.accounting.stages import Estimate, Facts, Lifecycle, Stage

__all__ = [
    "EXAMPLE",
    "Account",
    "Estimate",
    "Facts",
    "Finding",
    "Lifecycle",
    "Stage",
    "account",
    "chosen",
    "every_rule",
    "from_checkpoint",
    "from_run",
    "from_trainer_state",
    "is_trained_folder",
    "read_lifecycle",
    "read_run",
    "to_json",
]
