"""Answers in a form: passed on to a model that can be held to one, written down after a thought."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from pydantic import BaseModel

from ponder.core import Output, Request
from ponder.engines.scripted import ABLE, ScriptedEngine
from ponder.ledger import CallRow, Ledger, verify
from ponder.serve.house import run_of
from ponder.serve.writing import INSTRUCTION
from tests.engines.upstream import Got, Reply, Upstream, chat, usage
from tests.serve.serving import MODEL, SUMMARY, Serving, key_file, serving, thinker

ASKED: Any = [{"role": "user", "content": "What is 9 + 4?"}]
THOUGHT = "The nine and the four are put side by side and counted one after the other."
GOOD = '{"value": 13, "unit": "apples"}'


class Sum(BaseModel):
    value: int
    unit: str


@dataclass
class Scripted:
    """A model's server: it thinks, and under a format says `formed`, or what `answer` makes of it."""

    formed: str = GOOD
    finish: str = "stop"
    answer: Callable[[Got], Reply] | None = None
    forms: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, got: Got) -> Reply:
        asked = got.body["messages"][-1]["content"]
        if "response_format" not in got.body:
            said = SUMMARY if "These are the thoughts:" in asked else f"{THOUGHT}\nAnswer: 13 apples"
            return Reply(chat(said, usage=usage(20, 30)))
        self.forms.append(got.body)
        if self.answer is not None:
            return self.answer(got)
        reply = chat(self.formed, usage=usage(40, 9))
        reply["choices"][0]["finish_reason"] = self.finish
        return Reply(reply)


@dataclass
class Behind:
    """A server of ours, and the one behind it."""

    served: Serving
    upstream: Upstream

    def says(self, **how: Any) -> Scripted:
        script = Scripted(**how)
        self.upstream.answer = script
        return script

    def completions(self) -> Any:
        return self.served.client().chat.completions


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("formats")
    with Upstream() as upstream, serving(folder, model=f"{upstream.address}#M") as served:
        yield Behind(served, upstream)
        assert served.server.house.purse.running == 0
        assert verify(served.ledger).ok


def last_error(running: Behind, **fields: Any) -> tuple[int, dict[str, Any]]:
    body = {"model": "ponder", "messages": ASKED, **fields}
    answer = httpx2.post(f"{running.served.address}/v1/chat/completions", json=body, timeout=30)
    return answer.status_code, answer.json()["error"]


def calls(running: Behind) -> list[CallRow]:
    """Those of the newest request on the ledger."""
    with Ledger.open(running.served.ledger, write=False) as ledger:
        run = max((r.id for r in ledger.runs() if r.id.startswith("serve-0")), default="")
        return ledger.calls(run)


# ---------------------------------------------------------------- the SDK's own parsing


@pytest.mark.parametrize("effort", ["none", "minimal", "low"])
def test_chat_parses_into_a_model(running: Behind, effort: str) -> None:
    script = running.says()
    told = running.completions().parse(
        model="ponder", messages=ASKED, response_format=Sum, reasoning_effort=effort
    )
    assert told.choices[0].message.parsed == Sum(value=13, unit="apples")
    assert told.choices[0].finish_reason == "stop"
    (sent,) = script.forms
    assert sent["response_format"]["json_schema"]["schema"]["required"] == ["value", "unit"]
    assert sent["response_format"]["json_schema"]["strict"] is True
    assert sent["response_format"]["json_schema"]["name"] == "Sum"


@pytest.mark.parametrize("effort", ["none", "minimal"])
def test_responses_parse_into_a_model(running: Behind, effort: Any) -> None:
    script = running.says()
    told = running.served.client().responses.parse(
        model="ponder", input="What is 9 + 4?", text_format=Sum, reasoning={"effort": effort}
    )
    assert told.output_parsed == Sum(value=13, unit="apples")
    assert told.text is not None
    assert told.text.format is not None
    assert told.text.format.type == "json_schema"
    assert set(script.forms[0]["response_format"]) == {"type", "json_schema"}


