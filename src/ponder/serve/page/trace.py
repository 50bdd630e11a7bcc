"""A request's samples as a tree, for the auditor: calls that continue a sample stand under it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ponder.core import Prompt, Sample
from ponder.ledger import AnswerRow, CallRow, EventRow, Ledger, StoredSample
from ponder.ledger.chain import text_hash
from ponder.report import words

__all__ = ["Call", "Drawn", "Problem", "problems_of"]


@dataclass(slots=True)
class Drawn:
    """One sample, what scorers said of it, and the calls that went on from it. `chosen`: its answer is the
    one that the strategy gave."""

    sample: Sample
    scores: list[tuple[str, float | None]]
    chosen: bool
    calls: list[Call] = field(default_factory=list)


@dataclass(slots=True)
class Call:
    """One call of a model, with the samples that came of it. `prompt` is None where it is that of the call
    before."""

    row: CallRow
    flop: str
    prompt: Prompt | None
    samples: list[Drawn] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Problem:
    """One choice of a request: its question, what the strategy answered, and the calls that continue
    nothing."""

    id: str
    text: str
    answered: AnswerRow | None
    calls: Sequence[Call]


def problems_of(
    ledger: Ledger, run: str, events: Iterable[EventRow], draws: Sequence[StoredSample]
) -> list[Problem]:
    """The trees of these draws, one for each choice. Raises UnknownName."""
    answers = {row.problem_id: row for row in ledger.answers(run)}
    scores = _scores(events)
    calls = _calls(ledger, run)
    placed = {stored.call_id for stored in draws}
    whole = {stored.call_id for stored in ledger.draws(run)} - placed
    for stored in draws:
        answer, sample = answers.get(stored.problem_id), stored.sample
        chosen = answer is not None and sample.choice is not None and sample.choice == answer.answer.choice
        found = scores.get((stored.problem_id, sample.index, text_hash(sample.text)), [])
        calls[stored.call_id].samples.append(Drawn(sample, found, chosen))
    kept = [call for number, call in calls.items() if number not in whole]
    problems = []
    for question, _ in ledger.problems(run):
        own, answer = [c for c in kept if c.row.problem_id == question.id], answers.get(question.id)
        problems.append(Problem(question.id, question.text, answer, _nested(own)))
    return problems


def _calls(ledger: Ledger, run: str) -> dict[int, Call]:
    """A run's calls by their number, in order."""
    rows = sorted(ledger.calls(run), key=lambda row: row.id)
    asked = {name: iter(spent) for name, spent in ledger.spent(run, before=2**62).items()}
    found, before = {}, dict[str, str]()
    for row in rows:
        prompt = next(asked[row.problem_id]).request.prompt
        new = before.get(row.problem_id) != row.prompt_hash
        found[row.id] = Call(row, words.compact(row.flop), prompt if new else None)
        before[row.problem_id] = row.prompt_hash
    return found


def _scores(events: Iterable[EventRow]) -> dict[tuple[str, int, str], list[tuple[str, float | None]]]:
    """By problem, a sample's index and its text's hash."""
    found: dict[tuple[str, int, str], list[tuple[str, float | None]]] = {}
    for event in events:
        if event.kind == "scored":
            detail: Mapping[str, Any] = event.detail
            for index, _, score, digest in detail["scores"]:
                found.setdefault((detail["problem"], index, digest), []).append((detail["by"], score))
    return found


def _nested(calls: Sequence[Call]) -> list[Call]:
    """Each call whose prefix begins with a sample's whole text so far goes under that sample: the longest."""
    known: dict[str, Drawn] = {}
    lengths: set[int] = set()
    roots: list[Call] = []
    for call in calls:
        prefix = str(call.row.request.get("prefix", ""))
        found = (known.get(prefix[:n]) for n in sorted(lengths, reverse=True) if n <= len(prefix))
        parent = next(filter(None, found), None)
        (roots if parent is None else parent.calls).append(call)
        for drawn in call.samples:
            whole = prefix + drawn.sample.text
            if whole:
                known.setdefault(whole, drawn)
                lengths.add(len(whole))
    return roots
