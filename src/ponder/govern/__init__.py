"""What a measured law implies: accounting, thresholds, deployment scale, diffusion, theft, defence, economy.

Each question is a file of this folder that holds a `CALCULATOR`; adding one is adding its file.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from ponder.errors import UnknownName
from ponder.govern.calculator import Calculator

__all__ = ["Calculator", "calculator", "names"]


@cache
def _found() -> dict[str, Calculator]:
    modules = (importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    held = (getattr(module, "CALCULATOR", None) for module in modules)
    return {each.name: each for each in held if isinstance(each, Calculator)}


def names() -> list[str]:
    """All calculators, sorted."""
    return sorted(_found())


def calculator(name: str) -> Calculator:
    """One by its name. Raises UnknownName with the nearest."""
    if name not in _found():
        raise UnknownName("calculator", name[:60], _found())
    return _found()[name]
