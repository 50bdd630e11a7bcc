"""`ponder serve` in front of servers of other projects, on real weights.

llama.cpp's comes with the development tools; `make upstream` installs and tries vLLM's.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.upstream import checks
from benchmarks.upstream.environments import KINDS, installed
from benchmarks.upstream.servers import Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=KINDS)
def upstream(
    request: pytest.FixtureRequest, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upstream]:
    kind = str(request.param)
    if kind != "llama.cpp" and not (os.environ.get("PONDER_UPSTREAMS") and installed(kind)):
        pytest.skip(f"NOT TESTED: the server of {kind}; `make upstream` installs and tries it")
    server = Upstream(kind, weights, tmp_path_factory.mktemp("upstream") / "log")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def at(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[checks.Bench]:
    with checks.bench(upstream, tmp_path_factory.mktemp("served")) as bench:
        yield bench


def test_usage_is_what_the_upstream_counted(at: checks.Bench) -> None:
    for row in checks.usages(at, efforts=("none", "minimal", "low")):
        assert row["answered"], row
        assert row["told"] == row["ledger"] > 0, row
        assert row["upstream"] in (None, row["told"]), row


def test_what_a_request_says_of_sampling_reaches_the_upstream(at: checks.Bench) -> None:
    found = checks.samplings(at)
    assert found["choices_of_n_2"] == 2
    assert found["stopped_before_its_word"]
    assert found["greedy_twice_the_same"]
    assert found["tokens_of_a_cap_of_3"] == 3
    assert found["finish_of_a_cap_of_3"] == "length"


def test_a_caller_who_leaves_ends_the_upstreams_work(at: checks.Bench) -> None:
    # Of answers that are not streamed llama.cpp's server was seen to go on at times: see docs/server.md.
    found = checks.left(at, streamed=True)
    assert found["seconds"] is not None
    assert found["seconds"] < 5


def test_an_upstream_that_stops_is_a_gateways_timeout(upstream: Upstream, tmp_path: Path) -> None:
    with checks.bench(upstream, tmp_path, timeout=checks.TIMEOUT_SECONDS) as at:
        found = checks.paused(at)
        charges = at.charges()
    assert found["status"] == 504
    assert found["went_on"]
    assert charges["ledger_whole"]


def test_a_killed_upstream_is_told_of_and_charged_once(at: checks.Bench) -> None:
    found = checks.killed(at)
    assert found["during"]["status"] == found["after"]["status"] == 502
    assert found["restarted"]
    charges = at.charges()
    assert charges["charged_twice"] == charges["never_charged"] == 0
    assert charges["ledger_whole"]
