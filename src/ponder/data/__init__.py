"""Outside facts as data rows: each with value, unit, source, date and confidence."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any

__all__ = ["table"]


@functools.cache
def table(name: str) -> dict[str, Any]:
    """The rows of `data/NAME.toml`."""
    text = resources.files("ponder.data").joinpath(f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)
