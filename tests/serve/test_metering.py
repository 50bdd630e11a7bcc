"""The provider's report adds up to the ledger."""

import functools
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core import Message, Prompt, Question
from ponder.ledger import CallRow, EventRow, Ledger, Row, TextRow
from ponder.ledger.recorder import begin_rows
from ponder.serve.metering import UNITS, Report, report

BEGAN = 1_700_000_000.0


class Spent(NamedTuple):
    samples: int
    prompt_tokens: int | None
    completion_tokens: int | None
    flop: float | None


class Asked(NamedTuple):
    """A request: after how many seconds, whose, at which effort, what it used, how it ended."""

    after: int
    key: str | None
    effort: str | None
    calls: list[Spent]
    end: str | None

    @property
    def known(self) -> bool:
        return self.end not in (None, "killed")


counts = st.none() | st.integers(0, 10**6)
spent = st.builds(Spent, st.integers(0, 9), counts, counts, st.none() | st.floats(0, 1e18))
asked = st.builds(
    Asked,
    st.integers(0, 100),
    st.sampled_from([None, "a", "b", "c"]),
    st.sampled_from([None, "none", "high"]),
    st.lists(spent, max_size=4),
    st.sampled_from(["finished", "finished", "failed", "interrupted", "killed", None]),
)


def rows(number: int, request: Asked) -> list[Row]:
    run = f"serve-{int((BEGAN + request.after) * 1000):012x}{number:016x}"
    key = None if request.key is None else {"id": request.key, "name": f"name of {request.key}"}
    config = {"kind": "serve", "request": run, "key": key, "effort": request.effort, "model": "m"}
    question = Question("q", "?", Prompt((Message("user", "?"),)), Prompt((Message("user", "?"),)))
    made: list[Row] = [
        *begin_rows(run, config, [(question, None)], BEGAN),
        EventRow(run, BEGAN, "started", {}),
    ]
    made.append(TextRow.of("prompt"))
    for place, call in enumerate(request.calls):
        used = (call.prompt_tokens, 0, call.completion_tokens, None, call.flop, None, None)
        identity = 1 + 10 * number + place
        made.append(
            CallRow(
                identity,
                run,
                "q",
                "s",
                "solver",
                "m",
                "ok",
                1,
                1,
                call.samples,
                *used,
                seconds=0.1,
                started=BEGAN,
                error=None,
                request={},
                prompt_hash=TextRow.of("prompt").hash,
            )
        )
    if request.end is not None:
        made.append(EventRow(run, BEGAN, request.end, {}))
    return made


