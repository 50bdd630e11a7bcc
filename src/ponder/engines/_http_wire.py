"""What goes over the wire: request bodies, and what is believed of a response.

Pure functions over plain JSON values. A response is untrusted: every field is checked before it is used,
and a count that cannot be right is unknown.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ponder.core import Output, Prompt, Request
from ponder.engines._common import cut, mix
from ponder.errors import BadResponse

__all__ = [
    "Api",
    "Counts",
    "Learned",
    "Reading",
    "Several",
    "Streams",
    "body",
    "closes_alone",
    "counts",
    "names_of_models",
    "output",
    "probe_body",
    "raw_text",
    "reading",
    "sound",
    "spoken",
    "tried_tokens",
]

Api = Literal["chat", "completions"]
Several = Literal["untried", "alone", "together", "streamed"]

MOST_STOPS = 4  # what the OpenAI API takes
TRIED = 2  # the samples of a trial
ABSURD = 10**8  # more tokens than any context holds
THOUGHTS = ("thinking", "reasoning")  # types of a message's parts
REMEMBERED = 8  # replies by which it is known whether thoughts are told apart from answers
SILENT = 2  # of so many streams: one may have lost its statement on its way
FIRST_REST, LONGEST_REST = 16, 1024  # plain replies


@dataclass(slots=True)
class Streams:
    """Whether a sample that somebody hears is streamed. It is until the server refuses, or until two of the
    last eight streams stated no tokens; then not before `rest` plain replies have come, of which there are
    twice as many each time. `silent`: whether each of the last streams stated nothing."""

    rest: int = 0
    next_rest: int = FIRST_REST
    silent: deque[bool] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def ended(self, *, counted: bool) -> None:
        """A stream came to its end."""
        self.silent.append(not counted)
        if self.silent.count(True) >= SILENT:
            self.stop()
        elif len(self.silent) == REMEMBERED and not any(self.silent):
            self.next_rest = FIRST_REST

    def stop(self) -> None:
        """Rest. After that a single stream that states nothing is enough."""
        if self.rest:
            return  # it was in flight when another one ended this
        self.rest, self.next_rest = self.next_rest, min(LONGEST_REST, 2 * self.next_rest)
        self.silent.clear()
        self.silent.append(True)

    def answered_plainly(self) -> None:
        self.rest = max(0, self.rest - 1)


@dataclass(slots=True)
class Learned:
    """What a server turned out to be able to do. `most`: choices a request. `several`: how several choices
    are asked for so that all their tokens are counted: in one request ("together"), in one that is streamed
    ("streamed"), or in a request each ("alone"). `counts`: a plain answer stated its tokens. `streams`:
    whether streamed ones do too. `closings`: whether each of the last replies ended a thought that it had not
    begun."""

    most: int
    several: Several = "untried"
    cap: str = "max_tokens"
    logprobs: bool = True
    seed: bool = True
    stop: bool = True
    counts: bool = False
    streams: Streams = field(default_factory=Streams)
    closings: deque[bool] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    @property
    def live(self) -> bool:
        """Whether a stream is asked for, as far as its tokens go."""
        return not self.streams.rest

    @property
    def apart(self) -> bool:
        """Whether a text that comes is known to be answer. Where the chat template begins the thought, the
        text has its end alone: all before that is thought, which nobody can tell while it comes."""
        return bool(self.closings) and not any(self.closings)

    @property
    def logprobs_alone(self) -> bool:
        """Whether log-probabilities take a request a sample: a stream leaves out tokens that show no text."""
        return self.logprobs and self.several == "streamed"


@dataclass(frozen=True, slots=True)
class Counts:
    """The tokens of one response; None where missing or impossible."""

    prompt: int | None
    cached: int | None
    completion: int | None
    reasoning: int | None


UNCOUNTED = Counts(None, None, None, None)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is believed of one response. `closes_alone`: a choice ended a thought that it had not begun; None:
    that cannot be told."""

    outputs: list[Output]
    counts: Counts
    closes_alone: bool | None = None


def raw_text(prompt: Prompt, prefix: str = "") -> str:
    """The text that the completions API continues."""
    text = prompt.text if prompt.text is not None else "\n\n".join(m.content for m in prompt.messages)
    return text + prefix


def _asked(prompt: Prompt, prefix: str, api: Api) -> dict[str, Any]:
    if api == "completions":
        return {"prompt": raw_text(prompt, prefix)}
    messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
    if not prefix:
        return {"messages": messages}
    messages.append({"role": "assistant", "content": prefix})
    # vLLM needs to be told; llama.cpp continues a last assistant message by itself.
    return {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}


