"""Direct answers that go out while a real server behind writes them, slowly."""

import asyncio
import html
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest

from ponder.ledger import Ledger, verify
from ponder.serve.hiding import REDACTED
from ponder.serve.house import Options, run_of
from tests.engines.streaming import DONE, Event, piece, stated, wire
from tests.engines.upstream import Got, Reply, Upstream, chat, usage
from tests.serve.serving import Serving, key_file, serving, settled_runs, written
from tests.serve.test_hidden import spans, squashed
from tests.serve.test_purse import charges

ASKED: dict[str, Any] = {
    "model": "ponder",
    "messages": [{"role": "user", "content": "What is 9 + 4?"}],
    "reasoning_effort": "none",
}
MONITOR = '[rule.a]\npattern = "zebra"\nweight = 1.0\nabout = "a zebra"\n'


@dataclass
class Writer:
    """Writes these events, and from `waits` on none before `go`. `written`: how many it has sent. `plainly`:
    what it answers without a stream."""

    events: list[Event | bytes]
    waits: int = 10**6
    plainly: Reply = field(default_factory=lambda: Reply(chat("13.", usage=usage(7, 3))))
    go: threading.Event = field(default_factory=threading.Event)
    written: int = 0

    def answer(self, got: Got) -> Reply:
        if not got.body.get("stream"):
            return self.plainly
        return Reply(pieces=self._pieces(), content_type="text/event-stream")

    def _pieces(self) -> Iterator[bytes]:
        for place, event in enumerate(self.events):
            self.written = place
            if place >= self.waits:
                self.go.wait(20)
            yield wire(event)


def words(*texts: str, end: str = "stop") -> list[Event | bytes]:
    return [*(piece(0, text) for text in texts), piece(0, end=end), stated(len(texts) + 1), DONE]


class Behind:
    """A server with a writer behind it, which has answered once."""

    def __init__(self, folder: Path, writer: Writer, *, options: Options | None = None, **more: Any) -> None:
        self.upstream, self.writer = Upstream(), writer
        self.upstream.answer = writer.answer
        self._folder, self._options, self._more = folder, options, {"retries": 0, "timeout": 20.0, **more}

    def __enter__(self) -> Serving:
        self.upstream.__enter__()
        model = f"{self.upstream.address}#M"
        self._running = serving(self._folder, options=self._options, model=model, **self._more)
        self.served = self._running.__enter__()
        return self.served

    def __exit__(self, *problem: object) -> None:
        self.writer.go.set()
        self._running.__exit__(None, None, None)
        self.upstream.__exit__()


def warm(served: Serving, key: str = "none") -> None:
    served.client(key).chat.completions.create(**ASKED)


def told(served: Serving, identity: str) -> list[dict[str, Any]]:
    with Ledger.open(served.ledger, write=False) as ledger:
        return [dict(e.detail) for e in ledger.events(run_of(identity)) if e.kind == "told"]


def streamed(
    served: Serving, asked: dict[str, Any], api: str = "chat/completions", key: str = "none"
) -> Iterator[str]:
    """A stream's lines, as they come."""
    body, headers = {**asked, "stream": True}, {"authorization": f"Bearer {key}"}
    with httpx2.stream(
        "POST", f"{served.address}/v1/{api}", json=body, headers=headers, timeout=30
    ) as stream:
        yield from stream.iter_lines()


def on_the_page(served: Serving, question: str) -> Iterator[dict[str, Any]]:
    """The events that the page's script gets."""
    data, accept = {"question": question, "effort": "none"}, {"accept": "text/event-stream"}
    with httpx2.stream("POST", f"{served.address}/ask", data=data, headers=accept, timeout=30) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line[6:])


# ---------------------------------------------------------------- as it is written


def test_the_first_piece_comes_before_the_last_is_written(tmp_path: Path) -> None:
    writer = Writer(words("Nine ", "and four ", "are ", "thirteen."), waits=2)
    with Behind(tmp_path, writer) as served:
        warm(served)
        more: Any = {"stream": True, "stream_options": {"include_usage": True}}
        chunks, text = [], ""
        for chunk in served.client().chat.completions.create(**ASKED, **more):
            chunks.append(chunk)
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            if text == "Nine and four ":
                assert writer.written <= 2, "the rest is not written yet"
                writer.go.set()
        (shown,) = told(served, chunks[0].id)
    assert text == "Nine and four are thirteen."
    assert shown["content"] == text
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == 5
    assert verify(served.ledger).ok


def test_every_choice_is_written_by_itself(tmp_path: Path) -> None:
    with Behind(tmp_path, Writer(words("Nine ", "and ", "four"))) as served:
        warm(served)
        asked: Any = {**ASKED, "n": 3}
        with served.client().chat.completions.stream(**asked) as stream:
            whole = stream.get_final_completion()
        assert [each["content"] for each in told(served, whole.id)] == ["Nine and four"] * 3
    assert [choice.message.content for choice in whole.choices] == ["Nine and four"] * 3


