"""The Python entry points: `ask` and `measure_tasks`, each synchronous and asynchronous.

The synchronous ones also work where an event loop is running already, as in Jupyter.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from ponder import tasks as problem_sets
from ponder import verifiers
from ponder.config import Effort, Settings, efforts, load
from ponder.core import Budget, Engine, Question, Sampling, Scorer, Usage, digest
from ponder.core.checking import require_counts, require_texts
from ponder.engines import open_engine, require_engines
from ponder.errors import InputError, LedgerError, UnknownName
from ponder.ledger import Ledger, RunRecorder
from ponder.ledger.sharing import shared
from ponder.measure import DEFAULT_STRATEGIES, Measurement, Progress, Spec, measure, roles_of
from ponder.measure.spec import check_run_name, check_strategies, plans_for, run_name
from ponder.measure.worst import WorstCase, known_speed, worst_case
from ponder.solve import Limits, Meter, Solution, Solver, many
from ponder.solve.probe import DUMMY, probe
from ponder.strategies import Plan, plan
from ponder.tasks import PromptOverride

__all__ = [
    "ask",
    "ask_async",
    "bound_spec",
    "measure_spec",
    "measure_tasks",
    "measure_tasks_async",
    "require_scorer",
    "run_blocking",
    "solve_many",
    "solve_many_async",
    "specify",
]

T = TypeVar("T")


def run_blocking(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, in a thread of its own where a loop is running already.

    An interrupt cancels the work and waits until it has put away what it had.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    result: Future[T] = Future()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[T]]] = []

    async def noted() -> T:
        task = asyncio.ensure_future(work())
        running.append((asyncio.get_running_loop(), task))
        return await task

    def inside() -> None:
        try:
            result.set_result(asyncio.run(noted()))
        except BaseException as error:
            result.set_exception(error)

    thread = threading.Thread(target=inside, name="ponder-blocking")
    thread.start()
    try:
        return result.result()
    except BaseException:
        for loop, task in running:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(task.cancel)
        raise
    finally:
        thread.join()


async def ask_async(
    question: str | Question,
    *,
    strategy: str | None = None,
    effort: str | None = None,
    budget: str | Budget | None = None,
    model: str | None = None,
    engine: Engine | None = None,
    others: Mapping[str, Engine] = MappingProxyType({}),
    roles: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    samples: int | None = None,
    max_tokens: int | None = None,
) -> Solution:
    """Answer one question with a strategy inside a budget; it is written to the ledger. Many may run at once.

    `effort` is a word of the effort table, which names both; what is stated besides goes before it, and
    without either the strategy is a vote. `engine` and `others` (by role) take engines that are open already
    (they stay open); otherwise `model`, and the models of `roles` and, behind them, of `settings.roles`, are
    opened and closed. A role in `others` or `roles` that the strategy does not ask for is refused.
    Raises InputError before anything runs, EngineError when a call failed for good.
    """
    settings = _settings(settings, model, engine)
    require_texts(strategy=strategy, effort=effort)
    chosen, limit = _chosen(strategy, effort, budget, samples, settings)
    asked = _question(question)
    limits, scorers = _limits(settings, max_tokens), _scorers()
    require_scorer(chosen, asked, scorers)
    wanted = probe(chosen, asked, scorers).capabilities
    async with AsyncExitStack() as stack:
        solver = engine or settings.model
        engines = await _players(stack, solver, lambda _: wanted, settings, others=others, roles=roles)
        Solver(engines, scorers=scorers, limits=limits).require(chosen, asked, limit)
        ledger = stack.enter_context(shared(settings.ledger))
        config = _configuration("ask", str(chosen), limit, limits, engines)
        name = f"ask-{uuid.uuid4().hex[:12]}"
        recorder = ledger.run(name, config, [(asked, None)], {k: e.model for k, e in engines.items()})
        with _interruption_noted(recorder):
            driver = Solver(engines, scorers=scorers, limits=limits, recorder=recorder)
            solution = (await driver.run(chosen, asked, Meter(limit))).drawn()
        await recorder.answer(asked, str(chosen), solution.answer, solution.usage, solution.stopped_by)
        recorder.event("finished")
        return solution


async def solve_many_async(
    questions: Sequence[str | Question],
    *,
    budget: str | Budget,
    n: int | None = None,
    strategy: str | None = None,
    model: str | None = None,
    engine: Engine | None = None,
    others: Mapping[str, Engine] = MappingProxyType({}),
    roles: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    max_tokens: int | None = None,
    run: str | None = None,
    watch: Callable[[int, Usage], None] = lambda done, usage: None,
) -> many.Batch:
    """Answer a batch of questions inside one budget; it is written to the ledger.

    Each answer is a vote of up to `n` samples (64 unless stated), which are spent where they are expected to
    pay; with a `strategy` that is run on each question instead, with `n` samples where that is stated. The
    same call again continues what was interrupted and buys nothing twice. Samples are written as they come,
    answers once they are final: by the first start in which no question fails and no deadline ends the work.
    `engine`, `others`, `roles`, `model` and `settings` are as in `ask_async`; `watch` is told how many
    questions are done and what was used. Raises InputError before anything runs, LedgerLocked where this run
    is being written to, EngineError when no call can succeed.
    """
    settings = _settings(settings, model, engine)
    require_texts(strategy=strategy)
    if run is not None:
        check_run_name(run)
    if isinstance(questions, str):
        raise InputError("questions: give a list of texts or Questions, not one text.")
    limit, asked = Budget.of(budget), [_question(each) for each in questions]
    chosen = None if strategy is None else _sized(plan(strategy), n, "n")
    most = many.MOST_SAMPLES if n is None else n
    limits, scorers = _limits(settings, max_tokens), _scorers()
    wanted: Iterable[str] = ()
    if chosen is not None and asked:
        require_scorer(chosen, asked[0], scorers)
        wanted = probe(chosen, asked[0], scorers).capabilities
    async with AsyncExitStack() as stack:
        solver = engine or settings.model
        engines = await _players(stack, solver, lambda _: wanted, settings, others=others, roles=roles)
        spending = "allocation" if chosen is None else str(chosen)
        config = _configuration("solve", spending, limit, limits, engines) | _batch(asked, most)
        ledger = stack.enter_context(shared(settings.ledger))
        name, models = run or run_name(config), {role: each.model for role, each in engines.items()}
        stack.enter_context(ledger.writing(name))
        recorder = ledger.run(name, config, [(q, None) for q in asked], models)
        with _interruption_noted(recorder):
            batch = await many.solve_many(
                asked,
                engines=engines,
                budget=limit,
                n=most,
                plan=chosen,
                scorers=scorers,
                limits=limits,
                recorder=recorder,
                watch=watch,
            )
        if batch.final:
            await _record_answers(ledger, recorder, spending, batch)
        recorder.event("finished" if batch.final else "interrupted")
        return replace(batch, run=name)


async def _record_answers(ledger: Ledger, recorder: RunRecorder, strategy: str, batch: many.Batch) -> None:
    """Write the answers that are not written yet."""
    known = {row.problem_id for row in ledger.answers(recorder.run_id)}
    for solution in batch.solutions:
        if solution.question.id not in known:
            await recorder.answer(
                solution.question, strategy, solution.answer, solution.usage, solution.stopped_by
            )


@contextlib.contextmanager
def _interruption_noted(recorder: RunRecorder) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(LedgerError):  # the ledger may be what failed
            recorder.event("interrupted")
        raise


def _settings(stated: Settings | None, model: str | None, engine: Engine | None) -> Settings:
    """Those that are stated, or those in force, with the model that is stated. Raises InputError."""
    if stated is not None and not isinstance(stated, Settings):
        raise InputError(f"settings: they must be a ponder.Settings, not {stated!r}.")
    require_texts(model=model)
    if engine is not None and model is not None:
        raise InputError("model: the engine that is given has one already; leave out model, or the engine.")
    if stated is None:
        return load({"model": model})
    return stated if model is None else stated.model_copy(update={"model": model})


def _question(asked: str | Question) -> Question:
    if isinstance(asked, str):
        return problem_sets.question_from_text(asked)
    if not isinstance(asked, Question):
        raise InputError(f"question: it must be a text or a Question, not {type(asked).__name__}.")
    return asked


def _limits(settings: Settings, max_tokens: int | None) -> Limits:
    return Limits(settings.seed, Sampling(settings.temperature, settings.top_p), max_tokens)


def _chosen(
    strategy: str | None,
    effort: str | None,
    budget: str | Budget | None,
    samples: int | None,
    settings: Settings,
) -> tuple[Plan, Budget]:
    """The strategy and the budget that were stated, or that the effort word stands for."""
    rows = efforts(settings)
    if effort is not None and effort not in rows:
        raise UnknownName("effort", effort, rows)
    row = Effort("vote") if effort is None else rows[effort]
    limit = Budget.of(row.budget if budget is None else budget)
    return _sized(plan(row.strategy if strategy is None else strategy), samples, "samples"), limit


def _sized(chosen: Plan, n: int | None, name: str) -> Plan:
    """The plan with n samples where a number is stated, by the argument `name`. Raises InputError."""
    require_counts(**{name: n})
    if n is None:
        return chosen
    if chosen.parameter("n") is None:
        raise InputError(f"{name}: {chosen} takes no number of samples; leave it out.")
    return plan(chosen.name, **{**chosen.parameters, "n": n})


def _configuration(
    kind: str, strategy: str, budget: Budget, limits: Limits, engines: Mapping[str, Engine]
) -> dict[str, Any]:
    """What a run of questions is bound to: by what, how and within what they are answered."""
    solver = engines["solver"]
    return {
        "kind": kind,
        "model": solver.model.name,
        "engine": dict(solver.facts),
        "strategy": strategy,
        "budget": budget.to_json(),
        "seed": limits.seed,
        "temperature": limits.sampling.temperature,
        "top_p": limits.sampling.top_p,
        "max_tokens": limits.max_tokens,
    } | roles_of(engines)


def _batch(asked: Sequence[Question], n: int) -> dict[str, Any]:
    """What else a run of many questions is bound to: which they are, and the samples of each at most."""
    return {
        "samples": n,
        "tasks": sorted({question.task for question in asked}),
        "questions": digest([question.to_json() for question in asked])[:16],
    }


async def _players(
    stack: AsyncExitStack,
    solver: Engine | str,
    wanted: Callable[[Engine], Iterable[str]],
    settings: Settings,
    *,
    others: Mapping[str, Engine] = MappingProxyType({}),
    roles: Mapping[str, str] | None = None,
) -> dict[str, Engine]:
    """The engines by role: the solver, the caller's own (`others`), and those of the roles `wanted` with this
    solver, as far as `roles` or the settings name them. What is opened here the stack closes; one model is
    opened once. Raises InputError for one of `others` or `roles` that is not wanted."""
    opened: dict[str, Engine] = {}

    async def play(spec: str) -> Engine:
        if spec not in opened:
            opened[spec] = await _opened(stack, spec, settings)
        return opened[spec]

    first = await play(solver) if isinstance(solver, str) else solver
    require_engines({"solver": first, **others})
    asked = sorted({*wanted(first)} - {"solver"})
    _refuse_idle([*others, *(roles or {})], asked)
    engines, named = {"solver": first, **others}, settings.roles | dict(roles or {})
    for role in asked:
        if role not in engines and role in named:
            if not str(named[role]).strip():
                raise InputError(f"role: no model is named for {role!r}; give its name, file or address.")
            engines[role] = await play(named[role])
    return engines


def _refuse_idle(stated: Iterable[str], asked: Sequence[str]) -> None:
    """Refuse a stated role that nobody asks for. Raises InputError."""
    for role in stated:
        if role == "solver":
            raise InputError("role: the solver is named by --model; leave its role out.")
        if role not in asked:
            known = ", ".join(asked) or "none besides the solver's"
            raise InputError(
                f"role: nothing here asks for {role!r}; the roles that are asked for are {known}."
            )


def require_scorer(chosen: Plan, asked: Question, scorers: Mapping[str, Scorer]) -> None:
    """Refuse a scorer that cannot score this question before anything is paid for."""
    by = chosen.parameter("by")
    if by is None:
        return
    if by not in scorers:
        raise InputError(f"strategy: there is no scorer {by!r}; known are {', '.join(sorted(scorers))}.")
    if verifiers.look(scorers[by], asked, (DUMMY,)) == (None,):
        raise InputError(f"strategy: {by} cannot score this question; use by=likelihood, or vote.")


def _scorers() -> dict[str, Scorer]:
    return {name: verifiers.scorer(name) for name in verifiers.scorer_names()}


async def _opened(stack: AsyncExitStack, model: str, settings: Settings) -> Engine:
    engine = await open_engine(model, settings)
    stack.push_async_callback(engine.close)
    return engine


def specify(
    tasks: Sequence[str],
    *,
    settings: Settings,
    strategies: Sequence[str] | None = None,
    samples: int | None = None,
    problems: int | None = None,
    max_tokens: int | None = None,
    prompt: PromptOverride | None = None,
) -> Spec:
    """Load the problem sets and check the rest. Raises InputError."""
    require_counts(problems=problems)
    count = settings.problems if problems is None else problems
    with problem_sets.kept_child():
        sets = tuple(
            problem_sets.load(task, problems=count, seed=settings.seed, prompt=prompt) for task in tasks
        )
    return Spec(
        sets,
        DEFAULT_STRATEGIES if strategies is None else tuple(strategies),
        settings.samples if samples is None else samples,
        _limits(settings, max_tokens),
    )


async def measure_tasks_async(
    tasks: str | Sequence[str],
    *,
    strategies: str | Sequence[str] | None = None,
    samples: int | None = None,
    problems: int | None = None,
    model: str | None = None,
    engine: Engine | None = None,
    roles: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    max_tokens: int | None = None,
    prompt: PromptOverride | str | Path | None = None,
    run: str | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Measurement:
    """Measure accuracy against inference compute on tasks; everything is written to the ledger.

    The same call again continues what was interrupted and buys no finished sample twice. `roles` are as in
    `ask_async`.
    """
    settings = _settings(settings, model, engine)
    override = PromptOverride.from_file(prompt) if isinstance(prompt, str | Path) else prompt
    spec = specify(
        [tasks] if isinstance(tasks, str) else tasks,
        settings=settings,
        strategies=[strategies] if isinstance(strategies, str) else strategies,
        samples=samples,
        problems=problems,
        max_tokens=max_tokens,
        prompt=override,
    )
    return await measure_spec(spec, settings=settings, engine=engine, roles=roles, run=run, watch=watch)


async def measure_spec(
    spec: Spec,
    *,
    settings: Settings,
    engine: Engine | None = None,
    roles: Mapping[str, str] | None = None,
    run: str | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Measurement:
    """`measure_tasks_async` for a measurement that is specified already."""
    scorers = _scorers()
    check_strategies(spec, scorers)
    async with AsyncExitStack() as stack:
        ledger = stack.enter_context(shared(settings.ledger))
        graders: dict[str, verifiers.Grader] = {}

        def grader(name: str) -> verifiers.Grader:
            if name not in graders:
                graders[name] = opened = verifiers.grader(name)
                stack.callback(opened.close)
            return graders[name]

        wanted = partial(_roles_asked, spec, scorers)
        engines = await _players(stack, engine or settings.model, wanted, settings, roles=roles)
        solver = engines.pop("solver")
        return await measure(
            spec, solver, ledger, others=engines, scorers=scorers, graders=grader, run=run, watch=watch
        )


def _roles_asked(spec: Spec, scorers: Mapping[str, Scorer], solver: Engine) -> set[str]:
    planned = plans_for(spec, scorers, solver.capabilities)
    return {role for task in planned for each in task.policies for role in each.needs.capabilities}


async def bound_spec(
    spec: Spec,
    *,
    settings: Settings,
    engine: Engine | None = None,
    roles: Mapping[str, str] | None = None,
) -> WorstCase:
    """The most that a measurement can cost. Nothing is sampled and nothing is written."""
    scorers = _scorers()
    check_strategies(spec, scorers)
    async with AsyncExitStack() as stack:
        used = engine or await _opened(stack, settings.model, settings)
        _refuse_idle(roles or {}, sorted(_roles_asked(spec, scorers, used) - {"solver"}))
        speed = None
        if Ledger.exists(settings.ledger):
            speed = known_speed(
                stack.enter_context(Ledger.open(settings.ledger, write=False)), used.model.name
            )
        return await worst_case(spec, used, scorers, tokens_per_second=speed)


def ask(question: str | Question, **options: Any) -> Solution:
    """`ask_async`, waited for. Takes the same arguments."""
    return run_blocking(lambda: ask_async(question, **options))


def solve_many(questions: Sequence[str | Question], **options: Any) -> many.Batch:
    """`solve_many_async`, waited for. Takes the same arguments."""
    return run_blocking(lambda: solve_many_async(questions, **options))


def measure_tasks(tasks: str | Sequence[str], **options: Any) -> Measurement:
    """`measure_tasks_async`, waited for. Takes the same arguments."""
    return run_blocking(lambda: measure_tasks_async(tasks, **options))
