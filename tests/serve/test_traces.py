"""Spans of requests, as a collector gets them: what they tell, and what never; that they hold up nothing."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ponder.cli import _app
from ponder.core import Output, Request
from ponder.errors import InputError
from ponder.serve.house import Options
from ponder.serve.otel import CLOSING_SECONDS, Traces
from ponder.serve.tracing import collector
from tests.engines.upstream import Got, Reply, Upstream, chat, usage
from tests.serve.collecting import Collector, collecting
from tests.serve.serving import Serving, key_file, serving, thinker

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ASKED: dict[str, Any] = {
    "model": "ponder",
    "messages": [{"role": "user", "content": "What is 9 + 4?"}],
    "reasoning_effort": "minimal",
}


@pytest.fixture
def got() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def traced(at: Collector, **more: Any) -> Options:
    return Options(traces=f"{at.address}/v1/traces", **more)


def post(served: Serving, path: str = "/v1/chat/completions", **more: Any) -> httpx2.Response:
    headers = more.pop("headers", {})
    return httpx2.post(served.address + path, json={**ASKED, **more}, headers=headers, timeout=30)


# ---------------------------------------------------------------- what they tell


def test_a_request_is_a_tree_of_spans(tmp_path: Path, got: Collector) -> None:
    with serving(tmp_path, thinker(), options=traced(got, monitor="judge")) as served:
        told = post(served, reasoning_effort="low").json()
    root = got.one("POST /v1/chat/completions")
    agent = got.one("invoke_agent ponder")
    think, summary, monitor = (got.one(name) for name in ("think", "summary", "monitor"))
    calls = [span for span in got.spans if span.kind == "client"]
    assert (root.kind, agent.kind) == ("server", "internal")
    assert (root.parent, agent.parent, think.parent) == ("", root.id, agent.id)
    assert (summary.parent, monitor.parent) == (think.id, think.id)
    assert {span.trace for span in got.spans} == {root.trace}
    of = {each.id: [call for call in calls if call.parent == each.id] for each in (think, summary, monitor)}
    assert [len(of[each.id]) for each in (summary, monitor)] == [1, 1]
    assert len(of[think.id]) == len(calls) - 2 > 0
    assert {call.name for call in calls} == {"chat m", "text_completion m"}  # a summary continues a text
    assert root.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": int(served.address.rpartition(":")[2]),
        "http.response.status_code": 200,
    }
    assert agent.attributes["gen_ai.response.id"] == told["id"]
    assert agent.attributes["gen_ai.usage.output_tokens"] == told["usage"]["completion_tokens"]
    assert agent.attributes["gen_ai.usage.input_tokens"] == told["usage"]["prompt_tokens"]
    assert agent.attributes["ponder.flop"] == told["ponder"]["flop"]
    for unit in ("input", "output"):
        name = f"gen_ai.usage.{unit}_tokens"
        assert sum(call.attributes[name] for call in calls) == agent.attributes[name]
    assert got.service["service.name"] == "ponder"


def test_a_call_says_what_was_asked_of_which_model_and_how_it_ended(tmp_path: Path, got: Collector) -> None:
    with Upstream() as upstream:
        upstream.always(Reply(chat("thought\nAnswer: 13", usage=usage(7, 30))))
        model = f"{upstream.address}#M"
        with serving(tmp_path, model=model, options=traced(got), retries=0) as served:
            post(served, ponder={"summary": False}, max_tokens=40, temperature=0.5, stop=["zebra"])
    call = got.one("chat M").attributes
    host, _, port = upstream.address.removeprefix("http://").removesuffix("/v1").partition(":")
    assert call == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "M",
        "gen_ai.request.max_tokens": 40,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "server.address": host,
        "server.port": int(port),
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 30,
        "ponder.attempts": 1,
        "ponder.attempts.failed": 0,
        "ponder.attempts.cancelled": 0,
    }


def test_an_answer_that_is_put_into_a_form_has_a_span(tmp_path: Path, got: Collector) -> None:
    def answer(asked: Got) -> Reply:
        formed = "response_format" in asked.body
        return Reply(chat('{"sum": 13}' if formed else "thought\nAnswer: 13", usage=usage(7, 30)))

    with Upstream() as upstream:
        upstream.answer = answer
        with serving(tmp_path, model=f"{upstream.address}#M", options=traced(got)) as served:
            told = post(served, response_format={"type": "json_object"}, ponder={"summary": False})
    assert told.json()["choices"][0]["message"]["content"] == '{"sum": 13}'
    write = got.one("write")
    assert write.parent == got.one("think").id
    assert [call.parent == write.id for call in got.named("chat M")] == [False, True]


def test_what_is_unknown_is_not_told(tmp_path: Path, got: Collector) -> None:
    with Upstream() as upstream:
        upstream.always(Reply(chat("thought\nAnswer: 13")))
        with serving(tmp_path, model=f"{upstream.address}#M", options=traced(got)) as served:
            post(served, ponder={"summary": False})
    for span in (got.one("chat M"), got.one("invoke_agent ponder")):
        assert "gen_ai.usage.output_tokens" not in span.attributes
    assert "ponder.flop" not in got.one("invoke_agent ponder").attributes


def test_a_failure_is_told_by_its_class(tmp_path: Path, got: Collector) -> None:
    with Upstream() as upstream:
        upstream.always(Reply({"error": {"message": "boom"}}, status=500))
        with serving(tmp_path, model=f"{upstream.address}#M", options=traced(got), retries=0) as served:
            assert post(served).status_code == 502
            assert post(served, n=0).status_code == 400
            assert httpx2.get(f"{served.address}/nowhere/at/all").status_code == 404
    failed = got.one("chat M")
    assert (failed.failed, failed.attributes["error.type"]) == (True, "CallFailed")
    assert failed.attributes["ponder.attempts.failed"] == 1
    assert got.one("invoke_agent ponder").attributes["error.type"] == "upstream_failed"
    answered = {
        span.attributes["http.response.status_code"]: span for span in got.spans if span.kind == "server"
    }
    assert answered[502].attributes["error.type"] == "502"
    assert [answered[status].failed for status in (502, 400, 404)] == [True, False, False]
    assert answered[404].name == "GET"
    assert "url.path" not in answered[404].attributes


def test_a_request_is_in_its_callers_trace_and_takes_the_model_there(tmp_path: Path, got: Collector) -> None:
    sent: list[str] = []

    def answer(asked: Got) -> Reply:
        sent.append(asked.headers["traceparent"])
        return Reply(chat("thought\nAnswer: 13", usage=usage(7, 30)))

    with Upstream() as upstream:
        upstream.answer = answer
        with serving(tmp_path, model=f"{upstream.address}#M", options=traced(got)) as served:
            for flags in ("01", "00"):
                headers = {"traceparent": f"00-{TRACE}-{PARENT}-{flags}", "tracestate": "a=b"}
                post(served, headers=headers, ponder={"summary": False})
            post(served, headers={"traceparent": "00-what-is-this"}, ponder={"summary": False})
    first, second = got.named("POST /v1/chat/completions")  # what its caller does not record is not recorded
    assert (first.trace, first.parent) == (TRACE, PARENT)
    assert (second.parent, second.trace == TRACE) == ("", False)
    calls = got.named("chat M")
    assert sent[0].startswith(f"00-{TRACE}-{calls[0].id}-")
    assert sent[1].startswith(f"00-{TRACE}-")
    assert sent[2].startswith(f"00-{second.trace}-{calls[1].id}-")
    assert [int(header[-1], 16) % 2 for header in sent] == [1, 0, 1]  # whether it is recorded


# ---------------------------------------------------------------- what they never tell


def test_no_word_of_anybody_is_in_a_trace(tmp_path: Path, got: Collector) -> None:
    """Markers in every place that a text comes in by."""

    def write(request: Request, position: int) -> Output:
        return Output("MARKthought MARKthought\nAnswer: MARKanswer", reasoning="MARKreasoning")

    engine = thinker(write)
    behind = engine._write
    engine._write = lambda request, position: (
        "MARKsummary."
        if "These are the thoughts:" in request.prompt.messages[-1].content
        else behind(request, position)
    )
    path, keys = key_file(tmp_path, alice="user", eve="auditor")
    headers = {
        "authorization": f"Bearer {keys['alice']}",
        "user-agent": "MARKagent",
        "traceparent": f"00-{TRACE}-{PARENT}-01",
        "tracestate": "mark=MARKstate",
        "baggage": "mark=MARKbaggage",
        "x-request-id": "MARKheader",
    }
    body = {
        "messages": [
            {"role": "system", "content": "MARKsystem"},
            {"role": "user", "content": "MARKquestion"},
        ],
        "stop": ["MARKstop"],
        "user": "MARKuser",
        "metadata": {"a": "MARKmetadata"},
    }
    with serving(tmp_path, engine, keys=path, options=traced(got, monitor="judge")) as served:
        assert "MARKanswer" in post(served, **body, headers=headers).text
        assert post(served, **body, stream=True, headers=headers).status_code == 200
        assert post(served, **body, reasoning_effort="MARKeffort", headers=headers).status_code == 400
        assert post(served, **body, ponder={"strategy": "MARKplan"}, headers=headers).status_code == 400
        form = {"type": "json_schema", "json_schema": {"name": "MARKform", "schema": {"title": "MARKschema"}}}
        post(served, **body, response_format=form, headers=headers)
        eve = {**headers, "authorization": f"Bearer {keys['eve']}"}
        found = httpx2.get(f"{served.address}/v1/audit/requests?text=MARKquestion", headers=eve).json()
        assert found["data"]
        httpx2.get(f"{served.address}/v1/audit/requests/MARKid", headers=eve)
        httpx2.get(f"{served.address}/MARKpath?q=MARKquery", headers=eve)
        httpx2.request("MARKMETHOD", f"{served.address}/v1/models", headers=eve)
    with Upstream() as upstream:
        upstream.always(Reply({"error": {"message": "MARKupstream"}}, status=400))
        model = f"{upstream.address}#M"
        secret = {"api_key": "sk-MARKsecret", "retries": 0}
        with serving(tmp_path, model=model, options=traced(got), **secret) as served:
            assert post(served).status_code >= 400
    assert len(got.spans) > 20
    whole = b"".join(got.bodies)
    assert b"mark" not in whole.lower()
    for key in keys.values():
        assert key.split("-", 2)[2].encode() not in whole


# ---------------------------------------------------------------- they hold up nothing


def quickly(served: Serving, requests: int = 10) -> float:
    began = time.monotonic()
    for _ in range(requests):
        assert post(served, ponder={"summary": False}).status_code == 200
    return time.monotonic() - began


@pytest.mark.parametrize("state", ["down", "slow", "failing"])
def test_a_collector_that_is_no_use_slows_neither_requests_nor_the_end(
    tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with collecting(seconds=6.0 if state == "slow" else 0.0, status=503 if state == "failing" else 200) as at:
        address = "http://127.0.0.1:9" if state == "down" else at.address
        running = serving(tmp_path, thinker(), options=Options(traces=f"{address}/v1/traces"))
        served = running.__enter__()
        assert quickly(served) < 30.0  # one that waited for the collector would take six seconds a request
        began = time.monotonic()
        running.__exit__(None, None, None)
        assert time.monotonic() - began < 8.0  # OpenTelemetry's own end waits for half a minute


def test_the_log_says_once_that_spans_are_lost_and_once_that_they_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")

    def told() -> list[str]:
        return [line for line in caplog.messages if line.startswith("traces:")]

    with collecting(status=401) as at, serving(tmp_path, thinker(), options=traced(at)) as served:
        for turn, status in enumerate((401, 200, 400, 200), 1):
            at.status = status
            for _ in range(3):
                asked, until = len(at.headers), time.monotonic() + 20
                post(served, ponder={"summary": False})
                while len(at.headers) == asked and time.monotonic() < until:
                    time.sleep(0.01)
            while len(told()) < turn and time.monotonic() < until:
                time.sleep(0.01)
    lost, taken, lost_again, taken_again = told()
    for line, status in ((lost, 401), (lost_again, 400)):
        assert "takes no spans" in line
        assert str(status) in line
    assert taken == taken_again == "traces: the collector takes spans again"


class Raising(SpanExporter):
    """Raises at once, and from the second batch on when it is told to."""

    def __init__(self) -> None:
        self.batches, self.go_on = 0, threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.batches += 1
        if self.batches > 1:
            self.go_on.wait(20)
        raise RuntimeError("MARK of its own")


async def test_of_spans_that_are_lost_nothing_is_said_beside_the_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (("SCHEDULE_DELAY", 10), ("MAX_QUEUE_SIZE", 8), ("MAX_EXPORT_BATCH_SIZE", 2)):
        monkeypatch.setenv(f"OTEL_BSP_{name}", str(value))
    exporter = Raising()
    traces = Traces(exporter)
    for batches in (1, 2):
        with traces.span("one"):
            pass
        until = time.monotonic() + 20
        while exporter.batches < batches and time.monotonic() < until:
            await asyncio.sleep(0.01)
    for _ in range(20):  # more than wait
        with traces.span("one"):
            pass
    exporter.go_on.set()
    await traces.close()
    assert exporter.batches > 2
    (line,) = caplog.records
    assert (line.name, line.exc_info) == ("ponder.serve", None)
    assert line.getMessage().endswith("it does: RuntimeError")


class Stuck(SpanExporter):
    """Takes a batch and never comes back."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.over.wait(30)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.over.set()


