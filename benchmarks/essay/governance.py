"""The calculators on the committed examples, with published figures and with the ladder's measured laws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.laws.sources import STEPS

from ponder.govern import calculator
from ponder.govern.accounting import account, chosen, read_lifecycle
from ponder.govern.accounting.rules import every_rule
from ponder.govern.assumptions import ORIGINS
from ponder.govern.calculator import Floats, LawChoice, Table
from ponder.govern.diffuse import cost_doubling
from ponder.govern.outcome import Outcome, draw, evaluate
from ponder.govern.scenario import Case as Resolved
from ponder.govern.scenario import load_yaml, read, resolve

__all__ = [
    "ACCOUNTS",
    "CASES",
    "ON",
    "Case",
    "accounts",
    "answered",
    "compute_ratio",
    "errors_of_filter",
    "gaps",
    "lag_by_budget",
    "readings",
    "shortened",
]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
LADDER = "benchmarks/results/ladder"
MOST_TRAINED = f"{LADDER}/recorded/1m-steps-random-0-6.char-countdown-numbers-4.jsonl.xz"
MOST_DRAWN = f"{LADDER}/recorded/154k-steps-random-0-6.char-countdown-numbers-4.jsonl.xz"
ON = date(2026, 11, 26)
"""The day whose law the accounts are asked about."""

DRAWS = 100_000
"""With three digits shown: the 95th percentile of what has a long tail moves by a fifth with ten thousand."""
_SWINGS = 5  # of each output, the largest


@dataclass(frozen=True)
class Case:
    """A committed scenario, and what is changed of it; which output's largest swings the pages tell, and
    which tables. `law` is a path from the repository's root; of a ladder's tasks it is `STEPS`."""

    calculator: str
    file: str | None = None
    sets: tuple[str, ...] = ()
    law: str | None = None
    moved: str = ""
    tables: tuple[str, ...] = ()


CASES = {
    "buffer": Case("buffer", "buffer.yaml", moved="line", tables=("lines", "filter")),
    "buffer, measured": Case("buffer", "buffer.yaml", law=LADDER),
    "defend": Case("defend", "defend.yaml", moved="exploited", tables=("race",)),
    "defend, no search": Case("defend", "defend.yaml", ("search=0",)),
    # The law's own attempts are a small model's and cost next to nothing; the scenario's cost what they did.
    "defend, measured": Case("defend", "defend.yaml", ("attempt=1e17..1e20",), MOST_DRAWN),
    "diffuse": Case("diffuse", "diffuse.yaml", moved="poorer access", tables=("policies", "performance")),
    "diffuse, limits": Case("diffuse", "diffuse-limits.yaml"),
    "economy": Case("economy", "economy.yaml", moved="training", tables=("revenue", "training", "export")),
    "scale": Case(
        "scale",
        None,
        ("chips=10000", "chip=h100-sxm", "model=llama-3.1-405b", "effort=high", "task_minutes=2"),
        MOST_TRAINED,
        moved="workers",
        tables=(
            "costs",
            "what_moves_workers",
            "what_workers_rest_on",
            *(f"frontier_of_{kind}" for kind in ("workers", "users", "people")),
        ),
    ),
    "theft": Case("theft", "theft.yaml", moved="kept", tables=("chips",)),
    "theft, measured": Case("theft", "theft.yaml", law=LADDER),
    "theft, unverified": Case("theft", "theft.yaml", ("hidden=1",)),
}

ACCOUNTS = ("account.yaml", "account-inference.yaml")


def answered(case: Case) -> Outcome:
    """What the verb says of it, from more draws."""
    of = calculator(case.calculator)
    law = None
    if case.law is not None and of.law is not None:
        task = STEPS if case.law == LADDER else None
        law = of.law(LawChoice(str(ROOT / case.law), ":memory:", task))
    document = {} if case.file is None else load_yaml(EXAMPLES / case.file)
    return evaluate(resolve(of, read(of, document, case.sets), law), draws=DRAWS, tabled=DRAWS)


def shortened(outcome: Outcome, case: Case) -> dict[str, Any]:
    """What the pages tell of an outcome: outputs, the case's tables and largest swings with their inputs, and
    how many inputs rest on what. Paths inside the repository are told from its root."""
    whole = outcome.to_json()
    swings = whole["tornado"].get(case.moved, [])[:_SWINGS]
    named = {row["input"] for row in swings}
    known = [each for each in whole["assumptions"] if each["value"] is not None]
    told: dict[str, Any] = {
        "outputs": whole["outputs"],
        "tables": {each["name"]: each for each in whole["tables"] if each["name"] in case.tables},
        "notes": whole["notes"],
        "moved": case.moved,
        "swings": swings,
        "assumptions": {each["name"]: each for each in known if each["name"] in named},
        "origins": {name: sum(each["origin"] == name for each in known) for name in ORIGINS},
    }
    short: dict[str, Any] = _relative(told)
    return short


def _relative(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _relative(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_relative(each) for each in value]
    return value.replace(f"{ROOT}/", "") if isinstance(value, str) else value


def lag_by_budget(times: float) -> dict[str, float]:
    """Years by which an actor with so many times less to spend is later, by the published doubling times with
    their intervals: T_c · log2 times."""
    _, x = _drawn("diffuse")
    return _ends(cost_doubling(x["hardware"], x["algorithms"] / 12.0) * np.log2(times))


def compute_ratio() -> dict[str, float]:
    """The defender's compute over the attacker's in the race's scenario, which draws each by itself."""
    _, x = _drawn("defend")
    return _ends(x["defender"] / x["attacker"])


