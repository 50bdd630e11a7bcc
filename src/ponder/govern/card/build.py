"""A compute card put together: whose it is, its training under every rule, what inference buys and costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from ponder.config import Settings
from ponder.errors import InputError, LawUndefined
from ponder.govern import assumptions as known
from ponder.govern.accounting import Estimate, Finding, account, every_rule
from ponder.govern.accounting import Stage as Counted
from ponder.govern.accounting.count import Account
from ponder.govern.accounting.document import notes as account_notes
from ponder.govern.accounting.stages import KINDS
from ponder.govern.accounting.words import applies, sentences
from ponder.govern.card import measured, serving
from ponder.govern.card.document import (
    Assumption,
    Card,
    Confidence,
    Figure,
    Fleet,
    Gain,
    Rule,
    Stage,
    Task,
    Training,
)
from ponder.govern.card.subject import Drawn, Subject, of_checkpoint, of_run
from ponder.govern.efforts import EFFORTS
from ponder.govern.outcome import Outcome
from ponder.laws import ladder as ladders
from ponder.laws.fit import interval, resampling
from ponder.laws.ladder import Ladder

__all__ = ["Options", "card"]

Floats = NDArray[np.float64]

_RESAMPLED, _LEVEL = 1000, 0.9
_ONE_SIZE = (
    "Undefined: one size. The gain is read off a family of models of several training computes, such as a "
    "ladder; give a ladder's checkpoint."
)


@dataclass(frozen=True, slots=True)
class Options:
    """How a card is made: the tasks (none: all), the folder of recordings, the fleet, the day whose law is
    asked about, refits of the laws and draws of the fleet. `tell` is told what is being done."""

    fleet: serving.FleetChoice
    on: date
    tasks: tuple[str, ...] = ()
    recorded: Path | None = None
    refits: int = 400
    draws: int = 10_000
    seed: int = 0
    tell: Callable[[str], None] = lambda sentence: None


def card(source: str, settings: Settings, options: Options) -> Card:
    """The card of a run on the ledger ("latest": the last finished measurement), or of a checkpoint's folder.

    Raises InputError in one sentence for a source without samples, a recording that is missing or of other
    weights, a fleet that cannot be asked about; UnknownName with the nearest; CheckpointInvalid.
    """
    subject = _subject(source, settings, options)
    options.tell(_ahead(subject))
    asked, why = _fleet(subject, options)
    efforts = [_efforts(each, subject, asked, options) for each in subject.drawn]
    ladder = None
    if subject.ladder is not None:
        options.tell(f"Reading the ladder's recordings in {subject.ladder}.")
        ladder = ladders.read(subject.ladder, [each.counts.task for each in subject.drawn])
    tasks = [
        _task(each, effort, ladder, options, f"Task {place} of {len(efforts)}")
        for place, (each, effort) in enumerate(zip(subject.drawn, efforts, strict=True), 1)
    ]
    first, unknown = efforts[0]
    fleet = None
    if asked is not None and first is not None:
        fleet = serving.fleet_of_outcome(first.outcome, asked)
    elif why is None:
        why = f"Unknown: {unknown}"
    return Card(
        schema_version="1.1",
        made=subject.made,
        identity=subject.identity,
        training=_training(subject, options.on),
        tasks=tasks,
        fleet=fleet,
        fleet_unknown=None if fleet is not None else why,
        assumptions=_assumptions(subject, None if first is None else first.outcome, asked),
        notes=[*subject.notes, *_notes(subject, tasks, fleet)],
    )


def _subject(source: str, settings: Settings, options: Options) -> Subject:
    path = Path(source)
    if path.is_dir():
        return of_checkpoint(path, options.recorded, options.tasks, options.on)
    if path.is_file() or path.is_absolute() or len(path.parts) > 1:
        there = "is a file" if path.is_file() else "is not there"
        raise InputError(f"card: {source[:200]} {there}; give a run on the ledger, or a checkpoint's folder.")
    if options.recorded is not None:
        raise InputError("recorded: it belongs to a checkpoint's folder; leave it out for a run.")
    return of_run(source, settings, options.tasks, options.on)


def _ahead(subject: Subject) -> str:
    """What there is to do, and how long it may take."""
    tasks = len(subject.drawn)
    laws = f"The laws of {tasks} task{'s' * (tasks > 1)} are fitted many times over"
    if subject.ladder is None:
        return f"{laws}; with many draws that takes a minute."
    return f"{laws}, and gains are read off every model of the ladder: that takes minutes."


def _fleet(subject: Subject, options: Options) -> tuple[serving.FleetChoice | None, str | None]:
    """The fleet; None, and why, where the model's shape is unknown and no other is served in its place."""
    asked = options.fleet
    if asked.model is None and subject.model.shape is None:
        return None, (
            f"Unknown: the shape of {subject.model.name} is. Add it to the table of models, or name a "
            "published model that is served in its place with --model."
        )
    return asked, None


