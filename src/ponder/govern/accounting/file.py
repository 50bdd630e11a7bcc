"""A lifecycle from a YAML file: stages with what they took, and the facts that rules ask besides compute.

Every number may have an interval and a unit. The file is anybody's: every key must be a known one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ponder.errors import InputError, UnknownName
from ponder.govern.accounting.imports import from_run, from_trainer_state
from ponder.govern.accounting.methods import Noted, attended, counted_operations
from ponder.govern.accounting.reading import MOST, Devices, Reading
from ponder.govern.accounting.stages import KINDS, Attention, Estimate, Facts, Lifecycle, Stage, by_hardware
from ponder.govern.assumptions import Assumption
from ponder.govern.scenario import check_keys, load_yaml
from ponder.quantity import parse

__all__ = ["EXAMPLE", "FIELDS", "read_lifecycle", "read_run"]

EXAMPLE = Path(__file__).with_name("example.yaml")
"""A commented lifecycle, as `ponder govern new account` writes it."""

FIELDS: Mapping[str, tuple[str, str]] = {
    "parameters": ("", "parameters of the model"),
    "active_parameters": ("", "parameters that a token passes through, of a mixture of experts"),
    "tokens": ("tokens", "tokens of one epoch"),
    "epochs": ("", "how often they were seen"),
    "layers": ("", "layers, for attention's products"),
    "d_model": ("", "the model's width"),
    "attention_width": ("", "heads times their width, where that is not d_model"),
    "context": ("tokens", "tokens in a sequence"),
    "flop": ("FLOP", "FLOP by operations, where somebody counted them"),
    "chips": ("", "chips"),
    "hours": ("h", "hours that the chips ran"),
    "chip_hours": ("h", "chips times hours"),
    "peak": ("FLOP/s", "a chip's peak, dense, in the precision used"),
    "utilisation": ("", "model FLOP over the chips' peak"),
    "samples_per_answer": ("", "samples drawn for one answer"),
}
"""The numbers that a stage may hold: their unit, and what they are."""

_WORDS = ("name", "stage", "chip", "published", "by", "how", "systemic_risk", "start", "end", "run", "models")
_HOW = ("fine-tuned", "merged", "initialised", "expanded")
_FACTS: Mapping[str, tuple[str, ...]] = {
    "weights": ("open", "closed"),
    "data": ("general", "biological"),
    "distilled_from": ("none", "frontier", "other"),
}
_GENERATES = ("language", "image", "video", "other")


def read_lifecycle(path: Path, *, ledger: str) -> tuple[Lifecycle, tuple[Assumption, ...]]:
    """A lifecycle and every number that it rests on. Runs that the file names are on `ledger`.

    Raises InputError and UnknownName in one sentence that names the field.
    """
    document = load_yaml(path)
    check_keys(document, ("model", "plan_known", "facts", "stages", "calculator"), "a lifecycle")
    if document.get("calculator", "account") != "account":
        raise InputError(
            f"calculator: {path.name} is a scenario of another; run `ponder govern` with its name."
        )
    reading = Reading(path.parent, ledger)
    rows = document.get("stages")
    if not isinstance(rows, list) or not rows:
        raise InputError("stages: it must be a list with at least one stage, such as '- stage: pretrain'.")
    stages = [stage for place, each in enumerate(rows) for stage in _stages(reading, place, each)]
    _check_names(stages)
    lifecycle = Lifecycle(
        model=_text("model", document.get("model", path.stem)),
        stages=tuple(stages),
        facts=_facts(reading, document.get("facts")),
        known=_date("plan_known", document.get("plan_known")),
    )
    return lifecycle, tuple(reading.assumptions)


def read_run(
    name: str,
    ledger: str,
    models: Sequence[str] = (),
    peak: str | float | None = None,
    utilisation: str | float | None = None,
) -> tuple[Lifecycle, tuple[Assumption, ...]]:
    """A training run's lifecycle by both methods, and the numbers that it rests on: the `peak` of one of its
    chips or cores (else of the chip's row) and the `utilisation` (else that of published runs).

    Raises what `from_run` does, and InputError for a number that cannot be.
    """
    reading = Reading(Path(), ledger)
    lifecycle = from_run(name, ledger, models, _devices(reading, name, peak, utilisation))
    return lifecycle, tuple(reading.assumptions)


def _devices(reading: Reading, run: str, peak: Any, utilisation: Any) -> Devices:
    """A run's devices, with what is told of them."""
    told = [
        None if value is None else reading.number(f"{run}.{key}", value, *FIELDS[key], most=most)
        for key, value, most in (("peak", peak, MOST), ("utilisation", utilisation, 1.0))
    ]
    return Devices(reading, run, *told)


def _check_names(stages: list[Stage]) -> None:
    names = [stage.name for stage in stages]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"stages: two are called {name!r}; give each a name of its own with 'name:'.")


