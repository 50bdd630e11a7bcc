"""What to measure, and the configuration that a run is bound to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ponder.core import Capabilities, Draw, Engine, Question, Scorer, digest
from ponder.core.checking import require_counts, require_texts
from ponder.errors import CapabilityError, InputError
from ponder.measure.policies import Form, Policy, label_of, policy, scorer_of
from ponder.solve import Limits, stream_of
from ponder.solve.probe import DUMMY
from ponder.strategies import Plan, plan
from ponder.tasks import ProblemSet
from ponder.verifiers import look

__all__ = [
    "DEFAULT_STRATEGIES",
    "LATEST",
    "Spec",
    "TaskPlan",
    "check_run_name",
    "check_strategies",
    "configuration",
    "plans_for",
    "roles_of",
    "run_name",
]

DEFAULT_STRATEGIES = ("direct", "vote", "best")
LATEST = "latest"
"""In place of a run's name: the last finished measurement."""

_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True)
class Spec:
    """A measurement: problem sets, strategies by their text, samples a problem, and how to sample."""

    sets: tuple[ProblemSet, ...]
    strategies: tuple[str, ...] = DEFAULT_STRATEGIES
    samples: int = 32
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        require_counts(samples=self.samples)
        if not self.sets:
            raise InputError("task: give at least one --task.")
        twice = [s.name for i, s in enumerate(self.sets) if s.name in {t.name for t in self.sets[:i]}]
        if twice:
            raise InputError(f"task: {twice[0]} is given twice; give each task once.")
        if not self.strategies:
            raise InputError("strategy: give at least one.")
        for text in self.strategies:
            require_texts(strategy=text)
            plan(text)


@dataclass(frozen=True)
class TaskPlan:
    """One problem set with its strategies, and the forms of prompt that they need banks of. Policies
    without a form are run live."""

    set: ProblemSet
    policies: tuple[Policy, ...]
    forms: tuple[Form, ...]
    logprobs: bool

    def draw(self, question: Question, form: Form, n: int) -> Draw:
        """The ask that fills the bank of this form."""
        prompt = question.direct if form == "direct" else None
        return Draw(n=n, prompt=prompt, logprobs=self.logprobs and form == "worked")

    def stream(self, question: Question, form: Form, limits: Limits) -> str:
        """Where the ledger keeps that bank."""
        return stream_of(question, self.draw(question, form, 1), limits)

    @property
    def coverage_form(self) -> Form | None:
        """The bank that bounds and examples are read from: the worked one, where there is one."""
        return "worked" if "worked" in self.forms else next(iter(self.forms), None)


def plans_for(spec: Spec, scorers: Mapping[str, Scorer], able: Capabilities) -> tuple[TaskPlan, ...]:
    """Settle each task's strategies. One without a stated scorer takes the question's own checks where there
    are any, and its own default elsewhere; an unstated `best` is left out where neither can score."""
    planned = []
    for problems in spec.sets:
        question = problems.problems[0].question
        checked = look(scorers["checks"], question, (DUMMY,)) != (None,) if "checks" in scorers else False
        by = "checks" if checked else None
        settled = (plan(text, by=by) for text in spec.strategies)
        plans = _distinct(plan(str(each), by=scorer_of(each)) for each in settled)
        if spec.strategies == DEFAULT_STRATEGIES and not checked and not able.logprobs:
            plans = [p for p in plans if p.name != "best"]
        policies = tuple(policy(each, question, scorers) for each in plans)
        for one in policies:
            _require_scorers(one, problems, scorers, able)
            _require_samples(one, spec.samples)
        forms: dict[Form, None] = dict.fromkeys(p.form for p in policies if p.form is not None)
        banked = [p.needs.capabilities["solver"] for p in policies if p.form is not None]
        logprobs = any("logprobs" in wanted for wanted in banked)
        planned.append(TaskPlan(problems, policies, tuple(forms), logprobs and able.logprobs))
    return tuple(planned)


