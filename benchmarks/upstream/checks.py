"""What is asked of `ponder serve` in front of a real server, and what comes of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import openai
from benchmarks.upstream.servers import Upstream
from tests.serve.serving import Serving, key_file, serving

from ponder.ledger import Ledger, verify
from ponder.serve.house import run_of
from ponder.serve.purse import RUN

__all__ = ["EFFORTS", "Bench", "bench", "killed", "left", "paused", "samplings", "usages"]

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
QUESTION = "What is 8 + 7?"
STORY = "Count from 1 to 1000, one number a line."
MOST = 24
LONG: Mapping[str, Any] = {"reasoning_effort": "none", "max_completion_tokens": 1500, "temperature": 0}
"""Of a request that runs for many seconds unless something ends it."""

SETTLE_SECONDS = 20.0
TIMEOUT_SECONDS = 8.0


@dataclass
class Bench:
    upstream: Upstream
    served: Serving
    key: str

    @property
    def client(self) -> openai.OpenAI:
        return self.served.client(self.key, timeout=300.0)

    def chat(self, text: str = QUESTION, **asked: Any) -> Any:
        said: list[Any] = [{"role": "user", "content": text}]
        return self.client.chat.completions.create(model="ponder", messages=said, **asked)

    def used(self, reply_id: str) -> int | None:
        """The generated tokens of a request as the ledger has them, failed tries included."""
        with Ledger.open(self.served.ledger, write=False) as ledger:
            return ledger.usage(run_of(reply_id)).completion_tokens

    def charges(self) -> dict[str, Any]:
        """The requests that were reserved, those that were charged twice or never, and the ledger's check."""
        with Ledger.open(self.served.ledger, write=False) as ledger:
            events = ledger.events(RUN)
        reserved = Counter(each.detail["request"] for each in events if each.kind == "reserved")
        settled = Counter(each.detail["request"] for each in events if each.kind == "settled")
        return {
            "requests": len(reserved),
            "charged_twice": sum(count > 1 for count in settled.values()),
            "never_charged": len(reserved - settled),
            "ledger_whole": verify(self.served.ledger).ok,
        }


@contextmanager
def bench(upstream: Upstream, folder: Path, *, timeout: float = 120.0) -> Iterator[Bench]:
    """`ponder serve` before an upstream that runs, with one key."""
    keys, texts = key_file(folder, alice="user 100000requests")
    with serving(folder, keys=keys, model=upstream.model, timeout=timeout) as served:
        yield Bench(upstream, served, texts["alice"])


def usages(at: Bench, efforts: Sequence[str] = EFFORTS) -> list[dict[str, Any]]:
    """Both APIs, streamed and not, at every effort: generated tokens as the reply, the ledger and the
    upstream have them. Above `low` with that one's budget, to end in time."""
    return [
        _counted(at, api, effort, streamed=streamed)
        for effort in efforts
        for api, streamed in _FORMS[:2] + (_FORMS[2:] if effort in ("none", "low") else ())
    ]


_FORMS = (("chat", False), ("responses", True), ("chat", True), ("responses", False))


def _counted(at: Bench, api: str, effort: str, *, streamed: bool) -> dict[str, Any]:
    before = at.upstream.generated()
    ask = _chat if api == "chat" else _response
    budget = {} if effort in ("none", "minimal", "low") else {"ponder": {"budget": "8samples"}}
    reply_id, text, told = ask(at, effort, streamed, budget)
    return {
        "api": api,
        "effort": effort,
        "streamed": streamed,
        "answered": bool(text.strip()),
        "told": told,
        "ledger": at.used(reply_id),
        "upstream": _since(at.upstream, before, told),
    }


def _since(upstream: Upstream, before: int | None, expected: int | None) -> int | None:
    """What it generated since; its counter may lag behind its answer by an instant."""
    for _ in range(20):
        now = upstream.generated()
        if now is None or before is None or now - before == expected:
            break
        time.sleep(0.1)
    return None if now is None or before is None else now - before


