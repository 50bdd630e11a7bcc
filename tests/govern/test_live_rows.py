"""No figure of the data is idle: each, changed alone, changes an answer, or it is said why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ponder.data import rows as data_rows
from ponder.errors import InputError
from ponder.govern import calculator, names
from ponder.govern._measured import attempts
from ponder.govern.accounting import Lifecycle, account, every_rule, read_lifecycle, to_json
from ponder.govern.accounting.rules import exact
from ponder.govern.calculator import LawChoice, Measured
from ponder.govern.efforts import EFFORTS
from ponder.govern.scenario import read, resolve
from ponder.quantity import point

Path_ = tuple[str, ...]
Answer = Mapping[str, Any]
Ask = Callable[[], Answer]

FACTORS = (1.1, 0.5, 1e-3, 1e3)
"""What a figure is multiplied with, until an answer changes."""

IDLE = {
    "chips": {
        "int8": "no verb serves weights in eight-bit whole numbers",
        "fp4": "no verb serves weights in four bits",
        "fp16_accumulate": "beside bf16, so that the faster rate is not mistaken for it",
    },
    "published_models": {
        "shape.d_model": "parameters are counted from the shape, and held against the row's own",
        "shape.d_ff": "likewise",
        "shape.d_ff_shared": "likewise",
        "shape.vocab": "likewise",
    },
}
"""Figures that no verb of governance reads, and why they are kept."""

OF_ROWS = {"published_models": {(row, "shape.kv_heads") for row in ("deepseek-v3", "deepseek-r1")}}
"""Figures of a few rows likewise: these models keep a latent in the place of keys and values."""

FLEET = {"chips": 4000, "training_days": 50, "task_minutes": 2}
SERVED = {
    "layers": 60, "heads": 64, "kv_heads": 8, "d_head": 128, "parameters": 1e11, "training_tokens": 1e13,
    "flop_bf16": 1e15, "bandwidth": 3e12, "memory": 8e10,
}  # fmt: skip
"""What a row that lacks it is given, as a user would have to."""
MANY = {"prompt_tokens": 100_000, "least_speed": 1}
"""Streams so long that memory is what there is too little of."""
FAST = {"least_speed": 100, "chips": 10_000, "precision": "fp8"}
"""Streams so fast that few share a step."""

LIFE = """
plan_known: 2026-01-01
facts: {generates: [language], weights: open, data: general, revenue: 6e8 USD, compute_cost: 2e8 USD}
stages:
  - {stage: pretrain, flop: FLOP, start: 2026-01-01, end: 2026-12-31}
"""
TUNED = """
facts: {generates: [language]}
stages:
  - {stage: base_weights, by: others, BASE}
  - {stage: sft, flop: FLOP}
