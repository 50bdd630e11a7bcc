"""Ways to spend inference compute. Each is a generator in a file of its own name: adding one is adding
its file. A strategy holds no engine, no clock, no file and no answer key."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Any

from ponder.core import Question, Strategy
from ponder.errors import InputError, UnknownName

__all__ = ["Plan", "names", "plan"]

SHARES = ("delta", "keep", "slack", "threshold")
"""Parameters that are a share or a probability, in every strategy that has them."""

NONE_WILL_DO = ("waits",)
"""Parameters that may be 0."""


@dataclass(frozen=True)
class Plan:
    """A strategy with its parameters, ready for any question."""

    name: str
    function: Callable[..., Strategy]
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def begin(self, question: Question, rng: Random) -> Strategy:
        """The generator for one question."""
        return self.function(question, rng, **self.parameters)

    @property
    def _takes(self) -> Mapping[str, inspect.Parameter]:
        signature = inspect.signature(self.function).parameters
        return {p.name: p for p in signature.values() if p.kind is p.KEYWORD_ONLY}

    def parameter(self, name: str) -> Any:
        """A parameter's value, stated or default; None where the strategy has none of this name."""
        default = self._takes[name].default if name in self._takes else None
        return self.parameters.get(name, default)

    @property
    def scale(self) -> str | None:
        """The parameter that says how much to spend: the first whole number, by convention `n`."""
        whole = (name for name, p in self._takes.items() if p.annotation in ("int", int))
        return next(whole, None)

    @property
    def whole(self) -> str:
        """The strategy with all its parameters, stated or not: what it does, whatever defaults become."""
        stated = {name: self.parameter(name) for name in self._takes}
        return str(Plan(self.name, self.function, MappingProxyType(stated)))

    def at(self, scale: int) -> Plan:
        """The same plan with another value of its scale."""
        if self.scale is None:
            return self
        return Plan(self.name, self.function, MappingProxyType({**self.parameters, self.scale: scale}))

    def __str__(self) -> str:
        shown = ",".join(f"{k}={v}" for k, v in sorted(self.parameters.items()))
        return f"{self.name}:{shown}" if shown else self.name


def names() -> list[str]:
    """All strategies, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def plan(spec: str, **defaults: Any) -> Plan:
    """Read "vote", "vote:n=8" or "best:by=checks,n=8".

    `defaults` fill parameters that the strategy has and the text does not state.
    Raises UnknownName for the strategy, InputError for a parameter.
    """
    name, _, rest = spec.partition(":")
    if name not in names():
        raise UnknownName("strategy", name, names())
    function = getattr(importlib.import_module(f"{__name__}.{name}"), name)
    known = {p.name: p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
    stated: dict[str, Any] = {
        k: _value(f"{name}:{k}", str(v), str(known[k].annotation))
        for k, v in defaults.items()
        if k in known and v is not None
    }
    seen: set[str] = set()
    for part in filter(None, rest.split(",")):
        key, equals, text = part.partition("=")
        if key not in known:
            takes = ", ".join(known) or "no parameters"
            raise InputError(f"strategy: {name} has no parameter {key!r}; it takes {takes}.")
        if not equals or key in seen:
            wrong = "is given twice; give it once" if key in seen else f"has no value; write {key}=VALUE"
            raise InputError(f"strategy: {name}:{key} {wrong}.")
        seen.add(key)
        stated[key] = _value(f"{name}:{key}", text, str(known[key].annotation))
    return Plan(name, function, MappingProxyType(stated))


def _value(where: str, text: str, annotation: str) -> Any:
    kinds: dict[str, Callable[[str], Any]] = {"int": int, "float": float}
    try:
        value = kinds.get(annotation, str)(text if text.isascii() else "")
    except ValueError:
        raise InputError(f"strategy: {where} must be a number, not {text!r}.") from None
    name = where.partition(":")[2]
    most = 1 if name in SHARES else 1_000_000
    if isinstance(value, int | float) and not (0 < value <= most or (value == 0 and name in NONE_WILL_DO)):
        raise InputError(f"strategy: {where} must be above 0 and at most {most}, not {text!r}.")
    return value
