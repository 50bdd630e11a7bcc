"""Run a measurement: draw the bank through the driver, grade it, evaluate every policy on it.

A rerun finds what the ledger holds and buys, and grades, only what is missing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from ponder.core import Budget, Engine, Grader, Question, Recorder, Sample, Scorer, Usage, mean_of
from ponder.errors import EngineError, InputError, LedgerError, UnknownName
from ponder.flop import method
from ponder.ledger import CallRow, Ledger, RunRecorder
from ponder.measure import bank as banks
from ponder.measure import grading
from ponder.measure.curve import Example, Measurement, TaskResult, Timing
from ponder.measure.live import APART, Apart, Outcome, run_live, scales, spend_of
from ponder.measure.policies import (
    Evaluated,
    Form,
    Policy,
    coverage_curve,
    curve_of,
    evaluate,
    gains,
    label_of,
    scorer_of,
)
from ponder.measure.sampling import (
    Job,
    Progress,
    Stream,
    Watch,
    Watched,
    drawn,
    failed_before,
    readings,
    sample,
)
from ponder.measure.spec import LATEST, Spec, TaskPlan, check_run_name, configuration, plans_for, run_name
from ponder.solve import Solver
from ponder.strategies import Plan
from ponder.verifiers import look

__all__ = ["Progress", "finished", "measure", "run_id"]

EXAMPLES, EXAMPLE_SAMPLES = 3, 6

_Calls = Mapping[Stream, Sequence[CallRow]]


async def measure(
    spec: Spec,
    engine: Engine,
    ledger: Ledger,
    *,
    others: Mapping[str, Engine] = MappingProxyType({}),
    scorers: Mapping[str, Scorer],
    graders: Callable[[str], Grader],
    run: str | None = None,
    watch: Watch = lambda progress: None,
) -> Measurement:
    """Draw, grade, evaluate. `run` names the run; without it the configuration does. `others` are the
    engines of further roles (judge, large, reward).

    Problems that failed in an earlier start and fail again are left out, with a note. Raises RunChanged when
    the name is taken by another configuration, LedgerLocked when another call of this process writes to the
    run, EngineError when samples could not be had (what was drawn is kept), and LedgerError.
    """
    clock = _Clock()
    if run is not None:
        check_run_name(run)
    planned = plans_for(spec, scorers, engine.capabilities)
    engines = {"solver": engine, **others}
    config = configuration(spec, planned, engine)
    name = run or run_name(config)
    problems = [(p.question, p.key) for task in planned for p in task.set.problems]
    with ledger.writing(name):
        recorder = ledger.run(name, config, problems, {role: each.model for role, each in engines.items()})
        try:
            work = _Work(spec, engines, ledger, recorder, scorers, graders, config, clock)
            measurement = await work.measure(planned, watch)
            recorder.event("finished", {"measurement": measurement.to_json()})
        except BaseException:
            with contextlib.suppress(LedgerError):  # the ledger may be what failed
                recorder.event("interrupted")
            raise
    return measurement


def finished(ledger: Ledger, run: str) -> Measurement:
    """The measurement of a finished run, as written. Raises UnknownName, or InputError before its end."""
    for event in reversed(ledger.events(run)):
        if event.kind == "finished" and "measurement" in event.detail:
            return Measurement.from_json(event.detail["measurement"])
    if ledger.config(run).get("kind", "measure") != "measure":
        raise InputError(f"run: {run} is no measurement; `ponder runs` lists what there is.")
    raise InputError(f"run: {run} is not finished; run its `ponder measure` command again to continue it.")


def run_id(ledger: Ledger, run: str) -> str:
    """The run's name; of "latest" that of the last finished measurement. Raises UnknownName."""
    if run != LATEST:
        return run
    for summary in reversed(ledger.runs(requests=False)):
        if summary.finished and ledger.config(summary.id).get("kind") == "measure":
            return summary.id
    raise UnknownName("run", LATEST, [], "Measure something first with `ponder measure`.")


