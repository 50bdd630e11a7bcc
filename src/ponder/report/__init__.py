"""Figures, the report page and the terminal table of a measurement."""
