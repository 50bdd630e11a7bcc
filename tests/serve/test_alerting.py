"""Alerts: once a window, across restarts, and in spite of what is not known."""

from pathlib import Path
from typing import Any

import pytest

from ponder.ledger import EventRow, Ledger
from ponder.ledger.recorder import begin_rows
from ponder.serve.alerting import RUN, Alerts
from ponder.serve.factors import rules
from ponder.serve.keys import Key
from ponder.serve.purse import Purse, run_of

DAY = 86400.0
KEY = Key("a" * 12, "alice", "user", "")
VOICES = Key("b" * 12, "bob", "user", "", declared="voice=yes")


class Clock:
    now = 1000 * DAY + 60.0

    def __call__(self) -> float:
        return self.now


class Till:
    """A purse and its alerts, as a house has them."""

    def __init__(self, ledger: Ledger, purse: Purse, alerts: Alerts, clock: Clock) -> None:
        self.ledger, self.purse, self.alerts, self.clock = ledger, purse, alerts, clock

    @classmethod
    async def open(cls, ledger: Ledger, clock: Clock, *lines: str) -> "Till":
        purse = await Purse.open(ledger, clock=clock)
        own = tuple(rule for rule in rules(lines) if not lines or rule.name.startswith("over"))
        alerts = await Alerts.open(ledger, own, purse.accounts, [KEY, VOICES])
        alerts.clock = clock
        return cls(ledger, purse, alerts, clock)

    async def reserve(self, key: Key = KEY) -> Any:
        ticket = self.purse.reserve(f"{self.clock.now}{len(self.purse.accounts)}", key, {"requests": 1})
        await self.ledger.write([ticket.row()])
        return ticket

    async def settle(self, ticket: Any, flop: float | None) -> list[EventRow]:
        charged: dict[str, float] = {"requests": 1} if flop is None else {"requests": 1, "flop": flop}
        row = self.purse.settle(ticket, charged)
        raised = self.alerts.settled(ticket.owner, ticket.key, charged, ticket.at)
        await self.ledger.write([row, *raised])
        self.clock.now += 1
        return raised

    async def spend(self, flop: float | None, key: Key = KEY) -> list[EventRow]:
        return await self.settle(await self.reserve(key), flop)


async def test_an_alert_comes_once_a_window_and_survives_a_restart(tmp_path: Path) -> None:
    clock, place = Clock(), tmp_path / "l.sqlite"
    with Ledger.open(place, write=True) as ledger:
        till = await Till.open(ledger, clock, "100flop/day")
        assert await till.spend(60.0) == []
        assert await till.spend(40.0) == []  # the line itself is not passed
    with Ledger.open(place, write=True) as ledger:
        till = await Till.open(ledger, clock, "100flop/day")
        (alert,) = await till.spend(1.0)
        assert (alert.detail["name"], alert.detail["began"]) == ("alice", 1000 * DAY)
        assert await till.spend(50.0) == []
    with Ledger.open(place, write=True) as ledger:
        till = await Till.open(ledger, clock, "100flop/day")
        assert await till.spend(50.0) == []
        clock.now += DAY
        assert await till.spend(99.0) == []
        assert len(await till.spend(2.0)) == 1
        assert sum(event.kind == "alerted" for event in ledger.events(RUN)) == 2


async def test_keys_are_held_apart(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.sqlite", write=True) as ledger:
        till = await Till.open(ledger, Clock(), "100flop/day")
        assert await till.spend(60.0) == []
        assert await till.spend(60.0, VOICES) == []
        assert len(await till.spend(60.0, VOICES)) == 1


async def test_what_ends_after_its_window_counts_in_it(tmp_path: Path) -> None:
    """Or one could pass the line unseen: by a large request that ends after a small one of the next day."""
    clock = Clock()
    with Ledger.open(tmp_path / "l.sqlite", write=True) as ledger:
        till = await Till.open(ledger, clock, "100flop/day")
        clock.now = 1001 * DAY - 1
        large = await till.reserve()
        clock.now = 1001 * DAY + 1
        assert await till.spend(1.0) == []
        (alert,) = await till.settle(large, 200.0)
        assert alert.detail["began"] == 1000 * DAY


async def test_what_a_killed_server_left_raises_its_alert_at_the_next_start(tmp_path: Path) -> None:
    clock, place = Clock(), tmp_path / "l.sqlite"
    with Ledger.open(place, write=True) as ledger:
        purse = await Purse.open(ledger, clock=clock)
        begun = begin_rows(run_of("r"), {"kind": "serve"}, [], clock())
        await ledger.write([*begun, purse.reserve("r", KEY, {"requests": 1, "flop": 500.0}).row()])
    clock.now += 2 * DAY
    with Ledger.open(place, write=True) as ledger:
        await Till.open(ledger, clock, "100flop/day")
        (alert,) = (event for event in ledger.events(RUN) if event.kind == "alerted")
        assert (alert.detail["name"], alert.detail["began"]) == ("alice", 1000 * DAY)


async def test_an_unknown_use_is_neither_over_nor_under(tmp_path: Path) -> None:
    clock, place = Clock(), tmp_path / "l.sqlite"
    with Ledger.open(place, write=True) as ledger:
        till = await Till.open(ledger, clock, "100flop/day")
        assert await till.spend(None) == []
    with Ledger.open(place, write=True) as ledger:
        till = await Till.open(ledger, clock, "100flop/day")
        (verdict,) = till.alerts.verdicts(KEY.id, KEY)
        assert verdict.holds is None
        assert till.purse.spent(KEY.id)["day"]["flop"] is None
        assert till.purse.spent(KEY.id)["day"]["requests"] == 1
        (alert,) = await till.spend(101.0)  # as much is known
        (factor,) = alert.detail["factors"]
        assert (factor["known"], factor["value"], factor["at_least"]) == ("measured", None, 101.0)


async def test_a_rule_of_several_factors_tells_which_is_which(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Ledger.open(tmp_path / "l.sqlite", write=True) as ledger:
        till = await Till.open(ledger, Clock())
        assert await till.spend(2e19) == []  # alice declares nothing
        assert {v.rule.name: v.holds for v in till.alerts.verdicts(KEY.id, KEY)}["people-at-scale"] is None
        (alert,) = await till.spend(2e19, VOICES)
    assert alert.detail["rule"] == "people-at-scale"
    told = {factor["factor"]: (factor["known"], factor["value"]) for factor in alert.detail["factors"]}
    assert told == {
        "voice": ("declared", "yes"),
        "images": ("declared", None),
        "inference_compute": ("measured", 2e19),
    }
    assert "people-at-scale" in caplog.text
    assert "bob" in caplog.text
