"""The nouns of ponder and the protocol between a strategy and its driver.

A strategy is a generator: it yields a `Wave` of asks and is sent a `Reply`, until it returns an
`Answer`. It sees questions and samples; never an engine, a clock, a file or an answer key.
Everything here is immutable and does no I/O.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

from ponder.errors import BudgetError

__all__ = [
    "Answer",
    "Attempt",
    "Budget",
    "Call",
    "Capabilities",
    "Draw",
    "Engine",
    "Generation",
    "Grader",
    "Message",
    "Model",
    "Output",
    "Price",
    "Prompt",
    "Question",
    "Recorder",
    "Reply",
    "Request",
    "Sample",
    "Sampling",
    "Score",
    "Scorer",
    "Shape",
    "Strategy",
    "Trace",
    "Usage",
    "Wave",
    "canonical_json",
    "digest",
]

Role = Literal["system", "user", "assistant"]
Finish = Literal["stop", "length", "cancelled", "failed"]


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 of `canonical_json(value)`, in hex."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


# ---------------------------------------------------------------- what is asked


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is shown: chat messages, and where it suits the model better, raw text to continue.

    An engine that can continue raw text uses `text` when there is one, and `messages` otherwise.
    """

    messages: tuple[Message, ...]
    text: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"messages": [[m.role, m.content] for m in self.messages], "text": self.text}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Prompt:
        return cls(tuple(Message(r, c) for r, c in value["messages"]), value.get("text"))


