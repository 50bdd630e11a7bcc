from typing import Any

import httpx2
import openai
import pytest

from tests.serve.serving import SUMMARY, Serving


def create(served: Serving, asked: Any = "What is 9 + 4?", **more: Any) -> Any:
    return served.client().responses.create(model="ponder", input=asked, **more)


def test_an_answer_with_a_summary(served: Serving) -> None:
    told = create(served, reasoning={"effort": "low", "summary": "auto"}, instructions="Be short.")
    reasoning, message = told.output
    assert told.status == "completed"
    assert told.output_text == "13"
    assert [part.text for part in reasoning.summary] == [SUMMARY]
    assert message.content[0].annotations == []
    assert told.reasoning.effort == "low"
    assert told.usage.output_tokens_details.reasoning_tokens == told.usage.output_tokens - 1
    assert told.usage.total_tokens == told.usage.input_tokens + told.usage.output_tokens
    assert told.ponder["strategy"] == "adaptive_vote:n=8"
    engine: Any = served.server.house.engine
    assert [turn.role for turn in engine.requests[-2].prompt.messages] == ["system", "user"]


def test_without_a_wish_there_is_no_summary(served: Serving) -> None:
    engine: Any = served.server.house.engine
    before = engine.calls
    told = create(served, reasoning={"effort": "minimal"})
    assert told.output[0].summary == []
    assert engine.calls == before + 1


def test_streamed_in_typed_events(served: Serving) -> None:
    stream = create(served, reasoning={"effort": "minimal", "summary": "concise"}, stream=True)
    events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert events[-1].response.output_text == "13"
    assert events[-1].response.id == events[0].response.id


def test_streamed_with_the_sdk_that_gathers(served: Serving) -> None:
    with served.client().responses.stream(
        model="ponder", input="What is 9 + 4?", reasoning={"effort": "minimal", "summary": "auto"}
    ) as stream:
        told = stream.get_final_response()
    assert told.output_text == "13"


def test_the_conversation_goes_on_with_what_came_back(served: Serving) -> None:
    first = create(served, reasoning={"effort": "minimal", "summary": "auto"})
    asked = [
        {"role": "user", "content": [{"type": "input_text", "text": "What is 9 + 4?"}]},
        *[item.model_dump(exclude_none=True) for item in first.output],
        {"role": "user", "content": "And 4 + 9?"},
    ]
    for item in asked:
        for part in item["content"] if isinstance(item.get("content"), list) else []:
            part.pop("annotations", None)
            part.pop("logprobs", None)
    told = create(served, asked, reasoning={"effort": "minimal"})
    assert told.output_text == "13"
    engine: Any = served.server.house.engine
    assert [turn.role for turn in engine.requests[-1].prompt.messages] == ["user", "assistant", "user"]


def test_a_cut_answer_is_incomplete(served: Serving) -> None:
    told = create(served, reasoning={"effort": "minimal"}, max_output_tokens=3)
    assert told.status == "incomplete"
    assert told.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [{"type": "function_call_output"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"n": 2}, "n"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
    ],
)
def test_a_field_that_cannot_be_is_a_400_that_names_it(
    served: Serving, change: dict[str, Any], param: str
) -> None:
    body = {"model": "ponder", "input": "Hi", **change}
    answer = httpx2.post(f"{served.address}/v1/responses", json=body)
    assert answer.status_code == 400
    assert param == answer.json()["error"]["param"]


def test_another_model_is_not_found(served: Serving) -> None:
    with pytest.raises(openai.NotFoundError):
        served.client().responses.create(model="gpt-4", input="Hi")
