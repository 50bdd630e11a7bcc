"""A commented scenario, made from a calculator's inputs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ponder.data.rows import figure, row
from ponder.govern.calculator import Calculator, Choice, Group, Input, Row
from ponder.quantity import Quantity, from_row, needs_unit, parse

__all__ = ["example"]

_WIDTH, _SOURCE = 96, 80


def example(calculator: Calculator, choices: Mapping[str, str] | None = None) -> str:
    """YAML that `ponder govern NAME` takes. What has a default is a comment; what must be given is not.
    Defaults that are a chosen row's are those of `choices`, or of the calculator's own."""
    chosen = {each.name: each.default for each in calculator.choices} | dict(choices or {})
    lines = [
        *_comment(f"{calculator.title.rstrip('.')}. Run it with: ponder govern {calculator.name} FILE"),
        "# Numbers: 1e25, 1e25..3e25 (90 % interval, log-normal) or 0.3±0.05 (normal), with their unit;",
        "# without one: shares, and counts such as FLOP and tokens.",
        "# What starts with # has the default that it shows; remove the # to change it.",
        "",
        f"calculator: {calculator.name}",
    ]
    if calculator.law is not None:
        lines += ["# law: RUN              # a run, a recording or a ladder to take measured figures from"]
    if calculator.detector is not None:
        lines += [
            "# detector: FILE        # a result of benchmarks.defence, or FILE#LAW for another of its laws"
        ]
    for choice in calculator.choices:
        lines += ["", *_comment(choice.what), *_choices(choice), f"# {choice.name}: {chosen[choice.name]}"]
    for each in calculator.inputs:
        lines += [
            "",
            *_comment(_described(each)),
            _line(each, chosen),
        ]
    for group in calculator.groups:
        lines += ["", *_group(group)]
    return "\n".join(lines) + "\n"


def _comment(text: str, indent: str = "# ") -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _choices(choice: Choice) -> list[str]:
    if choice.options:
        return _comment(f"One of {', '.join(choice.options)}.")
    return _comment(f"A row of {choice.table}: see `ponder data list {choice.table}`.")


def _described(each: Input) -> str:
    return f"{each.what.rstrip('.')}{f' ({each.unit})' if each.unit else ''}."


def _line(each: Input, chosen: Mapping[str, str]) -> str:
    shown, told = _default(each, chosen)
    if shown is None:
        return f"# {each.name}:   # unknown" if each.optional else f"{each.name}:    # must be given"
    return f"# {each.name}: {shown}{f'   # {told}' if told else ''}"


def _default(each: Input, chosen: Mapping[str, str]) -> tuple[str | None, str]:
    """The default as a scenario writes it, and where it comes from."""
    if not isinstance(each.default, Row):
        bare = each.default is not None and needs_unit(each.name, each.unit) and not parse(each.default).unit
        return f"{each.default} {each.unit}" if bare else each.default, "assumed" if each.default else ""
    name = each.default.name
    found = figure(
        row(each.default.table, chosen[name[1:]] if name.startswith("$") else name), each.default.figure
    )
    if found is None:
        return None, ""
    quantity = from_row(found, each.name, each.unit)
    told = f"{found.get('confidence', 'unknown')} confidence; {found.get('source', '')}"
    return _written(quantity), textwrap.shorten(told, _SOURCE, placeholder=" ...")


def _written(quantity: Quantity) -> str:
    """As a scenario writes it: with its parts where one text would move its median."""
    if quantity.even:
        return str(quantity)
    parts = {"value": f"{quantity.value:.6g}", "low": f"{quantity.low:.6g}", "high": f"{quantity.high:.6g}"}
    parts |= {"unit": quantity.unit} if quantity.unit else {}
    parts |= {"scale": "linear"} if quantity.scale == "linear" and quantity.low > 0 else {}
    return f"{{{', '.join(f'{key}: {value}' for key, value in parts.items())}}}"


def _group(group: Group) -> Iterator[str]:
    yield from _comment(group.what)
    for choice in group.choices:
        yield from _comment(f"{choice.name}: {choice.what.rstrip('.')}.", "#   ")
    for each in group.inputs:
        yield from _comment(f"{each.name}: {_described(each)}", "#   ")
    yield f"# {group.name}:"
    for item, own in group.default.items():
        chosen = {each.name: str(own.get(each.name, each.default)) for each in group.choices}
        shown = dict(chosen)
        for each in group.inputs:
            default, _ = _default(replace(each, default=own.get(each.name, each.default)), chosen)
            if default is not None:
                shown[each.name] = default
        yield f"#   {item}: {{{', '.join(f'{key}: {value}' for key, value in shown.items())}}}"