def body(request: Request, model: str, api: Api, learned: Learned, *, first: int, n: int) -> dict[str, Any]:
    """The JSON of one HTTP request for the samples first..first+n-1 of a call."""
    sent: dict[str, Any] = {"model": model, **_asked(request.prompt, request.prefix, api)}
    sent[learned.cap if api == "chat" else "max_tokens"] = request.max_tokens
    sent["temperature"] = request.sampling.temperature
    if request.sampling.top_p != 1.0:
        sent["top_p"] = request.sampling.top_p
    if n > 1:
        sent["n"] = n
    stops = [stop for stop in request.stop if stop]
    if stops and learned.stop:
        sent["stop"] = stops[:MOST_STOPS]
    if learned.seed:
        sent["seed"] = mix(request.seed, request.offset + first)
    if request.response_format is not None:
        sent["response_format"] = json.loads(request.response_format)
    if request.logprobs and learned.logprobs:
        sent.update({"logprobs": True, "top_logprobs": 1} if api == "chat" else {"logprobs": 1})
    return sent


def probe_body(model: str, api: Api, learned: Learned) -> dict[str, Any]:
    """Two samples of exactly one token each: a server that counts all its choices says 2."""
    asked = {"prompt": "Hi"} if api == "completions" else {"messages": [{"role": "user", "content": "Hi"}]}
    return {"model": model, **asked, learned.cap if api == "chat" else "max_tokens": 1, "n": TRIED}


# ---------------------------------------------------------------- reading


def names_of_models(payload: Any) -> list[str] | None:
    """The names in the answer of /models, None if it is not such an answer."""
    rows = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(rows, list):
        return None
    return [row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]


def _choices(payload: Any) -> list[Mapping[str, Any]]:
    """The choices in their order. Raises BadResponse."""
    rows = payload.get("choices") if isinstance(payload, dict) else None
    if not isinstance(rows, list) or not rows:
        raise BadResponse("the answer has no choices")
    if not all(isinstance(row, dict) for row in rows):
        raise BadResponse("a choice of the answer is not an object")
    places = [row.get("index") for row in rows]
    if sorted(p for p in places if type(p) is int) == list(range(len(rows))):
        rows = sorted(rows, key=lambda row: int(row["index"]))
    return rows


def reading(payload: Any, request: Request, api: Api, n: int, *, proven: bool) -> Reading:
    """At most `n` outputs and what they took. The total of several choices is believed only of a server
    that is `proven` to count them all. Raises BadResponse."""
    rows = _choices(payload)[:n]
    drawn = [output(row, request, api) for row in rows]
    found = counts(payload.get("usage"), drawn, request.max_tokens)
    if len(drawn) > 1 and not proven:
        found = replace(found, completion=None, reasoning=None)
    each = _tokens_of_each(drawn, found.completion)
    outputs = [replace(o, tokens=t) for o, t in zip(drawn, each, strict=True)]
    return Reading(outputs, found, closes_alone(rows, request, api))


def closes_alone(rows: Sequence[Mapping[str, Any]], request: Request, api: Api) -> bool | None:
    """Whether one of these choices ends a thought that it did not begin; None where they may have been ended
    within their thought, or kept from thinking."""
    if api == "completions":
        return False
    parts = [spoken(row["message"])[0].partition("</think>") for row in rows]
    if any(closed and "<think>" not in inside for inside, closed, _ in parts):
        return True
    whole = all(row.get("finish_reason") == "stop" for row in rows)
    return False if whole and not (request.stop or request.prefix or request.response_format) else None


def output(choice: Mapping[str, Any], request: Request, api: Api) -> Output:
    """One choice's output, its tokens not yet filled in. Raises BadResponse."""
    if api == "chat":
        message = choice.get("message")
        if not isinstance(message, dict):
            raise BadResponse("a choice of the answer has no message")
        text, thought = spoken(message)
        inside, text = _think_tags(text)
        reasoning = "\n".join(part for part in (thought, inside) if part) or None
    else:
        text, reasoning = _content(choice.get("text")), None
    whole, text = text, cut(text, request.stop)
    finish: Literal["stop", "length"] = "stop"
    if choice.get("finish_reason") in ("length", "max_tokens") and text == whole:
        finish = "length"
    told = _logprobs(choice.get("logprobs")) if request.logprobs else None
    # vLLM says which stop string it was; the end token has none.
    reason = choice.get("stop_reason")
    stop = reason if isinstance(reason, str) and reason in request.stop else None
    return Output(sound(text), sound(reasoning) if reasoning else None, None, told, finish, stop)


def spoken(message: Mapping[str, Any]) -> tuple[str, str | None]:
    """The text and the reasoning of a message, or of a piece of one. Raises BadResponse."""
    content = message.get("content")
    thought = _parts(content, thought=True) if isinstance(content, list) else None
    return _content(content), _reasoning(message) or thought or None


