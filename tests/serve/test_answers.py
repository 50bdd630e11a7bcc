"""The list of a key's own answers: whose they are, their order, and that nobody else sees them."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from ponder.ledger import EventRow, Ledger
from ponder.serve.audit import own_requests
from ponder.serve.house import run_of
from ponder.serve.page import answers
from ponder.serve.purse import RUN
from tests.serve.browsing import Browsing
from tests.serve.serving import key_file, serving, thinker


def test_one_sees_ones_own_newest_first_and_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "_PAGE", 2)
    path, keys = key_file(tmp_path, alice="user 10requests/day", bob="user", eve="auditor")
    with serving(tmp_path, thinker(), keys=path) as served:
        house = served.server.house
        alice, bob = Browsing(served, keys["alice"]), Browsing(served, keys["bob"])
        owner = next(key.id for key in house.keyring.keys if key.name == "alice")  # type: ignore[union-attr]
        empty = alice.get("/answers").text
        asked = [alice.ask(f"What is the zebra plus {i}?").headers["location"] for i in range(3)]
        messages: Any = [{"role": "user", "content": "What is the gnu?"}]
        forged: Any = {"metadata": {"key": f'{{"id":"{owner}"}}'}, "ponder": {"summary": False}}
        served.client(keys["bob"]).chat.completions.create(
            model="ponder", messages=messages, extra_body=forged
        )
        first = alice.get("/answers")
        second = alice.get(re.findall(r'href="(/answers\?[^"]+)"', first.text)[0].replace("&amp;", "&"))
        other = bob.get("/answers").text
        refused = Browsing(served, keys["eve"]).get("/answers").status_code
        nobody = Browsing(served).get("/answers")
        order = "house"
        house.ledger.erase([run_of(asked[2].rpartition("/")[2])], by=order, reason="asked for")
        erased = alice.get("/answers").text
    assert "Nothing was asked yet" in empty
    links = re.compile(r'href="(/answers/[^"]+)"')
    assert links.findall(first.text) == [asked[2], asked[1]]
    assert links.findall(second.text) == [asked[0]]
    assert "10 requests a day" in first.text
    assert ">7<" in first.text  # of ten requests three were made
    assert "finished" in first.text
    assert "gnu" in other
    assert "zebra" not in other
    assert "gnu" not in first.text + second.text
    assert (refused, nobody.status_code, nobody.headers["location"]) == (403, 303, "/")
    assert links.findall(erased) == [asked[1]]
    assert "erased" in erased


def begun(ledger: Ledger, request: str, key: str | None, said: str = "a") -> None:
    """As the server begins one. Its body says that it is somebody's."""
    who = None if key is None else {"id": key}
    ledger.run(f"serve-{request}", {"kind": "serve", "key": who, "body": {"key": said, "said": {"id": said}}})
    reserved = {"request": request, "key": key or "", "held": {"requests": 1}, "at": 1.0}
    ledger.append([EventRow(RUN, 1.0, "reserved", reserved)]).result()


def test_a_body_that_speaks_of_a_key_is_nobody_elses(tmp_path: Path) -> None:
    """Requests are listed in the order in which they began, and by the key that sent them."""
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        ledger.run(RUN, {"kind": "serve"})
        for request, key in (("0", "a"), ("2", "b"), ("1", "b"), ("3", "a"), ("5", None)):
            begun(ledger, request, key)

        def own(key: str, before: str | None = None, limit: int = 9) -> list[str]:
            return [use.run.id for use in own_requests(ledger, key, before, limit=limit)]

        assert own("a", limit=1) == ["serve-3"]
        assert own("a") == ["serve-3", "serve-0"]
        assert own("a", "3") == own("a", "1") == ["serve-0"]
        assert own("b") == ["serve-1", "serve-2"]
        assert own("b", "chatcmpl-1") == ["serve-2"]
        assert own("a", "0") == own("a", "unheard of") == own("c") == []


def test_a_keys_requests_are_read_at_once_and_no_others(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        ledger.run(RUN, {"kind": "serve"})
        for at in range(20):
            begun(ledger, f"{at:02}", "a" if at % 2 else "b")
        asked = list[str]()
        event.listen(ledger._engine, "before_cursor_execute", lambda _c, _k, said, *_: asked.append(said))
        assert len(own_requests(ledger, "a", None, limit=9)) == 9
    read = [said for said in asked if said.startswith("SELECT")]
    assert len(read) == 4
    assert not [said for said in read if "LIKE" in said and "config" in said], "a configuration has the body"


def test_without_keys_there_is_no_list(tmp_path: Path) -> None:
    with serving(tmp_path, thinker()) as served:
        local = Browsing(served)
        local.ask("What is the zebra?")
        listed, home = local.get("/answers"), local.get("/")
    assert listed.status_code == 403
    assert "zebra" not in listed.text
    assert 'href="/answers"' not in home.text