class _Clock:
    """Seconds by stage, in the order the stages began."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._stages: dict[str, float] = {}

    def lap(self, stage: str) -> float:
        now = time.monotonic()
        self._stages[stage] = self._stages.get(stage, 0.0) + now - self._last
        self._last = now
        return self._stages[stage]

    def timings(self) -> tuple[Timing, ...]:
        return tuple(Timing(stage, seconds) for stage, seconds in self._stages.items())


@dataclass
class _Work:
    """One start of a run, from its samples to its figures. `notes` gather what a reader must see."""

    spec: Spec
    engines: Mapping[str, Engine]
    ledger: Ledger
    recorder: RunRecorder
    scorers: Mapping[str, Scorer]
    graders: Callable[[str], Grader]
    config: Mapping[str, Any]
    clock: _Clock
    notes: list[str] = field(default_factory=list)
    before: Sequence[CallRow] = ()

    @property
    def engine(self) -> Engine:
        return self.engines["solver"]

    @property
    def others(self) -> set[str]:
        return set(self.engines) - {"solver"}

    def _solver(self, recorder: Recorder) -> Solver:
        return Solver(self.engines, scorers=self.scorers, limits=self.spec.limits, recorder=recorder)

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    async def measure(self, planned: Sequence[TaskPlan], watch: Watch) -> Measurement:
        name = self.recorder.run_id
        jobs = [job for task in planned for job in Job.all(task, self.spec)]
        held = sum(len(drawn(self.recorder, job, self.spec)) for job in jobs)
        watched = Watched(self.recorder, len(jobs) * self.spec.samples, held, watch)
        for task in planned:
            self.graders(task.set.grader)  # one that cannot be had is said before anything is bought
            for each in (p for p in task.policies if p.form is None):
                self._solver(watched).require(each.plan, task.set.problems[0].question, Budget())
        self.before = self.ledger.calls(name)
        failed = failed_before([call for call in self.before if not call.stream.startswith(APART)])
        self.clock.lap("opening")
        errors = await sample(jobs, self.spec, self.engine, watched, failed)
        sampling = self.clock.lap("sampling")
        kept = [self._without(task, errors) for task in planned]
        calls, marks = readings(self.ledger.calls(name)), self._marks()
        results: list[TaskResult] = []
        evaluated: list[Evaluated] = []
        for task in kept:
            result, own = await self._evaluate(task, calls, marks, watched)
            results.append(result)
            evaluated += own
        usage = self.ledger.usage(name)
        generated = watched.usage.completion_tokens
        return Measurement(
            run=name,
            created=self.ledger.created(name),
            config=self.config,
            tasks=tuple(results),
            usage=usage,
            new_usage=watched.usage,
            tokens_per_second=generated / sampling if generated and sampling else None,
            timings=self.clock.timings(),
            flop_method=method(self.engine.model),
            ledger_head=self.ledger.head(),
            reproducible=_reproducible(self.engine),
            notes=(*self.notes, *_unreadable(self.ledger, name, kept), *_notes(self.engine, kept, usage)),
            gains=gains(evaluated, np.random.default_rng(self.spec.limits.seed)),
        )

    def _without(self, task: TaskPlan, errors: Mapping[str, EngineError]) -> TaskPlan:
        """The task without the problems that could not be sampled. Raises EngineError when none is left."""
        problems = task.set.problems
        kept = tuple(p for p in problems if p.question.id not in errors)
        if len(kept) == len(problems):
            return task
        first = next(errors[p.question.id] for p in problems if p.question.id in errors)
        if not kept:
            raise type(first)(f"No problem of {task.set.name} could be sampled; the first said: {first}")
        self._note(
            f"{len(problems) - len(kept)} of {len(problems)} problems of {task.set.name} are left out: they "
            f"could not be sampled in two starts; the first said: {first}"
        )
        return replace(task, set=replace(task.set, problems=kept))

    def _marks(self) -> Mapping[tuple[str, Stream], grading.Marks]:
        """The grades of earlier starts by sample index, for each grader and stream."""
        found: dict[tuple[str, Stream], dict[int, bool]] = {}
        for row in self.ledger.grades(self.recorder.run_id):
            marks = found.setdefault((row.grader, (row.problem_id, row.stream)), {})
            marks[row.position] = row.correct
        return found

    async def _evaluate(
        self,
        task: TaskPlan,
        calls: _Calls,
        marks: Mapping[tuple[str, Stream], grading.Marks],
        watched: Watched,
    ) -> tuple[TaskResult, list[Evaluated]]:
        rng = np.random.default_rng([self.spec.limits.seed, len(task.set.problems)])
        grader = self.graders(task.set.grader)
        by_form = {form: await self._bank(task, form, grader, calls, marks) for form in task.forms}
        self.clock.lap("grading")
        guess = await grading.stoppable(partial(grading.constant_guess, task.set.problems, grader))
        evaluated = []
        for each in task.policies:
            if each.form is None:
                evaluated.append(await self._live(task, each, grader, watched, rng))
                self.clock.lap("solving")
            elif self._scored(each.plan, by_form[each.form]):
                evaluated.append(evaluate(task.set.name, each.plan, by_form[each.form], rng))
        widest = None if task.coverage_form is None else by_form[task.coverage_form]
        bounds = [] if widest is None else [coverage_curve(task.set.name, widest, rng)]
        self.clock.lap("evaluating")
        result = TaskResult(
            task=task.set.name,
            title=task.set.title,
            problems=len(task.set.problems),
            samples=self.spec.samples,
            constant=None if guess is None else guess[0],
            constant_guess=None if guess is None else guess[1],
            curves=(*(each.curve for each in evaluated), *bounds),
            examples=() if widest is None else _examples(task, widest),
            prompt=task.set.prompt_text,
        )
        return result, evaluated

    async def _live(
        self, task: TaskPlan, policy: Policy, grader: Grader, watched: Watched, rng: np.random.Generator
    ) -> Evaluated:
        """Run a strategy on every problem at every scale; what is answered already stands."""
        plan, ks = policy.plan, scales(policy.plan)
        rows = [await self._outcomes(task, policy, plan.at(k), watched) for k in ks]
        kept = [i for i, each in enumerate(zip(*rows, strict=True)) if None not in each]
        whole = [[outcome for i in kept if (outcome := row[i]) is not None] for row in rows]
        problems = [task.set.problems[i] for i in kept]
        if len(kept) < len(task.set.problems):
            self._note(
                f"{policy.label} on {task.set.name} is over {len(kept)} of {len(task.set.problems)} "
                "problems: the others failed in two starts."
            )
        values = np.zeros((len(problems), len(ks)))
        for column, outcomes in enumerate(whole):
            answers = [[_answered(outcome)] for outcome in outcomes]
            blank: list[grading.Marks] = [{}] * len(answers)
            words = await grading.stoppable(partial(grading.grade, problems, answers, grader, blank))
            values[:, column] = [row[0] is True for row in words]
            if any(row[0] is None for row in words):
                self._note(
                    f"Some answers of {policy.label} on {task.set.name} count as wrong for now: the grader "
                    "ran out of time or died on them; run the same command again to grade them."
                )
        usages = [[outcome.usage for outcome in each] for each in zip(*whole, strict=True)]
        return Evaluated(plan, curve_of(task.set.name, plan, ks, values, spend_of(usages), rng), values)

    async def _outcomes(
        self, task: TaskPlan, policy: Policy, plan: Plan, watched: Watched
    ) -> list[Outcome | None]:
        """One outcome a problem, None for one that failed in an earlier start and again now. Raises
        EngineError when one failed for the first time, or all did; what was solved is kept."""
        players = {
            role: self.engines[role].model.name for role in policy.needs.capabilities if role in self.others
        }
        name = " ".join([plan.whole, *(f"{role}={model}" for role, model in sorted(players.items()))])
        questions = [problem.question for problem in task.set.problems]
        ids = {question.id for question in questions}
        known = {
            row.problem_id: Outcome(row.answer, row.usage)
            for row in self.ledger.answers(self.recorder.run_id)
            if row.strategy == name and row.problem_id in ids
        }

        async def record(question: Question, outcome: Outcome, stopped_by: str | None) -> None:
            await self.recorder.answer(question, name, outcome.answer, outcome.usage, stopped_by)

        apart = Apart(watched, name, self.recorder.spent)
        found = await run_live(plan, questions, self._solver(apart), apart, known, record)
        errors = {key: each for key, each in found.items() if isinstance(each, EngineError)}
        failed = failed_before([call for call in self.before if call.stream.startswith(f"{APART}{name}/")])
        if errors and (set(errors) - failed or len(errors) == len(questions)):
            first = next(iter(errors.values()))
            raise type(first)(
                f"{plan} failed on {len(errors)} of {len(questions)} problems of {task.set.name}; the first "
                f"said: {first} What was solved is kept: run the same command again to retry; what fails "
                "again will be left out."
            )
        outcomes = [found[question.id] for question in questions]
        return [each if isinstance(each, Outcome) else None for each in outcomes]

    async def _bank(
        self,
        task: TaskPlan,
        form: Form,
        grader: Grader,
        calls: _Calls,
        marks: Mapping[tuple[str, Stream], grading.Marks],
    ) -> banks.Bank:
        """The bank of one form, graded; what has no grade yet is graded and recorded."""
        jobs = [job for job in Job.all(task, self.spec) if job.form == form]
        samples = [drawn(self.recorder, job, self.spec) for job in jobs]
        known = [marks.get((grader.name, job.place), {}) for job in jobs]
        words = await grading.stoppable(partial(grading.grade, task.set.problems, samples, grader, known))
        await self._record(task, grader, jobs, samples, words)
        used = {by for each in task.policies if each.form == form for by in each.needs.scorers}
        scores = {
            name: [
                look(self.scorers[name], job.question, tuple(bank)) or (None,) * len(bank)
                for job, bank in zip(jobs, samples, strict=True)
            ]
            for name in sorted(used)
        }
        return banks.build(
            [job.question for job in jobs],
            samples,
            [[word is True for word in row] for row in words],
            scores,
            _cost(self.engine, calls, jobs, samples),
        )

    async def _record(
        self,
        task: TaskPlan,
        grader: Grader,
        jobs: Sequence[Job],
        samples: Sequence[Sequence[Sample]],
        words: Sequence[Sequence[bool | None]],
    ) -> None:
        decided = [
            (job.question.id, job.stream, one.index, word)
            for job, bank, row in zip(jobs, samples, words, strict=True)
            for one, word in zip(bank, row, strict=True)
            if word is not None
        ]
        await self.recorder.grade(grader.name, decided)
        unknown = sum(map(len, words)) - len(decided)
        if unknown:
            self._note(
                f"{unknown} samples of {task.set.name} count as wrong for now: the grader ran out of time or "
                "died on them; run the same command again to grade them."
            )

    def _scored(self, plan: Plan, bank: banks.Bank) -> bool:
        """Whether the plan's scorer told a score of every sample that could be picked; a note when not."""
        by = scorer_of(plan)
        if by is None or not np.isnan(bank.scores[by][bank.choice >= 0]).any():
            return True
        why = {"likelihood": "the server tells no log-probabilities"}.get(by, f"{by} does not score them all")
        self._note(f"{label_of(plan)} is left out: {why}.")
        return False