def _content(value: Any) -> str:
    """A message's text: a string, nothing, or a list of text parts."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return _parts(value, thought=False)
    raise BadResponse(f"the text of the answer is a {type(value).__name__}, not a string")


def _parts(parts: list[Any], *, thought: bool) -> str:
    """What the parts of a message say that are thought, or those that are not."""
    own = [part for part in parts if isinstance(part, dict) and (part.get("type") in THOUGHTS) is thought]
    said: list[Any] = []
    for part in own:
        # Mistral's thinking has text parts of its own.
        inner = part.get("thinking", part.get("text")) if thought else part.get("text")
        within = inner if isinstance(inner, list) else [{"text": inner}]
        said += [each.get("text") for each in within if isinstance(each, dict)]
    return "".join(text for text in said if isinstance(text, str))


def _reasoning(message: Mapping[str, Any]) -> str:
    """Of both fields, in which most servers that send both send the same text."""
    stated = (message.get(name) for name in ("reasoning", "reasoning_content"))
    return "\n".join(dict.fromkeys(text for text in stated if isinstance(text, str) and text))


def _think_tags(text: str) -> tuple[str | None, str]:
    """(reasoning, answer) of a text that may begin with <think>; unclosed, all of it is reasoning.

    Some chat templates open the tag in the prompt, so that the text has the closing one only.
    """
    body = text.lstrip()
    opened = body.startswith("<think>")
    inside, closed, answer = body.removeprefix("<think>").partition("</think>")
    if closed and (opened or "<think>" not in inside):
        return inside.strip() or None, answer.lstrip()
    return (inside.strip() or None, "") if opened else (None, text)


def sound(text: str) -> str:
    """JSON can carry half a surrogate pair, which no file or database can."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _logprobs(value: Any) -> tuple[float, ...] | None:
    """The chosen tokens' log-probabilities, in either API's form; None unless all are there."""
    if not isinstance(value, dict):
        return None
    rows = value.get("content")
    found: list[Any]
    if isinstance(rows, list):
        found = [row.get("logprob") if isinstance(row, dict) else None for row in rows]
    elif isinstance(value.get("token_logprobs"), list):
        found = value["token_logprobs"]
    else:
        return None
    if not all(_is_logprob(p) for p in found):
        return None
    return tuple(min(0.0, float(p)) for p in found)


def _is_logprob(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value <= 1e-3


# ---------------------------------------------------------------- counting


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= ABSURD else None


def _detail(usage: Mapping[str, Any], group: str, name: str, most: int | None) -> int | None:
    details = usage.get(group)
    found = _count(details.get(name)) if isinstance(details, dict) else None
    return None if found is None or most is None or found > most else found


def counts(usage: Any, drawn: Sequence[Output], max_tokens: int) -> Counts:
    """What is stated of these outputs, as far as it is consistent with them."""
    if not isinstance(usage, dict):
        return UNCOUNTED
    prompt = _count(usage.get("prompt_tokens")) or None
    completion = _count(usage.get("completion_tokens"))
    if completion is not None and not _plausible(completion, drawn, max_tokens):
        completion = None
    return Counts(
        prompt,
        _detail(usage, "prompt_tokens_details", "cached_tokens", prompt),
        completion,
        _detail(usage, "completion_tokens_details", "reasoning_tokens", completion),
    )


def _plausible(total: int, drawn: Sequence[Output], max_tokens: int) -> bool:
    """At least a token for each choice that says something and for each log-probability; at most the cap,
    or one token a byte of text: a server may break the cap, and what that cost must not vanish."""
    least = sum(bool(output.text or output.reasoning) for output in drawn)
    listed = sum(len(output.logprobs or ()) for output in drawn)
    size = sum(len((output.text + (output.reasoning or "")).encode()) + 1 for output in drawn)
    return max(least, listed) <= total <= max(len(drawn) * max_tokens, size)


def _tokens_of_each(drawn: Sequence[Output], total: int | None) -> list[int | None]:
    """The tokens of each output: the total of a single one; of several only where their lists of
    log-probabilities add up to it."""
    if len(drawn) == 1:
        return [total]
    lengths = [len(output.logprobs or ()) for output in drawn]
    if total is not None and sum(lengths) == total and all(output.logprobs is not None for output in drawn):
        return list(lengths)
    return [None] * len(drawn)


def tried_tokens(told: Reading) -> int | None:
    """The tokens of a trial, whatever is stated of them: one for each sample that ended at its cap of one or
    said nothing, which takes an end token. Of a single sample that did otherwise its own count."""
    if all(o.finish == "length" or not (o.text or o.reasoning) for o in told.outputs):
        return len(told.outputs)
    return told.counts.completion if len(told.outputs) == 1 else None
