"""Every exception ponder raises on purpose, as one tree.

PonderError                    one sentence for the user: what is wrong and the remedy
├── InputError                 what the user asked for cannot be done as asked
│   ├── UnknownName            no such task, strategy, model, run, ...
│   ├── BudgetError            a budget that cannot be read, or cannot be kept
│   ├── ConfigError            a setting in the file, the environment or a flag
│   ├── TaskFileError          a problem file that cannot be read
│   ├── BankFileError          a file of other people's samples that cannot be read
│   ├── CapabilityError        the engine cannot do what the strategy needs
│   └── LawUndefined           a law cannot be fitted to these data
├── MissingExtra               an optional dependency is not installed
├── ModelError                 weights
│   ├── WeightsMissing         not on this machine yet
│   ├── WeightsCorrupt         the hash is not the expected one
│   ├── ModelUnsupported       the engine cannot run this model
│   └── CheckpointInvalid      a checkpoint folder that is incomplete or does not fit together
├── EngineError                samples could not be had
│   ├── EndpointDown           nothing answers at the address
│   ├── AuthFailed             401 or 403
│   ├── ModelNotFound          404
│   ├── RateLimited            429 until the retries ran out
│   ├── BadResponse            the answer is not what the API promises
│   └── CallFailed             any other failure of one call, after its retries
│       ├── CallTimeout        it took longer than it may
│       └── FormatRefused      a request with a response_format was not taken
├── ChildError                 a killable child process
│   ├── ChildTimeout           it was killed at its time limit
│   └── ChildCrashed           it died or answered nonsense
├── TrainingError              training cannot go on
│   ├── TrainingDiverged       the loss is no number any more; the last good checkpoint is kept
│   └── OutOfMemory            the batch does not fit; says which one to try
└── LedgerError                the store
    ├── LedgerVersion          written by a newer ponder
    ├── LedgerLocked           another process is writing
    ├── LedgerReadOnly         the file or its folder cannot be written
    ├── LedgerFull             the disk is full; what was acknowledged is kept
    ├── LedgerCorrupt          a hash or a link does not fit
    ├── LedgerErased           a text that was taken out by order
    └── RunChanged             the run's name is taken by another configuration
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_NEAR, _SHOWN = 3, 12  # names that are suggested, and that are listed of many


class PonderError(Exception):
    """Base of all of them. ``str(error)`` is one sentence that names the field and the remedy."""


class InputError(PonderError):
    """What the user asked for cannot be done as asked."""


def _beginning(name: str, choices: list[str]) -> list[str]:
    """The names of which it is the beginning, the shortest first: by letters "eu" is far from "eu-gpai"."""
    found = [each for each in choices if name and each.lower().startswith(name.lower())]
    return sorted(found, key=len)[:_NEAR]


class UnknownName(InputError):
    """No such task, strategy, model, run, ...; suggests near names."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        choices = sorted(known)
        near = difflib.get_close_matches(name, choices, n=_NEAR, cutoff=0.5) or _beginning(name, choices)
        if near:
            advice = "did you mean " + " or ".join(near) + "?"
        elif len(choices) > _SHOWN + 1:
            advice = f"known are {', '.join(choices[:_SHOWN])} and {len(choices) - _SHOWN} more."
        elif choices:
            advice = f"known are {', '.join(choices)}."
        else:
            advice = "there is none yet."
        super().__init__(f"Unknown {kind} {name!r}: {advice}{' ' + hint if hint else ''}")
        self.kind, self.name = kind, name


class BudgetError(InputError):
    """A budget that cannot be read, or cannot be kept."""


class ConfigError(InputError):
    """A setting in the file, the environment or a flag."""


class TaskFileError(InputError):
    """A problem file that cannot be read."""


class BankFileError(InputError):
    """A file of other people's samples that cannot be read."""


class CapabilityError(InputError):
    """The engine cannot do what the strategy needs."""


class LawUndefined(InputError):
    """A law cannot be fitted to these data; says which are missing."""


class MissingExtra(PonderError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}: pip install 'ponder[{extra}]'.")
        self.extra = extra


class ModelError(PonderError):
    """Weights."""


class WeightsMissing(ModelError):
    """Not on this machine yet."""


class WeightsCorrupt(ModelError):
    """The hash is not the expected one."""


class ModelUnsupported(ModelError):
    """The embedded engine cannot run this model."""


class CheckpointInvalid(ModelError):
    """A checkpoint folder that is incomplete or does not fit together."""


class EngineError(PonderError):
    """Samples could not be had."""


class EndpointDown(EngineError):
    """Nothing answers at the address."""


class AuthFailed(EngineError):
    """401 or 403."""


class ModelNotFound(EngineError):
    """404."""


class RateLimited(EngineError):
    """429 until the retries ran out."""


class BadResponse(EngineError):
    """The answer is not what the API promises."""


class CallFailed(EngineError):
    """Any other failure of one call, after its retries."""


class CallTimeout(CallFailed):
    """It took longer than it may."""


class FormatRefused(CallFailed):
    """A request with a response_format was not taken."""


class ChildError(PonderError):
    """A killable child process."""


class ChildTimeout(ChildError):
    """It was killed at its time limit."""


class ChildCrashed(ChildError):
    """It died or answered nonsense."""


class TrainingError(PonderError):
    """Training cannot go on."""


class TrainingDiverged(TrainingError):
    """The loss is no number any more; the last good checkpoint is kept."""


class OutOfMemory(TrainingError):
    """The batch does not fit into memory; says which one to try."""


class LedgerError(PonderError):
    """The store."""


class LedgerVersion(LedgerError):
    """Written by a newer ponder."""


class LedgerLocked(LedgerError):
    """Another process is writing, or another call of this one to the same run."""


class LedgerReadOnly(LedgerError):
    """The file or its folder cannot be written."""


class LedgerFull(LedgerError):
    """The disk is full; what was acknowledged is kept."""


class LedgerCorrupt(LedgerError):
    """A hash or a link does not fit."""


class LedgerErased(LedgerError):
    """A text that was taken out by order."""


class RunChanged(LedgerError):
    """The run's name is taken by another configuration."""


HOPELESS = (EndpointDown, AuthFailed, ModelNotFound, RateLimited)
"""With these no other question can succeed either: work on many stops at the first one."""
