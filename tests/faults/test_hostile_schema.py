"""Formats from a stranger, for a model that can be held to one: what is passed on is small and its own."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ponder.ledger import verify
from tests.engines.upstream import Got, Reply, Upstream, chat, usage
from tests.faults.hostile import PLANTED, SCHEMAS, Case, talk
from tests.serve.serving import Serving, key_file, serving

REFUSED = "The upstream's own words, /srv/model/grammar.py, line 7"


@dataclass
class Attacked:
    served: Serving
    upstream: Upstream
    keys: dict[str, str]

    def ask(self, case: Case) -> tuple[int, str]:
        port = int(self.served.address.rpartition(":")[2])
        told = talk(port, case.bytes(port, self.keys))
        return told.statuses[0], told.text


def answer(got: Got) -> Reply:
    """It obeys, and quotes its thought where it can."""
    form = got.body.get("response_format")
    if form is None:
        return Reply(chat(f"The mark is {PLANTED} here.\nAnswer: 13", usage=usage(9, 9)))
    return Reply(chat(json.dumps({"mark": PLANTED}), usage=usage(9, 9)))


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    folder: Path = tmp_path_factory.mktemp("schemas")
    path, keys = key_file(folder, alice="user")
    with Upstream() as upstream:
        upstream.answer = answer
        with serving(folder, model=f"{upstream.address}#M", keys=path) as served:
            yield Attacked(served, upstream, keys)
            assert served.server.house.purse.running == 0
            assert verify(served.ledger).ok


@pytest.mark.parametrize("case", SCHEMAS, ids=lambda case: case.name)
def test_it_is_refused_before_the_model_sees_it_or_harmless(attacked: Attacked, case: Case) -> None:
    before = len(attacked.upstream.completions)
    status, told = attacked.ask(case)
    assert status in case.expected, told[:300]
    asked = len(attacked.upstream.completions) - before
    assert (asked > 1) == (status == 200)  # a thought and its writing down
    assert asked == 0 or status == 200
    for secret in (PLANTED, "Traceback", ".py", *attacked.keys.values()):
        assert secret not in told


def test_no_address_in_a_schema_is_called(attacked: Attacked) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bait:
        bait.settimeout(0.2)
        url = f"http://127.0.0.1:{bait.getsockname()[1]}/schema"
        shapes: list[dict[str, Any]] = [
            {"$ref": url},
            {"$schema": url, "$id": url, "$ref": "#", "$comment": url, "$vocabulary": {url: True}},
            {"$defs": {"a": {"$id": url}}, "properties": {"a": {"$ref": "#/$defs/a"}}, "default": url},
        ]
        for shape in shapes:
            form = {"type": "json_schema", "json_schema": {"name": "s", "schema": shape}}
            body = {
                "model": "ponder",
                "messages": [{"role": "user", "content": "Hi"}],
                "response_format": form,
            }
            assert attacked.ask(Case("url", (200, 400), body=body))[0] in (200, 400)
        with pytest.raises(TimeoutError):
            bait.accept()


def test_a_refusal_is_told_without_the_words_of_the_model_behind(
    attacked: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(got: Got) -> Reply:
        form = got.body.get("response_format")
        return (
            answer(got) if form is None else Reply({"error": {"message": REFUSED, "was": form}}, status=400)
        )

    monkeypatch.setattr(attacked.upstream, "answer", refuse)
    for case in SCHEMAS:
        if case.expected == (200,):
            status, told = attacked.ask(case)
            assert (status, "format_refused" in told) == (400, True)
            assert "srv" not in told
