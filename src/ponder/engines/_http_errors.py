"""What a failed request means: which error, whether to try again and when, and whether it can have cost
anything."""

from __future__ import annotations

import email.utils
import json
import re
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ponder.core import Usage
from ponder.engines._http_wire import Api, Learned
from ponder.errors import (
    AuthFailed,
    BadResponse,
    CallFailed,
    CallTimeout,
    EndpointDown,
    ModelNotFound,
    RateLimited,
)

__all__ = [
    "FAULTS",
    "BodyTooLarge",
    "Broken",
    "ErrorInside",
    "Failure",
    "Refused",
    "Unasked",
    "Unreached",
    "Where",
    "adapt",
    "diagnose",
    "failure_usage",
    "one_line",
]

LONGEST_WAIT = 60.0
LONGEST_LINE = 200
SHORTEST_SECRET = 6
AGAIN = frozenset({408, 409, 429})
NEVER_RAN = frozenset({400, 401, 402, 403, 404, 405, 410, 413, 415, 422, 429})


class _Fault(Exception):
    """What goes wrong between here and an endpoint."""


class BodyTooLarge(_Fault):
    """A response longer than any honest one; reading was stopped."""


class Unreached(_Fault):
    """No connection came about."""


class Unasked(_Fault):
    """The request cannot be sent as it is, or leads nowhere."""


class Broken(_Fault):
    """The connection ended before its answer did."""


class Refused(_Fault):
    """An answer with a status of 400 and more, its body an error of OpenAI's form or any other."""

    def __init__(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        super().__init__(f"status {status}")
        self.status, self.headers = status, headers
        self.text = content.decode("utf-8", "replace")
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        self.body = body.get("error", body) if isinstance(body, dict) else body

    @property
    def code(self) -> str | None:
        return self._stated("code")

    @property
    def type(self) -> str | None:
        return self._stated("type")

    @property
    def param(self) -> str | None:
        return self._stated("param")

    def _stated(self, name: str) -> str | None:
        value = self.body.get(name) if isinstance(self.body, dict) else None
        return value if isinstance(value, str) else None

    @property
    def message(self) -> str:
        """The server's own words, in whatever form it sent them."""
        return _message(self.body) or self.text


class ErrorInside(BadResponse):
    """An error in the body of a response that says it is a success, as some gateways send."""

    def __init__(self, said: str, status: int | None) -> None:
        super().__init__(said)
        self.status = status

    @classmethod
    def of(cls, problem: Any) -> ErrorInside:
        """From what the body states as its `error`, in whatever form."""
        code = problem.get("code") if isinstance(problem, dict) else None
        said = problem.get("message") if isinstance(problem, dict) else problem
        return cls(str(said), code if type(code) is int else None)


FAULTS = (_Fault, BadResponse, TimeoutError, UnicodeError)


@dataclass(frozen=True, slots=True)
class Where:
    """An endpoint, for error sentences: never with credentials. `api` is what it should speak."""

    address: str
    model: str
    key: str | None
    timeout: float
    api: str = "the OpenAI API"


@dataclass(frozen=True, slots=True)
class Failure:
    """`again`: another try may help. `wait`: seconds the server asks for. `ran`: tokens may have been
    generated, nobody knows how many."""

    error: AuthFailed | BadResponse | CallFailed | EndpointDown | ModelNotFound | RateLimited
    again: bool = False
    wait: float | None = None
    ran: bool = True
    status: int | None = None


def one_line(text: str, key: str | None = None) -> str:
    """Untrusted text as part of a sentence: one short line, no control characters, no key."""
    if key and len(key) >= SHORTEST_SECRET:
        text = text.replace(key, "***")
    visible = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text[: 4 * LONGEST_LINE])
    line = " ".join(visible.split())
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"


def failure_usage(failure: Failure | None, seconds: float) -> Usage:
    """Of a try that failed, or (None) was cancelled."""
    if failure is not None and not failure.ran:
        return Usage(calls=1, seconds=seconds)
    return Usage(1, 0, None, None, None, None, None, seconds, None)


def _message(body: Any) -> str:
    if isinstance(body, str):
        return body
    if isinstance(body, dict):
        for name in ("message", "error", "detail", "msg"):
            if body.get(name):
                return _message(body[name])
    if isinstance(body, list) and body:
        return _message(body[0])
    return ""


