"""A scenario: what a user gives a calculator, in a YAML file or as NAME=VALUE, checked against its inputs.

A file is other people's: it is read as plain YAML (no tags, no aliases), up to a size, and every key must be
one that the calculator knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ponder.data.rows import PROVENANCE, figure, named, row
from ponder.errors import InputError, UnknownName
from ponder.govern.assumptions import Assumption, published
from ponder.govern.calculator import Calculator, Choice, Group, Input, Measured, Row, Settings
from ponder.quantity import Quantity, from_row, needs_unit, parse

__all__ = ["Case", "Scenario", "check_keys", "cut", "load", "load_yaml", "read", "resolve"]

_LARGEST = 1 << 16  # bytes of a file: far above a scenario's, and read in a moment
_DEEPEST = 20
_LONGEST_NAME = 60
_LONGEST_PATH = 200
_LONGEST_TEXT = 2000  # letters of a value; a whole number of more is no number that can be told
_FRAME = ("calculator", "law", "task", "detector")
_FIGURE = ("value", "low", "high", "unit", "scale", *PROVENANCE)


class _Plain(yaml.SafeLoader):
    """Safe YAML that refuses aliases, keys given twice and deep nesting."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self._refuse("an alias is not taken; write it out")
        self.depth += 1
        if self.depth > _DEEPEST:
            self._refuse(f"nested more than {_DEEPEST} deep")
        node = super().compose_node(parent, index)
        if isinstance(node, yaml.ScalarNode) and len(node.value) > _LONGEST_TEXT:
            self._refuse(f"a text of more than {_LONGEST_TEXT} letters")
        self.depth -= 1
        return node

    def _refuse(self, problem: str) -> NoReturn:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen if isinstance(key.value, str) else False:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value[:60]!r} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value if isinstance(key.value, str) else "")
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class Scenario:
    """What was given: `values` of inputs and choices by their (dotted) names, the items of `groups`, the law
    with its task, and the detector."""

    values: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    law: str | None = None
    task: str | None = None
    detector: str | None = None


@dataclass(frozen=True)
class Case:
    """A scenario made complete: every input's assumption in the calculator's order, and the settings."""

    calculator: Calculator
    assumptions: tuple[Assumption, ...]
    about: Settings
    bounds: Mapping[str, Input]


