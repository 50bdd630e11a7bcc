"""Whatever a request says, it is read or refused in the API's own way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.config import efforts
from ponder.core import Budget
from ponder.errors import InputError
from ponder.serve import chat, responses
from ponder.serve.failing import ApiError, outside
from ponder.serve.planning import Planner, most_of, questions
from tests.serve.serving import thinker

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["user", "text", "input_text", "message", "vote:n=3", "high", "5samples", "think", "ponder"]
    )
)
names = st.text(max_size=8) | st.sampled_from(
    ["role", "content", "type", "text", "effort", "summary", "strategy", "budget", "samples", "progress"]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    *("model", "messages", "input", "n", "stop", "seed", "temperature", "top_p", "max_tokens", "stream"),
    *("max_completion_tokens", "max_output_tokens", "stream_options", "reasoning_effort", "reasoning"),
    *("ponder", "tools", "metadata", "text", "instructions", "include", "store", "logit_bias"),
]
SOUND: dict[str, Any] = {"model": "ponder"}


@pytest.fixture(scope="module")
def planner() -> Planner:
    ceiling = Budget(samples=64, tokens=10**6)
    return Planner(efforts(), "medium", ceiling, {"solver": thinker()}, {})


@given(
    st.booleans(),
    st.dictionaries(st.sampled_from(FIELDS) | names, values, max_size=4),
)
def test_every_body_is_read_or_refused(planner: Planner, by_chat: bool, changes: dict[str, Any]) -> None:
    turns = [{"role": "user", "content": "What is 9 + 4?"}]
    body = {**SOUND, ("messages" if by_chat else "input"): turns, **changes}
    try:
        asked = (chat.read if by_chat else responses.read)(body)
        planned = planner.plan(asked)
        asks = questions(asked, planned, max_tokens=asked.max_tokens or 64)
        budget = most_of(thinker(), asks[0], planned, ["requests", "samples", "tokens", "flop", "usd"])
        assert budget.samples is not None
        assert budget.samples <= 64
        assert budget.tokens is not None
        assert budget.tokens <= 10**6
        assert len(asks) == asked.n <= 128
    except (ApiError, InputError) as error:
        told = outside(error)
        assert told.status in (400, 404)
        assert told.to_json()["error"]["message"]
        assert len(str(told)) < 500
