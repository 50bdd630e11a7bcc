"""Rows of facts with their provenance: the package's tables, and the user's own over them.

A figure is a table with `value`, and `low` and `high` (a 90 % interval) or `point = true` where its source
states no uncertainty; with `unit`, `source`, `date` and `confidence`. What a figure does not say itself of
the last three and of `point` it has from its row.

The user's rows are TOML files of the same names in the folder `data` of ponder's configuration folder. They
add rows, and override a row's keys one by one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from ponder.data import table
from ponder.errors import ConfigError, UnknownName

__all__ = ["PROVENANCE", "figure", "row", "rows", "user_folder"]

PROVENANCE = ("source", "date", "confidence")
_INHERITED = (*PROVENANCE, "point")


def user_folder() -> Path:
    """Where the user's own rows lie."""
    return Path(platformdirs.user_config_dir("ponder")) / "data"


def rows(name: str) -> dict[str, dict[str, Any]]:
    """The rows of a table, the user's over the package's. Raises ConfigError for a file that cannot be
    read."""
    found = {key: dict(value) for key, value in table(name).items() if isinstance(value, Mapping)}
    for key, value in _users(name).items():
        found[key] = {**found.get(key, {}), **value}
    return found


def _users(name: str) -> Mapping[str, Mapping[str, Any]]:
    path = user_folder() / f"{name}.toml"
    try:
        read = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"data file {path} cannot be read: {error}; mend or remove it.") from None
    for key, value in read.items():
        if not isinstance(value, dict):
            raise ConfigError(f"data file {path}: {key} must be a row, as [{key}]; mend or remove it.")
    return read


def row(table_name: str, name: str, field: str = "") -> dict[str, Any]:
    """One row. Raises UnknownName with the nearest names; `field` says what asked for it."""
    known = rows(table_name)
    if name not in known:
        raise UnknownName(field or table_name.rstrip("s").replace("_", " "), name, known)
    return known[name]


def figure(of: Mapping[str, Any], path: str) -> dict[str, Any] | None:
    """A row's figure by its dotted path, completed with what it has from its row; None where the row lacks
    it. A bare number is a figure too."""
    value: Any = of
    told: dict[str, Any] = {}
    for key in path.split(".") if path else ():
        told |= {each: value[each] for each in _INHERITED if each in value}
        value = value.get(key) if isinstance(value, Mapping) else None
        if value is None:
            return None
    return told | (dict(value) if isinstance(value, Mapping) else {"value": value})