def held() -> int:
    """The spans in memory."""
    gc.collect()
    return sum(type(each) is ReadableSpan for each in gc.get_objects())


async def test_once_a_server_has_ended_its_log_is_silent_of_spans(caplog: pytest.LogCaptureFixture) -> None:
    exporter = Stuck()
    traces = Traces(exporter)
    with traces.span("one"):
        pass
    await traces.close()
    exporter.over.set()
    until = time.monotonic() + 20
    while any(each.name == "traces" for each in threading.enumerate()) and time.monotonic() < until:
        await asyncio.sleep(0.01)
    assert caplog.messages == ["traces: the server ends before the collector has taken the last spans"]


async def test_spans_that_nobody_takes_fill_no_memory() -> None:
    exporter = Stuck()
    traces, before = Traces(exporter), held()
    for _ in range(6_000):
        with traces.span("one"):
            pass
    assert 512 < held() - before <= 2048 + 512
    began = time.monotonic()
    await traces.close()
    assert time.monotonic() - began < CLOSING_SECONDS + 5.0  # the exporter would take thirty
    exporter.shutdown()


# ---------------------------------------------------------------- on and off


NOTHING = """
import sys, tempfile, httpx2
from pathlib import Path
from tests.serve.serving import serving, thinker
with tempfile.TemporaryDirectory() as folder, serving(Path(folder), thinker()) as served:
    body = {"model": "ponder", "messages": [{"role": "user", "content": "Hi"}]}
    assert httpx2.post(served.address + "/v1/chat/completions", json=body, timeout=30).status_code == 200
print([name for name in sys.modules if name.partition(".")[0] in ("opentelemetry", "google")])
"""


