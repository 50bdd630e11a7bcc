import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import BudgetError
from ponder.serve.limits import UNITS, Account, Limit, parse_limits


def test_limits_are_read() -> None:
    assert parse_limits("1e15flop/day, 60requests/minute,5usd/month,1Mtok") == (
        Limit("flop", 1e15, "day"),
        Limit("requests", 60, "minute"),
        Limit("usd", 5, "month"),
        Limit("tokens", 1e6, "total"),
    )
    assert parse_limits("") == ()
    assert parse_limits("100tok/h,2tok/min,1request/d")[2] == Limit("requests", 1, "day")


@pytest.mark.parametrize(
    "text",
    ["5", "5apples/day", "5tok/year", "5tok/", "30s/day", "5tok/day,6tok/day", "-1tok/day", "0requests/day"],
)
def test_limits_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(BudgetError, match=r"budget: .*(write for example 1e15flop/day|give it once)"):
        parse_limits(text)
    with pytest.raises(BudgetError, match=r"^alert: "):
        parse_limits(text, "alert")


def test_nothing_spent_is_zero_in_every_window() -> None:
    spent = Account().spent(0.0)
    assert set(spent) == {"minute", "hour", "day", "month", "total"}
    assert all(amounts == dict.fromkeys(UNITS, 0.0) for amounts in spent.values())


def test_a_window_ends_when_the_clock_says_so() -> None:
    account, (limit,) = Account(), parse_limits("10tok/minute")
    account.hold({"tokens": 10}, 120.0)
    refused = account.refusal([limit], {"tokens": 1}, 130.0)
    assert refused is not None
    assert refused.retry_after == 50.0
    assert account.refusal([limit], {"tokens": 10}, 180.0) is None
    account.hold({"tokens": 4}, 180.0)
    account.settle({"tokens": 10}, {"tokens": 10}, 120.0)  # of the window before
    assert account.left(limit, 181.0) == 6


def test_what_never_fits_says_so() -> None:
    account = Account()
    for text in ("10tok/minute", "10tok"):
        refused = account.refusal(parse_limits(text), {"tokens": 11}, 0.0)
        assert refused is not None
        assert refused.retry_after is None
    account.hold({"tokens": 10}, 0.0)
    refused = account.refusal(parse_limits("10tok"), {"tokens": 1}, 0.0)
    assert refused is not None
    assert refused.retry_after is None


def test_the_limit_that_opens_last_is_told() -> None:
    account = Account()
    account.hold({"tokens": 10}, 0.0)
    refused = account.refusal(parse_limits("10tok/minute,10tok/hour"), {"tokens": 1}, 0.0)
    assert refused is not None
    assert refused.limit.window == "hour"


steps = st.lists(
    st.tuples(st.floats(0, 100), st.floats(0, 40), st.floats(0, 1), st.booleans()), min_size=1, max_size=40
)


@given(steps)
def test_no_window_is_ever_overspent(moves: list[tuple[float, float, float, bool]]) -> None:
    """Requests that wait, reserve and settle at any time and in any order."""
    account, (limit,) = Account(), parse_limits("100tok/minute")
    now, flying, charged = 0.0, list[tuple[float, float, float]](), dict[int, float]()
    for wait, amount, share, settle_first in moves:
        now += wait
        if account.refusal([limit], {"tokens": amount}, now) is None:
            account.hold({"tokens": amount}, now)
            flying.append((now, amount, share))
        if flying:
            at, held, part = flying.pop(0 if settle_first else -1)
            account.settle({"tokens": held}, {"tokens": held * part}, at)
            charged[limit.number(at)] = charged.get(limit.number(at), 0.0) + held * part
    assert all(total <= 100 * (1 + 1e-9) for total in charged.values())
    assert account.left(limit, now) >= -1e-9 or math.isclose(account.left(limit, now), 0, abs_tol=1e-9)