def check_strategies(spec: Spec, scorers: Mapping[str, Scorer]) -> None:
    """Raises InputError for strategies that could be measured on no engine, before one is opened."""
    plans_for(spec, scorers, Capabilities(logprobs=True))


def _distinct(plans: Iterable[Plan]) -> list[Plan]:
    """Each plan once. Raises InputError for two that would draw the same curve to another end."""
    found: dict[str, Plan] = {}
    for each in plans:
        other = found.setdefault(label_of(each), each)
        if str(other) != str(each):
            raise InputError(
                f"strategy: {other} and {each} differ only in n, and a curve covers every number of samples "
                "up to its n; keep one of them."
            )
    return list(found.values())


def _require_samples(each: Policy, samples: int) -> None:
    n = each.plan.parameters.get("n") if each.form is not None else None
    if n is not None and n > samples:
        raise InputError(
            f"strategy: {each.plan} needs {n} samples a problem, more than the {samples} that are drawn; "
            f"use --samples {n}, or a smaller n."
        )


def _require_scorers(
    each: Policy, problems: ProblemSet, scorers: Mapping[str, Scorer], able: Capabilities
) -> None:
    question = problems.problems[0].question
    for wanted in sorted(each.needs.scorers):
        if wanted not in scorers:
            known = ", ".join(sorted(scorers))
            raise InputError(f"strategy: there is no scorer {wanted!r}; known are {known}.")
        if look(scorers[wanted], question, (DUMMY,)) == (None,):
            raise InputError(
                f"strategy: {each.plan}: {problems.name} has nothing that {wanted} can score; choose another "
                "scorer, such as by=likelihood, or vote."
            )
    if "logprobs" in each.needs.capabilities.get("solver", ()) and not able.logprobs:
        raise CapabilityError(
            f"strategy: {each.plan} needs log-probabilities, which this engine does not tell; use vote."
        )


def configuration(spec: Spec, planned: Sequence[TaskPlan], engine: Engine) -> Mapping[str, Any]:
    """Everything that decides which banks a run draws. Another configuration is another run. Strategies that
    are run live, and who plays their further roles, are told apart by name inside it."""
    tasks = [
        {
            "task": task.set.name,
            "problems": len(task.set.problems),
            "content": digest([p.question.to_json() | {"key": p.key} for p in task.set.problems])[:16],
            "logprobs": task.logprobs,
        }
        for task in planned
    ]
    return MappingProxyType(
        {
            "kind": "measure",
            "model": engine.model.name,
            "engine": dict(engine.facts),
            "tasks": tasks,
            "samples": spec.samples,
            "seed": spec.limits.seed,
            "temperature": spec.limits.sampling.temperature,
            "top_p": spec.limits.sampling.top_p,
            "max_tokens": spec.limits.max_tokens,
        }
    )


def roles_of(engines: Mapping[str, Engine]) -> dict[str, Any]:
    """The configuration's entry of who plays further roles; nothing where there are none."""
    others = {role: dict(each.facts) for role, each in engines.items() if role != "solver"}
    return {"roles": others} if others else {}


def run_name(config: Mapping[str, Any]) -> str:
    """The name of a run that is given none: the same configuration has the same name, so that a rerun
    continues it."""
    model = re.sub(r"[^A-Za-z0-9._-]", "-", str(config["model"]))[:24].lstrip("._-") or "model"
    return f"{model}-{digest(dict(config))[:8]}"


def check_run_name(name: str) -> str:
    """The name itself. Raises InputError for one that could not be a folder's on every system, or that
    stands for another run."""
    require_texts(run=name)
    if name == LATEST:
        raise InputError(f"run: {LATEST!r} stands for the last finished measurement; choose another name.")
    if not _RUN_NAME.fullmatch(name):
        raise InputError(
            f"run: {name[:80]!r} cannot name a run; use up to 80 letters, digits, dots, dashes and "
            "underscores, a letter or digit first."
        )
    return name
