"""What is asked and answered: questions, the protocol of a strategy, samples, answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from ponder.core.checking import require_counts, require_json, require_several, require_temperature

Role = Literal["system", "user", "assistant"]
Finish = Literal["stop", "step", "length", "cancelled", "failed"]
FINISHED: tuple[Finish, ...] = ("stop", "step", "length")


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
class Forcing:
    """What is appended to a thought to force its length: `prolong` where it would have ended, `conclude`
    where it was cut short. None: the model knows no such word. By default s1's words (Muennighoff et al.
    2025, arXiv 2501.19393 §3)."""

    prolong: str | None = "\nWait,"
    conclude: str | None = "\nAnswer:"


@dataclass(frozen=True, slots=True)
class Question:
    """One problem as a strategy may see it: it carries no reference answer.

    `prompt` asks for worked reasoning, `direct` for the answer alone. `extract` names the rule that
    reads a choice from a text. `data` is what the question itself states in a form that a check can
    use (Countdown: the numbers and the target); never a key. `forcing` are the words that its model knows
    for going on and for coming to an end. `response_format`: the form that replies to its prompts must have,
    as in a `Request`.
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
    forcing: Forcing = Forcing()
    response_format: str | None = None

    def __post_init__(self) -> None:
        require_counts(max_tokens=self.max_tokens)
        require_several(stop=self.stop)
        if self.data:
            require_json(data=self.data)

    def to_json(self) -> dict[str, Any]:
        """Without `forcing` and `response_format` where they are the defaults, so that a digest of what is
        usual stays the same."""
        told = {
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
        if self.forcing != Forcing():
            told["forcing"] = asdict(self.forcing)
        return told if self.response_format is None else told | {"response_format": self.response_format}

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
            forcing=Forcing(**value.get("forcing", {})),
            response_format=value.get("response_format"),
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """One sample while it grows: its generated token ids and their log-probabilities (nats)."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One draw as a strategy sees it.

    `index` counts the draws of the same ask on the same question, in the order asked. `text` is what was
    generated, without the prefix that the ask gave. `choice` says which answers count as the same, read
    from prefix and text together; None when extraction found none: no choice, no vote. `finish` is
    "step" where a stop string of the ask's own ended it, "stop" at its natural end. `tokens`
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
    """Ask an engine for `n` samples. `prompt` None means the question's own (worked) prompt; `prefix` is the
    beginning of the reply that the samples continue. The driver maps `role` to an engine. `read` is how a
    reply's choice is read where that is no answer to the question but a verdict; pure, None: unreadable."""

    n: int = 1
    role: str = "solver"
    prompt: Prompt | None = None
    prefix: str = ""
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    logprobs: bool = False
    halt: Callable[[Trace], bool] | None = None
    read: Callable[[Sample], str | None] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        require_several(stop=self.stop)
        if self.temperature is not None:
            require_temperature(self.temperature)


@dataclass(frozen=True, slots=True)
class Score:
    """Ask a scorer, which knows no key, about samples, which may be unfinished (`finish` "step").

    `by`: "checks", "likelihood", "judge", ... What the scorer itself asks of an engine is on the same budget.
    """

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
Scoring = Generator[Wave, Reply, tuple[float | None, ...]]
