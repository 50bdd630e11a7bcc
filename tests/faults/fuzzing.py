"""Made-up requests from the server's own OpenAPI document, fitting and unfitting, counted by status."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

__all__ = ["Fuzzed", "fuzz"]

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_ASKING = ("/v1/chat/completions", "/v1/responses")
_EXPORT = "/v1/audit/export"
_EXPORTS = 5  # each reads the whole ledger
_SHARE = 0.8  # of the requests, to those that ask


@dataclass
class Fuzzed:
    """How often each status was answered, by path."""

    statuses: dict[str, Counter[int]] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        return sum(counts.total() for counts in self.statuses.values())

    def statuses_of(self, paths: Iterable[str]) -> Counter[int]:
        return sum((self.statuses[path] for path in paths), Counter())


def fuzz(
    address: str,
    headers: Callable[[str], dict[str, str]],
    *,
    requests: int,
    start: int,
    secrets: Iterable[str] = (),
) -> Fuzzed:
    """Send at least so many requests, half of them against the document. `headers` are those of a path,
    `secrets` what no answer may hold, `start` the seed. Raises at the first answer that is not right."""
    document = httpx2.get(f"{address}/openapi.json").json()
    del document["security"]  # the headers given are right, whatever is made up
    schema = schemathesis.openapi.from_dict(document)
    operations = [result.ok() for result in schema.get_all_operations()]
    done = Fuzzed({operation.path: Counter() for operation in operations})
    hidden = tuple(secrets)

    def send(case: Any) -> None:
        told = case.call(base_url=address, headers=headers(case.operation.path))
        done.statuses[case.operation.path][told.status_code] += 1
        assert not [secret for secret in hidden if secret in told.text]
        # Of a query, names that are not known are passed over, as everywhere on the web.
        checks = [*_CHECKS, negative_data_rejection] if case.operation.path in _ASKING else _CHECKS
        case.validate_response(told, checks=checks)

    for turn, (operation, mode, most) in enumerate(_rounds(operations, requests, done)):
        examples(operation.as_strategy(generation_mode=mode), send, most=most, start=start + turn)
    return done


def _rounds(operations: list[Any], requests: int, done: Fuzzed) -> Iterator[tuple[Any, GenerationMode, int]]:
    """Which operation, in which mode, how often; those that ask last, until there are enough."""
    asking = [operation for operation in operations if operation.path in _ASKING]
    others = [operation for operation in operations if operation.path not in _ASKING]
    each = max(2, math.ceil(requests * (1 - _SHARE) / len(others)))
    for operation in others:
        most = min(each, _EXPORTS) if operation.path == _EXPORT else each
        yield operation, GenerationMode.POSITIVE, most if operation.path == _EXPORT else most // 2
        if len(operation.query):
            yield operation, GenerationMode.NEGATIVE, most // 2
    while done.requests < requests:
        left = math.ceil((requests - done.requests) / 4)
        for operation in asking:
            for mode in GenerationMode:
                yield operation, mode, left


def examples(strategy: Any, send: Callable[[Any], None], *, most: int, start: int) -> None:
    @seed(start)
    @settings(
        max_examples=most,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def run(case: Any) -> None:
        send(case)

    run()