@pytest.mark.parametrize("effort", ["none", "minimal"])
def test_streamed_and_parsed(running: Behind, effort: str) -> None:
    running.says()
    with running.completions().stream(
        model="ponder", messages=ASKED, response_format=Sum, reasoning_effort=effort
    ) as stream:
        told = stream.get_final_completion()
    assert told.choices[0].message.parsed == Sum(value=13, unit="apples")
    responses: Any = running.served.client().responses
    with responses.stream(
        model="ponder", input="What is 9 + 4?", text_format=Sum, reasoning={"effort": effort}
    ) as events:
        assert events.get_final_response().output_parsed == Sum(value=13, unit="apples")


def test_json_object_is_passed_on_as_it_is(running: Behind) -> None:
    script = running.says()
    told = running.completions().create(
        model="ponder", messages=ASKED, response_format={"type": "json_object"}, reasoning_effort="none"
    )
    assert told.choices[0].message.content == GOOD
    (sent,) = script.forms
    assert sent["response_format"] == {"type": "json_object"}
    assert [m["content"] for m in sent["messages"]] == ["What is 9 + 4?"]


def test_text_is_no_form(running: Behind) -> None:
    script = running.says()
    told = running.completions().create(
        model="ponder", messages=ASKED, response_format={"type": "text"}, reasoning_effort="minimal"
    )
    assert told.choices[0].message.content == "13 apples"
    assert script.forms == []


# ---------------------------------------------------------------- a thought stays free


def test_the_thought_is_free_and_its_answer_written_down(running: Behind) -> None:
    script = running.says()
    told = running.completions().create(
        model="ponder",
        messages=[{"role": "system", "content": "Be short."}, *ASKED],
        response_format={"type": "json_object"},
        extra_body={"ponder": {"strategy": "vote:n=3"}},
        stop=["STOP"],
        max_completion_tokens=60,
    )
    message = told.choices[0].message
    assert message.content == GOOD
    assert message.reasoning_content == SUMMARY
    (sent,) = script.forms  # of three samples and a summary none has a format
    assert [m["role"] for m in sent["messages"]] == ["system", "user", "assistant", "user"]
    assert [m["content"] for m in sent["messages"]][1:] == ["What is 9 + 4?", "13 apples", INSTRUCTION]
    assert THOUGHT not in json.dumps(sent)
    assert (sent["stop"], sent["max_tokens"]) == (["STOP"], 60)
    # Three samples of 20 + 30 tokens, the writing of 40 + 9, the summary of 20 + 30.
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (120, 129)
    assert told.ponder["samples"] == 3
    with Ledger.open(running.served.ledger, write=False) as ledger:
        assert ledger.usage(run_of(told.id)).tokens == 249


def test_each_choice_is_written_down(running: Behind) -> None:
    script = running.says()
    told = running.completions().create(
        model="ponder", messages=ASKED, n=3, response_format={"type": "json_object"}, reasoning_effort="low"
    )
    assert [choice.message.content for choice in told.choices] == [GOOD] * 3
    assert len(script.forms) == 3


def test_what_it_may_take_is_reserved_and_what_it_took_is_charged(tmp_path: Path) -> None:
    keys, texts = key_file(tmp_path, alice="user 20000tok/day", bob="user 4000tok/day")
    with (
        Upstream() as upstream,
        serving(tmp_path, model=f"{upstream.address}#M", keys=keys) as served,
    ):
        upstream.answer = Scripted()

        def ask(name: str, **more: Any) -> Any:
            completions: Any = served.client(texts[name]).chat.completions
            own = {"ponder": {"strategy": "think", "budget": "2000tok", "summary": False}}
            return completions.create(
                model="ponder", messages=ASKED, max_completion_tokens=512, extra_body=own, **more
            )

        formed = {"response_format": {"type": "json_object"}}
        told = ask("alice", **formed)
        assert told.usage.total_tokens == 99
        left = served.client(texts["alice"]).get("/usage", cast_to=httpx2.Response).json()
        assert left["limits"][0]["left"] == 20000 - 99
        assert ask("bob").usage.total_tokens == 50
        with pytest.raises(openai.RateLimitError) as refused:  # 512 tokens of answer may take 8 each to read
            ask("bob", **formed)
        assert refused.value.code == "insufficient_quota"


