import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ponder.ledger import verify
from tests.serve.serving import SUMMARY, Serving, key_file, serving, thinker

MESSAGES: Any = [{"role": "user", "content": "What is 9 + 4?"}]


class Audited:
    def __init__(self, served: Serving, keys: dict[str, str]) -> None:
        self.served, self.keys = served, keys

    def ask(self, text: str, **more: Any) -> Any:
        messages: Any = [{"role": "user", "content": text}]
        client = self.served.client(self.keys["alice"])
        return client.chat.completions.create(model="ponder", messages=messages, **more)

    def get(self, path: str, method: str = "GET", **query: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.keys['eve']}"}
        url = f"{self.served.address}/v1/audit/{path}"
        return httpx2.request(method, url, headers=headers, params=query)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    folder: Path = tmp_path_factory.mktemp("audited")
    path, keys = key_file(folder, alice="user", eve="auditor")
    with serving(folder, thinker(), keys=path) as served:
        yield Audited(served, keys)


def test_a_request_is_there_whole(audited: Audited) -> None:
    told = audited.ask("What is 9 + 4?", extra_body={"ponder": {"strategy": "best:by=likelihood,n=3"}})
    record = audited.get(f"requests/{told.id}").json()
    assert record["id"] == told.id
    assert record["asked"]["key"]["name"] == "alice"
    assert record["asked"]["body"]["messages"] == MESSAGES
    thoughts = [sample["text"] for sample in record["samples"]]
    assert sum("which makes 13 in all" in text for text in thoughts) == 3
    assert SUMMARY in thoughts
    assert record["answers"][0]["choice"] == "13"
    events = {event["kind"]: event["detail"] for event in record["events"]}
    assert events["told"]["content"] == "13"
    assert events["told"]["summary"] == SUMMARY
    assert events["told"]["cuts"] == {"content": 0, "summary": 0}
    assert len(events["scored"]["scores"]) == 3
    assert events["scored"]["by"] == "likelihood"
    assert record["usage"]["completion_tokens"] == told.usage.completion_tokens
    assert audited.get(f"requests/{told.id.removeprefix('chatcmpl-')}").json()["id"] == told.id


def test_requests_are_listed_and_paged(audited: Audited) -> None:
    made = [audited.ask(f"Page {i}?", reasoning_effort="none").id for i in range(3)]
    first = audited.get("requests", limit=2).json()
    assert [row["id"] for row in first["data"]] == made[:0:-1]
    assert first["data"][0]["state"] == "finished"
    second = audited.get("requests", limit=2, before=first["next"]).json()
    assert second["data"][0]["id"] == made[0]


def test_before_what_is_no_request_come_requests_alone(audited: Audited) -> None:
    made = audited.ask("Before?", reasoning_effort="none").id
    assert audited.get("requests", before="zzz", limit=1).json()["data"][0]["id"] == made
    assert audited.get("requests", before="\x00").json()["data"] == []


def test_search_finds_questions_and_thoughts(audited: Audited) -> None:
    told = audited.ask("Where is the zebra of 100% wool?", reasoning_effort="none")
    assert [row["id"] for row in audited.get("requests", text="ZEBRA of 100% w").json()["data"]] == [told.id]
    assert audited.get("requests", text="which makes 13").json()["data"]
    assert audited.get("requests", text="no such words").json()["data"] == []


def test_the_export_has_every_request_and_a_checkpoint(audited: Audited) -> None:
    audited.ask("Export me?", reasoning_effort="none")
    *records, last = [json.loads(line) for line in audited.get("export").text.splitlines()]
    listed = audited.get("requests", limit=200).json()["data"]
    assert [record["id"] for record in records] == [row["id"] for row in listed]
    assert verify(audited.served.ledger, checkpoint=last["checkpoint"]).ok
    assert audited.get("checkpoint").json()["ledger"] == last["checkpoint"]["ledger"]


def test_what_a_request_without_an_end_used_is_unknown(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user", eve="auditor")
    with serving(tmp_path, thinker(seconds=20), keys=path) as served:
        audited = Audited(served, keys)
        with audited.ask("Slow?", stream=True, extra_body={"ponder": {"progress": True}}) as stream:
            next(iter(stream))
            (row,) = audited.get("requests").json()["data"]
            whole = audited.get(f"requests/{row['id']}").json()
    assert row["state"] == "started"
    for usage in (row["usage"], whole["usage"]):
        assert [usage[name] for name in ("prompt_tokens", "completion_tokens", "flop", "usd")] == [None] * 4


def test_reading_is_all_that_an_auditor_can_do(audited: Audited) -> None:
    before = audited.get("checkpoint").json()["size"]
    told = audited.get("requests", limit=1).json()["data"][0]["id"]
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert audited.get(f"requests/{told}", method).status_code == 405
    assert audited.get("checkpoint").json()["size"] == before


@pytest.mark.parametrize("name", ["purse", "nothing", "..%2f..%2fetc", "%00", "'; drop table runs; --"])
def test_what_is_no_request_is_not_found(audited: Audited, name: str) -> None:
    answer = audited.get(f"requests/{name}")
    assert answer.status_code == 404
    assert "etc" not in answer.text


@pytest.mark.parametrize("limit", ["0", "201", "x", "1e2", "-1", "٣", "0000000019"])
def test_a_limit_that_cannot_be_is_a_400(audited: Audited, limit: str) -> None:
    assert audited.get("requests", limit=limit).status_code == 400
