"""Figures, the report page and the terminal table of a measurement."""

from ponder.report.figures import curve_chart
from ponder.report.page import Paths, require_report, to_json, write_report
from ponder.report.table import render

__all__ = ["Paths", "curve_chart", "render", "require_report", "to_json", "write_report"]