def _stages(reading: Reading, place: int, given: Any) -> Iterator[Stage]:
    where = f"stages[{place}]"
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise InputError(f"{where}: it must hold names with values, such as 'stage: pretrain'.")
    check_keys(given, (*_WORDS, *FIELDS, "trainer_state"), where)
    if "run" in given:
        check_keys(given, ("run", "models", "peak", "utilisation"), f"{where} (a run)")
        name = _text(f"{where}.run", given["run"])
        devices = _devices(reading, name, given.get("peak"), given.get("utilisation"))
        yield from from_run(name, reading.ledger, _models(where, given), devices).stages
        return
    kind = str(given.get("stage", "imported" if "trainer_state" in given else None))
    if kind not in KINDS:
        raise UnknownName(f"{where}.stage", kind[:60], KINDS)
    about = _about(where, kind, given)
    if "trainer_state" in given:
        check_keys(given, (*_WORDS, "trainer_state", "parameters"), f"{where} (a trainer_state)")
        state = reading.folder / _text(f"{where}.trainer_state", given["trainer_state"])
        parameters = given.get("parameters")
        count = None if parameters is None else parse(parameters, f"{where}.parameters").value
        yield replace(from_trainer_state(state, kind=kind, parameters=count), **about)
        return
    yield _told(reading, where, kind, given, about)


def _told(
    reading: Reading, where: str, kind: str, given: Mapping[str, Any], about: Mapping[str, Any]
) -> Stage:
    name = about["name"]

    def number(key: str, *, most: float = MOST) -> Estimate | None:
        if given.get(key) is None:
            return None
        unit, what = FIELDS[key]
        return reading.number(f"{name}.{key}", given[key], unit, what, most=most)

    numbers = {key: number(key) for key in FIELDS if key != "utilisation"}
    operations = _operations(where, kind, numbers)
    hardware, possible, utilisation = None, _possible(reading, where, given, numbers), None
    if possible is not None:
        utilisation = number("utilisation", most=1.0) or reading.usual_utilisation(name)
        hardware = by_hardware(possible, Estimate.point(1.0), utilisation)
    elif given.get("utilisation") is not None:
        raise InputError(f"{where}.utilisation: it belongs to chips; give chip_hours and a chip or its peak.")
    samples = numbers["samples_per_answer"]
    return Stage(
        kind=kind,
        architecture=operations.flop,
        hardware=hardware,
        possible=possible,
        utilisation=utilisation,
        samples_per_answer=1.0 if samples is None else samples.value,
        notes=operations.notes,
        **about,
    )


def _operations(where: str, kind: str, numbers: Mapping[str, Estimate | None]) -> Noted:
    """FLOP by the architecture, or as told; none where neither parameters nor FLOP are given."""
    every, active, tokens = (numbers[key] for key in ("parameters", "active_parameters", "tokens"))
    if numbers["flop"] is not None:
        if every or active or tokens:
            raise InputError(f"{where}.flop: give FLOP, or parameters and tokens, not both.")
        return Noted(numbers["flop"], ())
    if every is None and active is None and tokens is None:
        return Noted(None, ())
    if tokens is None or (every is None and active is None):
        lacks = "tokens" if tokens is None else "parameters"
        raise InputError(f"{where}.{lacks}: it must be given too; FLOP are parameters times tokens.")
    if every is not None and active is not None and active.value > every.value:
        raise InputError(f"{where}.active_parameters: they are more than all; correct one of them.")
    seen = tokens if numbers["epochs"] is None else tokens * numbers["epochs"]
    return counted_operations(kind, every, active, seen, _attention(where, numbers))


def _attention(where: str, numbers: Mapping[str, Estimate | None]) -> Attention | None:
    layers, width, context = (numbers[key] for key in ("layers", "d_model", "context"))
    given = [key for key in ("layers", "d_model", "context") if numbers[key] is not None]
    if not given:
        return None
    if layers is None or width is None or context is None:
        raise InputError(f"{where}.{given[0]}: attention needs layers, d_model and context; give all three.")
    return attended(layers, numbers["attention_width"] or width, context, width)