def load_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping of texts. Raises InputError in one sentence that names the file."""
    shown = str(path) if len(str(path)) <= _LONGEST_PATH else f"...{str(path)[-_LONGEST_PATH:]}"
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"scenario: {shown} cannot be read ({error.strerror or error}).") from None
    if len(content) > _LARGEST:
        raise InputError(f"scenario: {shown} is larger than {_LARGEST // 1024} KiB; make it smaller.")
    try:
        found = yaml.load(content, _Plain)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"scenario: {shown}{where}: {error.problem or 'is no YAML'}.") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise InputError(f"scenario: {shown} is no YAML: {str(error).splitlines()[0][:120]}.") from None
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise InputError(f"scenario: {shown} must hold names with values, such as 'chips: 1000'.")
    return found


def load(calculator: Calculator, path: Path) -> dict[str, Any]:
    """A scenario's file, in which every number tells its unit where it has one that can be mistaken.

    Raises InputError that names the field.
    """
    document = load_yaml(path)
    for each in calculator.inputs:
        _tells_unit(each.name, each.unit, document.get(each.name))
    for group in calculator.groups:
        items = document.get(group.name)
        for item, given in items.items() if isinstance(items, dict) else ():
            for each in group.inputs:
                value = given.get(each.name) if isinstance(given, dict) else None
                _tells_unit(f"{group.name}.{item}.{each.name}", each.unit, value)
    return document


def _tells_unit(name: str, unit: str, value: Any) -> None:
    if isinstance(value, dict):
        if "unit" not in value and needs_unit(name, unit):
            raise InputError(f"{name}: it has no unit; give it as {name}.unit, such as 'unit: {unit}'.")
    elif value is not None:
        parse(value, name).stated(name, unit)


def read(calculator: Calculator, document: Mapping[str, Any], sets: Iterable[str] = ()) -> Scenario:
    """A scenario from a file's mapping and from texts NAME=VALUE, which override it.

    Raises UnknownName for a key that is not one, with its nearest; InputError for what cannot be read.
    """
    named = document.get("calculator", calculator.name)
    if named != calculator.name:
        raise InputError(
            f"calculator: the scenario is one of {str(named)[:_LONGEST_NAME]!r}; run `ponder govern` with "
            "its name."
        )
    fields = [each.name for each in calculator.inputs] + [each.name for each in calculator.choices]
    check_keys(document, [*fields, *(group.name for group in calculator.groups), *_FRAME], calculator.name)
    values = {name: document[name] for name in fields if document.get(name) is not None}
    groups: dict[str, tuple[str, ...]] = {}
    for group in calculator.groups:
        items = _items(group, document.get(group.name))
        groups[group.name] = tuple(items)
        for item, given in items.items():
            values |= {f"{group.name}.{item}.{key}": value for key, value in given.items()}
    frame = {key: _text(key, document[key]) for key in _FRAME[1:] if document.get(key) is not None}
    scenario = Scenario(values, groups, **frame)
    return replace(scenario, values={**scenario.values, **_stated(calculator, scenario, sets)})


def check_keys(given: Iterable[str], known: Sequence[str], where: str) -> None:
    """Raises UnknownName for the first key that is not known."""
    for key in given:
        if key not in known:
            raise UnknownName(f"key of {where}", str(key)[:_LONGEST_NAME], known)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name}: {str(value)[:60]!r} is no name; write one.")
    return value


def _items(group: Group, given: Any) -> dict[str, Mapping[str, Any]]:
    """The items of a group with what is given of them: the default ones with nothing where none are."""
    if given is None:
        return {name: {} for name in group.default}
    if not isinstance(given, dict) or not given:
        raise InputError(f"{group.name}: it must hold named items, each with its values.")
    known = [each.name for each in group.inputs] + [each.name for each in group.choices]
    for name, item in given.items():
        if not isinstance(name, str) or not _is_name(name):
            raise InputError(
                f"{group.name}: {str(name)[:_LONGEST_NAME]!r} is no item's name; it has up to "
                f"{_LONGEST_NAME} letters and no dot."
            )
        if not isinstance(item, dict):
            raise InputError(f"{group.name}.{name}: it must hold values, such as {known[0]}: ...")
        check_keys(item, known, f"{group.name}.{name}")
    if group.fixed:
        check_keys(given, list(group.default), group.name)
        return {name: given.get(name, {}) for name in group.default}
    return given


def _is_name(text: str) -> bool:
    return bool(text.strip()) and text.isprintable() and len(text) <= _LONGEST_NAME and "." not in text


def _stated(calculator: Calculator, scenario: Scenario, sets: Iterable[str]) -> dict[str, str]:
    known = [name for name, _ in _all_inputs(calculator, scenario.groups)]
    known += [name for name, _ in _all_choices(calculator, scenario.groups)]
    stated = {}
    for text in sets:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_") if name.strip() not in known else name.strip()
        if not equals or not value.strip():
            raise InputError(f"set: {text[:60]!r} is not NAME=VALUE, for example {known[0]}=1e25..3e25.")
        if name not in known:
            raise UnknownName("input", name[:_LONGEST_NAME], known)
        stated[name] = value.strip()
    return stated


# ---------------------------------------------------------------- make it complete


def _all_inputs(calculator: Calculator, groups: Mapping[str, tuple[str, ...]]) -> list[tuple[str, Input]]:
    """Every input by its dotted name; an item's default, where it has one, in the place of the input's."""
    found = [(each.name, each) for each in calculator.inputs]
    for group in calculator.groups:
        for item in groups[group.name]:
            own = group.default.get(item, {})
            for each in group.inputs:
                default = own.get(each.name, each.default)
                found.append((f"{group.name}.{item}.{each.name}", replace(each, default=default)))
    return found


def _all_choices(calculator: Calculator, groups: Mapping[str, tuple[str, ...]]) -> list[tuple[str, Choice]]:
    found = [(each.name, each) for each in calculator.choices]
    for group in calculator.groups:
        for item in groups[group.name]:
            own = group.default.get(item, {})
            for each in group.choices:
                default = str(own.get(each.name, each.default))
                found.append((f"{group.name}.{item}.{each.name}", replace(each, default=default)))
    return found


def resolve(calculator: Calculator, scenario: Scenario, measured: Measured | None = None) -> Case:
    """Fill in what is not given: from the law, from data rows, from defaults.

    Raises InputError that names the input and the remedy.
    """
    choices: dict[str, str] = {}
    rows: dict[str, Mapping[str, Any]] = {}
    for name, choice in _all_choices(calculator, scenario.groups):
        chosen = _chosen(name, choice, scenario.values.get(name, choice.default))
        choices[name] = named(choice.table, chosen, name) if choice.table else chosen
        if choice.table:
            rows[name] = row(choice.table, choices[name], name)
    about = Settings(choices, rows, dict(scenario.groups), measured)
    inputs = _all_inputs(calculator, scenario.groups)
    assumptions = tuple(_assume(name, each, scenario.values, about) for name, each in inputs)
    return Case(calculator, assumptions, about, dict(inputs))


def _chosen(name: str, choice: Choice, given: Any) -> str:
    if isinstance(given, bool):  # YAML reads a bare yes or no as one
        given = "yes" if given else "no"
    text = _text(name, given)
    if choice.options and text not in choice.options:
        raise UnknownName(name, text[:_LONGEST_NAME], choice.options)
    return text


def _assume(name: str, of: Input, given: Mapping[str, Any], about: Settings) -> Assumption:
    if name in given:
        return _yours(name, of, given[name])
    measured = about.measured
    if measured is not None and name in measured.quantities:
        quantity = _checked(name, of, measured.quantities[name])
        return Assumption(
            name, of.what, of.unit, quantity, "measured", measured.source_of(name), measured.date
        )
    if isinstance(of.default, Row):
        found = _from_data(name, of, of.default, about)
        if found is not None:
            return found
    elif of.default is not None:
        quantity = _checked(name, of, parse(of.default, name))
        return Assumption(name, of.what, of.unit, quantity, "assumed", of.why, confidence="low")
    if of.optional:
        return Assumption(name, of.what, of.unit, None, "assumed", "unknown")
    lacks = f" The row {_row_name(name, of.default, about)} has none." if isinstance(of.default, Row) else ""
    raise InputError(f"{name}: it must be given ({of.what.rstrip('.')}, in {of.unit or 'no unit'}).{lacks}")


def _yours(name: str, of: Input, value: Any) -> Assumption:
    if not isinstance(value, dict):
        quantity = _checked(name, of, parse(value, name))
        return Assumption(name, of.what, of.unit, quantity, "yours")
    check_keys(value, _FIGURE, name)
    quantity = _checked(name, of, from_row(_numbers(name, value), name, of.unit))
    told = [str(value.get(key, ""))[:500] for key in PROVENANCE]
    return Assumption(name, of.what, of.unit, quantity, "yours", *told)


def _numbers(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """YAML reads 1e25 as a text."""
    read = dict(value)
    for key in ("value", "low", "high"):
        if isinstance(read.get(key), str):
            quantity = parse(read[key], f"{name}.{key}")
            if not quantity.certain or quantity.unit:
                raise InputError(f"{name}.{key}: write a bare number, and the unit as {name}.unit.")
            read[key] = quantity.value
    return read


def _row_name(name: str, default: Row, about: Settings) -> str:
    if not default.name.startswith("$"):
        return default.name
    own = f"{name.rpartition('.')[0]}.{default.name[1:]}".lstrip(".")
    return about.choices[own] if own in about.choices else about.choices[default.name[1:]]


def _from_data(name: str, of: Input, default: Row, about: Settings) -> Assumption | None:
    """The data row's figure; None where the row has none."""
    found = figure(row(default.table, _row_name(name, default, about), name), default.figure)
    if found is None:
        return None
    quantity = _checked(name, of, from_row(found, name, of.unit))
    told = [str(found.get(key, "")) for key in PROVENANCE]
    return Assumption(name, of.what, of.unit, quantity, published(found), *told)


def _checked(name: str, of: Input, quantity: Quantity) -> Quantity:
    converted = quantity.in_unit(name, of.unit)
    return converted.within(name, positive=of.positive, least=of.least, most=of.most)


def cut(of: Input) -> tuple[float, float]:
    """Between which bounds an input is drawn: log-normal draws are above zero of themselves."""
    return max(of.least, 0.0) if of.positive else of.least, of.most
