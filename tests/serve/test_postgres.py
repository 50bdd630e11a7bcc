"""A server whose ledger is on PostgreSQL: asked, restarted, cut from its database, and told to forget."""

from __future__ import annotations

import time
from pathlib import Path

import openai
import pytest

from ponder.errors import LedgerLocked
from ponder.ledger import Ledger, verify
from ponder.serve.keeping import forget_old
from ponder.serve.metering import report
from ponder.serve.purse import RUN
from tests.ledger.places import session
from tests.postgres import PostgresServer
from tests.serve.browsing import Browsing
from tests.serve.serving import Serving, key_file, serving, thinker


def ask(served: Serving, key: str) -> str | None:
    asked = [{"role": "user", "content": "What is 9 + 4?"}]
    answer = served.client(key).chat.completions.create(model="ponder", messages=asked)  # type: ignore[arg-type]
    return answer.choices[0].message.content


async def test_what_a_key_has_spent_outlives_the_server(postgres: PostgresServer, tmp_path: Path) -> None:
    place = postgres.url()
    path, keys = key_file(tmp_path, alice="user 3requests", olga="auditor")
    for left in (2, 1):
        with serving(tmp_path, thinker(), keys=path, ledger=place) as served:
            answer = ask(served, keys["alice"])
            assert answer is not None
            assert "13" in answer
            with Ledger.open(place, write=False) as ledger:  # beside the server
                settled = [event for event in ledger.events(RUN) if event.kind == "settled"]
            assert len(settled) == 3 - left
    with serving(tmp_path, thinker(), keys=path, ledger=place) as served:
        ask(served, keys["alice"])
        with pytest.raises(openai.RateLimitError, match="requests"):
            ask(served, keys["alice"])
        http = served.client(keys["olga"])._client
        found = http.get(
            f"{served.address}/v1/audit/requests",
            params={"text": "9 + 4\x00"},
            headers={"authorization": f"Bearer {keys['olga']}"},
        )
        assert (found.status_code, found.json()["data"]) == (200, [])
    verdict = verify(place)
    assert verdict.ok, verdict.first_bad


def test_the_providers_report_is_added_up_there(postgres: PostgresServer, tmp_path: Path) -> None:
    place = postgres.url()
    with serving(tmp_path, thinker(), ledger=place) as served:
        for _ in range(2):
            ask(served, "none")
        told = served.client("none")._client.get(f"{served.address}/v1/operator/report").json()
    with Ledger.open(place, write=False) as ledger:
        made = report(ledger, place).to_json()
    assert made["total"]["requests"] == made["total"]["finished"] == 2
    assert made["total"]["tokens"] > 0
    assert {name: made[name] for name in ("total", "keys", "efforts", "models")} == {
        name: told[name] for name in ("total", "keys", "efforts", "models")
    }


def test_requests_are_listed_there(postgres: PostgresServer, tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user", bob="user", eve="auditor")
    with serving(tmp_path, thinker(), ledger=postgres.url(), keys=path) as served:
        alice, bob, eve = (Browsing(served, keys[name]) for name in ("alice", "bob", "eve"))
        for who in (alice, bob, alice):
            who.ask("What is the zebra?")
        own = alice.get("/answers").text
        second = own.rpartition('href="/answers/')[2].partition('"')[0]
        assert own.count("finished</td>") == 2
        assert alice.get(f"/answers?before={second}").text.count("finished</td>") == 0
        assert bob.get("/answers").text.count("finished</td>") == 1
        assert eve.get("/requests").text.count("finished</td>") == 3


async def test_a_server_cut_from_its_database_answers_nothing(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    place = postgres.url()
    with serving(tmp_path, thinker(), ledger=place) as served:
        ask(served, "none")
        with session(place) as beside:
            beside.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name LIKE 'ponder writer%'"
            )
        for _ in range(2):
            with pytest.raises(openai.InternalServerError, match="The record cannot be written") as refused:
                ask(served, "none")
            assert refused.value.status_code == 503
    with serving(tmp_path, thinker(), ledger=place) as served:
        assert ask(served, "none") is not None
    verdict = verify(place)
    assert verdict.ok, verdict.first_bad


async def test_requests_are_erased_while_it_runs(postgres: PostgresServer, tmp_path: Path) -> None:
    place = postgres.url()
    with serving(tmp_path, thinker(), ledger=place) as served:
        ask(served, "none")
        assert served.server.house.ledger.old_requests(time.time())
        assert await forget_old(served.server.house.ledger, 0.0) == 1
        assert ask(served, "none") is not None
        with pytest.raises(LedgerLocked, match='written by this very process, "ponder writer'):
            Ledger.open(place, write=True)
    verdict = verify(place)
    assert verdict.ok, verdict.first_bad
    assert [order.by for order in verdict.erasures] == ["ponder serve --keep"]
