"""Inspect's logs, `.eval` (a zip of one JSON document a sample) and `.json` (all in one document).

The fields are those of `inspect_ai.log.EvalLog` and `EvalSample`. A log that was cut short is read as far as
it goes. Samples that ended in an error, and those that somebody has marked as invalid, are no samples; what
they took is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ponder.bank import told
from ponder.bank.files import Archive, Bounds, mapping, opened, parse, whole
from ponder.bank.foreign import Asked, Foreign, Tokens, Wanted
from ponder.bank.scores import ScoreReader
from ponder.errors import BankFileError

__all__ = ["read_document", "read_eval"]

_HEADER, _START, _SAMPLES = "header.json", "_journal/start.json", "samples/"
_ATTACHMENT = "attachment://"
_CUT = ("max_tokens", "model_length")
_CHOICE_CHARACTERS = 500
_SAMPLING = (
    *(
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "frequency_penalty",
        "presence_penalty",
        "system_message",
    ),
    *("reasoning_effort", "reasoning_tokens"),
)


def read_eval(path: Path, wanted: Wanted, bounds: Bounds) -> Iterator[Foreign]:
    """The samples of an `.eval` log. Raises BankFileError."""
    with opened(path) as file:
        archive = Archive(file, path, bounds)
        start = next((name for name in (_HEADER, _START) if name in archive), None)
        if start is None:
            raise BankFileError(f"{path}: a zip file without {_HEADER}; give a log that Inspect wrote.")
        log = _Log(path, mapping(archive.read(start), f"{path}, {start}"), wanted)
        for name in archive.names():
            if name.startswith(_SAMPLES) and name.endswith(".json"):
                yield log.sample(archive.read(name), f"{path}, {name}")
    log.scores.finish()


def read_document(path: Path, wanted: Wanted, bounds: Bounds) -> Iterator[Foreign]:
    """The samples of a `.json` log. Raises BankFileError."""
    value = mapping(parse(whole(path, bounds), str(path)), str(path))
    log, samples = _Log(path, value, wanted), value.get("samples")
    if not isinstance(samples, list):
        raise BankFileError(f"{path}: the log has no samples in it; run the evaluation with --log-samples.")
    for place, sample in enumerate(samples):
        yield log.sample(sample, f"{path}, samples[{place}]")
    log.scores.finish()


class _Log:
    """What a log says of all its samples."""

    def __init__(self, path: Path, header: Mapping[str, Any], wanted: Wanted) -> None:
        where = f"{path}, eval"
        spec = mapping(header.get("eval"), where)
        plan = _object(header.get("plan"))
        self.scores = ScoreReader(str(path), wanted)
        self._model = told.name_of(spec, "model", where)
        self._task = told.name_of(spec, "task", where) or "task"
        self._settings = _settings(spec, plan)

    def sample(self, value: Any, where: str) -> Foreign:
        """One sample of one epoch."""
        row = mapping(value, where)
        attached = _object(row.get("attachments"))
        output = _object(row.get("output"))
        answered = _choices(output, where)
        text, reasoning = _contents(_object(answered.get("message")).get("content"), attached)
        found = self.scores.read(_scores(row), where)
        name, correct = found or ("", None)
        own, judges = self._tokens(row, output, where)
        cut = row.get("limit") is not None or answered.get("stop_reason") in _CUT
        return Foreign(
            asked=self._asked(row, attached, where),
            where=where,
            model=self._model,
            epoch=told.count(row, "epoch", where) or 0,
            text=text,
            reasoning=reasoning,
            choice=_choice(
                _object(_object(row.get("scores")).get(name.partition("/")[0])).get("answer"), text
            ),
            correct=correct,
            score=name,
            settings=self._settings,
            tokens=own,
            finish="length" if cut else "stop",
            seconds=told.seconds(row, "total_time"),
            started=told.moment(row, "started_at"),
            uid=told.name_of(row, "uuid", where),
            error=_error(row),
            judges=judges,
        )

    def _asked(self, row: Mapping[str, Any], attached: Mapping[str, Any], where: str) -> Asked:
        identity = told.name_of(row, "id", where)
        if identity is None:
            raise BankFileError(f"{where}: id is missing; give the log as Inspect wrote it.")
        target = row.get("target")
        keys = told.texts({"target": target if isinstance(target, list) else [target]}, "target", where)
        return Asked(
            self._task,
            identity,
            _input(row.get("input"), attached),
            " | ".join(keys) or None,
            told.texts(row, "choices", where),
        )

    def _tokens(
        self, row: Mapping[str, Any], output: Mapping[str, Any], where: str
    ) -> tuple[Tokens, Mapping[str, Tokens]]:
        """The model's own tokens over all its calls, and those of other models by name."""
        used = _object(row.get("model_usage"))
        by_model = {str(name): _usage(_object(each), where) for name, each in used.items()}
        own = by_model.pop(self._model or "", None) or _usage(_object(output.get("usage")), where)
        return own, MappingProxyType(by_model)


