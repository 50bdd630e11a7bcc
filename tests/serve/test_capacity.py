"""The fleet's capacity, and the shares of it that the provider's report tells."""

import json
import math
import re
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.cli import _app
from ponder.data.rows import figure, row
from ponder.errors import InputError
from ponder.serve.capacity import read_capacity
from ponder.serve.house import Options
from ponder.serve.metering_page import finding, metering_html
from tests.serve.serving import serving, thinker
from tests.serve.test_metering import BEGAN, Asked, Spent, one, written

H100 = 989.4e12
DAY = 86_400.0


def reached() -> tuple[float, float, float]:
    told = figure(row("scale", "use"), "compute")
    assert told is not None
    return told["low"], told["value"], told["high"]


def test_chips_are_what_their_arithmetic_reaches() -> None:
    low, value, high = (10_000 * H100 * share for share in reached())
    speed = read_capacity("10000xH100").speed
    for told, right in ((speed.low, low), (speed.value, value), (speed.high, high)):
        assert math.isclose(told, right, rel_tol=0.01)
    assert read_capacity("10000 × h100-sxm").speed == speed


def test_several_kinds_add_up_and_an_unsure_number_widens_the_interval() -> None:
    both = read_capacity("1000xH100,1000xA100").speed
    parts = [read_capacity(f"1000x{chip}").speed for chip in ("H100", "A100")]
    assert math.isclose(both.value, sum(part.value for part in parts), rel_tol=0.01)
    unsure = read_capacity("500..2000xH100").speed
    assert unsure.high / unsure.low > 1.5 * parts[0].high / parts[0].low


@given(st.floats(1e9, 1e24), st.floats(1.0, 10.0))
def test_a_stated_speed_is_taken_as_it_is(speed: float, times: float) -> None:
    known = read_capacity(f"{speed!r} FLOP/s").speed
    assert (known.low, known.value, known.high) == (speed, speed, speed)
    share = read_capacity(f"{speed:e}..{speed * times:e} FLOP/s").share(speed * DAY, DAY)
    assert share.low <= share.value <= share.high
    assert math.isclose(share.high, 1.0, rel_tol=1e-5)
    assert math.isclose(share.low, 1.0 / times, rel_tol=1e-5)


@pytest.mark.parametrize(
    "stated",
    [
        "",
        "4e18",
        "4e18 FLOP",
        "-1e18 FLOP/s",
        "xH100",
        "10x",
        "0xH100",
        "-3xH100",
        "10xNoSuchChip",
        "1e18..2 FLOP/s",
    ],
)
def test_what_is_no_capacity_is_one_sentence(
    stated: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError) as raised:
        read_capacity(stated)
    assert "capacity" in str(raised.value)
    command = ["serve", "--port", "0", "--ledger", str(tmp_path / "l"), "--capacity", stated]
    assert _app.run(command) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


# ---------------------------------------------------------------- in the report


def test_each_key_and_the_whole_have_their_share_of_the_fleet() -> None:
    fleet = read_capacity("1e12..4e12 FLOP/s")
    with written([one("a", 1e15), one("b", 3e15)]) as told:
        made = told(since=BEGAN, until=BEGAN + 1000, capacity=fleet)
    document = made.to_json()
    whole = document["total"]["share_of_fleet"]
    assert document["seconds"] == 1000
    assert (whole["value"], whole["low"], whole["high"]) == pytest.approx((2.0, 1.0, 4.0))
    keys = [key["share_of_fleet"]["value"] for key in document["keys"]]
    assert keys == pytest.approx([1.5, 0.5])
    assert document["capacity"]["flop_per_second"]["low"] == 1e12
    assert "200% (100% to 400%) of what the fleet could do" in finding(made)
    page = metering_html(made)
    assert 'href="/"' not in page  # a file leads nowhere
    assert "150% (75% to 300%)" in page
    assert "1e12..4e12 FLOP/s" in page


def test_a_time_that_has_not_passed_is_not_counted() -> None:
    fleet = read_capacity("1e12 FLOP/s")
    with written([Asked(50, "a", "high", [Spent(1, 10, 10, 1e15)], "finished")]) as told:
        open_end = told(since=BEGAN, capacity=fleet)
        far_end = told(since=BEGAN, until=BEGAN + 1e10, capacity=fleet)
        no_beginning = told(until=BEGAN + 150, capacity=fleet)
        future = told(since=BEGAN + 1e10, capacity=fleet)
    for made in (open_end, far_end):
        assert made.seconds == pytest.approx(made.ledger["at"] - BEGAN)
    assert no_beginning.seconds is not None
    assert no_beginning.seconds <= 150.0
    assert (future.seconds, future.to_json()["total"]["share_of_fleet"]) == (None, None)


def test_what_is_unknown_stays_so() -> None:
    with written([one("a", 1e15), one("b", None)]) as told:
        unstated = told(since=BEGAN, until=BEGAN + 1000)
        made = told(since=BEGAN, until=BEGAN + 1000, capacity=read_capacity("1e12 FLOP/s"))
    assert unstated.to_json()["capacity"] is None
    assert unstated.to_json()["total"]["share_of_fleet"] is None
    assert "share of the fleet is unknown" in metering_html(unstated)
    total = made.to_json()["total"]
    assert total["share_of_fleet"] is None
    assert total["at_least"]["share_of_fleet"]["value"] == pytest.approx(1.0)
    assert "at least 100% of what the fleet could do" in finding(made)


def test_the_command_the_page_and_the_api_tell_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(tmp_path, thinker(), options=Options(capacity=read_capacity("1e9 FLOP/s"))) as served:
        body = {"model": "ponder", "messages": [{"role": "user", "content": "Hi"}]}
        httpx2.post(f"{served.address}/v1/chat/completions", json=body, timeout=30)
        told = httpx2.get(f"{served.address}/v1/operator/report").json()
        page = httpx2.get(f"{served.address}/report").text
    assert told["total"]["share_of_fleet"]["value"] > 0
    assert told["capacity"]["stated"] == "1e9 FLOP/s"
    assert "Of the fleet" in page
    ledger = ["--ledger", str(tmp_path / "ledger.sqlite")]
    assert _app.run(["serve", "report", *ledger, "--capacity", "100xH100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["keys"][0]["share_of_fleet"]["high"] > 0
    assert _app.run(["serve", *ledger, "--capacity", "100xH100", "report"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"The fleet, 100xH100, can do \S+ PFLOP/s \(\S+ PFLOP/s to \S+ PFLOP/s\)", shown)
    assert "of the fleet" in shown
    assert "1 request took" in shown  # nobody had a key
    assert _app.run(["serve", "report", *ledger]) == 0
    assert "share of the fleet is unknown" in capsys.readouterr().out