def test_another_format_is_another_call(running: Behind) -> None:
    running.says()
    streams = set[str]()
    for form in ({"type": "json_object"}, schema({}), schema({"type": "object"})):
        running.completions().create(
            model="ponder", messages=ASKED, seed=1, response_format=form, reasoning_effort="none"
        )
        (call,) = calls(running)
        streams.add(call.stream)
        assert len(call.request["response_format"]) == 64
    assert len(streams) == 3


def test_erasing_takes_the_schema_too(tmp_path: Path) -> None:
    form = schema({"type": "object", "properties": {"zebra": {}}})
    with Upstream() as upstream, serving(tmp_path, model=f"{upstream.address}#M") as served:
        upstream.answer = Scripted()
        for effort in ("none", "minimal"):
            completions: Any = served.client().chat.completions
            completions.create(model="ponder", messages=ASKED, response_format=form, reasoning_effort=effort)
    with Ledger.open(served.ledger, write=True) as ledger:
        runs = [run.id for run in ledger.runs() if run.id.startswith("serve-0")]
        assert "zebra" in json.dumps([ledger.config(run) for run in runs])
        ledger.erase(runs, by="olga", reason="asked for")
    assert verify(served.ledger).ok
    assert b"zebra" not in served.ledger.read_bytes()


# ---------------------------------------------------------------- what goes wrong


def schema(shape: Any, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "s", "schema": shape, **more}}


@pytest.mark.parametrize("effort", ["none", "minimal"])
@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "/secret/path: grammar failed", "param": "response_format", "code": None}},
        {"error": {"message": "/secret/path: unknown keyword", "type": "BadRequestError", "code": 400}},
        {"detail": "/secret/path"},
    ],
)
def test_a_format_that_the_upstream_refuses_is_a_400(running: Behind, effort: str, error: Any) -> None:
    running.says(answer=lambda got: Reply(error, status=400))
    status, told = last_error(running, response_format=schema({}), reasoning_effort=effort)
    assert status == 400
    assert (told["param"], told["code"]) == ("response_format", "format_refused")
    assert told["message"].startswith("response_format: ")
    assert "secret" not in told["message"]
    used = [call.prompt_tokens for call in calls(running)]
    assert used == (
        [0] if effort == "none" else [20, 0]
    )  # what was thought was spent, a refusal costs nothing


def test_in_responses_the_field_has_its_own_name(running: Behind) -> None:
    running.says(answer=lambda got: Reply({"detail": "no"}, status=422))
    with pytest.raises(openai.BadRequestError) as refused:
        running.served.client().responses.create(
            model="ponder", input="Hi", text={"format": {"type": "json_object"}}, reasoning={"effort": "none"}
        )
    assert refused.value.param == "text.format"


def test_a_refusal_that_names_another_field_is_none_of_the_format(running: Behind) -> None:
    error = {"error": {"message": "too long", "param": "messages", "code": "context_length_exceeded"}}
    running.says(answer=lambda got: Reply(error, status=400))
    status, told = last_error(running, response_format=schema({}), reasoning_effort="none")
    assert (status, told["code"]) == (502, "upstream_failed")


