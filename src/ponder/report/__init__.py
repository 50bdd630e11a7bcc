"""Figures, the report page and the terminal table of a measurement."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ponder.report.figures import curve_chart
    from ponder.report.page import Paths, require_folder, require_report, write_report
    from ponder.report.table import render

__all__ = ["Paths", "curve_chart", "render", "require_folder", "require_report", "write_report"]

_HOMES = {"curve_chart": "figures", "render": "table"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line needs `words` at every start."""
    if name not in __all__:
        raise AttributeError(f"module 'ponder.report' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ponder.report.{_HOMES.get(name, 'page')}"), name)