def _possible(
    reading: Reading, where: str, given: Mapping[str, Any], numbers: Mapping[str, Estimate | None]
) -> Estimate | None:
    """What the chips could have done: their seconds times their peak. None where no chips are told of."""
    chips, hours, chip_hours = (numbers[key] for key in ("chips", "hours", "chip_hours"))
    if chips is None and hours is None and chip_hours is None:
        return None
    if chip_hours is not None and (chips is not None or hours is not None):
        raise InputError(f"{where}.chip_hours: give them, or chips and hours, not both.")
    if chip_hours is None:
        if chips is None or hours is None:
            lacks = "chips" if chips is None else "hours"
            raise InputError(f"{where}.{lacks}: it must be given too; or give chip_hours.")
        chip_hours = chips * hours
    peak = numbers["peak"]
    if peak is None:
        peak = _peak(reading, where, given)
    return chip_hours * 3600.0 * peak


def _peak(reading: Reading, where: str, given: Mapping[str, Any]) -> Estimate:
    if given.get("chip") is None:
        raise InputError(f"{where}.chip: name the chip, or give its peak, for example 'peak: 989 TFLOP/s'.")
    name = _text(f"{where}.chip", given["chip"])
    peak = reading.peak(name, f"{where}.chip")
    if peak is None:
        raise InputError(f"{where}.chip: {name} has no BF16 peak in the data; give 'peak:'.")
    return peak


# ---------------------------------------------------------------- words, dates and facts


def _about(where: str, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    start, end = (_date(f"{where}.{key}", given.get(key)) for key in ("start", "end"))
    if (start is None) != (end is None):
        raise InputError(f"{where}.{'end' if end is None else 'start'}: a dated stage needs both.")
    if start and end and end < start:
        raise InputError(f"{where}.end: {end} lies before the start, {start}; correct one of them.")
    base = kind == "base_weights"
    for key in ("by", "how", "systemic_risk"):
        if given.get(key) is not None and not base:
            raise InputError(f"{where}.{key}: it belongs to a stage of base_weights alone; leave it out.")
    published = _flag(f"{where}.published", given.get("published"))
    if published and kind not in ("synthetic_data", "teacher_passes"):
        raise InputError(f"{where}.published: it belongs to synthetic_data and teacher_passes; leave it out.")
    return {
        "name": _text(f"{where}.name", given.get("name", kind)),
        "published": bool(published),
        "by": _one_of(f"{where}.by", given.get("by", "others" if base else "us"), ("us", "others")),
        "how": _one_of(f"{where}.how", given.get("how", "fine-tuned"), _HOW) if base else "",
        "systemic": _flag(f"{where}.systemic_risk", given.get("systemic_risk")),
        "start": start,
        "end": end,
    }


def _facts(reading: Reading, given: Any) -> Facts:
    if given is None:
        return Facts()
    if not isinstance(given, dict):
        raise InputError("facts: it must hold names with values, such as 'weights: closed'.")
    check_keys(given, (*_FACTS, "generates", "revenue", "compute_cost"), "facts")
    words = {
        key: None if given.get(key) is None else _one_of(f"facts.{key}", given[key], known)
        for key, known in _FACTS.items()
    }
    generates = given.get("generates")
    if generates is not None:
        several = generates if isinstance(generates, list) else [generates]
        generates = tuple(_one_of("facts.generates", each, _GENERATES) for each in several)

    def money(key: str, what: str) -> Estimate | None:
        return None if given.get(key) is None else reading.number(f"facts.{key}", given[key], "USD", what)

    return Facts(
        generates=generates,
        revenue=money("revenue", "the developer's revenue in the year before, with affiliates"),
        compute_cost=money("compute_cost", "what the training's compute cost"),
        **words,
    )


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 300:
        raise InputError(f"{name}: {str(value)[:60]!r} is no name; write one.")
    return value.strip()


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise UnknownName(name, str(value)[:60], known)
    return str(value)


def _flag(name: str, value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise InputError(f"{name}: {str(value)[:60]!r} is neither yes nor no.")


def _date(name: str, value: Any) -> date | None:
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    raise InputError(f"{name}: {str(value)[:60]!r} is no date; write it as 2026-11-30.")


def _models(where: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    models = given.get("models") or []
    several = models if isinstance(models, list) else [models]
    return tuple(_text(f"{where}.models", each) for each in several)
