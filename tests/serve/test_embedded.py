"""The embedded model behind the server: few questions, since it is slow."""

from pathlib import Path
from typing import Any

import openai
import pytest

from ponder.ledger import Ledger
from ponder.serve.house import run_of
from tests.serve.serving import serving

ASKED: Any = [{"role": "user", "content": "What is 8 + 7?"}]


@pytest.mark.slow
def test_the_embedded_model_thinks_behind_the_server(weights: Path, tmp_path: Path) -> None:
    with serving(tmp_path, model="smollm2") as served:
        client = served.client()
        chat = client.chat.completions
        plain = chat.create(model="ponder", messages=ASKED, reasoning_effort="none", max_tokens=16)
        assert plain.choices[0].message.content
        assert 0 < plain.usage.completion_tokens <= 16
        with pytest.raises(openai.BadRequestError, match="response_format: the model behind"):
            chat.create(model="ponder", messages=ASKED, response_format={"type": "json_object"})
        own = {"budget": "8samples", "strategy": "vote:n=8"}
        voted = chat.create(model="ponder", messages=ASKED, max_tokens=64, seed=3, extra_body={"ponder": own})
        with Ledger.open(served.ledger, write=False) as ledger:
            used = ledger.usage(run_of(voted.id))
        again = chat.create(model="ponder", messages=ASKED, max_tokens=64, seed=3, extra_body={"ponder": own})
    assert voted.ponder["samples"] == 8
    assert voted.usage.completion_tokens == used.completion_tokens
    assert voted.ponder["flop"] == used.flop > 0
    assert voted.choices[0].message.content == again.choices[0].message.content
    assert 0 < voted.usage.completion_tokens_details.reasoning_tokens < voted.usage.completion_tokens