def test_a_schema_that_is_repeated_by_the_upstream_teaches_nothing(running: Behind) -> None:
    """A stranger's field must not turn off what the server asks its model for."""
    names = ["max_completion_tokens", "seed", "stop", "logprobs"]
    shape = {"type": "object", "properties": {name: {"type": "string"} for name in names}}

    def repeat(got: Got) -> Reply:
        return Reply({"error": {"message": f"cannot: {json.dumps(got.body['response_format'])}"}}, status=400)

    script = running.says(answer=repeat)
    status, told = last_error(running, response_format=schema(shape), reasoning_effort="none", stop=["x"])
    assert (status, told["code"]) == (400, "format_refused")
    assert len(script.forms) == 1
    engine: Any = running.served.server.house.engine
    assert (engine.learned.cap, engine.learned.seed, engine.learned.stop) == ("max_tokens", True, True)


@pytest.mark.parametrize("effort", ["none", "minimal"])
@pytest.mark.parametrize(
    "said",
    [
        "",
        "Here it is: {}",
        "```json\n{}\n```",
        '{"value": 13',
        '{"value": NaN}',
        '{"a": 1, "a": 2}',
        "[13]",
        "[" * 20_000 + "]" * 20_000,
        '{"a": "\\ud800"}',
    ],
)
def test_a_reply_that_is_not_in_the_form_is_an_error(running: Behind, effort: str, said: str) -> None:
    running.says(formed=said)
    form = schema({"type": "object"})
    status, told = last_error(running, response_format=form, reasoning_effort=effort)
    assert (status, told["code"], told["param"]) == (502, "format_not_kept", "response_format")
    used = [call.prompt_tokens for call in calls(running)]
    assert used == ([40] if effort == "none" else [20, 40])
    body = {"model": "ponder", "messages": ASKED, "response_format": form, "stream": True}
    body["reasoning_effort"] = effort
    streamed = httpx2.post(f"{running.served.address}/v1/chat/completions", json=body, timeout=30).text
    events = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    assert events[-1]["error"]["code"] == "format_not_kept"
    assert not any(c["delta"].get("content") for event in events[:-1] for c in event["choices"])


def test_clients_do_not_pay_for_it_again_by_themselves(running: Behind) -> None:
    script = running.says(formed="no")
    client = running.served.client(max_retries=3)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(
            model="ponder",
            messages=ASKED,
            reasoning_effort="none",
            response_format={"type": "json_object"},
        )
    assert len(script.forms) == 1


@pytest.mark.parametrize("effort", ["none", "minimal"])
def test_a_form_that_was_cut_short_says_so(running: Behind, effort: Any) -> None:
    running.says(formed='{"value": 1', finish="length")
    told = running.completions().create(
        model="ponder", messages=ASKED, response_format=schema({}), reasoning_effort=effort
    )
    assert (told.choices[0].message.content, told.choices[0].finish_reason) == ("", "length")
    with pytest.raises(openai.LengthFinishReasonError):
        running.completions().parse(
            model="ponder", messages=ASKED, response_format=Sum, reasoning_effort=effort
        )
    response = running.served.client().responses.create(
        model="ponder", input="Hi", text={"format": {"type": "json_object"}}, reasoning={"effort": effort}
    )
    assert response.status == "incomplete"


def test_a_failure_of_the_writing_fails_the_request(running: Behind) -> None:
    running.says(answer=lambda got: Reply({"error": {"message": "no"}}, status=501))
    status, told = last_error(running, response_format=schema({}), reasoning_effort="minimal")
    assert (status, told["code"]) == (502, "upstream_failed")


# ---------------------------------------------------------------- hidden thought


def forming(formed: str, thought: str, answer: str = "yes", reasoning: str | None = None) -> ScriptedEngine:
    def write(request: Request, position: int) -> str | Output:
        if request.response_format is not None:
            return Output(formed, reasoning)
        return f"{thought}\nAnswer: {answer}"

    script = thinker(write)
    return ScriptedEngine(script._write, model=MODEL, capabilities=replace(ABLE, response_format=True))