def _answered(outcome: Outcome) -> Sample:
    return Sample(outcome.answer.text, outcome.answer.choice)


def _cost(
    engine: Engine, calls: _Calls, jobs: Sequence[Job], samples: Sequence[Sequence[Sample]]
) -> banks.Cost:
    """What the bank's calls say of the cost of one reading of the prompt and of one sample."""
    own = [calls.get(job.place, ()) for job in jobs]
    prompts: list[int | None] = []
    means: list[float | None] = []
    for made, bank in zip(own, samples, strict=True):
        read = mean_of(call.prompt_tokens for call in made)
        prompts.append(None if read is None else round(read))
        length = mean_of(sample.tokens for sample in bank)
        # What a call that broke had generated in all is more than its samples', or unknown.
        totals = [(call.completion_tokens, call.samples) for call in made if call.status == "ok"]
        generated = [total for total, _ in totals if total is not None]
        if length is not None:
            means.append(length)
        elif generated and len(generated) == len(totals):
            means.append(sum(generated) / sum(n for _, n in totals))
        else:
            means.append(None)
    together = max((call.samples for made in own for call in made), default=1)
    tokens = [[sample.tokens for sample in bank] for bank in samples]
    return banks.costs(engine.model, prompts, tokens, means, max(1, together))


def _examples(task: TaskPlan, bank: banks.Bank) -> tuple[Example, ...]:
    """The first problems with their first samples: not picked, so that they mislead nobody."""
    shown = []
    for i, problem in enumerate(task.set.problems[:EXAMPLES]):
        samples = tuple(
            (s.text, s.choice, bool(bank.correct[i, j]))
            for j, s in enumerate(bank.samples[i][:EXAMPLE_SAMPLES])
        )
        shown.append(Example(problem.question.text, problem.key, samples))
    return tuple(shown)


