"""Read a task's spec: `NAME`, or `NAME:param=value,param=value`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ponder.core import canonical_json
from ponder.errors import InputError

__all__ = ["Spec", "parse"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# A comma inside brackets or quotes does not end a value: operators=["+","-"].
_PARTS = re.compile(r'(?:\[[^\]]*\]|"[^"]*"|[^,\["])+')


@dataclass(frozen=True, slots=True)
class Spec:
    """A task's name and the parameters given for it."""

    name: str
    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        """The one spelling: parameters sorted, values as JSON. Equal specs have equal spellings."""
        given = [f"{key}={canonical_json(value)}" for key, value in sorted(self.parameters.items())]
        return f"{self.name}:{','.join(given)}" if given else self.name


def parse(text: str) -> Spec:
    """Values are JSON (3, 0.5, true, ["+"]), anything else is a string. Raises InputError."""
    name, colon, rest = text.strip().partition(":")
    if not _NAME.fullmatch(name):
        raise InputError(
            f"task: {text!r} is not a task; write NAME, NAME:param=value,param=value, the path of a .jsonl "
            f"file, or - for standard input."
        )
    parameters: dict[str, Any] = {}
    for part in _PARTS.findall(rest) if colon else []:
        key, equals, value = part.partition("=")
        if not equals or not _PARAMETER.fullmatch(key.strip()) or not value.strip():
            raise InputError(f"task: {part!r} in {text!r} is not a parameter; write param=value.")
        if key.strip() in parameters:
            raise InputError(f"task: {key.strip()} is given twice in {text!r}; give it once.")
        parameters[key.strip()] = _value(value.strip())
    if colon and not parameters:
        raise InputError(f"task: no parameter follows the colon in {text!r}; write param=value.")
    return Spec(name, MappingProxyType(parameters))


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text