def diagnose(error: Exception, where: Where) -> Failure:
    """What an exception of one request means."""
    at = where.address
    if isinstance(error, ErrorInside):
        told = CallFailed(f"{at} answered with an error: {one_line(str(error), where.key).rstrip('.')}.")
        again = error.status in AGAIN or (error.status or 0) >= 500
        return Failure(told, again=again, ran=error.status not in NEVER_RAN)
    if isinstance(error, BadResponse | BodyTooLarge):
        return Failure(BadResponse(f"{at} did not answer as {where.api} does: {error}."))
    if isinstance(error, TimeoutError):
        late = f"{at} did not finish within {where.timeout:g} s: raise `timeout`, or lower `concurrency`."
        return Failure(CallTimeout(late), again=True)
    if isinstance(error, Refused):
        return _by_status(error, where)
    reason = one_line(str(error), where.key)
    if isinstance(error, Unreached):
        down = f"Nothing answers at {at} ({reason}): start the server or correct the address."
        return Failure(EndpointDown(down), again=True, ran=False)
    if isinstance(error, Broken):
        broken = f"{at} broke off the connection ({reason}): see the server's log, or try again."
        return Failure(EndpointDown(broken), again=True)
    return Failure(CallFailed(f"{at} could not be asked: {reason}."), ran=False)


def _by_status(error: Refused, where: Where) -> Failure:
    at, status = where.address, error.status
    said = one_line(error.message, where.key).rstrip(".")
    ran = status not in NEVER_RAN
    if status in (401, 403):
        sent = "refused the API key" if where.key else "wants an API key"
        problem = AuthFailed(f"{at} {sent} ({status}): set PONDER_API_KEY to one that is valid there.")
        return Failure(problem, ran=False, status=status)
    if status == 404 or _unknown_model(error):
        missing = ModelNotFound(f"{at} has no model {where.model!r} ({status}: {said}).")
        return Failure(missing, ran=False, status=404)
    wait = _retry_after(error.headers)
    if status == 429:
        busy = RateLimited(f"{at} still answers 429 (too many requests): wait, or lower `concurrency`.")
        return Failure(busy, again=not _out_of_credit(error), wait=wait, ran=False, status=status)
    problem_ = CallFailed(f"{at} answered {status}: {said or 'no reason given'}.")
    return Failure(problem_, again=status in AGAIN or status >= 500, wait=wait, ran=ran, status=status)


def _unknown_model(error: Refused) -> bool:
    return error.status in (400, 422) and (
        error.code == "model_not_found"
        or re.search(r"\bmodel\b.{0,80}\b(not found|not exist)", error.message, re.I | re.S) is not None
    )


def _out_of_credit(error: Refused) -> bool:
    return "insufficient_quota" in (error.code, error.type)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from Retry-After in seconds or as a date, capped."""
    value = headers.get("retry-after")
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = email.utils.parsedate_tz(value)
        if date is None:
            return None
        seconds = email.utils.mktime_tz(date) - time.time()
    return min(LONGEST_WAIT, max(0.0, seconds)) if seconds == seconds else None


# ---------------------------------------------------------------- what a refusal teaches


def adapt(
    error: Exception, sent: Mapping[str, Any], api: Api, learned: Learned, *, live: bool = False
) -> bool:
    """Whether a refusal names a parameter that can be left out or spelled otherwise; it is remembered.

    Parameters that change what is drawn (temperature, top_p) are never left out. `live`: it was streamed,
    which it need not be.
    """
    if not isinstance(error, Refused) or error.status not in (400, 422):
        return False
    words = f"{error.param or ''} {error.message} {json.dumps(error.body, default=str)}"
    if "max_completion_tokens" in words and "max_tokens" in sent and api == "chat":
        learned.cap = "max_completion_tokens"
        return True
    if live and "stream" in words:
        learned.streams.stop()
        return True
    if "logprobs" in sent and "logprobs" in words:
        learned.logprobs = False
        return True
    if "seed" in sent and _names(words, "seed", error):
        learned.seed = False
        return True
    if "stop" in sent and _names(words, "stop", error):
        learned.stop = False
        return True
    n = int(sent.get("n", 1))
    if n > 1 and (_names(words, "n", error) or re.search(r"\bn\s*(=|>|must|should|is\b)", words)):
        learned.most = min(learned.most, max(1, n // 2))
        return True
    return False


def _names(words: str, name: str, error: Refused) -> bool:
    """Quoted, as messages and JSON both do, or as the API's own `param`."""
    return error.param == name or re.search(rf"""["'`]{name}["'`]""", words) is not None
