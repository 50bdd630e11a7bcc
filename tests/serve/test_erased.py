"""A request whose texts were erased, as the auditor's paths and the pages show it."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from ponder.cli._app import run
from ponder.errors import InputError
from ponder.ledger import Ledger, verify
from ponder.ledger.signing import check_signature, new_key
from ponder.serve.house import Options, run_of
from ponder.serve.keeping import forget_old, keep
from tests.serve.browsing import Browsing
from tests.serve.serving import key_file, serving, thinker

QUESTION = "What is the zebra plus 4?"


def test_figures_are_shown_and_no_word(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user", eve="auditor")
    eve = {"authorization": f"Bearer {keys['eve']}"}
    with serving(tmp_path, thinker(), keys=path) as served:
        messages: Any = [{"role": "user", "content": QUESTION}]
        told = served.client(keys["alice"]).chat.completions.create(model="ponder", messages=messages)
        kept = served.client(keys["alice"]).chat.completions.create(
            model="ponder", messages=[{"role": "user", "content": "What stays?"}]
        )
    with Ledger.open(served.ledger, write=True) as ledger:
        ledger.erase([run_of(told.id)], by="olga", reason="asked for")
    with serving(tmp_path, thinker(), keys=path) as served:
        url = f"{served.address}/v1/audit"
        record = httpx2.get(f"{url}/requests/{told.id}", headers=eve).json()
        listed = httpx2.get(f"{url}/requests", headers=eve).json()["data"]
        found = httpx2.get(f"{url}/requests", params={"text": "zebra"}, headers=eve).json()["data"]
        exported = httpx2.get(f"{url}/export", headers=eve).text
        with httpx2.Client(base_url=served.address) as browser:
            browser.post("/sign-in", data={"key": keys["eve"]}, headers={"origin": served.address})
            seen = browser.get(f"/requests/{told.id}")
            rows = browser.get("/requests").text
    assert f'href="/requests/{told.id}"><em>erased</em></a>' in rows
    assert f'href="/requests/{kept.id}">What stays?</a>' in rows
    assert record["usage"]["completion_tokens"] == told.usage.completion_tokens  # type: ignore[union-attr]
    assert record["asked"]["erased"] is True
    assert (record["questions"], record["samples"]) == ([], [])
    assert [row["id"] for row in listed] == [kept.id, told.id]
    assert found == []
    assert seen.status_code == 200
    assert "erased by order" in seen.text
    for shown in (json.dumps(record), exported, seen.text, rows):
        assert "zebra" not in shown
    assert "What stays?" in exported
    assert verify(served.ledger).ok


def test_a_server_forgets_what_is_older_than_it_keeps(tmp_path: Path) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    with serving(tmp_path, thinker()) as served:
        old = served.client().chat.completions.create(model="ponder", messages=messages)
        assert asyncio.run(forget_old(served.server.house.ledger, 1.0)) == 0
    with serving(tmp_path, thinker(), options=Options(keep_days=1e-9)) as served:
        until = time.monotonic() + 20
        while not verify(served.ledger).erasures and time.monotonic() < until:
            time.sleep(0.05)
        new = served.client().chat.completions.create(model="ponder", messages=messages)
        assert new.choices[0].message.content == "13"
    verdict = verify(served.ledger)
    assert verdict.ok
    (order,) = verdict.erasures
    assert order.runs == (run_of(old.id),)
    assert order.by == "ponder serve --keep"
    with Ledger.open(served.ledger, write=False) as ledger:
        assert ledger.problems(run_of(new.id))[0][0].text == QUESTION


async def test_what_goes_wrong_once_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = asyncio.Queue[float]()

    async def fail(_: object, days: float) -> int:
        tries.put_nowait(days)
        raise KeyError("a word of a question")

    monkeypatch.setattr("ponder.serve.keeping.forget_old", fail)
    monkeypatch.setattr("ponder.serve.keeping._EVERY_SECONDS", 0.0)
    keeping = asyncio.ensure_future(keep(cast(Ledger, None), 2.0))
    assert [await asyncio.wait_for(tries.get(), 5) for _ in range(3)] == [2.0] * 3
    keeping.cancel()
    assert "KeyError" in caplog.text
    assert "question" not in caplog.text


def test_a_server_signs_its_checkpoints(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, eve="auditor")
    public = new_key(tmp_path / "sign.pem")
    eve = {"authorization": f"Bearer {keys['eve']}"}
    with serving(tmp_path, thinker(), keys=path, options=Options(sign=tmp_path / "sign.pem")) as served:
        state = httpx2.get(f"{served.address}/v1/audit/checkpoint", headers=eve).json()
        last = httpx2.get(f"{served.address}/v1/audit/export", headers=eve).text.splitlines()[-1]
    for each in (state, json.loads(last)["checkpoint"]):
        assert check_signature(each, public) == each["key"]
        assert verify(served.ledger, checkpoint=each).ok
    with (
        pytest.raises(InputError, match="no private key"),
        serving(tmp_path, thinker(), options=Options(sign=public)),
    ):
        pass


def test_an_operator_erases_a_request_while_the_server_runs(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user", eve="auditor", olga="operator")
    headers = {name: {"authorization": f"Bearer {key}"} for name, key in keys.items()}
    messages: Any = [{"role": "user", "content": QUESTION}]
    with serving(tmp_path, thinker(), keys=path) as served:
        client = served.client(keys["alice"])
        told = client.chat.completions.create(model="ponder", messages=messages)
        kept = client.chat.completions.create(
            model="ponder", messages=[{"role": "user", "content": "What stays?"}]
        )
        before = httpx2.get(f"{served.address}/v1/audit/checkpoint", headers=headers["eve"]).json()

        def order(name: str | None = "olga", **body: Any) -> httpx2.Response:
            sent = {"request": told.id, "reason": "asked for by alice", **body}
            allowed = {} if name is None else headers[name]
            return httpx2.post(f"{served.address}/v1/operator/erasures", json=sent, headers=allowed)

        refused = [order(None), order("alice"), order("eve")]
        wrong = [
            order(request="chatcmpl-0123"),
            order(request="purse"),
            order(reason=" "),
            order(reason="x" * 501),
            order(by="somebody"),
        ]
        assert not verify(served.ledger).erasures
        first, again = order(), order(reason="once more")
        listed = httpx2.get(f"{served.address}/v1/operator/erasures", headers=headers["olga"]).json()
        url = f"{served.address}/v1/audit/requests"
        record = httpx2.get(f"{url}/{told.id}", headers=headers["eve"])
        other = httpx2.get(f"{url}/{kept.id}", headers=headers["eve"]).json()
        with httpx2.Client(base_url=served.address) as browser:
            browser.post("/sign-in", data={"key": keys["eve"]}, headers={"origin": served.address})
            seen = browser.get(f"/requests/{told.id}").text
        later = client.chat.completions.create(model="ponder", messages=messages)
        verdict = verify(served.ledger, checkpoint=before)
    assert [each.status_code for each in refused] == [401, 403, 403]
    assert [each.status_code for each in wrong] == [404, 404, 400, 400, 400]
    assert first.status_code == 200
    by = first.json()["by"]
    assert by.startswith("olga (")
    assert first.json()["runs"] == [run_of(told.id)]
    assert first.json()["texts"] > 0
    assert again.json() == first.json()
    assert listed["data"] == [first.json()]
    assert record.json()["erased"] == {name: first.json()[name] for name in ("at", "by", "reason")}
    assert "zebra" not in record.text
    assert other["erased"] is None
    assert other["questions"][0]["text"] == "What stays?"
    assert "asked for by alice" in seen
    assert "olga" in seen
    assert later.choices[0].message.content == "13"
    assert verdict.ok
    assert [(each.by, each.runs) for each in verdict.erasures] == [(by, (run_of(told.id),))]


def test_a_request_in_flight_is_not_erased(tmp_path: Path) -> None:
    with serving(tmp_path, thinker(seconds=2)) as served, ThreadPoolExecutor(1) as pool:
        messages: Any = [{"role": "user", "content": QUESTION}]
        asked = pool.submit(
            served.client().chat.completions.create,
            model="ponder",
            messages=messages,
            reasoning_effort="minimal",
        )
        until = time.monotonic() + 20
        while not (jobs := list(served.server.house.jobs)) and time.monotonic() < until:
            time.sleep(0.01)
        sent = {"request": jobs[0].id, "reason": "asked for"}
        url = f"{served.address}/v1/operator/erasures"
        early = httpx2.post(url, json=sent)
        told = asked.result(60)
        done = httpx2.post(url, json={**sent, "request": told.id})
    assert early.status_code == 409
    assert done.status_code == 200
    assert done.json()["by"] == "whoever is on this machine"
    assert verify(served.ledger).ok


def test_an_operator_erases_on_the_page(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user", olga="operator")
    with serving(tmp_path, thinker(), keys=path) as served:
        alice, olga = Browsing(served, keys["alice"]), Browsing(served, keys["olga"])
        answer = alice.ask("What is the zebra plus 4?").headers["location"]
        identity = answer.rpartition("/")[2]
        assert alice.get(answer).status_code == 200
        form = {"request": f" {identity}\n", "reason": "alice <b>asked</b>"}
        assert alice.client.post("/erase", data=form).status_code == 403
        assert olga.client.post("/erase", data={**form, "reason": ""}).status_code == 400
        sent = olga.client.post("/erase", data=form)
        listed = olga.get("/erase").text
        assert alice.get(answer).status_code == 404
    assert (sent.status_code, sent.headers["location"]) == (303, "/erase")
    assert identity in listed
    assert "alice &lt;b&gt;asked&lt;/b&gt;" in listed
    assert "zebra" not in listed
    assert verify(served.ledger).ok


def test_the_command_says_what_to_do_beside_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, thinker()) as served:
        order = ["ledger", "erase", "serve-0", "--by", "olga", "--reason", "asked for"]
        code = run([*order, "--ledger", str(served.ledger)])
    told = capsys.readouterr().err
    assert code == 2
    assert "on its page /erase or by POST /v1/operator/erasures" in told