def test_a_server_without_traces_loads_nothing_of_them() -> None:
    done = subprocess.run([sys.executable, "-c", NOTHING], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_without_the_extra_a_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "ponder.serve.otel", raising=False)
    command = ["serve", "--port", "0", "--ledger", str(tmp_path / "l"), "--traces", "http://127.0.0.1:4318"]
    assert _app.run(command) == 2
    error = capsys.readouterr().err
    assert "pip install 'ponder[otel]'" in error
    assert len(error.splitlines()) == 1


BASE, WHOLE = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    ("stated", "environment", "address"),
    [
        (None, {}, None),
        ("http://c:4318", {}, "http://c:4318/v1/traces"),
        ("http://c:4318/", {BASE: "http://d"}, "http://c:4318/v1/traces"),
        (None, {BASE: "https://d/otlp"}, "https://d/otlp/v1/traces"),
        (None, {BASE: ""}, None),
        (None, {BASE: "http://d", WHOLE: "http://e/here"}, "http://e/here"),
        (None, {BASE: "http://d", "OTEL_TRACES_EXPORTER": "none"}, None),
        ("http://c", {"OTEL_SDK_DISABLED": "true"}, None),
        ("http://c", {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http://c/v1/traces"),
    ],
)
def test_where_spans_go(stated: str | None, environment: dict[str, str], address: str | None) -> None:
    assert collector(stated, environment) == address


@pytest.mark.parametrize(
    ("stated", "environment", "word"),
    [
        ("c:4318", {}, "traces"),
        ("http://", {}, "traces"),
        ("http://c:port", {}, "traces"),
        ("http://me:secret@c", {}, "OTEL_EXPORTER_OTLP_HEADERS"),
        (None, {BASE: "d:4317"}, BASE),
        (None, {BASE: "http://d:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
    ],
)
def test_what_is_no_collector_is_one_sentence(
    stated: str | None, environment: dict[str, str], word: str
) -> None:
    with pytest.raises(InputError) as raised:
        collector(stated, environment)
    assert word in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(("flags", "variables"), [(["--traces", "c:4318"], {}), ([], {BASE: "c:4318"})])
def test_the_flag_and_the_variable_are_read(
    flags: list[str],
    variables: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert _app.run(["serve", "--port", "0", "--ledger", str(tmp_path / "l"), *flags]) == 2
    assert "http://HOST:4318" in capsys.readouterr().err


def test_headers_of_the_environment_go_to_the_collector(
    tmp_path: Path, got: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=reasoning")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our-ponder")
    with serving(tmp_path, thinker(), options=traced(got)) as served:
        post(served)
    assert got.headers[0]["x-team"] == "reasoning"
    assert got.service["service.name"] == "our-ponder"
