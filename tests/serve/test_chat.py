from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from ponder.ledger import Ledger, verify
from ponder.serve.house import run_of
from tests.serve.serving import SUMMARY, Serving, serving, thinker

ASKED: Any = [{"role": "user", "content": "What is 9 + 4?"}]


def ask(served: Serving, **more: Any) -> Any:
    return served.client().chat.completions.create(model="ponder", messages=ASKED, **more)


def post(served: Serving, body: Any, **options: Any) -> httpx2.Response:
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    headers = {"content-type": "application/json", **options.pop("headers", {})}
    return httpx2.post(f"{served.address}/v1/chat/completions", headers=headers, **sent, **options)


def test_the_models_list(served: Serving) -> None:
    assert [model.id for model in served.client().models.list()] == ["ponder"]
    assert served.client().models.retrieve("ponder").owned_by == "ponder"
    with pytest.raises(openai.NotFoundError, match="none of this name"):
        served.client().models.retrieve("gpt-4")


def test_an_answer_with_a_summary_and_true_counts(served: Serving) -> None:
    told = ask(served, reasoning_effort="low")
    message = told.choices[0].message
    assert message.content == "13"
    assert message.reasoning_content == message.reasoning == SUMMARY
    assert told.choices[0].finish_reason == "stop"
    assert told.ponder["effort"] == "low"
    assert told.ponder["strategy"] == "adaptive_vote:n=8"
    assert told.ponder["budget"]["samples"] == 8
    assert told.ponder["agreement"] == 1.0
    assert told.ponder["flop"] > 0
    with Ledger.open(served.ledger, write=False) as ledger:
        used = ledger.usage(run_of(told.id))
    assert told.usage.completion_tokens == used.completion_tokens
    assert told.usage.prompt_tokens == used.prompt_tokens
    assert told.usage.completion_tokens_details.reasoning_tokens == used.completion_tokens - 1
    assert told.usage.prompt_tokens_details.cached_tokens is None  # this engine does not know
    assert told.ponder["samples"] == used.samples - 1  # the summary is one more
    assert told.ponder["flop"] == used.flop


def test_no_effort_asks_the_conversation_as_it_is(served: Serving) -> None:
    told = ask(served, reasoning_effort="none")
    assert told.choices[0].message.content.startswith("9 and 4 are to be added")
    assert not hasattr(told.choices[0].message, "reasoning_content")
    assert told.ponder["strategy"] == "direct"
    assert told.usage.completion_tokens_details.reasoning_tokens == 0
    engine: Any = served.server.house.engine
    assert [m.content for m in engine.requests[-1].prompt.messages] == ["What is 9 + 4?"]


def test_n_choices_are_as_many_solves(served: Serving) -> None:
    told = ask(served, n=3, reasoning_effort="minimal", seed=5)
    assert [choice.index for choice in told.choices] == [0, 1, 2]
    assert told.ponder["samples"] == 3


def test_budget_and_strategy_of_the_request_go_first(served: Serving) -> None:
    own = {"strategy": "vote:n=16", "budget": {"samples": 3}}
    told = ask(served, extra_body={"ponder": own})
    assert told.ponder["strategy"] == "vote:n=16"
    assert told.ponder["samples"] == 3
    assert told.ponder["stopped_by"] == "samples"
    told = ask(served, extra_body={"ponder": {"budget": "1e30tok,5samples", "strategy": "vote:n=4"}})
    assert told.ponder["budget"]["tokens"] == 10_000_000  # the server's ceiling


def test_a_budget_that_ends_before_any_answer_leaves_it_incomplete(tmp_path: Path) -> None:
    with serving(tmp_path, thinker(seconds=5)) as served:
        own = {"ponder": {"budget": "0.2s"}}
        told = ask(served, reasoning_effort="low", extra_body=own)
        whole = served.client().responses.create(
            model="ponder", input="Hi", reasoning={"effort": "low"}, extra_body=own
        )
    assert (told.choices[0].message.content, told.choices[0].finish_reason) == ("", "length")
    assert told.ponder["stopped_by"] == "seconds"
    assert (whole.output_text, whole.status) == ("", "incomplete")


def test_stop_cuts_the_answer_and_not_the_thought(served: Serving) -> None:
    told = ask(served, stop="3", reasoning_effort="minimal")
    assert told.choices[0].message.content == "1"
    engine: Any = served.server.house.engine
    assert not any("3" in request.stop for request in engine.requests[-2:])


def test_the_caps_and_the_sampling_reach_the_model(served: Serving) -> None:
    told = ask(
        served,
        max_completion_tokens=5,
        temperature=0.3,
        top_p=0.5,
        seed=1,
        reasoning_effort="minimal",
        extra_body={"ponder": {"summary": False}},
    )
    engine: Any = served.server.house.engine
    request = engine.requests[-1]
    assert (request.max_tokens, request.sampling.temperature, request.sampling.top_p) == (5, 0.3, 0.5)
    assert told.choices[0].finish_reason == "length"
    assert told.usage.completion_tokens == 5


def test_streamed(served: Serving) -> None:
    stream = ask(served, stream=True, stream_options={"include_usage": True}, reasoning_effort="minimal")
    chunks = list(stream)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == "13"
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == SUMMARY
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens > 0
    assert chunks[-2].ponder["strategy"] == "think"


def test_streamed_with_the_sdk_that_gathers(served: Serving) -> None:
    with served.client().chat.completions.stream(model="ponder", messages=ASKED, n=2) as stream:
        told = stream.get_final_completion()
    assert [choice.message.content for choice in told.choices] == ["13", "13"]