def gaps(years: Sequence[float] = (0.0, 10.0)) -> dict[str, dict[str, Any]]:
    """By how many decades the leader of the diffusion's scenario is ahead of each other actor at the first
    and the last of `years`, by how many more at the last, and in which share of the draws by more."""
    case, x = _drawn("diffuse")
    reach = [
        case.calculator.compute({**x, "date": np.full(DRAWS, year)}, case.about)
        for year in (years[0], years[-1])
    ]
    found = {}
    for name in case.about.groups["actors"]:
        if name != "leader":
            first, last = (each["leader reach"] - each[f"{name} reach"] for each in reach)
            grown = float((last > first).mean())
            found[name] = {
                "first": _ends(first),
                "last": _ends(last),
                "more": _ends(last - first),
                "grown": grown,
            }
    return found


def _drawn(name: str) -> tuple[Resolved, dict[str, Floats]]:
    """The committed scenario of a calculator, and its inputs' draws."""
    of = calculator(name)
    case = resolve(of, read(of, load_yaml(EXAMPLES / f"{name}.yaml")))
    return case, draw(case, DRAWS, 0)


def _ends(values: Floats) -> dict[str, float]:
    low, value, high = (float(each) for each in np.quantile(values, (0.05, 0.5, 0.95)))
    return {"value": value, "low": low, "high": high}


STAGES = ("pretrain", "rl_update", "rollouts", "synthetic_data", "teacher_passes", "deployment")
"""Stages that stand on the line between training and inference, between two that do not."""


def readings(*, binding: bool = False) -> dict[str, dict[str, int]]:
    """How many rules count each stage, do not, or leave it open: all texts, or those alone that are law in
    force or guidance on the day."""
    rules = [each for each in every_rule() if each.measure != "usd" and (each.binds(ON) or not binding)]
    answers = {stage: [rule.answers[stage].counts for rule in rules] for stage in STAGES}
    return {stage: {word: each.count(word) for word in sorted(set(each))} for stage, each in answers.items()}


def accounts() -> dict[str, Any]:
    """Every rule's sum of each committed life, with the line and the side."""
    found = {}
    for name in ACCOUNTS:
        lifecycle, _ = read_lifecycle(EXAMPLES / name, ledger=":memory:")
        rows = []
        for each in account(lifecycle, chosen([]), on=ON).findings:
            if each.side == "not asked" or each.rule.measure == "usd":
                continue
            sums = [
                {"method": one.method, **{k: getattr(one.amount, k) for k in ("value", "low", "high")}}
                for one in each.candidates
            ]
            line = None if each.line is None else each.line.value
            rows.append({"rule": each.rule.short, "side": each.side, "line": line, "sums": sums})
        found[name] = rows
    return found


def errors_of_filter(outcome: Outcome) -> Table:
    """The filter's misses and false alarms as two lines of one chart."""
    of = next(each for each in outcome.tables if each.name == "filter")
    place = {name: at for at, name in enumerate(of.columns)}
    rows = tuple(
        (words, row[0], *(row[place[f"{name}{end}"]] for end in ("", " low", " high")))
        for name, words in (("missed", "dangerous, missed"), ("stopped", "harmless, stopped"))
        for row in of.rows
    )
    assert of.chart is not None
    chart = replace(of.chart, y="share", by="error")
    return Table("errors", "", ("error", of.columns[0], "share", "share low", "share high"), rows, chart)