@contextmanager
def written(requests: Sequence[Asked]) -> Iterator[Callable[..., Report]]:
    """A ledger with these requests; what reports on it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "l.sqlite"
        with Ledger.open(place, write=True) as ledger:
            ledger.append([row for n, each in enumerate(requests) for row in rows(n, each)]).result()
            ledger.run("serve-purse", {"kind": "serve"})  # no request
            yield functools.partial(report, ledger, str(place))


def reported(requests: Sequence[Asked]) -> Report:
    with written(requests) as told:
        return told()


def total(requests: Sequence[Asked], unit: str) -> Any:
    """The sum by another way; None where a part is unknown."""
    values = [getattr(call, unit) for each in requests for call in each.calls]
    if None in values or not all(each.known for each in requests):
        return None
    return math.fsum(values) if unit == "flop" else sum(values)


@settings(max_examples=20, deadline=None)
@given(st.lists(asked, max_size=12))
def test_the_sums_are_those_of_the_ledger(requests: list[Asked]) -> None:
    told = reported(requests)
    groups = [(requests, told.total)]
    groups += [([r for r in requests if r.key == use.id], use.tally) for use in told.keys]
    groups += [([r for r in requests if r.effort == use.name], use.tally) for use in told.efforts]
    for use in told.keys:
        own = [r for r in requests if r.key == use.id]
        groups += [([r for r in own if r.effort == word], tally) for word, tally in use.efforts.items()]
    for part, tally in groups:
        assert tally.requests == len(part)
        assert tally.calls == sum(len(r.calls) for r in part)
        assert tally.samples == sum(call.samples for r in part for call in r.calls)
        for unit in ("prompt_tokens", "completion_tokens", "flop"):
            assert tally.total(unit) == total(part, unit), unit
            known = [v for r in part for c in r.calls if (v := getattr(c, unit)) is not None]
            assert tally.at_least(unit) == (math.fsum(known) if unit == "flop" else sum(known))
    add_up_to_the_whole(told)


def add_up_to_the_whole(told: Report) -> None:
    """Keys, efforts and models."""
    for uses in (told.keys, told.efforts, told.models):
        for unit in ("prompt_tokens", "completion_tokens"):
            parts = [use.tally.total(unit) for use in uses]
            whole = told.total.total(unit)
            assert whole == (None if None in parts else sum(part for part in parts if part is not None))
        exact = sum((Fraction(value) for use in uses for value in use.tally.known["flop"]), Fraction(0))
        assert float(exact) == told.total.at_least("flop")
        for unit in UNITS:
            shares = [use.shares[unit] for use in uses]
            if None not in shares and shares:
                assert math.isclose(sum(share for share in shares if share is not None), 1.0)


@settings(max_examples=10, deadline=None)
@given(st.lists(asked, max_size=8), st.integers(0, 100))
def test_two_halves_of_the_time_are_the_whole(requests: list[Asked], cut: int) -> None:
    with written(requests) as told:
        first, second, whole = told(until=BEGAN + cut), told(since=BEGAN + cut), told()
    assert first.total.requests == sum(r.after < cut for r in requests)
    for unit in ("requests", "prompt_tokens", "completion_tokens"):
        assert first.total.at_least(unit) + second.total.at_least(unit) == whole.total.at_least(unit)


def one(key: str, flop: float | None, end: str | None = "finished") -> Asked:
    return Asked(0, key, "high", [Spent(1, 10, 10, flop)], end)


def test_the_largest_user_comes_first_and_concentration_is_told() -> None:
    told = reported([one("a", 1.0), one("b", 6.0), one("c", 3.0)])
    assert [use.name for use in told.keys] == ["name of b", "name of c", "name of a"]
    flop = told.concentration("flop")
    assert flop["largest"] == 0.6
    assert flop["five_largest"] == 1.0
    assert flop["herfindahl"] is not None
    assert math.isclose(flop["herfindahl"], 0.36 + 0.09 + 0.01)
    document = told.to_json()
    assert document["keys"][0]["efforts"][0]["flop"] == 6.0
    assert document["ledger"]["size"] > 0


def test_what_is_unknown_stays_so() -> None:
    told = reported([one("a", 1.0), one("b", None)]).to_json()
    assert told["total"]["flop"] is None
    assert told["total"]["at_least"]["flop"] == 1.0
    assert told["total"]["requests_of_unknown_use"]["flop"] == 1
    assert [key["share"]["flop"] for key in told["keys"]] == [None, None]
    assert told["concentration"]["flop"] == {"largest": None, "five_largest": None, "herfindahl": None}
    assert told["keys"][0]["flop"] == 1.0
    assert [key["share_of_known"]["flop"] for key in told["keys"]] == [1.0, 0.0]


@pytest.mark.parametrize(("end", "state"), [(None, "unfinished"), ("killed", "killed")])
def test_a_request_without_an_end_of_its_own_is_of_unknown_use(end: str | None, state: str) -> None:
    told = reported([one("a", 1.0, end=end)]).to_json()["total"]
    assert (told[state], told["flop"], told["tokens"]) == (1, None, None)
    assert told["at_least"]["tokens"] == 20


def test_nothing_is_reported_of_an_empty_ledger() -> None:
    told = reported([]).to_json()
    assert told["total"]["requests"] == 0
    assert told["keys"] == []
    assert told["concentration"]["flop"]["largest"] is None
