"""`ponder runs`: what a list of runs says of requests that were served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ponder.core import Message, Prompt, Question
from ponder.ledger import CallRow, EventRow, Ledger, Row, TextRow
from ponder.ledger.recorder import begin_rows

Run = Callable[..., tuple[int, str, str]]
PROMPT = Prompt((Message("user", "?"),))
QUESTION = Question("q", "?", PROMPT, PROMPT)
COUNT = 1200


def of(number: int) -> str:
    return f"serve-{number:012x}0000000000000000"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A ledger with a measurement, requests that were served, and the server's own books."""
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        ledger.run("measured", {"kind": "measure", "tasks": ["sums"]}, [(QUESTION, None)])
        for name in ("serve-purse", "serve-rules"):
            ledger.run(name, {"kind": "serve"})
    return tmp_path / "l.db"


@pytest.fixture
def served(place: Path) -> Path:
    with Ledger.open(place, write=True) as ledger:
        rows: list[Row] = []
        for number in range(COUNT):
            key = {"id": "k", "name": f"key {number}\x1b[31m"} if number % 2 else None
            config = {"kind": "serve", "key": key, "effort": "high", "model": "m"}
            rows += begin_rows(of(number), config, [(QUESTION, None)], float(number))
        used = (10, 0, 20, None, 1e12, None, None)
        prompt = TextRow.of("prompt")
        call = CallRow(
            1, of(COUNT - 1), "q", "s", "solver", "m", "ok", 1, 1, 3, *used,
            seconds=0.1, started=0.0, error=None, request={}, prompt_hash=prompt.hash,
        )  # fmt: skip
        ledger.append([*rows, prompt, call, EventRow(of(COUNT - 1), 0.0, "finished", {})]).result()
    return place


def test_served_requests_are_one_line(ponder: Run, served: Path) -> None:
    code, told, _ = ponder("runs")
    assert code == 0
    lines = told.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "measured", "1,200"]
    assert "ponder runs --kind serve" in lines[-1]
    *runs, together = json.loads(ponder("runs", "--json")[1])
    assert [run["run"] for run in runs] == ["measured"]
    assert (together["kind"], together["requests"]) == ("serve", COUNT)
    assert together["created"] == "1970-01-01T00:00:00+00:00"
    assert together["last"] == "1970-01-01T00:19:59+00:00"
    assert set(runs[0]) <= set(together)


def test_without_requests_nothing_is_said_of_them(ponder: Run, place: Path) -> None:
    assert "served" not in ponder("runs")[1]
    (run,) = json.loads(ponder("runs", "--json")[1])
    assert run["run"] == "measured"


def test_served_requests_are_listed_when_asked_for(ponder: Run, served: Path) -> None:
    listed = json.loads(ponder("runs", "--kind", "serve", "--json")[1])
    assert [run["run"] for run in listed] == [of(number) for number in range(COUNT)]
    last = json.loads(ponder("runs", "--kind", "serve", "--last", "600", "--json")[1])
    assert last == listed[-600:]
    told = {name: last[-1][name] for name in ("effort", "state", "samples", "tokens", "flop")}
    assert told == {"effort": "high", "state": "finished", "samples": 3, "tokens": 30, "flop": 1e12}
    assert last[-2]["key"] is None
    assert (last[-2]["state"], last[-2]["tokens"], last[-2]["flop"]) == (None, None, None)  # it has no end
    shown = ponder("runs", "--kind", "serve", "--last", "1")[1].splitlines()
    assert len(shown) == 2
    assert "key 1199" in shown[1]
    assert "\x1b" not in shown[1]


def test_a_wrong_name_is_held_against_runs_and_not_against_requests(ponder: Run, served: Path) -> None:
    code, _, error = ponder("report", "nothing")
    assert code == 2
    assert "known are measured." in error
    assert of(7) in ponder("report", of(7) + "0")[2].partition("did you mean")[2]


def test_a_narrow_terminal_cuts_no_figure(ponder: Run, served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    line = ponder("runs", "--kind", "serve", "--last", "1")[1].splitlines()[1].split()
    assert line[0] == of(COUNT - 1)
    assert line[-4:] == ["finished", "3", "30", "1T"]
    assert "measured" in ponder("runs")[1]


def test_a_kind_and_the_last_ones_are_chosen(ponder: Run, place: Path) -> None:
    with Ledger.open(place, write=True) as ledger:
        for number in range(3):
            ledger.run(f"asked-{number}", {"kind": "ask"})
    kinds = json.loads(ponder("runs", "--kind", "ask", "--last", "2", "--json")[1])
    assert [run["run"] for run in kinds] == ["asked-1", "asked-2"]
    assert [run["run"] for run in json.loads(ponder("runs", "--last", "1", "--json")[1])] == ["asked-2"]
    assert json.loads(ponder("runs", "--kind", "train", "--json")[1]) == []
    assert ponder("runs", "--last", "0")[0] == 2


def test_orders_to_erase_are_listed_when_asked_for(ponder: Run, served: Path) -> None:
    with Ledger.open(served, write=True) as ledger:
        ledger.erase([of(0)], by="olga", reason="asked for")
    assert [row["kind"] for row in json.loads(ponder("runs", "--json")[1])] == ["measure", "serve"]
    (orders,) = json.loads(ponder("runs", "--kind", "erasures", "--json")[1])
    assert orders["kind"] == "erasures"


def test_the_doctor_tells_requests_from_runs(ponder: Run, served: Path) -> None:
    assert f"{served}, 3 runs, 1,200 served requests" in ponder("doctor", "--json")[1]