# ---------------------------------------------------------------- training


def _training(subject: Subject, on: date) -> Training:
    found = account(subject.lifecycle, every_rule(), on=on)
    return Training(
        stages=[_stage(each, subject) for each in subject.lifecycle.stages],
        rules=[_rule(found, each) for each in found.findings],
        notes=list(account_notes(found)),
    )


def _amount(of: Estimate) -> Figure:
    return Figure(
        value=measured.rounded(of.value), low=measured.rounded(of.low), high=measured.rounded(of.high)
    )


def _stage(of: Counted, subject: Subject) -> Stage:
    told = subject.known_from[of.name]
    return Stage(
        kind=of.kind,
        what=KINDS[of.kind].what,
        name=of.name,
        flop=None if of.architecture is None else _amount(of.architecture),
        flop_by_hardware=None if of.hardware is None else _amount(of.hardware),
        origin=told.origin,
        source=told.source or None,
        date=told.date or None,
        confidence=_confidence(told.confidence),
        notes=list(of.notes),
    )


def _confidence(text: str) -> Confidence | None:
    return next((each for each in get_args(Confidence) if each == text), None)


def _rule(found: Account, finding: Finding) -> Rule:
    rule, asked = finding.rule, finding.side != "not asked"
    lower_end = asked and bool(finding.unknown)
    counted = [_amount(each.amount) for each in finding.candidates] if asked else []
    if lower_end and not any(each.value for each in counted):
        counted = []  # nobody told any of the stages
    return Rule(
        rule=rule.id,
        title=rule.title,
        short=rule.short,
        standing=finding.standing,
        counted=counted,
        lower_end=lower_end,
        unit="USD" if rule.measure == "usd" else "FLOP",
        line=_amount(finding.line) if asked else None,
        side=finding.side,
        applies=applies(finding),
        words=list(sentences(found, finding)),
        source=rule.source,
        date=rule.dated.isoformat(),
        confidence=rule.confidence,
    )


# ---------------------------------------------------------------- one task


def _efforts(
    drawn: Drawn, subject: Subject, asked: serving.FleetChoice | None, options: Options
) -> tuple[serving.Served | None, str | None]:
    """None, and why, for draws that tell nothing of votes."""
    try:
        return serving.serve(drawn, subject.model, asked, draws=options.draws, seed=options.seed), None
    except LawUndefined as error:
        return None, str(error)


def _task(
    drawn: Drawn,
    efforts: tuple[serving.Served | None, str | None],
    ladder: Ladder | None,
    options: Options,
    place: str,
) -> Task:
    counts, (served, unknown) = drawn.counts, efforts
    options.tell(f"{place}: fitting laws to {counts.task}.")
    curves = measured.curves(drawn, refits=options.refits)
    worth, no_worth = _gains(drawn, ladder, options, place)
    return Task(
        task=counts.task,
        problems=len(counts.ids),
        draws=counts.least,
        guess=counts.guess,
        prompt_tokens=_mean(drawn.prompt_tokens),
        sample_tokens=_mean(counts.tokens),
        sample_flop=_mean(counts.flop),
        curves=curves,
        gains=worth,
        gains_undefined=no_worth,
        efforts=[] if served is None else served.rows,
        efforts_unknown=unknown,
    )