def _chat(at: Bench, effort: str, streamed: bool, extra: Any) -> tuple[str, str, int]:
    asked: dict[str, Any] = {"reasoning_effort": effort, "max_completion_tokens": MOST, "extra_body": extra}
    if not streamed:
        reply = at.chat(**asked)
        return reply.id, reply.choices[0].message.content or "", reply.usage.completion_tokens
    pieces = list(at.chat(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(each.choices[0].delta.content or "" for each in pieces if each.choices)
    return pieces[-1].id, text, pieces[-1].usage.completion_tokens


def _response(at: Bench, effort: str, streamed: bool, extra: Any) -> tuple[str, str, int]:
    asked: dict[str, Any] = {
        "model": "ponder",
        "input": QUESTION,
        "reasoning": {"effort": effort},
        "max_output_tokens": MOST,
        "extra_body": extra,
    }
    if not streamed:
        reply = at.client.responses.create(**asked)
    else:
        ends = ("response.completed", "response.incomplete")
        events = at.client.responses.create(**asked, stream=True)
        reply = next(each.response for each in events if each.type in ends)
    return reply.id, reply.output_text, reply.usage.output_tokens


def samplings(at: Bench) -> dict[str, Any]:
    """`n`, `stop`, `seed`, `temperature` and `max_completion_tokens`, at effort none."""
    plain: dict[str, Any] = {"reasoning_effort": "none", "max_completion_tokens": MOST}
    several = at.chat("Name an animal.", **plain, n=2, temperature=1.0, seed=1)
    greedy = [_text(at.chat("Count: 1, 2, 3,", **plain, temperature=0)) for _ in range(2)]
    stop = next((word for word in greedy[0].split()[2:] if word.isalpha()), greedy[0][-4:])
    stopped = at.chat("Count: 1, 2, 3,", **plain, temperature=0, stop=[stop])
    seeded = [_text(at.chat("Name an animal.", **plain, temperature=1.0, seed=s)) for s in (5, 5, 6)]
    short = at.chat("Count: 1, 2, 3,", reasoning_effort="none", max_completion_tokens=3, temperature=0)
    return {
        "choices_of_n_2": len(several.choices),
        "greedy_twice_the_same": greedy[0] == greedy[1],
        "stopped_before_its_word": stop not in _text(stopped) and greedy[0].startswith(_text(stopped)),
        "seed_twice_the_same": seeded[0] == seeded[1],
        "other_seed_differs": seeded[0] != seeded[2],
        "tokens_of_a_cap_of_3": short.usage.completion_tokens,
        "finish_of_a_cap_of_3": short.choices[0].finish_reason,
    }


def _text(reply: Any) -> str:
    return reply.choices[0].message.content or ""


# ------------------------------------------------ what goes wrong


def _failing(at: Bench, trouble: Callable[[], None], after: float = 2.0) -> dict[str, Any]:
    """What a user sees of a request during which there is trouble with the upstream."""
    timer = threading.Timer(after, trouble)
    timer.start()
    began = time.monotonic()
    try:
        status, said = 200, _text(at.chat(STORY, **LONG))
    except openai.APIStatusError as error:
        status, said = error.status_code, error.message
    timer.join()
    return {"status": status, "said": said, "seconds": round(time.monotonic() - began - after, 1)}


def killed(at: Bench) -> dict[str, Any]:
    """SIGKILL in the middle of a request, an ask of what is gone, a restart, an ask again."""
    found = {"during": _failing(at, at.upstream.kill), "after": _failing(at, lambda: None, 0.0)}
    at.upstream.start()
    return {**found, "restarted": bool(_text(at.chat(reasoning_effort="none", max_completion_tokens=4)))}


def paused(at: Bench) -> dict[str, Any]:
    """SIGSTOP in the middle of a request until it fails, SIGCONT, an ask again."""
    found = _failing(at, at.upstream.pause)
    at.upstream.go_on()
    return {**found, "went_on": bool(_text(at.chat(reasoning_effort="none", max_completion_tokens=4)))}


def left(at: Bench, *, streamed: bool, effort: str = "none") -> dict[str, Any]:
    """Seconds from a caller's leaving to the upstream's rest: by its own count of requests that run, or by
    the processor time of its processes. None: it still worked after `SETTLE_SECONDS`."""
    asked = LONG | {"reasoning_effort": effort, "stream": streamed, "model": "ponder"}
    said = {"messages": [{"role": "user", "content": STORY}]}
    headers = {"authorization": f"Bearer {at.key}"}
    url = f"{at.served.address}/v1/chat/completions"
    with httpx2.Client(headers=headers, timeout=3.0) as client:
        try:
            with client.stream("POST", url, json=asked | said) if streamed else nullcontext():
                if not streamed:
                    client.post(url, json=asked | said)
                time.sleep(3.0)
        except httpx2.TimeoutException:
            pass
    gone = time.monotonic()
    while time.monotonic() - gone < SETTLE_SECONDS:
        if _at_rest(at.upstream):
            return {"streamed": streamed, "effort": effort, "seconds": round(time.monotonic() - gone, 2)}
    return {"streamed": streamed, "effort": effort, "seconds": None}


def _at_rest(upstream: Upstream) -> bool:
    running = upstream.running()
    if running is not None:
        time.sleep(0.02)
        return running == 0
    before = upstream.processor_seconds()
    time.sleep(0.25)
    return upstream.processor_seconds() - before < 0.05