def test_a_conversation_with_parts_and_an_earlier_reply(served: Serving) -> None:
    first = ask(served, reasoning_effort="minimal").choices[0].message
    told = served.client().chat.completions.create(
        model="ponder",
        messages=[
            {"role": "developer", "content": "Be short."},
            *ASKED,
            first,
            {
                "role": "user",
                "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "8 + 5?"}],
            },
        ],
        reasoning_effort="minimal",
    )
    assert told.choices[0].message.content == "13"
    engine: Any = served.server.house.engine
    turns = engine.requests[-2].prompt.messages
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user"]
    assert turns[-1].content.startswith("And 8 + 5?")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"n": 10**9}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"seed": "1"}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"frobnicate": 1}, "frobnicate"),
        ({"ponder": {"budget": "12 parsecs"}}, "ponder.budget"),
        ({"ponder": {"budget": {"samples": 0}}}, "ponder.budget.samples"),
        ({"ponder": {"strategy": "guess"}}, "strategy"),
        ({"ponder": {"strategy": "best:by=checks"}}, "strategy"),
        ({"ponder": {"url": "http://evil"}}, "ponder.url"),
    ],
)
def test_a_field_that_cannot_be_is_a_400_that_names_it(
    served: Serving, change: dict[str, Any], param: str
) -> None:
    answer = post(served, {"model": "ponder", "messages": ASKED, **change})
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["type"] == "invalid_request_error"
    assert param == error["param"]
    assert param.rpartition(".")[2] in error["message"]
    assert error["message"].endswith((".", "?"))


def test_both_names_of_the_cap_may_say_the_same_and_no_other(served: Serving) -> None:
    body = {"model": "ponder", "messages": ASKED, "max_completion_tokens": 40}
    for same in (40, 40.0, None):
        assert post(served, {**body, "max_tokens": same}).status_code == 200
    refused = post(served, {**body, "max_tokens": 41}).json()["error"]
    for said in ("max_tokens", "41", "max_completion_tokens", "40"):
        assert said in refused["message"]


def test_fields_that_change_nothing_are_taken(served: Serving) -> None:
    told = ask(
        served,
        reasoning_effort="minimal",
        frequency_penalty=0,
        logit_bias={},
        metadata={"a": "b"},
        parallel_tool_calls=True,
        presence_penalty=0.0,
        response_format={"type": "text"},
        store=False,
        tool_choice="auto",
        tools=[],
        user="u",
    )
    assert told.choices[0].message.content == "13"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"model": "ponder", "model": "ponder"}',
        b'{"n": NaN}',
        b'{"n": 1e999}',
        b'{"n": "\\ud800"}',
        b"\xff\xfe",
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"n": ' + b"9" * 5000 + b"}",
    ],
)
def test_json_is_read_strictly(served: Serving, body: bytes) -> None:
    answer = post(served, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"


def test_what_is_not_json_or_too_long_is_refused(served: Serving) -> None:
    assert post(served, b"{}", headers={"content-type": "text/plain"}).status_code == 415
    answer = post(served, b"x" * (5 << 20))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_other_paths_and_methods_have_the_same_shape(served: Serving) -> None:
    missing = httpx2.get(f"{served.address}/v1/completions")
    assert missing.status_code == 404
    assert "/openapi.json" in missing.json()["error"]["message"]
    wrong = httpx2.get(f"{served.address}/v1/chat/completions")
    assert wrong.status_code == 405
    assert wrong.json()["error"]["type"] == "invalid_request_error"
    assert wrong.json()["error"]["message"] == "This path takes POST alone."


@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.example"}, {"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}],
)
def test_other_hosts_and_origins_are_refused(served: Serving, headers: dict[str, str]) -> None:
    answer = post(served, {"model": "ponder", "messages": ASKED}, headers=headers)
    assert answer.status_code == 403


def test_a_prompt_that_the_model_cannot_hold_is_a_400(served: Serving) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        served.client().chat.completions.create(
            model="ponder", messages=[{"role": "user", "content": "word " * 5000}]
        )
    assert refused.value.code == "context_length_exceeded"


def test_every_request_is_on_the_ledger_with_what_was_shown(served: Serving) -> None:
    told = ask(served, reasoning_effort="low", metadata={"case": "7"})
    with Ledger.open(served.ledger, write=False) as ledger:
        run = run_of(told.id)
        config = ledger.config(run)
        events = {event.kind: event.detail for event in ledger.events(run)}
        drawn = ledger.samples(run)
        answer = ledger.answers(run)[0]
    assert config["kind"] == "serve"
    assert config["body"]["messages"] == ASKED
    assert config["body"]["metadata"] == {"case": "7"}
    assert events["told"]["content"] == "13"
    assert events["told"]["summary"] == SUMMARY
    assert "finished" in events
    assert sum("which makes 13" in each.sample.text for each in drawn) == told.ponder["samples"]
    assert answer.answer.choice == "13"
    assert verify(served.ledger).ok


def test_one_server_behind_another(served: Serving, tmp_path: Path) -> None:
    with serving(tmp_path, model=f"{served.address}/v1#ponder") as front:
        client = front.client()
        for effort in ("none", "minimal", "low"):
            told = client.chat.completions.create(model="ponder", messages=ASKED, reasoning_effort=effort)
            assert told.choices[0].message.content == "13"
        response = client.responses.create(model="ponder", input="What is 9 + 4?")
    assert response.output_text == "13"
    assert response.usage.input_tokens > 0
