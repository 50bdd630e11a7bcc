"""Other people's samples: read their files, keep them as a run, and hand any run's bank out as a table.

gathered, notes = gather([Path("logs/gsm8k.eval")])
with Ledger.open("ponder.db", write=True) as ledger:
    runs = [store(ledger, each).run for each in gathered]
    banks = load(ledger, runs[0])
export(banks, Path("bank.parquet"))
"""

from __future__ import annotations

from ponder.bank.export import COLUMNS, export, rows
from ponder.bank.files import BOUNDS, Bounds
from ponder.bank.foreign import Foreign, Wanted
from ponder.bank.importing import Gathered, TaskSamples, gather
from ponder.bank.reading import Drawn, TaskBank, load, scan
from ponder.bank.storing import Stored, store

__all__ = [
    "BOUNDS",
    "COLUMNS",
    "Bounds",
    "Drawn",
    "Foreign",
    "Gathered",
    "Stored",
    "TaskBank",
    "TaskSamples",
    "Wanted",
    "export",
    "gather",
    "load",
    "rows",
    "scan",
    "store",
]
