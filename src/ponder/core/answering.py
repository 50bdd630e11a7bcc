"""What answers: models, engines and their calls, scorers, graders, the recorder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from ponder.core.asking import Finish, Prompt, Question, Sample, Scoring, Trace
from ponder.core.checking import require_share, require_temperature
from ponder.core.spending import Usage


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
    prompt of a call is surely read once, however many samples it asks for. `tells_stop`: its outputs name the
    stop string that ended them. `logprobs_alone`: samples with log-probabilities take a call each.
    `exact_prompt`: its bound on prompt tokens is their number. `response_format`: it can hold a
    reply to one."""

    samples_per_call: int = 1
    parallel: int = 8
    prompt_once: bool = False
    raw_text: bool = False
    logprobs: bool = False
    prefix: bool = False
    seed: bool = False
    halt: bool = False
    tells_stop: bool = False
    logprobs_alone: bool = False
    exact_prompt: bool = False
    response_format: bool = False
    streams: bool = False


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy. Raises InputError for what no distribution has."""

    temperature: float = 0.8
    top_p: float = 1.0

    def __post_init__(self) -> None:
        require_temperature(self.temperature)
        require_share(top_p=self.top_p)


@dataclass(frozen=True, slots=True)
class Growth:
    """A further piece of one sample of a call, `index` its place in the call. The pieces of `text` make a
    beginning of its output's text. The first has all of its `reasoning` that came before."""

    index: int
    text: str
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One call to an engine: `n` samples of one prompt, continuing `prefix`.

    `seed` and `offset` (the index of the first sample) together fix the randomness: an engine that can
    makes sample `offset + i` depend on them alone. `admit` is asked before every further attempt after a
    failed one: when it returns false the budget has no room for it and the engine gives up.
    `response_format`: the form that the reply must have, as the JSON text of what OpenAI's chat API takes
    under this name; only for an engine that is able to hold a reply to one. `heard` is told what is written
    while it is written, by an engine that `streams` and where that is safe; it is called from any thread, and
    returns at once. A try of which something was told is not repeated when it fails.
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
    response_format: str | None = None
    heard: Callable[[Growth], None] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Output:
    """One generated text. `tokens`: how many were generated for it, None if the engine cannot tell.
    `stopped_by`: the stop string that ended it, None when it ended otherwise or the engine does not tell."""

    text: str
    reasoning: str | None = None
    tokens: int | None = None
    logprobs: tuple[float, ...] | None = None
    finish: Finish = "stop"
    stopped_by: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call, successful or not: what it used, and when it began (seconds since the epoch).

    `asked`: the samples that it was to draw, None where it was all of the call's.
    """

    status: Literal["ok", "failed", "cancelled"]
    usage: Usage
    started: float
    samples: int = 0
    error: str | None = None
    asked: int | None = None


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


@dataclass(frozen=True, slots=True)
class Spent:
    """One attempt of an earlier start: who was asked for what, what it used, and whether it succeeded."""

    stream: str
    role: str
    request: Request
    usage: Usage
    ok: bool = True


class Scorer(Protocol):
    """Judges samples without a key: higher is better, None where it cannot tell.

    Like a strategy it is a generator: a judge asks in waves, and the driver serves them from the same
    budget into the same record; a scorer that only looks returns at once.
    """

    name: str

    def score(self, question: Question, samples: tuple[Sample, ...]) -> Scoring: ...


class Grader(Protocol):
    """Knows the key; runs in `measure` alone, after the answer.

    `handle` is what the task keeps with the key for its own grading. None: it could not tell this time
    (a scorer ran out of time), so that nothing is to be recorded.
    """

    name: str

    def grade(
        self, question: Question, key: str, choice: str, handle: Mapping[str, Any] = MappingProxyType({})
    ) -> bool | None: ...


class Recorder(Protocol):
    """Where the driver writes every call and sample, and finds those that are bought already."""

    def finished(self, question: Question, stream: str) -> Mapping[int, Sample]:
        """The finished samples of this stream (one ask of one question) by their index."""
        ...

    def spent(self, question: Question) -> Sequence[Spent]:
        """The attempts of earlier starts on this question, failed and cancelled ones too."""
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


T = TypeVar("T")


def share(attempts: Sequence[Attempt], outputs: Sequence[T]) -> list[Sequence[T]]:
    """Which outputs of a call came of which attempt: the last attempts that returned any returned the
    last ones. Outputs that no attempt accounts for are the last attempt's.
    """
    counts, left = [0] * len(attempts), len(outputs)
    for place in reversed(range(len(attempts))):
        counts[place] = min(attempts[place].samples, left)
        left -= counts[place]
    if counts:
        counts[-1] += left
    shares, start = [], 0
    for count in counts:
        shares.append(outputs[start : start + count])
        start += count
    return shares