def asked_of(folder: Path, engine: ScriptedEngine, **fields: Any) -> Any:
    with serving(folder, engine) as served:
        completions: Any = served.client().chat.completions
        fields = {"response_format": {"type": "json_object"}, "reasoning_effort": "minimal", **fields}
        return completions.create(model="ponder", messages=ASKED, **fields).choices[0].message


SECRET = "first the boxes are counted, then the eggs in each of them are added"


@pytest.mark.parametrize(
    "formed",
    [
        json.dumps({"a": f"I thought: {SECRET}.", "b": 1}),
        json.dumps({"a": [SECRET[i : i + 12] for i in range(0, len(SECRET), 12)]}),
        json.dumps({f"k{i}": SECRET[i : i + 12] for i in range(0, len(SECRET), 12)}),
        json.dumps({SECRET: 1}),
        '{"a": "' + "".join(f"\\u{ord(c):04x}" for c in SECRET) + '"}',
        json.dumps({"a": SECRET.upper().replace(" ", "\n\t")}),
        json.dumps({"a": {"deep": [[{"er": SECRET}]]}}),
    ],
)
def test_a_thought_is_cut_and_json_stays(tmp_path: Path, formed: str) -> None:
    message = asked_of(tmp_path, forming(formed, f"Well, {SECRET}, so it is."))
    shown = json.dumps(json.loads(message.content)).lower()
    assert "[redacted]" in shown
    for piece in (SECRET[:12], SECRET[-12:], "eggs in each"):
        assert piece not in shown


def test_under_no_effort_too(tmp_path: Path) -> None:
    engine = forming(json.dumps({"a": SECRET}), "", reasoning=f"Well, {SECRET}.")
    message = asked_of(tmp_path, engine, reasoning_effort="none")
    assert json.loads(message.content) == {"a": "[redacted]"}


def test_what_the_writer_thinks_is_thought_too(tmp_path: Path) -> None:
    engine = forming(json.dumps({"a": SECRET}), "It is so.", reasoning=f"Well, {SECRET}.")
    assert json.loads(asked_of(tmp_path, engine).content) == {"a": "[redacted]"}


def test_what_is_shown_anyway_is_not_cut(tmp_path: Path) -> None:
    """A name of the caller's schema, the answer itself, and a draft of it in the writer's own thought."""
    name = "the_total_number_of_all_eggs_in_all_boxes_taken_together"
    answer = "The eggs in all of the three boxes are eighteen, as was to be shown."
    formed = json.dumps({name: answer})
    engine = forming(formed, f"The field is {name}, I think.", answer, f"I should write {formed} now.")
    message = asked_of(tmp_path, engine, response_format=schema({"type": "object", "required": [name]}))
    assert json.loads(message.content) == {name: answer}


# ---------------------------------------------------------------- engines that cannot


def test_an_engine_that_cannot_is_refused_before_anything_is_paid_for(served: Serving) -> None:
    engine: Any = served.server.house.engine
    before = engine.calls
    for effort in ("none", "high"):
        with pytest.raises(openai.BadRequestError, match="response_format: the model behind") as refused:
            served.client().chat.completions.create(
                model="ponder",
                messages=ASKED,
                response_format={"type": "json_object"},
                reasoning_effort=effort,
            )
        assert refused.value.param == "response_format"
    with pytest.raises(openai.BadRequestError, match=r"text\.format: the model behind"):
        served.client().responses.create(model="ponder", input="Hi", text={"format": {"type": "json_object"}})
    assert engine.calls == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}),
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("parallel_tool_calls", "yes"),
    ],
)
def test_tools_are_refused_in_a_sentence_that_says_why(running: Behind, field: str, value: Any) -> None:
    status, told = last_error(running, **{field: value})
    assert (status, told["param"]) == (400, field)
    assert "no one call to make" in told["message"]


def test_no_tools_may_be_stated(running: Behind) -> None:
    running.says()
    told = running.completions().create(
        model="ponder", messages=ASKED, tools=[], tool_choice="none", reasoning_effort="none"
    )
    assert told.choices[0].message.content