def _reproducible(engine: Engine) -> str:
    if not engine.capabilities.seed:
        return (
            "The endpoint promises no seeds: a new run draws other samples. From the recorded samples every "
            "figure here is recomputed exactly."
        )
    return (
        "From the recorded samples every figure here is recomputed exactly. A new run with the same seed, "
        "library versions and kind of processor asks for the same samples, but the samples of one call share "
        "a random stream and the arithmetic depends on what shares a batch, so single samples may differ."
    )


def _unreadable(ledger: Ledger, run: str, planned: Sequence[TaskPlan]) -> list[str]:
    """A sentence on each role that was asked for verdicts of which some could not be read."""
    asked = {role for task in planned for each in task.policies for role in each.needs.capabilities}
    judging = sorted(asked & {"judge", "reward"})
    rows = [(row.stream.split("/")[-2], row.sample.choice) for row in ledger.samples(run)] if judging else []
    notes = []
    for role in judging:
        read = [choice is not None for each, choice in rows if each == role]
        if not all(read):
            unread = f"{read.count(False):,} of {len(read):,} replies"
            notes.append(f"{role}: {unread} could not be read; what they were about was taken as unknown.")
    return notes


def _notes(engine: Engine, planned: Sequence[TaskPlan], usage: Usage) -> tuple[str, ...]:
    notes = [note for task in planned for note in task.set.notes]
    how = method(engine.model)
    if how == "2N":
        notes.append("FLOP are the fallback 2·N·tokens: the model's shape is unknown.")
    if how == "unknown":
        notes.append("FLOP are unknown: neither shape nor parameters of the model are known.")
    if usage.cached_tokens is None and how != "unknown":
        notes.append(
            "The engine does not tell which prompt tokens it had cached; all are counted as computed."
        )
    if usage.completion_tokens is None:
        notes.append("Some calls did not tell their tokens; sums with them are unknown.")
    small = min(len(task.set.problems) for task in planned)
    if small < 16:
        notes.append(f"Intervals from {small} problems are rough; 32 or more are better.")
    return tuple(notes)
