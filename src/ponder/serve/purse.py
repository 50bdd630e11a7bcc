"""What every key may still spend: reserved before, settled after, and remembered by the ledger.

`reserved` and `settled` are events of one run, and now and then a `balance` of all before. A reservation that
no settlement follows is of a process that was killed. When the next one starts it is settled at its full
amount, and in the same write its request is given its end.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ponder.ledger import SERVE, EventRow, Ledger, Row
from ponder.serve.failing import ApiError
from ponder.serve.keys import Key
from ponder.serve.limits import UNITS, Account, Refusal

__all__ = ["KILLED", "RUN", "Purse", "Ticket", "run_of"]

RUN = f"{SERVE}purse"

KILLED = "killed"
"""The kind of the last event of a request whose server did not see it end: calls of it may be missing."""

_KILLED = {"message": "The server ended before this request did. Calls of it may be missing here."}

_EVENTS = 1000
"""So many are read at a start without writing their balance down for the next one."""


def run_of(identity: str) -> str:
    """The name of a request's run on the ledger."""
    return SERVE + identity.removeprefix("chatcmpl-").removeprefix("resp_")


@dataclass(slots=True)
class Ticket:
    """A reservation: of which request, for which key, since when. Settled once, however often it is asked."""

    request: str
    key: Key | None
    held: Mapping[str, float]
    at: float
    settled: bool = False

    @property
    def owner(self) -> str:
        return "" if self.key is None else self.key.id

    def row(self) -> Row:
        """What must be durable before anything is spent."""
        detail = {"request": self.request, "key": self.owner, "held": dict(self.held), "at": self.at}
        return EventRow(RUN, self.at, "reserved", detail)


@dataclass(slots=True)
class Purse:
    """One a ledger. `concurrency` holds for all keys together."""

    ledger: Ledger
    concurrency: int = 64
    clock: Callable[[], float] = time.time
    accounts: dict[str, Account] = field(default_factory=dict)
    running: int = 0

    @classmethod
    async def open(cls, ledger: Ledger, **options: Any) -> Purse:
        """Read what was reserved and settled so far; settle and end what a killed process left open."""
        purse = cls(ledger, **options)
        await asyncio.to_thread(ledger.run, RUN, {"kind": "serve"})
        events = await asyncio.to_thread(ledger.events_since, RUN, "balance")
        rows = purse._replay(events)
        if len(events) > _EVENTS:
            balance = {owner: account.to_json() for owner, account in purse.accounts.items()}
            rows.append(EventRow(RUN, purse.clock(), "balance", balance))
        if rows:
            await ledger.write(rows)
        return purse

    def _replay(self, events: Iterable[EventRow]) -> list[Row]:
        """Charge what these events tell. The settlements of what they leave open, and its requests' ends."""
        left: dict[str, Mapping[str, Any]] = {}
        for event in events:
            detail = event.detail
            if event.kind == "balance":
                self.accounts = {owner: Account.from_json(rows) for owner, rows in detail.items()}
            elif event.kind == "reserved":
                left[detail["request"]] = detail
            elif event.kind == "settled":
                left.pop(detail["request"], None)
                self._account(detail["key"]).add(detail["charged"], detail["at"])
        for open_ in left.values():
            self._account(open_["key"]).add(open_["held"], open_["at"])
        now = self.clock()
        settled = [
            _settlement(open_["request"], open_["key"], open_["held"], open_["at"], now, killed=True)
            for open_ in left.values()
        ]
        return [*settled, *(EventRow(run_of(request), now, KILLED, _KILLED) for request in left)]

    def _account(self, owner: str) -> Account:
        return self.accounts.setdefault(owner, Account())

    def reserve(self, request: str, key: Key | None, amounts: Mapping[str, float]) -> Ticket:
        """Hold the amounts, at once and without a wait. Raises ApiError (429) where they do not fit.

        The caller writes the ticket's row before anything is spent, and settles the ticket in any case.
        """
        now, account = self.clock(), self._account("" if key is None else key.id)
        if self.running >= self.concurrency:
            raise ApiError(429, "The server is busy; wait.", code="busy", retry_after=1)
        if key is not None:
            if key.concurrency is not None and account.running >= key.concurrency:
                raise ApiError(
                    429,
                    f"This key may have {key.concurrency} requests at once; wait for one to end.",
                    code="concurrency",
                    retry_after=1,
                )
            refused = account.refusal(key.parsed, amounts, now)
            if refused is not None:
                raise _refused(refused, amounts)
        held = {unit: amounts[unit] for unit in UNITS if unit in amounts}
        account.hold(held, now)
        account.running += 1
        self.running += 1
        return Ticket(request, key, held, now)

    def settle(self, ticket: Ticket, charged: Mapping[str, float]) -> Row:
        """Release the ticket and charge what was used; the row to be written."""
        if not ticket.settled:
            ticket.settled = True
            account = self._account(ticket.owner)
            account.settle(ticket.held, charged, ticket.at)
            account.running -= 1
            self.running -= 1
        return _settlement(ticket.request, ticket.owner, charged, ticket.at, self.clock())

    def left(self, key: Key) -> list[dict[str, Any]]:
        """What the key's limits have room for now."""
        now, account = self.clock(), self._account(key.id)
        return [
            {
                "unit": limit.unit,
                "window": limit.window,
                "limit": limit.amount,
                "left": max(0.0, account.left(limit, now)),
            }
            for limit in key.parsed
        ]

    def spent(self, owner: str) -> dict[str, dict[str, float | None]]:
        """What a key (by its id) has spent in each present window, by unit; None where it is not known."""
        return self._account(owner).spent(self.clock())


def _settlement(
    request: str,
    owner: str,
    charged: Mapping[str, float],
    reserved: float,
    now: float,
    *,
    killed: bool = False,
) -> Row:
    detail = {"request": request, "key": owner, "charged": dict(charged), "at": reserved, "killed": killed}
    return EventRow(RUN, now, "settled", detail)


def _refused(refusal: Refusal, amounts: Mapping[str, float]) -> ApiError:
    limit, wanted = refusal.limit, amounts.get(refusal.limit.unit, 0.0)
    stated = f"{wanted:g} {limit.unit.removesuffix('s') if wanted == 1 else limit.unit}"
    if refusal.retry_after is None:
        remedy = "ask with less effort, a smaller ponder.budget, or fewer max_completion_tokens"
        return ApiError(
            429,
            f"This key's limit of {limit} has no room for {stated}, which this request may take; {remedy}.",
            code="insufficient_quota",
            param=limit.unit,
        )
    wait = max(1, math.ceil(refusal.retry_after))
    return ApiError(
        429,
        f"This key's limit of {limit} has no room for {stated} now; wait {wait} s.",
        code="rate_limit_exceeded",
        param=limit.unit,
        retry_after=wait,
    )
