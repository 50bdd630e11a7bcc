"""The corpus of hostile requests, and requests made up from the OpenAPI document: their answers counted."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults.fuzzing import fuzz
from tests.faults.hostile import CASES, PLANTED, hostile_thinker, talk
from tests.serve.serving import key_file, serving

from ponder.ledger import verify

__all__ = ["hostile"]


def hostile(*, small: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, keys = key_file(folder, alice="user", eve="auditor", olga="operator")
        with serving(folder, hostile_thinker(), keys=path) as served:
            inside = ("Traceback", str(folder), "site-packages", *keys.values())
            port = int(served.address.rpartition(":")[2])
            told = [talk(port, case.bytes(port, keys), seconds=90) for case in CASES]
            corpus = Counter(status for each in told for status in each.statuses)
            leaks = sum(any(secret in each.text for secret in (*inside, PLANTED)) for each in told)

            def headers(path: str) -> dict[str, str]:
                name = "eve" if "/audit/" in path else "alice" if path.startswith("/v1") else "olga"
                return {"authorization": f"Bearer {keys['olga' if '/operator/' in path else name]}"}

            made = fuzz(served.address, headers, requests=100 if small else 10_000, start=1, secrets=inside)
        whole = verify(folder / "ledger.sqlite").ok
    statuses = made.statuses_of(made.statuses)
    return {
        "corpus": {
            "cases": len(CASES),
            "statuses": _sorted(corpus),
            "answers_that_tell_of_the_inside": leaks,
        },
        # The run ends at the first answer that the document does not allow, or that tells of the inside.
        "made_up": {"requests": made.requests, "statuses": _sorted(statuses), "against_the_document": 0},
        "answers_of_500_and_more": sum(
            count for status, count in (corpus + statuses).items() if status >= 500
        ),
        "ledger_whole": whole,
    }


def _sorted(counts: Counter[int]) -> dict[str, int]:
    return {str(status): counts[status] for status in sorted(counts)}
