"""The store: every call, sample, grade, answer and training stage of every run, under one hash chain.

    with Ledger.open("ponder.db", write=True) as ledger:
        recorder = ledger.run("demo", config, problems, models={"solver": model})
        await recorder.record(question, stream, "solver", request, attempts, samples)

One writer, many readers; acknowledged is durable; `verify` names the first row that is not as written.
"""

from __future__ import annotations

from ponder.ledger.audit import Verdict, checkpoint, verify
from ponder.ledger.banks import PricedSample
from ponder.ledger.database import shown
from ponder.ledger.erasing import Erasure
from ponder.ledger.read import ENDED, SERVE, SERVED, RunSummary, RunUse, Served, request_usage
from ponder.ledger.recorder import RunRecorder
from ponder.ledger.rows import (
    AnswerRow,
    CallRow,
    EventRow,
    GradeRow,
    ProblemRow,
    Row,
    RunRow,
    SampleRow,
    Stage,
    StageRow,
    StoredSample,
    TextRow,
)
from ponder.ledger.store import Ledger

__all__ = [
    "ENDED",
    "SERVE",
    "SERVED",
    "AnswerRow",
    "CallRow",
    "Erasure",
    "EventRow",
    "GradeRow",
    "Ledger",
    "PricedSample",
    "ProblemRow",
    "Row",
    "RunRecorder",
    "RunRow",
    "RunSummary",
    "RunUse",
    "SampleRow",
    "Served",
    "Stage",
    "StageRow",
    "StoredSample",
    "TextRow",
    "Verdict",
    "checkpoint",
    "request_usage",
    "shown",
    "verify",
]
