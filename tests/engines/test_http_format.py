"""A response_format on its way to an endpoint, and what a refusal of it means and does not mean."""

import json
from typing import Any

import pytest

from ponder.core import Usage
from ponder.errors import CallFailed, EngineError, FormatRefused, ModelNotFound
from tests.engines.upstream import ONE, Opener, Reply, Upstream, ask

FORM = '{"type":"json_schema","json_schema":{"name":"s","schema":{"b":1,"a":1}}}'


async def test_it_is_sent_as_it_is_and_only_where_one_is_asked_for(
    opened: Opener, upstream: Upstream
) -> None:
    upstream.always(ONE)
    engine = await opened()
    assert engine.capabilities.response_format
    await ask(engine, response_format=FORM)
    await ask(engine)
    first, second = upstream.completions
    assert json.dumps(first["response_format"], separators=(",", ":")) == FORM  # its fields in their order
    assert "response_format" not in second


async def test_completions_have_none(opened: Opener) -> None:
    assert not (await opened(api="completions")).capabilities.response_format


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"message": "no", "param": "response_format"}}, FormatRefused),
        (400, {"error": {"message": "no", "param": "response_format.json_schema.name"}}, FormatRefused),
        (422, {"detail": [{"loc": ["body"], "msg": "no"}]}, FormatRefused),
        (400, {"error": "grammar"}, FormatRefused),
        (400, {"error": {"message": "no", "param": ["response_format"]}}, FormatRefused),
        (400, b"<html>", FormatRefused),
        (400, {"error": {"message": "long", "param": "messages"}}, CallFailed),
        (404, {"error": {"message": "no"}}, ModelNotFound),
        (501, {"error": {"message": "response_format"}}, CallFailed),
    ],
)
async def test_which_refusals_are_of_the_format(
    opened: Opener, upstream: Upstream, status: int, body: Any, kind: type[EngineError]
) -> None:
    upstream.always(Reply(body, status=status))
    engine = await opened(retries=0)
    refused = await ask(engine, response_format=FORM)
    assert type(refused.error) is kind
    if kind is FormatRefused:
        (attempt,) = refused.attempts
        assert attempt.usage == Usage(calls=1, seconds=attempt.usage.seconds)  # it cost nothing
    without = await ask(engine)
    assert not isinstance(without.error, FormatRefused)


async def test_a_repeated_schema_teaches_nothing_and_another_refusal_does(
    opened: Opener, upstream: Upstream
) -> None:
    form = json.dumps(
        {"type": "json_schema", "json_schema": {"name": "s", "schema": {"MAX_completion_tokens": {}}}}
    )
    echo = {"error": {"message": f"bad: {form.lower()}"}}
    upstream.always(Reply(echo, status=400))
    engine = await opened()
    assert isinstance((await ask(engine, response_format=form)).error, FormatRefused)
    assert engine.learned.cap == "max_tokens"
    said = {"error": {"message": "Use 'max_completion_tokens' instead.", "param": "max_tokens"}}
    upstream.always(Reply(said, status=400), ONE)
    assert (await ask(engine, response_format=FORM)).error is None
    assert engine.learned.cap == "max_completion_tokens"
