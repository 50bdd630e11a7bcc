"""The nouns of ponder and the protocol between a strategy and its driver.

A strategy is a generator: it yields a `Wave` of asks and is sent a `Reply`, until it returns an
`Answer`. It sees questions and samples; never an engine, a clock, a file or an answer key.
Everything here is immutable and does no I/O.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ponder.core.answering import (
    Attempt,
    Call,
    Capabilities,
    Engine,
    Generation,
    Grader,
    Growth,
    Model,
    Output,
    Price,
    Recorder,
    Request,
    Sampling,
    Scorer,
    Shape,
    Spent,
    share,
)
from ponder.core.asking import (
    FINISHED,
    Answer,
    Draw,
    Finish,
    Forcing,
    Message,
    Prompt,
    Question,
    Reply,
    Role,
    Sample,
    Score,
    Scoring,
    Strategy,
    Trace,
    Wave,
)
from ponder.core.spending import Budget, Usage, mean_of

__all__ = [
    "FINISHED",
    "Answer",
    "Attempt",
    "Budget",
    "Call",
    "Capabilities",
    "Draw",
    "Engine",
    "Finish",
    "Forcing",
    "Generation",
    "Grader",
    "Growth",
    "Message",
    "Model",
    "Output",
    "Price",
    "Prompt",
    "Question",
    "Recorder",
    "Reply",
    "Request",
    "Role",
    "Sample",
    "Sampling",
    "Score",
    "Scorer",
    "Scoring",
    "Shape",
    "Spent",
    "Strategy",
    "Trace",
    "Usage",
    "Wave",
    "canonical_json",
    "digest",
    "mean_of",
    "share",
]


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return _CANONICAL.encode(value)


def digest(value: Any) -> str:
    """SHA-256 of `canonical_json(value)`, in hex."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()