def test_the_responses_api_has_its_events_in_their_order(tmp_path: Path) -> None:
    writer = Writer(words("Nine ", "and ", "four"), waits=1)
    with Behind(tmp_path, writer) as served:
        warm(served)
        asked: Any = {"model": "ponder", "input": "Hi", "reasoning": {"effort": "none"}, "stream": True}
        events = []
        for event in served.client().responses.create(**asked):
            events.append(event)
            if event.type == "response.output_text.delta":
                writer.go.set()
        writer.go.clear()
        writer.waits = 10
        asked.pop("stream")
        with served.client().responses.stream(**asked) as stream:
            assert stream.get_final_response().output_text == "Nine and four"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = list(dict.fromkeys(event.type.removeprefix("response.") for event in events))
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "output_item.done",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "completed",
    ]
    assert next(e.delta for e in events if e.type == "response.output_text.delta") == "Nine "
    assert events[-1].response.output_text == "Nine and four"
    assert len({e.item_id for e in events if hasattr(e, "item_id")}) == 1


def test_progress_is_told_beside_it(tmp_path: Path) -> None:
    writer = Writer(words("Nine ", "and four"), waits=1)
    with Behind(tmp_path, writer) as served:
        warm(served)
        told = 0
        for line in streamed(served, {**ASKED, "ponder": {"progress": True}}):
            told += '"progress"' in line
            if told == 2:
                writer.go.set()
    assert told >= 2


def test_the_page_shows_it_as_it_is_written(tmp_path: Path) -> None:
    writer = Writer(words("Nine \x1b[31m", "and four ", "are thirteen."), waits=2)
    with Behind(tmp_path, writer) as served:
        warm(served)
        events = []
        for event in on_the_page(served, "What is 9 + 4?"):
            events.append(event)
            if "and four" in event.get("text", ""):
                assert writer.written <= 2, "the rest is not written yet"
                writer.go.set()
        answer = httpx2.get(served.address + events[-1]["address"]).text
    text = "".join(event["text"] for event in events if event["type"] == "answer")
    assert text.startswith("Nine \ufffd[31mand four ")
    assert "Nine \ufffd[31mand four are thirteen.</pre>" in answer


# ---------------------------------------------------------------- where it is whole


@pytest.mark.parametrize("why", ["flag", "monitor", "format", "thought", "form"])
def test_where_the_whole_is_needed_nothing_goes_out_before(tmp_path: Path, why: str) -> None:
    (tmp_path / "rules.toml").write_text(MONITOR)
    options = {
        "flag": Options(whole_answers=True),
        "monitor": Options(monitor=str(tmp_path / "rules.toml")),
    }
    behind = Behind(tmp_path, Writer(words("13.")), options=options.get(why))
    behind.writer.plainly = Reply(
        chat('Answer: {"a": 1}' if why == "thought" else '{"a": 1}', usage=usage(7, 9))
    )
    with behind as served:
        warm(served)
        body = {**ASKED, "stream": True}
        if why == "format":
            body["response_format"] = {"type": "json_object"}
        if why == "thought":
            body["reasoning_effort"] = "minimal"
        if why == "form":
            data = {"question": "Hi", "effort": "none"}
            assert httpx2.post(f"{served.address}/ask", data=data, timeout=30).status_code == 303
        else:
            answer = httpx2.post(f"{served.address}/v1/chat/completions", json=body, timeout=30)
            assert "data: [DONE]" in answer.text
    assert not any(body.get("stream") for body in behind.upstream.completions)


# ---------------------------------------------------------------- what must not go out


def thought_of(rng: Random) -> str:
    said = " ".join(rng.choices(("oak", "elm", "ash", "fir", "yew", "bay", "fig", "box"), k=24))
    return f"{said} MK{rng.randrange(16**12):012x}Q"


def leaky(thought: str, rng: Random) -> tuple[str, str]:
    """(reasoning field, text) of a model that gives its thought away."""
    marker = thought.split()[-1]
    told = rng.choice(
        (
            "Thirteen.",
            f"I thought: {thought} and that is all",
            f"In capitals {thought.upper()}, yes",
            f"Spelt out {' '.join(thought)} so",
            f"The marker that I had in my mind before is {marker}. That is all there is to say of it.",
            f"That is all there is to say of it, but that the marker which I had in mind was {marker}",
            f"{thought[30:]}: {thought[:60].replace(' ', '-')} or so",
        )
    )
    return rng.choice(
        (
            (thought, told),
            ("", f"<think>{thought}</think>\n{told}"),
            (thought[:50], f"  <think>{thought[50:]}\n{thought}</think>{told}"),
            ("", f"<think>{thought}"),
        )
    )