def _object(value: Any) -> Mapping[str, Any]:
    """The value where it is an object; nothing where it is absent or something else."""
    return value if isinstance(value, dict) else {}


def _settings(spec: Mapping[str, Any], plan: Mapping[str, Any]) -> Mapping[str, Any]:
    """How samples were drawn: what differs in any of it draws from another distribution."""
    sampling = {**_object(spec.get("model_generate_config")), **_object(plan.get("config"))}
    listed = plan.get("steps")
    steps = [_object(step) for step in listed] if isinstance(listed, list) else []
    settings = {name: sampling[name] for name in _SAMPLING if sampling.get(name) is not None}
    if steps:
        settings["solver"] = [[step.get("solver"), _object(step.get("params"))] for step in steps]
    if spec.get("task_args"):
        settings["task_args"] = spec["task_args"]
    return told.settled(settings)


def _choices(output: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The first choice of an output; nothing where it has none."""
    found = output.get("choices")
    return mapping(found[0], f"{where}, output") if isinstance(found, list) and found else {}


def _contents(content: Any, attached: Mapping[str, Any]) -> tuple[str, str | None]:
    """The text of a message and its reasoning, None where it has none."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    found = {kind: [_object(part).get(kind) for part in parts] for kind in ("text", "reasoning")}
    text, reasoning = (
        "\n".join(_attached(each, attached) for each in told if isinstance(each, str))
        for told in found.values()
    )
    return text, reasoning or None


def _attached(text: str, attached: Mapping[str, Any]) -> str:
    """The text itself, or what it refers to."""
    named = attached.get(text[len(_ATTACHMENT) :]) if text.startswith(_ATTACHMENT) else None
    return named if isinstance(named, str) else text


def _input(value: Any, attached: Mapping[str, Any]) -> str:
    messages = value if isinstance(value, list) else [{"content": value}]
    return "\n\n".join(_contents(_object(message).get("content"), attached)[0] for message in messages)


def _scores(row: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all scores by name; one that has several values has a name for each."""
    found: dict[str, Any] = {}
    for name, score in _object(row.get("scores")).items():
        value = _object(score).get("value")
        found |= (
            {f"{name}/{key}": each for key, each in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    return found


def _choice(answer: Any, text: str) -> str | None:
    """The answer that a scorer read. One that is a whole long reply tells nothing of which replies agree."""
    plain = answer.strip() if isinstance(answer, str) else ""
    return plain if 0 < len(plain) <= _CHOICE_CHARACTERS else None


def _error(row: Mapping[str, Any]) -> str | None:
    if row.get("invalidation") is not None:
        return "marked as invalid"
    if row.get("error") is None:
        return None
    return str(_object(row["error"]).get("message") or "error")[:_CHOICE_CHARACTERS]


def _usage(usage: Mapping[str, Any], where: str) -> Tokens:
    """Inspect's `ModelUsage`. Providers differ in whether `input_tokens` has the cached ones in it, so the
    prompt is what the total has beyond the output."""
    total, output = told.count(usage, "total_tokens", where), told.count(usage, "output_tokens", where)
    prompt = told.count(usage, "input_tokens", where)
    if total is not None and output is not None and total >= output:
        prompt = total - output
    cached = told.count(usage, "input_tokens_cache_read", where)
    if cached is not None and (prompt is None or cached > prompt):
        cached = None
    return Tokens(prompt, output, told.count(usage, "reasoning_tokens", where), cached)
