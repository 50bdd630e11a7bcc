"""Requests made up from the OpenAPI document, against a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.fuzzing import fuzz
from tests.faults.hostile import hostile_thinker
from tests.serve.serving import Serving, key_file, serving

REQUESTS = 300


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, dict[str, str]]]:
    folder: Path = tmp_path_factory.mktemp("fuzzed")
    path, keys = key_file(folder, alice="user", eve="auditor", olga="operator")
    with serving(folder, hostile_thinker(), keys=path) as served:
        yield served, keys


@pytest.mark.slow
def test_every_made_up_request_is_answered_as_the_document_says(
    fuzzed: tuple[Serving, dict[str, str]],
) -> None:
    served, keys = fuzzed

    def headers(path: str) -> dict[str, str]:
        name = "eve" if "/audit/" in path else "olga" if "/operator/" in path else "alice"
        return {"authorization": f"Bearer {keys[name]}"}

    inside = ("Traceback", str(served.ledger.parent), "site-packages", *keys.values())
    done = fuzz(served.address, headers, requests=REQUESTS, start=7, secrets=inside)
    assert done.requests >= REQUESTS
    asked = done.statuses_of(("/v1/chat/completions", "/v1/responses"))
    assert asked[200] > 10  # some get through, so that the answers are checked too
    assert asked[400] > 50
    assert served.server.house.purse.running == 0
