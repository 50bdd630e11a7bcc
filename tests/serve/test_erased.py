"""A request whose texts were erased, as the auditor's paths and the pages show it."""

import json
from pathlib import Path
from typing import Any

import httpx2

from ponder.ledger import Ledger, verify
from ponder.serve.house import run_of
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