@dataclass(frozen=True, slots=True)
class Question:
    """One problem as a strategy may see it: it carries no reference answer.

    `prompt` asks for worked reasoning, `direct` for the answer alone. `extract` names the rule that
    reads a choice from a text. `data` is what the question itself states in a form that a check can
    use (Countdown: the numbers and the target); never a key.
    """

    id: str
    text: str
    prompt: Prompt
    direct: Prompt
    task: str = "ask"
    stop: tuple[str, ...] = ()
    max_tokens: int = 256
    extract: str = "answer"
    data: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "text": self.text,
            "prompt": self.prompt.to_json(),
            "direct": self.direct.to_json(),
            "task": self.task,
            "stop": list(self.stop),
            "max_tokens": self.max_tokens,
            "extract": self.extract,
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Question:
        return cls(
            id=value["id"],
            text=value["text"],
            prompt=Prompt.from_json(value["prompt"]),
            direct=Prompt.from_json(value["direct"]),
            task=value["task"],
            stop=tuple(value["stop"]),
            max_tokens=value["max_tokens"],
            extract=value["extract"],
            data=MappingProxyType(dict(value["data"])),
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """One sample while it grows: its generated token ids and their log-probabilities (nats)."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One draw as a strategy sees it.

    `index` counts the draws of the same ask on the same question, in the order asked. `choice` says
    which answers count as the same; None when extraction found none: no choice, no vote. `tokens`
    is the number of generated tokens, `logprob` the sum of their natural-log probabilities under the
    untempered model; None where the engine does not tell.
    """

    text: str
    choice: str | None = None
    index: int = 0
    reasoning: str | None = None
    tokens: int | None = None
    logprob: float | None = None
    logprobs: tuple[float, ...] | None = None
    finish: Finish = "stop"


@dataclass(frozen=True, slots=True)
class Draw:
    """Ask an engine for `n` samples. `prompt` None means the question's own (worked) prompt."""

    n: int = 1
    role: str = "solver"
    prompt: Prompt | None = None
    prefix: str = ""
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    logprobs: bool = False
    halt: Callable[[Trace], bool] | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Ask a scorer, which knows no key, about samples. `by`: "checks", "likelihood", ..."""

    samples: tuple[Sample, ...]
    by: str


@dataclass(frozen=True, slots=True)
class Wave:
    """Asks that may run side by side. `until` (pure) sees the gap-free prefix of samples in the order
    asked; when it returns true the rest of the wave is cancelled."""

    asks: tuple[Draw | Score, ...]
    until: Callable[[tuple[Sample, ...]], bool] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a wave: one tuple an ask, `()` for the other kind. `final`: the budget is spent,
    answer now."""

    samples: tuple[tuple[Sample, ...], ...]
    scores: tuple[tuple[float | None, ...], ...]
    final: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a strategy returns. `choice` None is an abstention. `agreement` is the share of the votes
    (of the samples with a choice) behind it; None where nothing was voted on."""

    choice: str | None
    text: str = ""
    agreement: float | None = None


Strategy = Generator[Wave, Reply, Answer]


# ---------------------------------------------------------------- what is spent


def _plus(a: float | None, b: float | None) -> Any:
    return None if a is None or b is None else a + b


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent. A count that is unknown is None, and a sum with an unknown in it is unknown.

    `prompt_tokens` counts each call's prompt once, cached or not; `cached_tokens` of them were read
    from a cache. `completion_tokens` are all generated tokens, reasoning included. `seconds` are
    summed over calls, which may have run side by side.
    """

    calls: int = 0
    samples: int = 0
    prompt_tokens: int | None = 0
    cached_tokens: int | None = 0
    completion_tokens: int | None = 0
    reasoning_tokens: int | None = 0
    flop: float | None = 0.0
    seconds: float = 0.0
    usd: float | None = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{f.name: _plus(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})

    @property
    def tokens(self) -> int | None:
        """Prompt and generated tokens together."""
        total: int | None = _plus(self.prompt_tokens, self.completion_tokens)
        return total

    def to_json(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


_UNITS: dict[str, tuple[str, ...]] = {
    "samples": ("samples", "sample"),
    "tokens": ("tok", "token", "tokens"),
    "flop": ("flop", "flops"),
    "seconds": ("s", "sec", "seconds"),
    "usd": ("usd", "$"),
}
_SCALE = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_AMOUNT = re.compile(r"\s*(\$?)\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,3})?)\s*([A-Za-z$]*)\s*")


def _unit(word: str) -> tuple[str, float] | None:
    for unit, words in _UNITS.items():
        for name in words:
            if word.lower() == name:
                return unit, 1.0
            scale = _SCALE.get(word[:1])
            if scale and word[1:].lower() == name and unit not in ("seconds", "usd"):
                return unit, scale
    return None


@dataclass(frozen=True, slots=True)
class Budget:
    """A hard ceiling over generator, scorers, failed and cancelled calls together.

    Any subset of units; None is no limit. `tokens` counts prompt and generated tokens, `seconds` is
    a deadline on the wall clock from the start of the solve.
    """

    samples: int | None = None
    tokens: int | None = None
    flop: float | None = None
    seconds: float | None = None
    usd: float | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and not (0 < value < float("inf")):
                raise BudgetError(f"budget: {f.name} must be a positive number, not {value!r}.")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read "2000tok", "16samples", "1e12flop", "2.5Gflop", "30s", "$0.01" or several with commas.

        Raises BudgetError with the remedy.
        """
        known = "write for example 2000tok, 16samples, 1e12flop, 30s, $0.01, or several with commas"
        values: dict[str, Any] = {}
        for part in text.split(","):
            match = _AMOUNT.fullmatch(part)
            if match is None:
                raise BudgetError(f"budget: {part.strip()!r} is not a positive amount with a unit; {known}.")
            dollar, number, word = match.groups()
            found = _unit("usd" if dollar and not word else word)
            if found is None:
                raise BudgetError(f"budget: unknown unit {word!r} in {part.strip()!r}; {known}.")
            unit, scale = found
            if unit in values:
                raise BudgetError(f"budget: {unit} is given twice; give each unit once.")
            amount = float(number) * scale
            if unit in ("samples", "tokens"):
                if amount != int(amount):
                    raise BudgetError(f"budget: {unit} must be a whole number, not {part.strip()!r}.")
                amount = int(amount)
            values[unit] = amount
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def __str__(self) -> str:
        return ", ".join(f"{v:g} {k}" for k, v in self.to_json().items()) or "no limit"


# ---------------------------------------------------------------- what answers


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder-only transformer's shape, as FLOP counting needs it.

    `d_ff` is the width of one (active) feed-forward block; `gated` adds the third matrix of
    SwiGLU/GeGLU. For a mixture of experts `experts_active` of `experts` run for each token, with
    `d_ff_shared` the width of an always-active shared block.
    """

    layers: int
    d_model: int
    heads: int
    kv_heads: int
    d_head: int
    d_ff: int
    vocab: int
    gated: bool = True
    experts: int = 0
    experts_active: int = 0
    d_ff_shared: int = 0
    tied: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    usd_per_million_prompt: float
    usd_per_million_completion: float
    usd_per_million_cached: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of a model. Unknown is None.

    `fingerprint` tells one set of weights from another (their SHA-256, or the endpoint and name).
    """

    name: str
    fingerprint: str
    shape: Shape | None = None
    active_parameters: float | None = None
    price: Price | None = None
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do. `parallel`: the samples worth keeping in flight at once. `prompt_once`: the
    prompt of a call is surely read once, however many samples it asks for."""

    samples_per_call: int = 1
    parallel: int = 8
    prompt_once: bool = False
    raw_text: bool = False
    logprobs: bool = False
    prefix: bool = False
    seed: bool = False
    halt: bool = False


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy."""

    temperature: float = 0.8
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """One call to an engine: `n` samples of one prompt, continuing `prefix`.

    `seed` and `offset` (the index of the first sample) together fix the randomness: an engine that can
    makes sample `offset + i` depend on them alone. `admit` is asked before every further attempt after a
    failed one: when it returns false the budget has no room for it and the engine gives up.
    """

    prompt: Prompt
    n: int = 1
    max_tokens: int = 256
    sampling: Sampling = Sampling()
    prefix: str = ""
    stop: tuple[str, ...] = ()
    seed: int = 0
    offset: int = 0
    logprobs: bool = False
    halt: Callable[[Trace], bool] | None = None
    admit: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One generated text. `tokens`: how many were generated for it, None if the engine cannot tell."""

    text: str
    reasoning: str | None = None
    tokens: int | None = None
    logprobs: tuple[float, ...] | None = None
    finish: Finish = "stop"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call, successful or not: what it used, and when it began (seconds since the epoch)."""

    status: Literal["ok", "failed", "cancelled"]
    usage: Usage
    started: float
    samples: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """What came of a call: outputs in the order asked, every attempt, and the error if it failed for good.

    `outputs` may be fewer than asked when the call failed or was cancelled.
    """

    outputs: tuple[Output, ...]
    attempts: tuple[Attempt, ...]
    error: Exception | None = None


class Call(Protocol):
    """A call in flight."""

    async def result(self) -> Generation:
        """Wait for it. Never raises for a failed call: the error is in the generation."""
        ...

    def cancel(self) -> None:
        """Stop it soon; `result` then returns what was generated and spent until then."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Where samples come from. `start` returns at once; calls run side by side."""

    @property
    def model(self) -> Model: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What must stay the same for a run to be continued (versions, precision, address)."""
        ...

    def start(self, request: Request) -> Call: ...

    def prompt_tokens_bound(self, prompt: Prompt, prefix: str = "") -> int | None:
        """The most prompt tokens this can cost; exact where the engine has the tokenizer."""
        ...

    async def close(self) -> None: ...


class Scorer(Protocol):
    """Judges samples without a key: higher is better, None where it cannot tell."""

    name: str

    async def score(self, question: Question, samples: Sequence[Sample]) -> tuple[float | None, ...]: ...


class Grader(Protocol):
    """Knows the key; runs in `measure` alone, after the answer."""

    name: str

    def grade(self, question: Question, key: str, choice: str) -> bool: ...


class Recorder(Protocol):
    """Where the driver writes every call and sample, and finds those of an earlier start."""

    def recorded(self, question: Question, stream: str) -> tuple[Sample, ...]:
        """The samples of this stream (one ask of one question), a gap-free prefix in the order asked."""
        ...

    def spent(self, question: Question) -> Usage:
        """What earlier starts spent on this question, failed and cancelled calls included."""
        ...

    async def record(
        self,
        question: Question,
        stream: str,
        role: str,
        request: Request,
        attempts: Sequence[Attempt],
        samples: Sequence[Sample],
    ) -> None:
        """Write one call. Returns once it is durable."""
        ...
