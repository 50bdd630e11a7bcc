"""Rows of facts with their provenance: the package's tables, and the user's own over them.

A figure is a table with `value`, and `low` and `high` (a 90 % interval) or `point = true` where its source
states no uncertainty; with `unit`, `source`, `date` and `confidence`. What a figure does not say itself of
the last three and of `point` it has from its row.

The user's rows are TOML files of the same names in the folder `data` of ponder's configuration folder, and
those of `data/imported` below them. They add rows, and override a row's keys one by one.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import platformdirs

from ponder.data import table
from ponder.errors import ConfigError, UnknownName

__all__ = [
    "PROVENANCE",
    "figure",
    "folded",
    "named",
    "names",
    "packaged",
    "read_rows",
    "row",
    "rows",
    "tables",
    "user_folder",
    "users_rows",
]

PROVENANCE = ("source", "date", "confidence")
_INHERITED = (*PROVENANCE, "point")
_SHOWN = 60  # letters of a name that is not known


def user_folder() -> Path:
    """Where the user's own rows lie."""
    return Path(platformdirs.user_config_dir("ponder")) / "data"


@cache
def packaged() -> tuple[str, ...]:
    """The package's tables, sorted."""
    files = (each.name for each in resources.files("ponder.data").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def tables() -> list[str]:
    """The package's tables and the user's, sorted."""
    folders = user_folder(), user_folder() / "imported"
    return sorted({*packaged(), *(path.stem for folder in folders for path in folder.glob("*.toml"))})


def rows(name: str) -> dict[str, dict[str, Any]]:
    """The rows of a table, the user's over the package's. Raises ConfigError for a file that cannot be
    read."""
    own = table(name) if name in packaged() else {}
    found = {key: dict(value) for key, value in own.items() if isinstance(value, Mapping)}
    for key, value in users_rows(name).items():
        found[key] = {**found.get(key, {}), **value}
    return found


def users_rows(name: str) -> dict[str, dict[str, Any]]:
    """The user's own rows of a table over those that were imported. Raises ConfigError for a file that cannot
    be read."""
    found = read_rows(user_folder() / "imported" / f"{name}.toml")
    for key, value in read_rows(user_folder() / f"{name}.toml").items():
        found[key] = {**found.get(key, {}), **value}
    return found


def read_rows(path: Path) -> dict[str, dict[str, Any]]:
    """A file's rows, none where there is no file. Raises ConfigError where it cannot be read."""
    try:
        state = path.stat()
        return dict(_read(path, state.st_mtime_ns, state.st_size))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"data file {path} cannot be read: {error}; mend or remove it.") from None


@lru_cache(maxsize=32)
def _read(path: Path, changed: int, size: int) -> dict[str, dict[str, Any]]:
    """The rows of a file in one state."""
    read = tomllib.loads(path.read_text("utf-8"))
    for key, value in read.items():
        if not isinstance(value, dict):
            raise ConfigError(f"data file {path}: {key} must be a row, as [{key}]; mend or remove it.")
        if not isinstance(value.get("also", []), list):
            raise ConfigError(f"data file {path}: {key}.also must be a list of names; mend or remove it.")
    for where, number in _not_finite(read):
        raise ConfigError(f"data file {path}: {where} is {number}; write a finite number, or leave it out.")
    return read


def _not_finite(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """The numbers below that are none, by their dotted paths."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    elif isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _not_finite(each, f"{path}.{key}" if path else str(key))


def row(table_name: str, name: str, field: str = "") -> dict[str, Any]:
    """One row, by its key, its title, or one of the further names that it lists in `also`, however they are
    written. Raises UnknownName with the nearest names; `field` says what asked for it."""
    return rows(table_name)[named(table_name, name, field)]


def named(table_name: str, name: str, field: str = "") -> str:
    """A row's key. Raises UnknownName as `row` does."""
    known = rows(table_name)
    key = name if name in known else names(known).get(folded(name))
    if key is None:
        raise UnknownName(field or table_name.rstrip("s").replace("_", " "), folded(name)[:_SHOWN], known)
    return key


def names(known: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The key of each row by all its names, folded; the first row has a name that several have."""
    found: dict[str, str] = {}
    for key, value in known.items():
        for each in (key, value.get("title", key), *value.get("also", ())):
            found.setdefault(folded(each), key)
    return found


def folded(name: object) -> str:
    """A name as it is compared: "H100 SXM5" and "h100-sxm5" are one."""
    return str(name).casefold().replace(" ", "-").replace("_", "-")


def figure(of: Mapping[str, Any], path: str) -> dict[str, Any] | None:
    """A row's figure by its dotted path, completed with what it has from its row; None where the row lacks
    it. A bare number is a figure too."""
    value: Any = of
    told: dict[str, Any] = {}
    for key in path.split(".") if path else ():
        if not isinstance(value, Mapping) or key not in value:
            return None
        told |= {each: value[each] for each in _INHERITED if each in value}
        value = value[key]
    return told | (dict(value) if isinstance(value, Mapping) else {"value": value})
