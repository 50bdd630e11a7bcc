"""The frontier at a fixed number of chips: the more is spent on a task, the better and the fewer.

One frontier for tasks (workers), one for users, one for people who are watched; each has a row for each
effort word. What an effort costs is the roofline's, what it gets the law's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ponder.govern.calculator import Chart, Floats, Settings, Table
from ponder.govern.efforts import SampleLength, accuracy_of, fitting, samples_of
from ponder.govern.fleet import Fleet

__all__ = [
    "Work",
    "best_of",
    "budget_notes",
    "frontier_notes",
    "frontier_tables",
    "sample_tokens",
    "switch_values",
    "what_moves_workers",
    "what_workers_rest_on",
]

Inputs = Mapping[str, Floats]

_LEVEL = (5.0, 50.0, 95.0)


@dataclass(frozen=True)
class Work:
    """What a unit of work takes, [B] each: tokens of a task's prompt and of one sample, a person's minutes
    for it; tokens of a sample on a question and questions of a user; what is read of a person in a day, by
    kind, and how many questions are thought about for it."""

    prompt: Floats
    sample: Floats
    minutes: Floats
    working_day: Floats
    question: Floats
    user_questions: Floats
    read: Mapping[str, Floats]
    watch_questions: Floats

    def task(self, fleet: Fleet, samples: Floats) -> Floats:
        """Chip-seconds of a task; its prompt is read once for all samples."""
        return fleet.chip_seconds(self.prompt, samples * self.sample)

    def user(self, fleet: Fleet, samples: Floats) -> Floats:
        """Chip-seconds of a user's day."""
        return self.user_questions * fleet.chip_seconds(self.prompt, samples * self.question)

    def person(self, fleet: Fleet, kind: str, samples: Floats) -> Floats:
        """Chip-seconds of the day of a person who is watched: all is read, then questions are thought
        about."""
        return fleet.chip_seconds(self.read[kind], self.watch_questions * samples * self.question)

    def workers(self, done: Floats) -> Floats:
        """Persons' working days in so many tasks a day."""
        days: Floats = done * self.minutes / (60.0 * self.working_day)
        return days


def switch_values(cost: Floats, accuracy: Floats) -> Floats:
    """[E, B]: what a right answer must be worth, above a wrong one, for each effort to pay against the
    cheaper one that it is hardest to beat. Costs and accuracies [E, B], costs rising. 0 for the first;
    infinite where a cheaper effort is as accurate."""
    found = np.zeros_like(cost)
    for place in range(1, len(cost)):
        more = accuracy[place] - accuracy[:place]
        dearer = cost[place] - cost[:place]
        needed = np.where(more > 0.0, dearer / np.where(more > 0.0, more, 1.0), np.inf)
        found[place] = np.where(np.isnan(more).any(axis=0), np.nan, needed.max(axis=0))
    return found


def best_of(value: Floats, wrong: Floats, cost: Floats, accuracy: Floats) -> Floats:
    """[B]: the place of the effort that nets most on a task, where chips can be had for their cost; costs and
    accuracies [E, B]. Unknown accuracies are passed over; -1 where all are unknown, or none nets more than
    doing nothing."""
    net = value * accuracy - wrong * (1.0 - accuracy) - cost
    known = np.where(np.isnan(net), -np.inf, net)
    return np.where(known.max(axis=0) > 0.0, known.argmax(axis=0), -1)


# ---------------------------------------------------------------- tables


_ACCURACY = ("effort", "samples", "accuracy low", "accuracy", "accuracy high")


def frontier_tables(x: Inputs, about: Settings, fleet: Fleet, work: Work) -> Sequence[Table]:
    """Tasks, users, and people whose speech is read, by effort, the least first; and what each effort
    costs."""
    units: dict[str, tuple[str, Floats, Callable[[Floats], Floats]]] = {
        "workers": ("workers", work.sample, lambda each: work.workers(fleet.a_day(work.task(fleet, each)))),
        "users": ("users", work.question, lambda each: fleet.a_day(work.user(fleet, each))),
        "people": (
            "people whose speech is read and thought about",
            work.question,
            lambda each: fleet.a_day(work.person(fleet, "speech", each)),
        ),
    }
    words = _by_samples(x, about)
    first, *others = (_covered(x, words, *each) for each in units.items())
    return (first, _costs(x, words, fleet, work), *others)


