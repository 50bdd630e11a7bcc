"""A run's samples, a few problems at a time, are those that all of its rows tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ponder.core import Request, Sample
from ponder.errors import UnknownName
from ponder.ledger import Ledger, PricedSample
from tests.ledger.places import Location


async def test_samples_come_with_what_their_calls_cost(path: Location, question, make_attempt, model) -> None:
    asked = [question(name) for name in ("a", "b\x00", "c")]
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {}, [(each, None) for each in asked], {"solver": model})
        for place, each in enumerate(asked[:2]):
            drawn = [Sample(f"{place}", "7", index, tokens=4) for index in range(2)]
            request = Request(each.prompt)
            await recorder.record(each, "s", "solver", request, [make_attempt(2)], drawn)
            # Drawn again: the last one counts. What was cancelled is no sample.
            again = [replace(drawn[1], text="again")]
            await recorder.record(each, "s", "solver", request, [make_attempt(1)], again)
            lost = [replace(drawn[0], index=2, finish="cancelled")]
            await recorder.record(each, "s", "solver", request, [make_attempt(1)], lost)
        await recorder.grade("exact", [("a", "s", 0, True), ("b\x00", "s", 1, False)])

        assert ledger.sizes("r") == {("a", "s"): 2, ("b\x00", "s"): 2}
        assert ledger.called("r") == {"a", "b\x00"}
        calls = {call.id: call for call in ledger.calls("r")}
        expected = [
            PricedSample(
                row.problem_id,
                row.stream,
                row.sample,
                calls[row.call_id].prompt_tokens,
                None if (flop := calls[row.call_id].flop) is None else flop / calls[row.call_id].samples,
            )
            for row in ledger.samples("r")
        ]
        assert [each.sample.text for each in expected] == ["0", "again", "1", "again"]
        found = ledger.priced_samples("r", ["a", "b\x00", "c"])
        assert sorted(found, key=lambda row: (row.problem_id, row.sample.index)) == expected
        assert ledger.priced_samples("r", ["b\x00"]) == expected[2:]
        assert ledger.grades("r", ["b\x00"]) == ledger.grades("r")[1:]
        with pytest.raises(UnknownName):
            ledger.priced_samples("other", ["a"])
        with pytest.raises(UnknownName):
            ledger.sizes("other")


async def test_a_query_names_many_problems(path: Location, question) -> None:
    names = [f"p{place}" for place in range(1200)]
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {}, [(question(name), None) for name in names])
        await recorder.grade("exact", [(name, "s", 0, True) for name in names])
        assert [row.problem_id for row in ledger.grades("r", names)] == names
