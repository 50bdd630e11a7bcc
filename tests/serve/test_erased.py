"""A request whose texts were erased, as the auditor's paths and the pages show it."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ponder.errors import InputError
from ponder.ledger import Ledger, verify
from ponder.ledger.signing import check_signature, new_key
from ponder.serve.house import Options, run_of
from ponder.serve.keeping import forget_old
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
    assert record["usage"]["completion_tokens"] == told.usage.completion_tokens  # type: ignore[union-attr]
    assert record["asked"]["erased"] is True
    assert (record["questions"], record["samples"]) == ([], [])
    assert [row["id"] for row in listed] == [kept.id, told.id]
    assert found == []
    assert seen.status_code == 200
    assert "erased by order" in seen.text
    for shown in (json.dumps(record), exported, seen.text):
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