"""
ON = date(2027, 6, 1)


# ---------------------------------------------------------------- what is asked


def middles(name: str, document: Mapping[str, Any], measured: Measured | None = None) -> Answer:
    """Every output with all inputs at their medians; what is lacking is given."""
    of, given = calculator(name), dict(document)
    while True:
        try:
            case = resolve(of, read(of, given), measured)
            break
        except InputError as error:
            lacking = str(error).partition(":")[0]
            if lacking not in SERVED or lacking in given:
                raise
            given[lacking] = SERVED[lacking]
    x = {
        each.name: np.full(1, np.nan if each.quantity is None else each.quantity.value)
        for each in case.assumptions
    }
    with np.errstate(all="ignore"):
        return {key: float(value[0]) for key, value in of.compute(x, case.about).items()}


def asks(table: str, row: str) -> list[Ask]:
    """Where a row of a table may matter."""
    of_row: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "chips": [
            ("scale", FLEET | {"chip": row}),
            ("scale", FLEET | {"chip": row} | MANY),
            ("scale", FLEET | {"chip": row, "precision": "fp8"}),
            ("economy", {"chip": row}),
        ],
        "published_models": [
            ("scale", FLEET | {"model": row}),
            ("theft", {"model": row}),
            ("scale", FLEET | {"model": row} | FAST),
            ("scale", FLEET | {"model": row, "prompt_tokens": 1e6}),
        ],
    }
    of_all = [(name, FLEET if name == "scale" else {}) for name in names()]
    of_all += [("diffuse", {"weights": "open"}), ("scale", FLEET | {"chip": "b200"}), ("scale", FLEET | FAST)]
    return [lambda name=name, given=given: middles(name, given) for name, given in of_row.get(table, of_all)]  # type: ignore[misc]


def differ(one: Answer, other: Answer) -> bool:
    return any(
        one[key] != other[key] and not (one[key] != one[key] and other[key] != other[key]) for key in one
    )


# ---------------------------------------------------------------- figures


def figures(of: Mapping[str, Any], path: Path_ = ()) -> Iterator[Path_]:
    """Where the numbers are: tables with a value, and bare numbers."""
    for key, value in of.items():
        if isinstance(value, Mapping) and "value" not in value:
            yield from figures(value, (*path, key))
        elif isinstance(value, Mapping) or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield (*path, key)


def changed(of: Any, path: Path_, factor: float) -> Any:
    """A copy in which one figure is so many times what it was."""
    if path:
        return {**of, path[0]: changed(of[path[0]], path[1:], factor)}
    if not isinstance(of, Mapping):
        return of * factor
    return {key: each * factor if key in ("value", "low", "high") else each for key, each in of.items()}


@pytest.mark.parametrize("table", ["chips", "published_models", "rates", "scale", "actors"])
def test_every_figure_of_a_table_moves_an_answer(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = data_rows.table
    before: dict[str, list[tuple[Ask, Answer | None]]] = {}
    monkeypatch.setattr(data_rows, "users_rows", lambda name: {})
    idle, excused = set(), set()
    for path in figures(packaged(table)):
        row, figure = path[0], ".".join(path[1:])
        if figure in excused:
            continue  # one row is enough
        if row not in before:
            before[row] = [(ask, _or_none(ask)) for ask in asks(table, row)]
        if not any(_moves(ask, old, table, path, monkeypatch) for ask, old in before[row] if old):
            excused |= {figure} & IDLE.get(table, {}).keys()
            idle |= {(row, figure)} if figure not in excused else set()
    assert idle == OF_ROWS.get(table, set())
    assert excused == IDLE.get(table, {}).keys()


def _or_none(ask: Ask) -> Answer | None:
    """None where it cannot be asked, as of a chip without the precision."""
    try:
        return ask()
    except InputError:
        return None


def _moves(
    ask: Ask,
    before: Answer,
    table: str,
    path: Path_,
    monkeypatch: pytest.MonkeyPatch,
) -> bool:
    packaged = data_rows.table
    try:
        for factor in FACTORS:
            other = changed(packaged(table), path, factor)
            monkeypatch.setattr(
                data_rows, "table", lambda name, o=other: o if name == table else packaged(name)
            )
            after = _or_none(ask)
            if after is None or differ(before, after):
                return True
        return False
    finally:
        monkeypatch.setattr(data_rows, "table", packaged)


# ---------------------------------------------------------------- rules


def lives(folder: Path) -> list[Lifecycle]:
    """Models from far below every line to far above, planned, tuned from others' and distilled."""
    texts = [LIFE.replace("FLOP", f"1e{decades}") for decades in range(21, 29)]
    texts.append(LIFE.replace("weights: open", "distilled_from: frontier").replace("FLOP", "1e25"))
    for base in ("flop: 1e24", "flop: 1e26", "systemic_risk: yes", "systemic_risk: no"):
        texts += [TUNED.replace("BASE", base).replace("FLOP", f"1e{decades}") for decades in range(21, 28)]
    found = []
    for place, text in enumerate(texts):
        path = folder / f"{place}.yaml"
        path.write_text(text, "utf-8")
        found.append(read_lifecycle(path, ledger="")[0])
    return found