def _by_samples(x: Inputs, about: Settings) -> list[str]:
    return sorted(about.groups["efforts"], key=lambda word: float(np.nanmedian(samples_of(x, word))))


def _covered(
    x: Inputs, words: Sequence[str], kind: str, told: tuple[str, Floats, Callable[[Floats], Floats]]
) -> Table:
    what, tokens, covered = told
    rows = []
    for word in words:
        samples = samples_of(x, word, tokens)
        rows.append((word, _middle(samples), *_ends(accuracy_of(x, word, tokens)), *_ends(covered(samples))))
    return Table(
        f"frontier_of_{kind}",
        f"The same chips at each effort: {what} against accuracy",
        (*_ACCURACY, f"{kind} low", kind, f"{kind} high"),
        tuple(rows),
        Chart(kind, "accuracy", log_x=True, label="effort"),
    )


def _costs(x: Inputs, words: Sequence[str], fleet: Fleet, work: Work) -> Table:
    accuracy, tasks = _of_efforts(x, words, fleet, work)
    cost = fleet.usd(tasks)
    switch = switch_values(cost, accuracy)
    rows = [
        (
            word,
            _middle(cost[place]),
            _middle(cost[place] / accuracy[place]),
            _middle(switch[place]),
            _middle(fleet.a_day(tasks[place])),
            _middle(fleet.a_day(tasks[place]) * accuracy[place]),
        )
        for place, word in enumerate(words)
    ]
    columns = ("effort", "USD a task", "USD a right one", "pays from USD", "tasks a day", "right a day")
    return Table(
        "costs",
        "What each effort costs, and what a right answer must be worth for it to pay",
        columns,
        tuple(rows),
    )


def _of_efforts(x: Inputs, words: Sequence[str], fleet: Fleet, work: Work) -> tuple[Floats, Floats]:
    """[E, B]: the accuracy, and the chip-seconds of a task."""
    accuracies = [accuracy_of(x, word, work.sample) for word in words]
    tasks = [work.task(fleet, samples_of(x, word, work.sample)) for word in words]
    both = np.stack(np.broadcast_arrays(*accuracies, *tasks))
    return both[: len(words)], both[len(words) :]


def what_moves_workers(x: Inputs, about: Settings, workers: Callable[[Inputs, Settings], Floats]) -> Table:
    """By what one change at a time multiplies the number of workers: chips alone do it one for one. No budget
    binds here: it would take back a part of what the samples and their length do."""
    effort = about.choices["effort"]
    x = {**x, f"efforts.{effort}.budget": np.full(1, np.nan)}
    base = workers(x, about)
    samples = samples_of(x, effort)
    changed = {
        "twice the chips": {"chips": 2.0 * x["chips"]},
        "twice the samples of a task": {f"efforts.{effort}.samples": 2.0 * samples},
        "four times the tokens of a sample": {"sample_tokens": 4.0 * sample_tokens(x)},
        "four times the prompt": {"prompt_tokens": 4.0 * x["prompt_tokens"]},
        "tasks that take a person twice as long": {
            "task_minutes": 2.0 * x["task_minutes"],
            "sample_tokens": 2.0 ** x["length_exponent"] * sample_tokens(x),
        },
        "streams twice as fast": {"least_speed": 2.0 * x["least_speed"]},
    }
    rows = [(name, *_ends(workers({**x, **change}, about) / base)) for name, change in changed.items()]
    return Table(
        "what_moves_workers",
        "By how much one change multiplies the workers, were there no budget",
        ("change", "low", "times", "high"),
        tuple(rows),
    )