def chopped(reasoning: str, text: str, rng: Random) -> list[Event | bytes]:
    events: list[Event | bytes] = []
    for name, whole in (("reasoning_content", reasoning), ("content", text)):
        at = 0
        while at < len(whole):
            size = rng.choice((1, 3, 8, 30))
            events.append(piece(0, **{name: whole[at : at + size]}))
            at += size
    return [*events, piece(0, end="stop"), stated(40), DONE]


def test_nothing_of_a_thought_goes_out_and_the_end_is_the_same(tmp_path: Path) -> None:
    writer, received, planted, live = Writer([]), list[str](), list[str](), 0
    behind = Behind(tmp_path, writer)
    with behind as served:
        warm(served)
        client = httpx2.Client(base_url=f"{served.address}/v1", timeout=30)
        for turn in range(60):
            rng = Random(turn)
            thought = thought_of(rng)
            planted.append(thought)
            reasoning, text = leaky(thought, rng)
            writer.events = chopped(reasoning, text, rng)
            streamed = client.post("chat/completions", json={**ASKED, "stream": True}).text
            received.append(streamed)
            writer.plainly = Reply(chat(text, usage=usage(7, 40), reasoning_content=reasoning))
            whole = client.post("chat/completions", json=ASKED).json()
            lines = [line[6:] for line in streamed.splitlines() if line.startswith("data: {")]
            deltas = [json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines]
            assert "".join(deltas) == whole["choices"][0]["message"]["content"]
            (shown,) = told(served, json.loads(lines[0])["id"])
            assert shown["content"] == "".join(deltas)
            assert shown["cuts"]["content"] == shown["content"].count(REDACTED)
            events = list(on_the_page(served, ASKED["messages"][0]["content"]))
            paged = "".join(event["text"] for event in events if event["type"] == "answer")
            assert "".join(deltas).startswith(paged)
            live += bool(paged)
            answer = httpx2.get(served.address + events[-1]["address"]).text
            received += ["".join(deltas), json.dumps(events), paged, html.unescape(answer)]
        client.close()
    assert live > 20
    assert sum(body.get("stream", False) for body in behind.upstream.completions) == 120
    everything = "\n".join(received)
    flat, known = squashed(everything), set(spans(everything))
    assert REDACTED in everything
    assert sum(thought.split()[-1].lower() in flat for thought in planted) == 0
    assert not [t for t in planted if any(span in known for span in spans(t))]


def test_where_thought_follows_the_answer_the_rest_waits_and_is_cut(tmp_path: Path) -> None:
    thought = thought_of(Random(1))
    events = [piece(0, "It is 13. "), piece(0, reasoning=thought), piece(0, f"I thought {thought[:60]}!")]
    writer = Writer([*events, piece(0, end="stop"), stated(40), DONE], waits=3)
    with Behind(tmp_path, writer) as served:
        warm(served)
        text = ""
        for chunk in served.client().chat.completions.create(**ASKED, stream=True):
            text += chunk.choices[0].delta.content or ""
            if text:
                writer.go.set()
    assert text == f"It is 13. I thought {REDACTED}!"


def test_what_went_out_stays_though_it_turns_out_to_be_thought_too(tmp_path: Path) -> None:
    thought = thought_of(Random(2))
    events = [piece(0, thought), piece(0, reasoning=thought), piece(0, f" and {thought}!")]
    writer = Writer([*events, piece(0, end="stop"), stated(40), DONE], waits=1)
    with Behind(tmp_path, writer) as served:
        warm(served)
        chunks, text = [], ""
        for chunk in served.client().chat.completions.create(**ASKED, stream=True):
            chunks.append(chunk)
            text += chunk.choices[0].delta.content or ""
            if text:
                writer.go.set()
        (shown,) = told(served, chunks[0].id)
    assert text == shown["content"] == f"{thought} and {REDACTED}!"
    assert shown["cuts"]["content"] == 1