def _gains(
    drawn: Drawn, ladder: Ladder | None, options: Options, place: str
) -> tuple[list[Gain], str | None]:
    if ladder is None:
        return [], _ONE_SIZE
    options.tell(f"{place}: reading gains of {drawn.counts.task} off the ladder.")
    amounts = [each.most for each in EFFORTS]
    try:
        return measured.gains(ladder, drawn.counts, amounts, refits=options.refits), None
    except LawUndefined as error:
        return [], f"Undefined: {error}"


def _mean(values: Floats | None) -> Figure | None:
    """The mean of values [P] over problems."""
    if values is None:
        return None
    weights = resampling((len(values),), _RESAMPLED, np.random.default_rng(0))
    means = weights @ values / weights.sum(axis=1)
    (low,), (high,) = interval(means[:1], means[1:, None], level=_LEVEL, problems=len(values))
    ends = (float(each) for each in (means[0], low, high))
    return Figure(**dict(zip(("value", "low", "high"), map(measured.rounded, ends), strict=True)))


# ---------------------------------------------------------------- what it rests on


def _assumptions(
    subject: Subject, outcome: Outcome | None, asked: serving.FleetChoice | None
) -> list[Assumption]:
    """What moves an answer's cost most comes first; what is known of the model's training last. What the
    efforts take is measured, and stands in their rows."""
    found: list[Assumption] = []
    if outcome is not None:
        swings = outcome.swings.get(f"{serving.HEADLINE}.usd", ())
        moved = {each.input: each.size for each in swings if math.isfinite(each.size)}
        own = asked is not None and asked.model is None
        kept = [each for each in outcome.assumptions if _concerns(each, own)]
        found = [_assumption(each, moved.get(each.name)) for each in kept]
        found.sort(key=lambda each: -(each.moves or 0.0))
    training = [each for each in subject.known_from.values() if each.quantity or each.origin != "measured"]
    return [*found, *(_assumption(each, None) for each in training)]


def _concerns(of: known.Assumption, own: bool) -> bool:
    """Not what an effort's row tells, and not what the model's own shape does not have."""
    if of.name.startswith("efforts."):
        return False
    return not (own and of.quantity is None and of.name in serving.OF_A_MODEL)


def _assumption(of: known.Assumption, moves: float | None) -> Assumption:
    quantity = of.quantity
    value = None
    if quantity is not None:
        ends = (quantity.value, quantity.low, quantity.high)
        value = Figure(**dict(zip(("value", "low", "high"), map(measured.rounded, ends), strict=True)))
    return Assumption(
        name=of.name,
        what=of.what.rstrip("."),
        unit=of.unit,
        value=value,
        origin=of.origin,
        source=of.source or None,
        date=of.date or None,
        confidence=_confidence(of.confidence),
        moves=None if moves is None else measured.rounded(moves),
    )


def _notes(subject: Subject, tasks: Sequence[Task], fleet: Fleet | None) -> list[str]:
    first = tasks[0]
    told = ["Training and inference FLOP are two axes and are never added into one figure."]
    beyond = [each.effort for each in first.efforts if each.accuracy_by == "foretold"]
    if beyond:
        told.append(
            f"Votes were counted up to {first.draws:,} samples. Beyond them the accuracy is a law's "
            f"({', '.join(beyond)}), and its interval does not hold that the law may end."
        )
    if fleet is not None and fleet.tokens_a_second is None:
        told.append(
            "The fleet does not serve the model: its weights do not fit, or no stream is as fast as "
            "least_speed. Give more chips, a lower least_speed or fp8."
        )
    if fleet is not None:
        told.append(
            "Cost, energy and answers a day are a roofline's: arithmetic, memory and links. Scheduling, "
            "sampling and the network are in none of them; for a small model those come first, so read the "
            "figures as ceilings of what chips allow, and costs as floors."
        )
        if fleet.served != serving.OWN:
            told.append(
                f"{fleet.served} is served in the model's place: that it takes as many samples and tokens, "
                "and is as accurate, is assumed."
            )
    if subject.identity.weights_sha256 is None:
        told.append("Nobody told the weights' hash, so which weights were measured cannot be checked.")
    return told