def what_workers_rest_on(x: Inputs, about: Settings, workers: Callable[[Inputs, Settings], Floats]) -> Table:
    """The workers beside what they are without the law's samples, and with samples as long as the law's
    own."""
    measured = about.measured
    own = measured.law.tokens if measured is not None and isinstance(measured.law, SampleLength) else None
    name = f"efforts.{about.choices['effort']}.samples"
    bases = {"as told": dict(x)}
    if not np.isnan(x[name]).all():
        bases["every task takes the most samples"] = {**x, name: np.full(1, np.nan)}
    if own is not None:
        bases["samples as long as the law's own"] = {**x, "sample_tokens": np.full(1, own)}
    rows = []
    for told, given in bases.items():
        tokens = sample_tokens(given)
        samples = samples_of(given, about.choices["effort"], tokens)
        rows.append((told, _middle(samples), _middle(tokens), *_ends(workers(given, about))))
    return Table(
        "what_workers_rest_on",
        "The workers by what is taken for a task's samples and their length",
        ("taken", "samples of a task", "tokens of a sample", "workers low", "workers", "workers high"),
        tuple(rows),
    )


def sample_tokens(x: Inputs) -> Floats:
    """[B]: tokens of a sample, given or by the power of the minutes."""
    grown = x["minute_tokens"] * x["task_minutes"] ** x["length_exponent"]
    return np.where(np.isnan(x["sample_tokens"]), grown, x["sample_tokens"])


def budget_notes(x: Inputs, about: Settings, work: Work) -> Sequence[str]:
    """Where a word's budget ends its votes."""
    bites: dict[str, float] = {}
    for word in _by_samples(x, about):
        share = float(np.mean(fitting(x, word, work.sample) < samples_of(x, word)))
        bites |= {word: share} if share >= 0.005 else {}
    if not bites:
        return ()
    told = ", ".join(f"{word} in {share:.0%}" for word, share in bites.items())
    return (
        f"An effort's budget of tokens ends the vote in a part of the draws: {told}. There the samples are "
        "those that fit, one at least, and the accuracy is that of so many.",
    )


def frontier_notes(x: Inputs, about: Settings, fleet: Fleet, work: Work) -> Sequence[str]:
    """The best effort for the value of an answer, where it is given."""
    words = _by_samples(x, about)
    accuracy, tasks = _of_efforts(x, words, fleet, work)
    if np.isnan(accuracy).all():
        return ("Accuracies are unknown without a law (--law RUN), so no effort can be called the best.",)
    known = ~np.isnan(accuracy).all(axis=1)
    rate = np.nanmedian(accuracy[known] / tasks[known], axis=1)
    most = np.array(words)[known][int(rate.argmax())]
    notes = [
        f"Where there is more work than the chips can do and wrong answers cost nothing, {most} does most "
        "tasks right in a day; a higher effort pays only where work is short or wrong answers cost.",
    ]
    if not np.isnan(x["answer_value"]).all():
        best = best_of(x["answer_value"], x["wrong_cost"], fleet.usd(tasks), accuracy)
        shares = {word: float((best == place).mean()) for place, word in enumerate(words)}
        none = float((best < 0).mean())
        told = [f"{word} in {share:.0%}" for word, share in shares.items() if share >= 0.01]
        told += [f"none at all in {none:.0%}"] * (none >= 0.01)
        notes.append(
            f"At {float(np.median(x['answer_value'])):g} USD for a right answer the best effort is "
            f"{', '.join(told)} of the draws."
        )
    return tuple(notes)


def _middle(values: Floats) -> float | None:
    return _ends(values)[1]


def _ends(values: Floats) -> tuple[float | None, float | None, float | None]:
    """The 5th, 50th and 95th percentile of what is known; None where less than half is."""
    known = values[~np.isnan(values)]
    if 2 * len(known) < len(values):
        return None, None, None
    low, middle, high = np.quantile(known, [each / 100.0 for each in _LEVEL], method="inverted_cdf")
    return float(low), float(middle), float(high)