def sides(lifecycles: Sequence[Lifecycle]) -> list[Any]:
    """What the rules find of each, without what only repeats their own figures."""
    told = []
    for lifecycle in lifecycles:
        for each in to_json(account(lifecycle, every_rule(), on=ON), ())["rules"]:
            told.append([each[key] for key in ("side", "over_by_estimate", "applies")])
            told.append([each["crossing"], [one["met"] for one in each["conditions"]]])
    return told


def numbers_of(rule: Mapping[str, Any]) -> Iterator[tuple[str | int, ...]]:
    """Where a rule's numbers are."""
    yield ("value",)
    if "tolerance" in rule:
        yield ("tolerance", "value")
    if "notice" in rule:
        yield ("notice", "days")
    yield from (("unknown_original", key) for key in rule.get("unknown_original", ()))
    yield from (
        ("conditions", place, "above") for place, each in enumerate(rule["conditions"]) if "above" in each
    )


def times(of: Any, path: Sequence[str | int], factor: int) -> Any:
    """A copy in which one number, or the exact text of one, is so many times what it was."""
    if not path:
        return str(exact(of) * factor) if isinstance(of, str) else of * factor
    copied = list(of) if isinstance(of, list) else dict(of)
    copied[path[0]] = times(of[path[0]], path[1:], factor)
    return copied


def test_every_number_of_a_rule_changes_what_it_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged, lifecycles = data_rows.table, lives(tmp_path)
    rules, before = packaged("rules"), sides(lifecycles)
    idle = []
    for name, rule in rules["rule"].items():
        for path in numbers_of(rule):
            other = times(rules, ("rule", name, *path), 1000)
            monkeypatch.setattr(
                data_rows, "table", lambda asked, o=other: o if asked == "rules" else packaged(asked)
            )
            idle += [(name, *path)] * (sides(lifecycles) == before)
    assert idle == []


# ---------------------------------------------------------------- laws

VOTED = "benchmarks/results/ladder/recorded/1m-steps-random-0-6.char-countdown-numbers-4.jsonl.xz"


def law_of(verb: str) -> tuple[Measured, list[dict[str, Any]]]:
    """What a verb takes from a law, of a committed recording where that is quick, and where it matters."""
    if verb in ("defend", "theft"):
        few = [{"tasks": 10, "owner_effort": 1e4}] if verb == "theft" else []
        return attempts(LawChoice(VOTED, "")), [{}, *few]
    if verb == "scale":
        quantities = {
            f"efforts.{each.word}.accuracy": point(0.3 + at / 10) for at, each in enumerate(EFFORTS)
        }
        quantities |= {f"efforts.{each.word}.samples": point(each.most * 0.7) for each in EFFORTS}
        quantities["sample_tokens"] = point(900.0, "token")
        return Measured(quantities, "votes"), [FLEET | {"effort": each.word} for each in EFFORTS]
    gain = {"weight": point(0.5), "span": point(0.9), "spread": point(0.3)}
    return Measured(gain, "votes"), [{}, {"span": 9.0}]


@pytest.mark.parametrize("verb", [name for name in names() if calculator(name).law is not None])
def test_every_parameter_of_a_law_moves_an_answer(verb: str) -> None:
    """A share of nothing stays nothing."""
    law, documents = law_of(verb)
    before = [middles(verb, each, law) for each in documents]
    taken = {each.name for each in calculator(verb).inputs} | {each for each in law.quantities if "." in each}
    idle = []
    for name, was in law.quantities.items():
        if name in taken and was.value:
            more = replace(law, quantities={**law.quantities, name: was.times(1.03, was.unit)})
            after = [middles(verb, each, more) for each in documents]
            idle += [name] * (not any(map(differ, before, after)))
    assert idle == []
    assert taken & set(law.quantities)