def test_an_answer_that_becomes_a_thought_is_an_error(tmp_path: Path) -> None:
    writer = Writer([piece(0, "Let me see, "), *words("nine and four</think>", "13.")], waits=1)
    with Behind(tmp_path, writer) as served:
        warm(served)
        answer = ""
        for line in streamed(served, ASKED):
            answer += line
            if "Let me see" in line:
                writer.go.set()
        again = "".join(streamed(served, ASKED))
    assert '"upstream_failed"' in answer
    assert "nine" not in answer
    assert '"finish_reason":"stop"' in again, "the server is known now, and its answers are whole"


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("api", ["chat/completions", "responses"])
def test_an_upstream_that_fails_midway_ends_the_stream_with_an_error(tmp_path: Path, api: str) -> None:
    path, keys = key_file(tmp_path, alice="user 100000tok")
    broken: Event = {"error": {"message": "out of memory at /etc/passwd", "code": 500}}
    writer = Writer([piece(0, "Nine "), broken], waits=1)
    responses = {"model": "ponder", "input": "Hi", "reasoning": {"effort": "none"}, "max_output_tokens": 50}
    asked = {**ASKED, "max_tokens": 50} if api.startswith("chat") else responses
    with Behind(tmp_path, writer, keys=path, retries=3) as served:
        warm(served, keys["alice"])
        answer = []
        for line in streamed(served, asked, api, keys["alice"]):
            answer.append(line)
            if "Nine " in line:
                writer.go.set()
        *_, charge = charges(served.ledger)
        lines = [json.loads(line[6:]) for line in answer if line.startswith("data: {")]
        identity = lines[0]["id"] if api.startswith("chat") else lines[0]["response"]["id"]
        (shown,) = told(served, identity)
    assert "Nine " in "".join(answer)
    assert "passwd" not in "".join(answer)
    assert "failed" in str(lines[-1])
    assert (shown["content"], shown["finish"]) == ("Nine ", "failed")
    assert charge["charged"]["tokens"] >= 50, "what it wrote is not known, so it is charged in full"
    assert sorted(settled_runs(served.ledger)) == ["failed", "finished"]


def test_an_answer_that_time_cuts_short_stands_as_far_as_it_came(tmp_path: Path) -> None:
    writer = Writer(words("Nine ", "and four"), waits=1)
    with Behind(tmp_path, writer) as served:
        warm(served)
        own = {"ponder": {"budget": "2s", "strategy": "direct"}}
        stream = served.client().chat.completions.create(**ASKED, stream=True, extra_body=own)
        chunks = list(stream)
        (shown,) = told(served, chunks[0].id)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Nine "
    assert chunks[-1].choices[0].finish_reason == "length"
    assert shown["content"] == "Nine "


async def leave(served: Serving, key: str, until: bytes, *, read: bool = True) -> asyncio.StreamWriter:
    """Ask for a stream, and read until this comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(served.address.rpartition(":")[2]))
    writer.write(written({**ASKED, "stream": True}, f"authorization: Bearer {key}"))
    if read:
        await asyncio.wait_for(reader.readuntil(until), 10)
    return writer


async def test_a_caller_who_leaves_midway_ends_the_upstreams_work(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user 1000000tok")
    endless = Writer([piece(0, "Nine "), *[piece(0, reasoning="hm ")] * 2000])
    behind = Behind(tmp_path, endless, keys=path)
    pieces = endless._pieces

    def slowly() -> Iterator[bytes]:
        for each in pieces():
            yield each
            time.sleep(0.02)

    endless._pieces = slowly  # type: ignore[method-assign]
    served = await asyncio.to_thread(behind.__enter__)
    try:
        await asyncio.to_thread(warm, served, keys["alice"])
        writer = await leave(served, keys["alice"], b"Nine ")
        writer.close()
        began = time.monotonic()
        assert await asyncio.to_thread(behind.upstream.broken_off.wait, 5)
        took = time.monotonic() - began
        for _ in range(100):
            if "interrupted" in settled_runs(served.ledger):
                break
            await asyncio.sleep(0.05)
        running = served.server.house.purse.running
    finally:
        await asyncio.to_thread(behind.__exit__, None, None, None)
    assert took < 1.0
    assert running == 0
    assert sorted(settled_runs(served.ledger)) == ["finished", "interrupted"]
    with Ledger.open(served.ledger, write=False) as ledger:
        events = [e for run in ledger.runs() for e in ledger.events(run.id) if e.kind == "told"]
    assert {(e.detail["content"], e.detail["finish"]) for e in events} == {
        ("13.", "stop"),
        ("Nine ", "interrupted"),
    }
    assert charges(served.ledger)[-1]["charged"]["tokens"] > 0
    assert verify(served.ledger).ok


async def test_a_caller_who_does_not_read_holds_nothing_up(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user 100000000tok")
    much = Writer([piece(0, "x" * 100_000)] * 100 + words("end"))
    behind = Behind(tmp_path, much, keys=path)
    served = await asyncio.to_thread(behind.__enter__)
    try:
        await asyncio.to_thread(warm, served, keys["alice"])
        writer = await leave(served, keys["alice"], b"", read=False)
        for _ in range(200):
            if settled_runs(served.ledger) == ["finished"] * 2:
                break
            await asyncio.sleep(0.05)
        writer.close()
    finally:
        await asyncio.to_thread(behind.__exit__, None, None, None)
    assert settled_runs(served.ledger) == ["finished"] * 2
